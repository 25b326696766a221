//! What a segment that selects several nodes may look like, so that the work it makes is known before it is done.

/// What one such segment does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// It looks at more than the children of a node: a descent, or a filter.
    pub(super) is_deep: bool,
    /// How often it selects the same node at most: as often as a list may name it.
    pub(super) repeats: usize,
    /// It has a filter that names the whole document.
    pub(super) names_root: bool,
}

/// The form of a segment such as `[*]`, `..['a']`, `[0,1]`, `[?(@.a == 1)]`.
///
/// A filter is evaluated at each node, and so may not itself select many nodes in more than one way: no list, no function,
/// one descent.
pub(super) fn check(segment: &str) -> Result<Form, String> {
    let plain = without_quoted(segment);
    let commas = plain.matches(',').count();
    let Some((_, filter)) = plain.split_once('?') else {
        return Ok(Form { is_deep: plain.starts_with(".."), repeats: commas + 1, names_root: false });
    };
    if commas > 0 {
        return Err("a list beside or in a filter is not supported".to_owned());
    }
    if filter.matches("..").count() > 1 {
        return Err("a filter may have one '..'".to_owned());
    }
    let is_letter = |before: &char| before.is_alphanumeric() || *before == '_';
    if filter.chars().zip(filter.chars().skip(1)).any(|(before, c)| c == '(' && is_letter(&before)) {
        return Err("functions in a filter are not supported".to_owned());
    }
    let names_root = filter.contains('$');
    if names_root && (filter.contains(['*', ':', '?']) || filter.contains("..")) {
        return Err("a filter that names the whole document ('$') may only name single nodes".to_owned());
    }
    Ok(Form { is_deep: true, repeats: 1, names_root })
}

/// The text without what stands in quotes.
fn without_quoted(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => drop(chars.next()),
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, c) => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_from_the_text() {
        let form = |is_deep, repeats, names_root| Some(Form { is_deep, repeats, names_root });
        let cases = [
            ("[*]", form(false, 1, false)),
            ("[1:3]", form(false, 1, false)),
            ("[0,1,'a,b']", form(false, 3, false)),
            ("..['a']", form(true, 1, false)),
            ("[?(@.a == '..,$ f(')]", form(true, 1, false)),
            ("[?(@.a == $.b)]", form(true, 1, true)),
            ("[?@[?@[*]]]", form(true, 1, false)),
            ("[?(@.a),0]", None),
            ("[?@[0,0]]", None),
            ("[?@..a..b]", None),
            ("[?match(@.a, 'x')]", None),
            ("[?length(@.a) > 1]", None),
            ("[?$[*]]", None),
            ("[?$..a]", None),
        ];
        for (segment, expected) in cases {
            assert_eq!(check(segment).ok(), expected, "{segment}");
        }
    }
}
