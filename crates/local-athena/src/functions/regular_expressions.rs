//! Functions of regular expressions. A pattern matches anywhere in the text; `$1` in a replacement is a group.

use std::cell::RefCell;

use regex::{Captures, Regex};

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
            body: |args| with_regex(args, |regex| some(matches(regex, args.text(0)).count())),
        },
        RowFunction {
            name: "regexp_split",
            forms: &[&[Text, Text]],
            returns: Returns::Texts,
            body: |args| {
                with_regex(args, |regex| {
                    let (text, mut last, mut parts) = (args.text(0), 0, Vec::new());
                    for found in matches(regex, text).map(|found| found.get_match().range()) {
                        parts.push(text[last..found.start].to_owned());
                        last = found.end;
                    }
                    parts.push(text[last..].to_owned());
                    some(parts)
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
    let found =
        matches(regex, args.text(0)).filter_map(|captures| captures.get(group).map(|found| found.as_str().to_owned()));
    some(found.collect::<Vec<_>>())
}

/// Returns all matches, as Java finds them: an empty match may follow another match at once, which the crate `regex` passes
/// over.
fn matches<'a>(regex: &'a Regex, text: &'a str) -> impl Iterator<Item = Captures<'a>> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let captures = regex.captures_at(text, next?)?;
        let found = captures.get_match();
        next = if found.is_empty() {
            text[found.end()..].chars().next().map(|skipped| found.end() + skipped.len_utf8())
        } else {
            Some(found.end())
        };
        Some(captures)
    })
}

/// Replaces every match.
fn replace(regex: &Regex, args: &Args<'_>) -> Result<String, QueryError> {
    let text = args.text(0);
    let parts = replacement(regex, if args.len() == 3 { args.text(2) } else { "" })?;
    let (mut out, mut last) = (String::new(), 0);
    for captures in matches(regex, text) {
        let found = captures.get_match();
        out.push_str(&text[last..found.start()]);
        for part in &parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(group) => out.push_str(captures.get(*group).map_or("", |group| group.as_str())),
            }
        }
        last = found.end();
    }
    out.push_str(&text[last..]);
    Ok(out)
}

/// A part of a replacement.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
}

/// Parses Java's syntax of a replacement: `$1`, `${name}`, and a backslash before a character that means itself. A group has as
/// many digits as the pattern has groups for: with nine of them `$10` is group 1, followed by a 0.
fn replacement(regex: &Regex, text: &str) -> Result<Vec<Part>, QueryError> {
    let groups = regex.captures_len();
    let mut parts = vec![];
    let mut literal = String::new();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let group = match c {
            '\\' => {
                literal.push(characters.next().ok_or_else(|| invalid("the replacement ends with a backslash"))?);
                continue;
            }
            '$' if characters.next_if_eq(&'{').is_some() => {
                let name: String = characters.by_ref().take_while(|c| *c != '}').collect();
                let group = regex.capture_names().position(|known| known == Some(name.as_str()));
                group.ok_or_else(|| invalid(format_args!("Illegal replacement sequence: unknown group {{{name}}}")))?
            }
            '$' => {
                let digit = characters.next().and_then(|c| c.to_digit(10));
                let digit =
                    digit.ok_or_else(|| invalid("Illegal replacement sequence: write \\$ for a dollar sign"))?;
                let mut group = digit as usize;
                if group >= groups {
                    return Err(invalid(format_args!("Illegal replacement sequence: unknown group {group}")));
                }
                while let Some(digit) = characters.peek().and_then(|c| c.to_digit(10)) {
                    let longer = group * 10 + digit as usize;
                    if longer >= groups {
                        break;
                    }
                    group = longer;
                    characters.next();
                }
                group
            }
            other => {
                literal.push(other);
                continue;
            }
        };
        parts.push(Part::Text(std::mem::take(&mut literal)));
        parts.push(Part::Group(group));
    }
    parts.push(Part::Text(literal));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_as_in_java() {
        let regex = |pattern| Regex::new(pattern).unwrap();
        let text = |text: &str| Part::Text(text.to_owned());
        let parts = |pattern, replaced| replacement(&regex(pattern), replaced).unwrap();
        assert_eq!(parts("(a)", "$1x"), [text(""), Part::Group(1), text("x")]);
        assert_eq!(parts("(a)", "\\$1"), [text("$1")]);
        assert_eq!(parts("(?<name>a)", "${name}"), [text(""), Part::Group(1), text("")]);
        assert_eq!(parts("(a)", "$10"), [text(""), Part::Group(1), text("0")]);
        assert_eq!(parts("a", "$02"), [text(""), Part::Group(0), text("02"[1..].into())]);
        for wrong in ["$x", "$2", "${nam}", "${}", "\\"] {
            assert!(replacement(&regex("(?<name>a)"), wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_empty_match_may_follow_another() {
        let count = |pattern, text| matches(&Regex::new(pattern).unwrap(), text).count();
        assert_eq!(count(".*", "x"), 2);
        assert_eq!(count("", "ção"), 4);
        assert_eq!(count("a", "aXa"), 2);
    }
}
