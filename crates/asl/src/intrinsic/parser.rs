//! Reads a call: `States.Name(argument, ...)`, where an argument is a path, a literal or another call.

use serde_json::Value;

use super::{Call, Expression, Function};
use crate::path::Path;

/// AWS lets calls nest ten deep.
const MAX_NESTING: usize = 10;

/// Reads a whole text as one call.
pub(super) fn parse_call(text: &str) -> Result<Call, String> {
    let mut parser = Parser { text, at: 0 };
    let call = parser.call(1).and_then(|call| match parser.rest() {
        "" => Ok(call),
        rest => Err(format!("'{rest}' follows the call")),
    });
    call.map_err(|why| format!("'{text}' is not a valid intrinsic function call: {why}"))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text[self.at..].trim_start()
    }

    /// Steps over `token`, and white space before it, if it comes next.
    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest();
        let found = rest.starts_with(token);
        if found {
            self.at = self.text.len() - rest.len() + token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        match self.eat(token) {
            true => Ok(()),
            false => Err(format!("expected '{token}' before '{}'", self.rest())),
        }
    }

    /// Steps over `length` bytes of what comes next and gives them.
    fn take(&mut self, length: usize) -> &'a str {
        let rest = self.rest();
        self.at = self.text.len() - rest.len() + length;
        &rest[..length]
    }

    fn call(&mut self, nesting: usize) -> Result<Call, String> {
        if nesting > MAX_NESTING {
            return Err(format!("calls are nested more than {MAX_NESTING} deep"));
        }
        let start = self.text.len() - self.rest().len();
        let name = self.word();
        let Some(function) = Function::named(name) else {
            return Err(format!("there is no function '{name}'"));
        };
        self.expect("(")?;
        let arguments = self.arguments(nesting)?;
        if !function.takes(arguments.len()) {
            return Err(format!("{function} does not take {} arguments", arguments.len()));
        }
        Ok(Call { function, arguments, source: self.text[start..self.at].to_owned() })
    }

    fn arguments(&mut self, nesting: usize) -> Result<Vec<Expression>, String> {
        let mut arguments = Vec::new();
        if self.eat(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.argument(nesting)?);
            if self.eat(")") {
                return Ok(arguments);
            }
            self.expect(",")?;
        }
    }

    fn argument(&mut self, nesting: usize) -> Result<Expression, String> {
        let rest = self.rest();
        match rest.chars().next() {
            Some('$') => {
                let path = self.take(path_length(rest));
                Path::parse(path).map(Expression::Path)
            }
            Some('\'') => self.quoted(),
            Some('S') => self.call(nesting + 1).map(Expression::Call),
            _ => self.literal(),
        }
    }

    /// A string in single quotes, in which `\'`, `\\`, `\{` and `\}` stand for the character itself.
    fn quoted(&mut self) -> Result<Expression, String> {
        let inner = &self.rest()[1..];
        let mut value = String::new();
        let mut chars = inner.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\'' => {
                    let source = inner[..at].to_owned();
                    self.take(at + 2);
                    return Ok(Expression::Text { value, source });
                }
                '\\' => match chars.next() {
                    Some((_, escaped @ ('\'' | '\\' | '{' | '}'))) => value.push(escaped),
                    Some((_, other)) => return Err(format!("there is no escape '\\{other}'")),
                    None => break,
                },
                c => value.push(c),
            }
        }
        Err("a string does not end".to_owned())
    }

    fn literal(&mut self) -> Result<Expression, String> {
        let word = self.word();
        let literal: Option<Value> = serde_json::from_str(word).ok();
        match literal {
            Some(value) if !value.is_string() => Ok(Expression::Literal(value)),
            _ => Err(format!("'{word}' is no path, string in single quotes, number, true, false, null or call")),
        }
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || "(),".contains(c));
        self.take(end.unwrap_or(rest.len()))
    }
}

/// How far a path reaches: to a comma, parenthesis or white space that is not inside its brackets.
fn path_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') if depth > 0 => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => depth = depth.saturating_sub(1),
            (None, c) if depth == 0 && (c == ',' || c == ')' || c.is_whitespace()) => return at,
            (None, _) => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;
    use super::*;

    #[test]
    fn arguments_are_paths_literals_and_calls() {
        check(&[
            ("States.Array()", json!({}), Some(json!([]))),
            ("  States.Array( )  ", json!({}), Some(json!([]))),
            (
                "States.Array($.a, 'b', 1, -2.5, true, false, null)",
                json!({ "a": { "x": 1 } }),
                Some(json!([{ "x": 1 }, "b", 1, -2.5, true, false, null])),
            ),
            ("States.Array($)", json!([1]), Some(json!([[1]]))),
            (
                "States.Array($.items[?(@.id == 'a,b)')].n,$['x,y'])",
                json!({ "items": [{ "id": "a,b)", "n": 1 }], "x,y": 2 }),
                Some(json!([[1], 2])),
            ),
            (
                r"States.Array('it\'s', '\\', '\{\}', 'a, (b)', '')",
                json!({}),
                Some(json!(["it's", "\\", "{}", "a, (b)", ""])),
            ),
        ]);
    }

    #[test]
    fn malformed_calls_are_refused() {
        let deep = format!("{}1{}", "States.Array(".repeat(11), ")".repeat(11));
        for text in [
            "",
            "hello",
            "States.Nope()",
            "States.Array",
            "States.Array(",
            "States.Array(1",
            "States.Array(1,)",
            "States.Array(,1)",
            "States.Array(1 2)",
            "States.Array(1))",
            "States.Array() x",
            "States.Array('x)",
            "States.Array('\\",
            r"States.Array('\n')",
            "States.Array(\"x\")",
            "States.Array(x)",
            "States.Array($.a[)",
            "States.UUID(1)",
            "States.MathAdd(1)",
            "States.MathAdd(1, 2, 3)",
            "States.Format()",
            &deep,
        ] {
            assert!(parse_call(text).is_err(), "{text}");
        }
        let deepest = format!("{}1{}", "States.Array(".repeat(10), ")".repeat(10));
        assert!(parse_call(&deepest).is_ok());
    }
}
