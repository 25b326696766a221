//! Paths: the first line of an input is a path, what follows is the document.
//!
//! A path of names, indexes, wildcards, slices, lists and descents is held against a walk over the document as RFC 9535 has
//! it; a path that can name one node only finds it or nothing, any other gives an array. Of all paths: reading one
//! does not panic, and looking one up is bounded, which the watchdog and the size of what is found show.

use asl::fuzzing::{canonical, find};
use fuzz::{Random, Target};
use serde_json::{Value, json};

/// The most that is found: a payload has at most as many nodes.
const MOST_FOUND: usize = 1 << 23;

#[test]
fn json_path() {
    let pieces = [
        "$", ".", "..", "[", "]", "*", "a", "b", "items", "['a']", "[\"b\"]", "[0]", "[-1]", "[1:]", "[:1]", "[::-1]",
        ":", ",", "?", "(@", "@", "@.a", ")", "(", "'", "\"", "\\", " ", "==", "<", "&&", "||", "!", "&", "1", "true",
        "null", "$.a", "length(", "match(", "\n", "{\"a\":", "}", "[[", "]]", "1e999", "é", "\u{0}",
    ];
    Target::new("json_path").pieces(pieces).build(path_and_document).fixed_cases(5000).run(check);
}

fn path_and_document(random: &mut Random) -> Vec<u8> {
    let mut path = "$".to_owned();
    let most = [4, 4, 8, 40][random.below(4)];
    for _ in 0..random.below(most) {
        path += &segment(random);
    }
    format!("{path}\n{}", document(random, 0)).into_bytes()
}

fn segment(random: &mut Random) -> String {
    let index = |random: &mut Random| random.below(7) as i64 - 3;
    match random.below(14) {
        0 | 1 => format!(".{}", ["a", "b", "items"][random.below(3)]),
        2 => format!("['{}']", ["a", "b", "c d"][random.below(3)]),
        3 | 4 => format!("[{}]", index(random)),
        5 => [".*", "[*]"][random.below(2)].to_owned(),
        6 => format!("[{}:{}]", index(random), index(random)),
        7 => format!("[:{}:{}]", index(random), index(random)),
        8 => format!("[{},{},'a']", index(random), index(random)),
        9 => format!("..{}", ["a", "b", "*", "[0]", "[*]", "['a','b']"][random.below(6)]),
        10 => format!("[?(@.a {} {})]", ["==", "<", "!="][random.below(3)], random.below(4)),
        11 => "[?@.a && !(@.b || @['c'])]".to_owned(),
        12 => format!("[?{}@.a{}]", "(".repeat(random.below(40)), ")".repeat(random.below(40))),
        _ => ["[?@..a]", "[?@[?@[?@.a]]]", "[?@.a == $.a]", "[0,0,0,0,0]", "..*..*"][random.below(5)].to_owned(),
    }
}

fn document(random: &mut Random, depth: usize) -> Value {
    if depth == 0 && random.once_in(20) {
        return (0..110).fold(json!(1), |inner, _| json!({ "a": inner, "b": 0 }));
    }
    let width = if depth > 4 { 0 } else { random.below(4) };
    match random.below(4) {
        0 => (0..width).map(|_| document(random, depth + 1)).collect(),
        1 | 2 => {
            let names = ["a", "b", "items", "c d"];
            let fields = names.iter().take(width).map(|name| ((*name).to_owned(), document(random, depth + 1)));
            Value::Object(fields.collect())
        }
        _ => [json!(1), json!("x"), json!(null), json!(2.5)][random.below(4)].clone(),
    }
}

fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (path, document) = text.split_once('\n').unwrap_or((&text, "{\"a\": [1, {\"b\": [2, 3]}]}"));
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let found = find(path, &document);
    if let Ok(Some(found)) = &found {
        assert!(size(found) <= MOST_FOUND, "{} bytes were found", size(found));
    }
    if let Some(canonical) = canonical(path) {
        assert_eq!(find(&canonical, &document), found, "{canonical}");
    }
    let Some(segments) = segments(path) else { return };
    let is_one =
        segments.iter().all(|segment| matches!(segment, Segment { is_deep: false, selectors } if is_single(selectors)));
    let Some((expected, visited)) = walked(&segments, &document) else { return };
    match found {
        // More steps than a payload has levels.
        Err(why) if segments.len() > 127 => assert!(why.contains("more than 127 steps"), "{why}"),
        Err(why) => assert!(why.contains("selects too much") && visited > 1000, "{path}: {why}"),
        Ok(found) if is_one => assert_eq!(found.as_ref(), expected.first().copied(), "{path}"),
        Ok(found) => assert_eq!(found, Some(expected.into_iter().cloned().collect()), "{path}"),
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(fields) => 1 + fields.iter().map(|(name, field)| name.len() + size(field)).sum::<usize>(),
        _ => 1,
    }
}

