//! A parser of calls: `States.Name(argument, ...)`, where an argument is a path, a literal or another call.

use serde_json::Value;

use super::expression::{Call, Expression};
use super::function::Function;
use crate::data::path::Path;
use crate::syntax::unquoted;

/// The maximum nesting depth of calls on AWS.
const MAX_CALL_NESTING: usize = 10;

impl Expression {
    /// Parses the value of a `.$` field: a path or a call.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('$') {
            return Path::parse(text).map(Self::Path);
        }
        parse_call(text).map(Self::Call)
    }
}

fn parse_call(text: &str) -> Result<Call, String> {
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

    /// Consumes `token`, and whitespace before it, if it comes next. Returns whether it did.
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

    /// Consumes and returns the next `length` bytes after whitespace.
    fn take(&mut self, length: usize) -> &'a str {
        let rest = self.rest();
        self.at = self.text.len() - rest.len() + length;
        &rest[..length]
    }

    fn call(&mut self, nesting: usize) -> Result<Call, String> {
        if nesting > MAX_CALL_NESTING {
            return Err(format!("calls are nested more than {MAX_CALL_NESTING} deep"));
        }
        let start = self.text.len() - self.rest().len();
        let name = self.word();
        let Some(function) = Function::from_name(name) else {
            return Err(format!("there is no function '{name}'"));
        };
        self.expect("(")?;
        let arguments = self.arguments(nesting)?;
        if !function.accepts(arguments.len()) {
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

    /// Parses a string in single quotes, with the escapes `\'`, `\\`, `\{` and `\}`.
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
            _ => {
                Err(format!("'{word}' is not a path, a string in single quotes, a number, true, false, null or a call"))
            }
        }
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || "(),".contains(c));
        self.take(end.unwrap_or(rest.len()))
    }
}

/// Returns the length of the path at the start of `text`, which ends at a comma, parenthesis or whitespace outside
/// brackets.
fn path_length(text: &str) -> usize {
    let end = unquoted(text).find(|c| c.depth == 0 && (c.char == ',' || c.char == ')' || c.char.is_whitespace()));
    end.map_or(text.len(), |c| c.at)
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
