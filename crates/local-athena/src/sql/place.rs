//! Where something stands in a statement's text.

use std::fmt;

use datafusion::sql::sqlparser::tokenizer::{Location, Span};

/// A line and a column, both from 1, in characters; displays as Athena writes it, `line 1:8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl Place {
    /// Where a span begins; `None` for a span that the parser made up.
    pub(crate) fn start(span: Span) -> Option<Self> {
        Self::at(span.start)
    }

    pub(crate) fn at(location: Location) -> Option<Self> {
        (location.line > 0).then_some(Self { line: location.line, column: location.column })
    }

    /// The place behind the last character of a text.
    pub(crate) fn end_of(text: &str) -> Self {
        let last_line = text.rsplit('\n').next().unwrap_or_default();
        Self { line: text.matches('\n').count() as u64 + 1, column: last_line.chars().count() as u64 + 1 }
    }

    /// How many bytes of the text stand before this place.
    pub(crate) fn offset_in(self, text: &str) -> usize {
        let lines = text.split_inclusive('\n');
        let before: usize = lines.take(self.line as usize - 1).map(str::len).sum();
        let line = &text[before..];
        let in_line: usize = line.chars().take(self.column as usize - 1).map(char::len_utf8).sum();
        before + in_line
    }
}

impl fmt::Display for Place {
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
        let place = |line, column| Place { line, column };
        assert_eq!(place(1, 1).offset_in(text), 0);
        assert_eq!(&text[place(1, 3).offset_in(text)..], "ão\nb c");
        assert_eq!(&text[place(2, 3).offset_in(text)..], "c");
        assert_eq!(Place::end_of(text), place(2, 4));
        assert_eq!(Place::end_of(text).offset_in(text), text.len());
    }
}
