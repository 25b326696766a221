//! The patterns of `StringMatches`: `*` matches any text, `\*` an asterisk and `\\` a backslash.

/// The literal text between the asterisks.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Vec<String>);

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = vec![String::new()];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let literal = match c {
                '*' => {
                    pieces.push(String::new());
                    continue;
                }
                '\\' => match chars.next() {
                    Some(escaped @ ('*' | '\\')) => escaped,
                    _ => {
                        return Err(format!(
                            "Open escape sequence in '{text}': write '\\\\*' for a star and '\\\\\\\\' for a backslash"
                        ));
                    }
                },
                c => c,
            };
            if let Some(piece) = pieces.last_mut() {
                piece.push(literal);
            }
        }
        Ok(Self(pieces))
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.0.as_slice() else {
            return self.0.iter().all(|whole| whole == text);
        };
        let Some(rest) = text.strip_prefix(first.as_str()) else {
            return false;
        };
        let Some(mut rest) = rest.strip_suffix(last.as_str()) else {
            return false;
        };
        // Leftmost matches are enough: they leave the most text for the pieces that follow.
        for piece in middle {
            match rest.split_once(piece.as_str()) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("log.txt", "log.txt", true),
            ("log.txt", "log-txt", false),
            ("*", "", true),
            ("*", "anything", true),
            ("log-*.txt", "log-.txt", true),
            ("log-*.txt", "log-2020.txt", true),
            ("log-*.txt", "log-2020.txt.gz", false),
            ("*.csv", "a.csv", true),
            ("*.csv", ".csv", true),
            ("2020*", "2020-04-01", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*b", "ab", false),
            ("**", "x", true),
            (r"\*", "*", true),
            (r"\*", "x", false),
            (r"a\*b*", "a*bc", true),
            (r"\\*", r"\x", true),
            ("[a-z]?", "[a-z]?", true),
            ("[a-z]?", "bc", false),
            ("São *", "São Paulo", true),
        ];
        for (pattern, text, expected) in cases {
            let matched = Pattern::parse(pattern).expect("a pattern").matches(text);
            assert_eq!(matched, expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn open_escapes_are_refused() {
        for pattern in [r"\", r"a\", r"\a", r"\\\"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
