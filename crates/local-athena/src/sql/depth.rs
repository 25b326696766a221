//! Limits the nesting depth of a statement, computed from its tokens before any parser recurses.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::position::{Position, syntax};
use crate::error::QueryError;

/// Maximum nesting depth of brackets, CASE, prefix operators and bodies of lambdas, in any mixture.
const MAX_NESTING: usize = 40;

/// Athena's error for a statement that would take a parser too much time or stack.
pub(super) fn too_large() -> QueryError {
    syntax(Position { line: 1, column: 1 }, "statement is too large (stack overflow while parsing)")
}

/// Checks the nesting depth.
///
/// # Errors
/// [`too_large`] when the tokens nest deeper than [`MAX_NESTING`].
pub(super) fn check(list: &[TokenWithSpan]) -> Result<(), QueryError> {
    let mut nesting = Nesting::default();
    let mut before = None;
    for TokenWithSpan { token, .. } in list {
        nesting.pass(token, before);
        if nesting.depth() > MAX_NESTING {
            return Err(too_large());
        }
        before = Some(token);
    }
    Ok(())
}

/// The kind of a nesting level, by the token that ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// A closing bracket of any kind. The parser checks that it matches.
    Bracket,
    /// The `>` of `array<int>`.
    Angle,
    /// END.
    Case,
}

/// Operators whose operand has not ended. Each is a level of nesting.
#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    /// NOT, signs, INTERVAL: until the operand.
    prefixes: usize,
    /// Arrows of lambdas: until the comma or bracket after the body.
    arrows: usize,
}

impl Waiting {
    fn count(self) -> usize {
        self.prefixes + self.arrows
    }
}

/// The open levels at a token.
#[derive(Debug, Default)]
struct Nesting {
    /// A stack of levels, each with the waiting operators of the level around it.
    open: Vec<(Level, Waiting)>,
    /// The waiting operators of the innermost level.
    waiting: Waiting,
    /// The number of waiting operators of all other levels.
    outside: usize,
}

impl Nesting {
    fn depth(&self) -> usize {
        self.open.len() + self.outside + self.waiting.count()
    }

    fn pass(&mut self, token: &Token, before: Option<&Token>) {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => self.begin(Level::Bracket),
            Token::RParen | Token::RBracket | Token::RBrace => self.end_bracket(),
            Token::Lt if before.is_some_and(|before| is_one_of(before, &["ARRAY", "MAP", "ROW", "STRUCT"])) => {
                self.begin(Level::Angle);
            }
            Token::Lt if self.innermost() == Some(Level::Angle) => self.begin(Level::Angle),
            Token::Gt => self.end(Level::Angle),
            Token::ShiftRight => {
                self.end(Level::Angle);
                self.end(Level::Angle);
            }
            Token::Minus | Token::Plus | Token::Tilde | Token::ExclamationMark => self.waiting.prefixes += 1,
            Token::Arrow => self.waiting.arrows += 1,
            Token::Comma => self.waiting = Waiting::default(),
            token if is_one_of(token, &["CASE"]) => self.begin(Level::Case),
            token if is_one_of(token, &["END"]) => self.end(Level::Case),
            token if is_one_of(token, &["NOT", "INTERVAL"]) => self.waiting.prefixes += 1,
            _ => self.waiting.prefixes = 0,
        }
    }

    fn innermost(&self) -> Option<Level> {
        self.open.last().map(|(level, _)| *level)
    }

    fn begin(&mut self, level: Level) {
        self.outside += self.waiting.count();
        self.open.push((level, std::mem::take(&mut self.waiting)));
    }

    /// Ends the innermost level if it is of this kind. Otherwise the token is a name or an operator.
    fn end(&mut self, level: Level) {
        if self.innermost() == Some(level) {
            self.pop();
        }
    }

    /// Ends the innermost bracket, and the levels inside that were not closed.
    fn end_bracket(&mut self) {
        while let Some(level) = self.pop() {
            if level == Level::Bracket {
                break;
            }
        }
    }

    fn pop(&mut self) -> Option<Level> {
        let (level, waiting) = self.open.pop()?;
        self.outside -= waiting.count();
        // The level was the operand of the waiting prefix operators.
        self.waiting = Waiting { prefixes: 0, ..waiting };
        Some(level)
    }
}

fn is_one_of(token: &Token, words: &[&str]) -> bool {
    let Token::Word(word) = token else { return false };
    word.quote_style.is_none() && words.iter().any(|w| word.value.eq_ignore_ascii_case(w))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;
    use crate::sql::AthenaDialect;

    fn deepest(sql: &str) -> usize {
        let tokens = Tokenizer::new(&AthenaDialect::default(), sql).tokenize_with_location().expect("tokens");
        let mut nesting = Nesting::default();
        let mut deepest = 0;
        let mut before = None;
        for token in tokens.iter().map(|token| &token.token).filter(|token| !matches!(token, Token::Whitespace(_))) {
            nesting.pass(token, before);
            deepest = deepest.max(nesting.depth());
            before = Some(token);
        }
        deepest
    }

    #[test]
    fn every_kind_of_nesting_counts() {
        for (sql, depth) in [
            ("SELECT 1 + 2 - 3", 1),
            ("SELECT ((1)), (2)", 2),
            ("SELECT ARRAY[ARRAY[1], ARRAY[2]][1]", 2),
            ("SELECT CAST(x AS array<array<map<int, int>>>), 1 > 2", 4),
            ("SELECT a < b, c < (d)", 1),
            ("SELECT CASE WHEN CASE x WHEN 1 THEN 2 END = 2 THEN 1 END, CASE WHEN 1 = 1 THEN 1 END", 2),
            ("SELECT NOT NOT NOT a", 3),
            ("SELECT NOT a AND NOT b AND NOT (c OR NOT d)", 3),
            ("SELECT - - (- 1)", 4),
            ("SELECT transform(a, x -> transform(x, y -> - y)), f(1, 2)", 5),
            ("SELECT x -> y -> z", 2),
            ("SELECT INTERVAL INTERVAL '1' day", 2),
            ("SELECT end, \"case\", \"CASE\" FROM t", 0),
            ("SELECT (CASE WHEN (1)), (2)", 3),
        ] {
            assert_eq!(deepest(sql), depth, "{sql}");
        }
    }
}
