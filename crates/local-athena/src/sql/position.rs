//! Positions in the text of a statement.

use std::fmt;

use datafusion::sql::sqlparser::tokenizer::{Location, Span};

use crate::error::{ErrorKind, QueryError};

/// A line and a column, both counted from 1, in characters. Displayed as in Athena's messages: `line 1:8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl Position {
    /// Returns the start of a span; `None` for a span that the parser made up.
    pub(crate) fn start(span: Span) -> Option<Self> {
        Self::at(span.start)
    }

    pub(crate) fn at(location: Location) -> Option<Self> {
        (location.line > 0).then_some(Self { line: location.line, column: location.column })
    }

    /// Returns the position after the last character of a text.
    pub(crate) fn end_of(text: &str) -> Self {
        let last_line = text.rsplit('\n').next().unwrap_or_default();
        Self { line: text.matches('\n').count() as u64 + 1, column: last_line.chars().count() as u64 + 1 }
    }

    /// Returns the byte offset of this position in the text.
    pub(crate) fn offset_in(self, text: &str) -> usize {
        let lines = text.split_inclusive('\n');
        let before: usize = lines.take(self.line as usize - 1).map(str::len).sum();
        let line = &text[before..];
        let in_line: usize = line.chars().take(self.column as usize - 1).map(char::len_utf8).sum();
        before + in_line
    }
}

/// Returns a syntax error at a position.
pub(super) fn syntax(position: Position, message: impl fmt::Display) -> QueryError {
    QueryError::new(ErrorKind::Syntax, format_args!("{position}: {message}"))
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_become_offsets() {
        let text = "ação\nb c";
        let position = |line, column| Position { line, column };
        assert_eq!(position(1, 1).offset_in(text), 0);
        assert_eq!(&text[position(1, 3).offset_in(text)..], "ão\nb c");
        assert_eq!(&text[position(2, 3).offset_in(text)..], "c");
        assert_eq!(Position::end_of(text), position(2, 4));
        assert_eq!(Position::end_of(text).offset_in(text), text.len());
    }
}
