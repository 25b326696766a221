//! Restrictions on segments that select several nodes, so that the cost of a query is bounded before it runs.

use crate::syntax::unquoted;

/// The properties of a segment that determine its cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Whether it visits more than the children of a node: a descent or a filter.
    pub(super) is_deep: bool,
    /// The maximum number of times that it selects the same node: the number of items in its list.
    pub(super) repeats: usize,
    /// Whether its filter refers to the root of the document.
    pub(super) names_root: bool,
}

/// Returns the form of a segment such as `[*]`, `..['a']`, `[0,1]` or `[?(@.a == 1)]`.
///
/// # Errors
/// Returns a message for a filter with a list, a function or two descents. A filter is evaluated at each node, so these
/// would multiply its cost.
pub(super) fn check(segment: &str) -> Result<Form, String> {
    let plain: String = unquoted(segment).map(|c| c.char).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_recognized_by_the_text() {
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
