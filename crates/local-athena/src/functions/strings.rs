//! Functions of text. Positions count characters from 1, as everywhere in SQL.

use super::row_function::Kind::{Bytes, Integer, Text};
use super::row_function::{Args, MAX_RESULT_BYTES, Outcome, Returns, RowFunction, invalid, some, too_much_text};

pub(super) fn functions() -> Vec<RowFunction> {
    vec![
        RowFunction {
            name: "length",
            forms: &[&[Text], &[Bytes]],
            returns: Returns::Bigint,
            body: |args| match args.kind(0) {
                Bytes => some(args.bytes(0).len()),
                _ => some(args.text(0).chars().count()),
            },
        },
        RowFunction {
            name: "concat",
            forms: CONCAT,
            returns: Returns::Text,
            body: |args| some((0..args.len()).map(|at| args.text(at)).collect::<String>()),
        },
        RowFunction {
            name: "substr",
            forms: &[&[Text, Integer], &[Text, Integer, Integer]],
            returns: Returns::Text,
            body: substr,
        },
        RowFunction {
            name: "replace",
            forms: &[&[Text, Text], &[Text, Text, Text]],
            returns: Returns::Text,
            body: |args| {
                let new = if args.len() == 3 { args.text(2) } else { "" };
                some(args.text(0).replace(args.text(1), new))
            },
        },
        RowFunction {
            name: "split",
            forms: &[&[Text, Text], &[Text, Text, Integer]],
            returns: Returns::Texts,
            body: split,
        },
        RowFunction { name: "split_part", forms: &[&[Text, Text, Integer]], returns: Returns::Text, body: split_part },
        RowFunction {
            name: "strpos",
            forms: &[&[Text, Text], &[Text, Text, Integer]],
            returns: Returns::Bigint,
            body: strpos,
        },
        RowFunction { name: "codepoint", forms: &[&[Text]], returns: Returns::Int, body: codepoint },
        RowFunction {
            name: "chr",
            forms: &[&[Integer]],
            returns: Returns::Text,
            body: |args| {
                let code = u32::try_from(args.integer(0)).ok().and_then(char::from_u32);
                some(code.ok_or_else(|| invalid("Not a valid Unicode code point"))?.to_string())
            },
        },
        RowFunction {
            name: "lpad",
            forms: &[&[Text, Integer, Text]],
            returns: Returns::Text,
            body: |args| pad(args, |text, padding| padding + text),
        },
        RowFunction {
            name: "rpad",
            forms: &[&[Text, Integer, Text]],
            returns: Returns::Text,
            body: |args| pad(args, |text, padding| text.to_owned() + &padding),
        },
        RowFunction {
            name: "hamming_distance",
            forms: &[&[Text, Text]],
            returns: Returns::Bigint,
            body: hamming_distance,
        },
        RowFunction { name: "soundex", forms: &[&[Text]], returns: Returns::Text, body: soundex },
        RowFunction {
            name: "levenshtein_distance",
            forms: &[&[Text, Text]],
            returns: Returns::Bigint,
            body: |args| some(levenshtein(args.text(0), args.text(1))),
        },
    ]
}

/// Returns the positions at which two texts of one length differ.
fn hamming_distance(args: &Args<'_>) -> Outcome {
    let (left, right) = (args.text(0), args.text(1));
    if left.chars().count() != right.chars().count() {
        return Err(invalid("The input strings to hamming_distance function must have the same length"));
    }
    some(left.chars().zip(right.chars()).filter(|(left, right)| left != right).count())
}

/// The American Soundex code of a word: its first letter, and three digits for the consonants after it.
fn soundex(args: &Args<'_>) -> Outcome {
    let code = |letter: char| match letter.to_ascii_uppercase() {
        'B' | 'F' | 'P' | 'V' => '1',
        'C' | 'G' | 'J' | 'K' | 'Q' | 'S' | 'X' | 'Z' => '2',
        'D' | 'T' => '3',
        'L' => '4',
        'M' | 'N' => '5',
        'R' => '6',
        // These do not separate equal codes.
        'H' | 'W' => '-',
        _ => '0',
    };
    let letters: Vec<char> = args.text(0).chars().filter(|c| !c.is_whitespace()).collect();
    if let Some(foreign) = letters.iter().find(|letter| !letter.is_ascii_alphabetic()) {
        return Err(invalid(format_args!("The character is not mapped: {foreign}")));
    }
    let Some(first) = letters.first() else { return some("") };
    let mut out = first.to_ascii_uppercase().to_string();
    let mut last = code(*first);
    for digit in letters[1..].iter().map(|letter| code(*letter)).filter(|digit| *digit != '-') {
        if digit != '0' && digit != last {
            out.push(digit);
        }
        last = digit;
    }
    some(format!("{out:0<4}").chars().take(4).collect::<String>())
}

