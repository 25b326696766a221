//! Text that is not JSON, described as by the parser that AWS uses.

use std::fmt;

use serde_json::Value;

/// The number of characters of the source in a location.
const SHOWN: usize = 500;

/// Why a text is not JSON.
///
/// ```
/// let fault = asl::parse_json("not a definition").unwrap_err();
/// assert_eq!(
///     fault.reason(),
///     "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
/// );
/// assert_eq!(fault.location(), r#"[Source: (String)"not a definition"; line: 1, column: 4]"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonFault {
    reason: String,
    location: String,
}

impl JsonFault {
    /// Returns the reason in AWS's words.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the start of the text, with the line and the column at which the parser stopped.
    pub fn location(&self) -> &str {
        &self.location
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n at {}", self.reason, self.location)
    }
}

/// Parses a JSON text.
///
/// # Errors
/// Returns the first fault of the text.
pub fn parse_json(text: &str) -> Result<Value, JsonFault> {
    serde_json::from_str(text).map_err(|error| Source(text).fault(&error))
}

/// A text that is not JSON.
struct Source<'a>(&'a str);

/// The object or array that is open at a place of a text, and where it begins.
#[derive(Clone, Copy)]
struct Open {
    at: usize,
    kind: &'static str,
}

impl Source<'_> {
    fn fault(&self, error: &serde_json::Error) -> JsonFault {
        let at = self.offset(error.line(), error.column());
        let (reason, end) = if error.is_eof() { self.end_of_input() } else { self.unexpected(at, &error.to_string()) };
        JsonFault { reason, location: self.location(end) }
    }

    /// Returns the byte offset of a line and a column, which counts bytes from 1.
    fn offset(&self, line: usize, column: usize) -> usize {
        let before: usize = self.0.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let at = (before + column.saturating_sub(1)).min(self.0.len());
        (0..=at).rev().find(|at| self.0.is_char_boundary(*at)).unwrap_or_default()
    }

    /// Returns the reason for a fault at the byte `at`, and the offset behind it. `error` is serde's message.
    fn unexpected(&self, at: usize, error: &str) -> (String, usize) {
        let Some(char) = self.0.get(at..).and_then(|rest| rest.chars().next()) else { return self.end_of_input() };
        let behind = at + char.len_utf8();
        let expected = if error.starts_with("key must be") || (error.starts_with("trailing comma") && char == '}') {
            "was expecting double-quote to start field name"
        } else if error.starts_with("expected `:`") {
            "was expecting a colon to separate field name and value"
        } else if error.starts_with("expected `,` or `}`") {
            "was expecting comma to separate Object entries"
        } else if error.starts_with("expected `,` or `]`") {
            "was expecting comma to separate Array entries"
        } else if let Some((token, end)) = self.token(at) {
            return (unrecognized(token), end);
        } else if self.open_string(at) {
            "has to be escaped using backslash to be included in string value"
        } else {
            "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
        };
        match expected.starts_with("has") {
            true => (format!("Illegal unquoted character ((CTRL-CHAR, code {})): {expected}", u32::from(char)), behind),
            false => (format!("Unexpected character ('{char}' (code {})): {expected}", u32::from(char)), behind),
        }
    }

    /// Returns the word around a byte, and the offset behind it. `None` if it is not in a word.
    fn token(&self, at: usize) -> Option<(&str, usize)> {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let (before, rest) = self.0.split_at_checked(at)?;
        let start = before.trim_end_matches(is_word).len();
        let end = rest.find(|c: char| !is_word(c)).map_or(self.0.len(), |length| at + length);
        let token = self.0.get(start..end)?;
        token.starts_with(|c: char| is_word(c) && !c.is_ascii_digit()).then_some((token, end))
    }

    /// Returns the reason for a text that ends too early.
    fn end_of_input(&self) -> (String, usize) {
        let (open, in_string) = self.scan(self.0.len());
        if !in_string && let Some((token, end)) = self.token(self.0.len()) {
            return (unrecognized(token), end);
        }
        let reason = match (in_string, open) {
            (true, _) => "Unexpected end-of-input: was expecting closing quote for a string value".to_owned(),
            (false, Some(Open { at, kind })) => format!(
                "Unexpected end-of-input: expected close marker for {kind} (start marker at {})",
                self.location(at)
            ),
            (false, None) => "Unexpected end-of-input".to_owned(),
        };
        (reason, self.0.len())
    }

    fn open_string(&self, at: usize) -> bool {
        self.scan(at).1
    }

    /// Returns the innermost object or array that is open at a byte, and whether a string is.
    fn scan(&self, end: usize) -> (Option<Open>, bool) {
        let (mut open, mut in_string, mut escaped) = (Vec::new(), false, false);
        for (at, char) in self.0.char_indices().take_while(|(at, _)| *at < end) {
            match (in_string, char) {
                (true, _) if escaped => escaped = false,
                (true, '\\') => escaped = true,
                (_, '"') => in_string = !in_string,
                (true, _) => {}
                (false, '{') => open.push(Open { at, kind: "Object" }),
                (false, '[') => open.push(Open { at, kind: "Array" }),
                (false, '}' | ']') => drop(open.pop()),
                (false, _) => {}
            }
        }
        (open.pop(), in_string)
    }

    /// Describes the place of a byte. Lines and columns count from 1.
    fn location(&self, at: usize) -> String {
        let before = self.0.get(..at).unwrap_or(self.0);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let source = match self.0.char_indices().nth(SHOWN) {
            None => format!("\"{}\"", self.0),
            Some((shown, _)) => {
                let (start, rest) = self.0.split_at(shown);
                format!("\"{start}\"[truncated {} chars]", rest.chars().count())
            }
        };
        format!("[Source: (String){source}; line: {line}, column: {column}]")
    }
}

