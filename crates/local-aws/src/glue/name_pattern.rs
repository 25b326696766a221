//! The pattern of `GetTables`: names with `*` for any text, separated by `|`.

use super::invalid;
use crate::aws_json::AwsError;

/// A pattern of names. Upper and lower case are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamePattern(Vec<Vec<String>>);

impl NamePattern {
    /// Reads a pattern. `.*` is `*`, as in a regular expression.
    ///
    /// # Errors
    /// `InvalidInputException` for other operators of regular expressions.
    pub(super) fn parse(text: &str) -> Result<NamePattern, AwsError> {
        let text = text.to_lowercase().replace(".*", "*");
        if text.contains(['[', ']', '(', ')', '+', '?', '\\', '^', '$', '{', '}']) {
            let message = format!("Expression: '{text}' is more than names, '*' for any text, and '|' between them");
            return Err(invalid(message));
        }
        Ok(NamePattern(text.split('|').map(|name| name.split('*').map(str::to_owned).collect()).collect()))
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.0.iter().any(|pieces| is_match(pieces, &name))
    }
}

fn is_match(pieces: &[String], name: &str) -> bool {
    let [first, middle @ .., last] = pieces else {
        return pieces.iter().all(|whole| whole == name);
    };
    let inner = name.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()));
    let Some(mut rest) = inner else { return false };
    for piece in middle {
        match rest.split_once(piece.as_str()) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        let cases = [
            ("quotes", "quotes", true),
            ("quotes", "quotes_2", false),
            ("Quotes", "quotes", true),
            ("*", "quotes", true),
            ("q*", "quotes", true),
            ("*tes", "quotes", true),
            (".*uot.*", "quotes", true),
            ("q*o*s", "quotes", true),
            ("q*x*s", "quotes", false),
            ("options|q*", "quotes", true),
            ("a*a", "a", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(NamePattern::parse(pattern).unwrap().matches(name), expected, "{pattern} on {name}");
        }
        assert_eq!(NamePattern::parse("q[uo]*").unwrap_err().code(), "InvalidInputException");
    }
}
