//! Functions of regular expressions. A pattern matches anywhere in the text; `$1` in a replacement is a group.

use std::cell::RefCell;

use regex::Regex;

use super::row_function::Kind::{Integer, Text};
use super::row_function::{Args, Outcome, Returns, RowFunction, invalid, some};
use crate::error::QueryError;

pub(super) fn functions() -> Vec<RowFunction> {
    vec![
        RowFunction {
            name: "regexp_like",
            forms: &[&[Text, Text]],
            returns: Returns::Boolean,
            body: |args| with_regex(args, |regex| some(regex.is_match(args.text(0)))),
        },
        RowFunction {
            name: "regexp_extract",
            forms: &[&[Text, Text], &[Text, Text, Integer]],
            returns: Returns::Text,
            body: |args| with_regex(args, |regex| extract(regex, args)),
        },
        RowFunction {
            name: "regexp_extract_all",
            forms: &[&[Text, Text], &[Text, Text, Integer]],
            returns: Returns::Texts,
            body: |args| with_regex(args, |regex| extract_all(regex, args)),
        },
        RowFunction {
            name: "regexp_replace",
            forms: &[&[Text, Text], &[Text, Text, Text]],
            returns: Returns::Text,
            body: |args| with_regex(args, |regex| some(replace(regex, args)?)),
        },
        RowFunction {
            name: "regexp_count",
            forms: &[&[Text, Text]],
            returns: Returns::Bigint,
            body: |args| with_regex(args, |regex| some(regex.find_iter(args.text(0)).count())),
        },
        RowFunction {
            name: "regexp_split",
            forms: &[&[Text, Text]],
            returns: Returns::Texts,
            body: |args| {
                with_regex(args, |regex| {
                    let parts = regex.split(args.text(0)).map(str::to_owned);
                    some(parts.collect::<Vec<_>>())
                })
            },
        },
    ]
}

/// Maximum size of a compiled pattern in bytes. Patterns come from users, and a short one like `(a{1000}){1000}` is
/// large.
const MAX_REGEX_BYTES: usize = 4 << 20;

thread_local! {
    /// A cache of one entry per thread: the last pattern. Compiling costs far more than matching, and the pattern of a
    /// query is nearly always a literal.
    static LAST: RefCell<Option<(String, Regex)>> = const { RefCell::new(None) };
}

fn with_regex<T>(args: &Args<'_>, body: impl FnOnce(&Regex) -> Result<T, QueryError>) -> Result<T, QueryError> {
    let pattern = args.text(1);
    LAST.with_borrow_mut(|last| {
        if last.as_ref().is_none_or(|(known, _)| known != pattern) {
            let built = regex::RegexBuilder::new(pattern).size_limit(MAX_REGEX_BYTES).build();
            let regex = built
                .map_err(|error| invalid(format_args!("the regular expression '{pattern}' cannot be used: {error}")))?;
            *last = Some((pattern.to_owned(), regex));
        }
        match last {
            Some((_, regex)) => body(regex),
            None => Err(invalid("no regular expression")),
        }
    })
}

fn group(regex: &Regex, args: &Args<'_>) -> Result<usize, QueryError> {
    let group = if args.len() == 3 { args.integer(2) } else { 0 };
    let groups = regex.captures_len() - 1;
    usize::try_from(group).ok().filter(|group| *group <= groups).ok_or_else(|| {
        let message = format!("Pattern has {groups} groups. Cannot access group {group}");
        invalid(message)
    })
}

fn extract(regex: &Regex, args: &Args<'_>) -> Outcome {
    let group = group(regex, args)?;
    let captures = regex.captures(args.text(0));
    let found = captures.as_ref().and_then(|captures| captures.get(group));
    Ok(found.map(|found| found.as_str().into()))
}

fn extract_all(regex: &Regex, args: &Args<'_>) -> Outcome {
    let group = group(regex, args)?;
    let found = regex
        .captures_iter(args.text(0))
        .filter_map(|captures| captures.get(group).map(|found| found.as_str().to_owned()));
    some(found.collect::<Vec<_>>())
}

/// Replaces every match, with Java's syntax of replacements.
fn replace(regex: &Regex, args: &Args<'_>) -> Result<String, QueryError> {
    let replacement = if args.len() == 3 { args.text(2) } else { "" };
    let replacement = java_replacement(replacement)?;
    Ok(regex.replace_all(args.text(0), replacement.as_str()).into_owned())
}

/// Translates a Java replacement to one of the crate `regex`. In Java `$1x` is group 1 followed by an x; in `regex` it
/// would be the group named `1x`, so this writes `${1}x`.
fn java_replacement(text: &str) -> Result<String, QueryError> {
    let mut out = String::new();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('$') => out.push_str("$$"),
                Some(other) => out.push(other),
                None => return Err(invalid("the replacement ends with a backslash")),
            },
            '$' if characters.peek() == Some(&'{') => out.push('$'),
            '$' => {
                let mut digits = String::new();
                while let Some(digit) = characters.next_if(char::is_ascii_digit) {
                    digits.push(digit);
                }
                if digits.is_empty() {
                    return Err(invalid("Illegal group reference in the replacement: write \\$"));
                }
                out.push_str(&format!("${{{digits}}}"));
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_as_in_java() {
        assert_eq!(java_replacement("$1x").unwrap(), "${1}x");
        assert_eq!(java_replacement("\\$1").unwrap(), "$$1");
        assert_eq!(java_replacement("${name}").unwrap(), "${name}");
        assert!(java_replacement("$x").is_err());
    }
}
