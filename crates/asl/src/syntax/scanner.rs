//! A scanner of paths that knows brackets and quotes.

/// A character outside quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unquoted {
    /// The byte offset of the character.
    pub(crate) at: usize,
    /// The number of brackets that enclose the character. A bracket encloses itself.
    pub(crate) depth: usize,
    pub(crate) char: char,
}

/// Returns the characters of a path that are not in quotes. Only inside brackets does `'` or `"` open a quote, in
/// which a backslash escapes the next character.
pub(crate) fn unquoted(text: &str) -> impl Iterator<Item = Unquoted> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut chars = text.char_indices();
    std::iter::from_fn(move || {
        while let Some((at, char)) = chars.next() {
            match (quote, char) {
                (Some(_), '\\') => drop(chars.next()),
                (Some(open), char) if char == open => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') if depth > 0 => quote = Some(char),
                (None, '[') => {
                    depth += 1;
                    return Some(Unquoted { at, depth, char });
                }
                (None, ']') => {
                    let enclosing = depth;
                    depth = depth.saturating_sub(1);
                    return Some(Unquoted { at, depth: enclosing, char });
                }
                (None, char) => return Some(Unquoted { at, depth, char }),
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_skipped_inside_brackets_only() {
        let plain = |text| unquoted(text).map(|c| c.char).collect::<String>();
        assert_eq!(plain("a'b'"), "a'b'");
        assert_eq!(plain("a['b'].c"), "a[].c");
        assert_eq!(plain(r#"['it\'s',"]"][0]"#), "[,][0]");
        assert_eq!(plain("['open"), "[");
    }

    #[test]
    fn brackets_enclose_themselves() {
        let depths: Vec<_> = unquoted("a[b[é]]]c").map(|c| (c.at, c.depth, c.char)).collect();
        let expected = [
            (0, 0, 'a'),
            (1, 1, '['),
            (2, 1, 'b'),
            (3, 2, '['),
            (4, 2, 'é'),
            (6, 2, ']'),
            (7, 1, ']'),
            (8, 0, ']'),
            (9, 0, 'c'),
        ];
        assert_eq!(depths, expected);
    }
}