struct Segment {
    is_deep: bool,
    selectors: Vec<Selector>,
}

enum Selector {
    Name(String),
    Index(i64),
    All,
    Slice(Option<i64>, Option<i64>, i64),
}

fn is_single(selectors: &[Selector]) -> bool {
    matches!(selectors, [Selector::Name(_) | Selector::Index(_)])
}

/// The segments of a path that has nothing but what is walked here, in its plainest form.
fn segments(path: &str) -> Option<Vec<Segment>> {
    let mut rest = path.strip_prefix('$')?;
    let mut segments = Vec::new();
    while !rest.is_empty() {
        let (is_deep, after) = match rest.strip_prefix("..") {
            Some(after) => (true, after),
            None => (false, rest.strip_prefix('.').filter(|after| !after.starts_with('[')).unwrap_or(rest)),
        };
        let dotted = after.len() < rest.len();
        let (selectors, after) = if let Some(inner) = after.strip_prefix('[') {
            let (inner, after) = inner.split_once(']')?;
            (inner.split(',').map(bracketed).collect::<Option<Vec<_>>>()?, after)
        } else if !dotted {
            return None;
        } else if let Some(after) = after.strip_prefix('*') {
            (vec![Selector::All], after)
        } else {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            let fine = name.starts_with(|c: char| c.is_ascii_alphabetic());
            (vec![fine.then(|| Selector::Name(name.to_owned()))?], after)
        };
        segments.push(Segment { is_deep, selectors });
        rest = after;
    }
    Some(segments)
}

fn bracketed(text: &str) -> Option<Selector> {
    let number = |text: &str| -> Option<i64> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let plain = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|digit| digit.is_ascii_digit()));
        (plain && text != "-0" && digits.len() < 9).then(|| text.parse().ok())?
    };
    if text == "*" {
        return Some(Selector::All);
    }
    if let Some(name) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ');
        return plain.then(|| Selector::Name(name.to_owned()));
    }
    let bounds: Vec<&str> = text.split(':').collect();
    let bound = |text: &str| if text.is_empty() { Some(None) } else { number(text).map(Some) };
    match bounds[..] {
        [index] => number(index).map(Selector::Index),
        [start, end] => Some(Selector::Slice(bound(start)?, bound(end)?, 1)),
        [start, end, step] => Some(Selector::Slice(bound(start)?, bound(end)?, bound(step)?.unwrap_or(1))),
        _ => None,
    }
}

/// Returns the nodes that the segments select, and the number of nodes visited on the way, which may be large even if none
/// is selected. Returns `None` if the selection is too large for a test.
fn walked<'a>(segments: &[Segment], document: &'a Value) -> Option<(Vec<&'a Value>, usize)> {
    let mut nodes = vec![document];
    let mut visited = 0;
    for segment in segments {
        let mut next = Vec::new();
        for node in nodes {
            let mut from = vec![node];
            if segment.is_deep {
                below(node, &mut from);
            }
            visited += from.len();
            for node in from {
                segment.selectors.iter().for_each(|selector| select(selector, node, &mut next));
            }
            if next.len() > 200_000 {
                return None;
            }
        }
        nodes = next;
    }
    Some((nodes, visited))
}

fn below<'a>(node: &'a Value, into: &mut Vec<&'a Value>) {
    for child in children(node) {
        into.push(child);
        below(child, into);
    }
}

fn children(node: &Value) -> Vec<&Value> {
    match node {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}

fn select<'a>(selector: &Selector, node: &'a Value, into: &mut Vec<&'a Value>) {
    match (selector, node) {
        (Selector::All, node) => into.extend(children(node)),
        (Selector::Name(name), Value::Object(fields)) => into.extend(fields.get(name)),
        (Selector::Index(index), Value::Array(items)) => {
            let length = items.len() as i64;
            let at = if *index < 0 { length + index } else { *index };
            into.extend(usize::try_from(at).ok().and_then(|at| items.get(at)));
        }
        (Selector::Slice(start, end, step), Value::Array(items)) => {
            let length = items.len() as i64;
            let place = |bound: i64| if bound < 0 { length + bound } else { bound };
            // From the first node of the slice, step by step.
            let (from, to) = match step.signum() {
                1 => (place(start.unwrap_or(0)).clamp(0, length), end.map_or(length, place).clamp(0, length)),
                -1 => {
                    (start.map_or(length - 1, place).clamp(-1, length - 1), end.map_or(-1, place).clamp(-1, length - 1))
                }
                _ => return,
            };
            let mut at = from;
            while (*step > 0 && at < to) || (*step < 0 && at > to) {
                into.extend(usize::try_from(at).ok().and_then(|at| items.get(at)));
                at += step;
            }
        }
        _ => {}
    }
}