/// The overloads of `concat`, for two to ten texts. `||` concatenates more.
const CONCAT: &[&[super::row_function::Kind]] = &[
    &[Text, Text],
    &[Text, Text, Text],
    &[Text, Text, Text, Text],
    &[Text, Text, Text, Text, Text],
    &[Text, Text, Text, Text, Text, Text],
    &[Text, Text, Text, Text, Text, Text, Text],
    &[Text, Text, Text, Text, Text, Text, Text, Text],
    &[Text, Text, Text, Text, Text, Text, Text, Text, Text],
    &[Text, Text, Text, Text, Text, Text, Text, Text, Text, Text],
];

/// Returns a part of the text. A negative start counts from the end; a start outside the text returns an empty text.
fn substr(args: &Args<'_>) -> Outcome {
    let (text, start) = (args.text(0), args.integer(1));
    let length = text.chars().count() as i64;
    let first = if start < 0 { length + start } else { start - 1 };
    if first < 0 || first >= length {
        return some("");
    }
    let wanted = if args.len() == 3 { args.integer(2).max(0) } else { length };
    let characters = text.chars().skip(first as usize).take(wanted as usize);
    some(characters.collect::<String>())
}

fn delimiter<'a>(args: &'a Args<'_>) -> Result<&'a str, crate::error::QueryError> {
    match args.text(1) {
        "" => Err(invalid("The delimiter may not be the empty string")),
        delimiter => Ok(delimiter),
    }
}

fn split(args: &Args<'_>) -> Outcome {
    let delimiter = delimiter(args)?;
    if args.len() == 2 {
        return some(args.text(0).split(delimiter).map(str::to_owned).collect::<Vec<_>>());
    }
    let limit = usize::try_from(args.integer(2)).ok().filter(|limit| *limit > 0);
    let limit = limit.ok_or_else(|| invalid("Limit must be positive"))?;
    some(args.text(0).splitn(limit, delimiter).map(str::to_owned).collect::<Vec<_>>())
}

fn split_part(args: &Args<'_>) -> Outcome {
    let delimiter = delimiter(args)?;
    let index = usize::try_from(args.integer(2)).ok().filter(|index| *index > 0);
    let index = index.ok_or_else(|| invalid("Index must be greater than zero"))?;
    Ok(args.text(0).split(delimiter).nth(index - 1).map(Into::into))
}

/// Returns the position of the nth occurrence of a text in another, counted from the end for a negative n; 0 if there
/// is none.
fn strpos(args: &Args<'_>) -> Outcome {
    let (text, wanted) = (args.text(0), args.text(1));
    let instance = if args.len() == 3 { args.integer(2) } else { 1 };
    if instance == 0 {
        return Err(invalid("'instance' must not be zero"));
    }
    if wanted.is_empty() {
        return some(1_i64);
    }
    let nth = instance.unsigned_abs() as usize - 1;
    let found = |at: &usize| text[*at..].starts_with(wanted);
    let starts = text.char_indices().map(|(at, _)| at);
    let at = if instance > 0 { starts.filter(found).nth(nth) } else { starts.rev().filter(found).nth(nth) };
    some(at.map_or(0, |at| text[..at].chars().count() + 1))
}

/// Pads a text. A text that is longer than the target length is truncated at its end, for `lpad` and `rpad`.
fn pad(args: &Args<'_>, join: fn(&str, String) -> String) -> Outcome {
    let (text, length, padding) = (args.text(0), args.integer(1), args.text(2));
    let wanted = i32::try_from(length).ok().and_then(|length| usize::try_from(length).ok());
    let wanted = wanted.ok_or_else(|| invalid("Target length must be in the range [0..2147483647]"))?;
    if padding.is_empty() {
        return Err(invalid("Padding string must not be empty"));
    }
    let missing = wanted.saturating_sub(text.chars().count());
    if missing == 0 {
        return some(text.chars().take(wanted).collect::<String>());
    }
    if missing > MAX_RESULT_BYTES {
        return Err(too_much_text("a padded text"));
    }
    some(join(text, padding.chars().cycle().take(missing).collect()))
}

fn codepoint(args: &Args<'_>) -> Outcome {
    let mut characters = args.text(0).chars();
    match (characters.next(), characters.next()) {
        (Some(only), None) => some(u32::from(only)),
        _ => Err(invalid("Input string must be a single character string")),
    }
}

fn levenshtein(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut distances: Vec<usize> = (0..=right.len()).collect();
    for (row, of_left) in left.chars().enumerate() {
        let mut diagonal = distances[0];
        distances[0] = row + 1;
        for (column, of_right) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(of_left != *of_right);
            diagonal = distances[column + 1];
            distances[column + 1] = replaced.min(diagonal + 1).min(distances[column] + 1);
        }
    }
    distances[right.len()]
}
