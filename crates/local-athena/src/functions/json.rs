//! Functions of JSON text.

use serde_json::Value as Json;

use super::row_function::Kind::Text;
use super::row_function::{Outcome, Returns, RowFunction, invalid, some};
use crate::error::QueryError;

pub(super) fn functions() -> Vec<RowFunction> {
    let by_path = |name, body| RowFunction { name, forms: &[&[Text, Text]], returns: Returns::Text, body };
    let whole = |name, returns, body| RowFunction { name, forms: &[&[Text]], returns, body };
    vec![
        by_path("json_extract_scalar", |args| found(args.text(0), args.text(1), scalar)),
        by_path("json_extract", |args| found(args.text(0), args.text(1), |json| Some(json.to_string()))),
        whole("json_array_length", Returns::Bigint, |args| match serde_json::from_str(args.text(0)) {
            Ok(Json::Array(items)) => some(items.len()),
            _ => Ok(None),
        }),
        whole("json_parse", Returns::Text, |args| {
            let json: Result<Json, _> = serde_json::from_str(args.text(0));
            let json = json.map_err(|_| invalid(format_args!("Cannot convert value to JSON: '{}'", args.text(0))))?;
            some(json.to_string())
        }),
        whole("json_format", Returns::Text, |args| some(args.text(0))),
    ]
}

fn found(text: &str, path: &str, give: fn(&Json) -> Option<String>) -> Outcome {
    let steps = steps(path)?;
    let Ok(json) = serde_json::from_str::<Json>(text) else {
        return Ok(None);
    };
    let mut at = &json;
    for step in &steps {
        let next = match (at, step) {
            (Json::Object(fields), Step::Key(key)) => fields.get(key),
            (Json::Array(items), Step::Index(index)) => items.get(*index),
            _ => None,
        };
        match next {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(give(at).map(Into::into))
}

/// Returns a scalar as text, a string without its quotes; `None` for null, objects and arrays.
fn scalar(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Bool(_) | Json::Number(_) => Some(json.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// Parses a JSON path: `$.store.book[0]["title"]`.
fn steps(path: &str) -> Result<Vec<Step>, QueryError> {
    let wrong = || invalid(format_args!("Invalid JSON path: '{path}'"));
    let mut rest = path.strip_prefix('$').ok_or_else(wrong)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (key, next) = after.split_at(end);
            if key.is_empty() || key == "*" {
                return Err(wrong());
            }
            steps.push(Step::Key(key.to_owned()));
            rest = next;
        } else if let Some(after) = rest.strip_prefix('[') {
            let (step, next) = bracket(after).ok_or_else(wrong)?;
            steps.push(step);
            rest = next;
        } else {
            return Err(wrong());
        }
    }
    Ok(steps)
}

/// Parses the text after `[`, up to its `]`. Returns the rest too.
fn bracket(text: &str) -> Option<(Step, &str)> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let (index, rest) = text.split_once(']')?;
        return Some((Step::Index(index.parse().ok()?), rest));
    };
    let (key, rest) = text[1..].split_once(quote)?;
    Some((Step::Key(key.to_owned()), rest.strip_prefix(']')?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths() {
        let key = |text: &str| Step::Key(text.to_owned());
        assert_eq!(steps("$").unwrap(), []);
        assert_eq!(
            steps("$.store.book[0][\"title\"]").unwrap(),
            [key("store"), key("book"), Step::Index(0), key("title")]
        );
        for wrong in ["", "store", "$.", "$[", "$[x]", "$.a..b", "$.*", "$['a'"] {
            assert!(steps(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "\\$?[\\.\\[\\]\"'a-c0-9é]{0,12}") {
            let _ = steps(&path);
        }
    }
}