fn unrecognized(token: &str) -> String {
    format!(
        "Unrecognized token '{token}': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_described_as_on_aws() {
        let value = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";
        let cases = [
            ("not some", format!("Unrecognized token 'not': was expecting {value}"), (1, 4)),
            ("nul", format!("Unrecognized token 'nul': was expecting {value}"), (1, 4)),
            ("{\"a\": undefined}", format!("Unrecognized token 'undefined': was expecting {value}"), (1, 16)),
            ("{'a': 1}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name".into(), (1, 3)),
            ("{a: 1}", "Unexpected character ('a' (code 97)): was expecting double-quote to start field name".into(), (1, 3)),
            ("{\"a\" 1}", "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value".into(), (1, 7)),
            ("{\"a\": 1 \"b\"}", "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries".into(), (1, 10)),
            ("[1 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries".into(), (1, 5)),
            ("{\"a\": 1,}", "Unexpected character ('}' (code 125)): was expecting double-quote to start field name".into(), (1, 10)),
            ("{\n  \"a\": ,\n}", format!("Unexpected character (',' (code 44)): expected a valid value {value}"), (2, 9)),
            ("\"open", "Unexpected end-of-input: was expecting closing quote for a string value".into(), (1, 6)),
            (
                "{\"a\": [1",
                "Unexpected end-of-input: expected close marker for Array (start marker at [Source: (String)\"{\"a\": [1\"; line: 1, column: 7])".into(),
                (1, 9),
            ),
        ];
        for (text, reason, (line, column)) in cases {
            let fault = parse_json(text).expect_err(text);
            assert_eq!(fault.reason(), reason, "{text}");
            let place = format!("[Source: (String)\"{text}\"; line: {line}, column: {column}]");
            assert_eq!(fault.location(), place, "{text}");
        }
    }

    #[test]
    fn every_text_has_a_description() {
        for text in [
            "",
            " ",
            "é",
            "{\"é\": é",
            "{\"a\": \"\n\"}",
            "[01]",
            "1e",
            "{} x",
            "\u{feff}{}",
            "[\"\\q\"]",
            "{\"a\":\"\\ud800\"}",
        ] {
            let fault = parse_json(text).expect_err(text);
            assert!(!fault.reason().is_empty() && fault.location().contains("line: "), "{text}");
        }
        let long = "x".repeat(SHOWN + 7);
        assert!(
            parse_json(&long).expect_err("no JSON").location().contains("\"[truncated 7 chars]; line: 1, column: 508]")
        );
    }
}
