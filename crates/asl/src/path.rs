//! Paths: `$.a[0]['b c']` into the data, `$$.Execution.Name` into the context object.
//!
//! A path that can name one node only is walked here, because AWS is laxer there than RFC 9535 (it takes
//! `$.delivery-partner`) and because such a path that finds nothing is an error. A path with a wildcard, slice, list,
//! filter or descent gives an array of what it finds, which may be empty, whatever is missing on the way. Each of these
//! segments is a query of its own to `serde_json_path`, so that the work is bounded: a few dozen characters can name each
//! node of a document millions of times.

mod budget;
mod filter;

use std::fmt;

use serde_json::Value;
use serde_json_path::JsonPath;

use self::budget::Budget;
use crate::context::Data;
use crate::data_flow::MAX_NESTING;

/// A path that has been read, ready to be applied.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    text: String,
    root: Root,
    target: Target,
}

/// What a path leads to.
#[derive(Clone, Debug)]
enum Target {
    /// The node at the end of these steps.
    One(Vec<Step>),
    /// All nodes that these segments select, one after the other.
    Many(Vec<Selector>),
    /// All nodes that a query over the whole document selects: its filters name the document.
    Whole(JsonPath),
}

#[derive(Clone, Debug)]
enum Selector {
    Step(Step),
    Query {
        query: JsonPath,
        /// Whether it looks at more than the children of a node.
        is_deep: bool,
        /// How often it can select the same node at most.
        repeats: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Root {
    Input,
    Context,
}

/// A step to exactly one child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Field(String),
    Index(i64),
}

/// One piece of a path as it is written.
enum Segment {
    Step(Step),
    /// Anything that may select several nodes, as RFC 9535 writes it.
    Many(String),
}

/// A filter nested deeper than this is refused: the parser behind it is recursive.
const MAX_FILTER_NESTING: usize = 32;

/// A context object has few nodes, and an input as many as fit in a payload.
const TOO_MUCH: &str = "it selects too much";

impl Path {
    /// `$`: everything.
    pub(crate) fn root() -> Self {
        Self { text: "$".to_owned(), root: Root::Input, target: Target::One(Vec::new()) }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::read(text).map_err(|why| format!("Path '{text}' is not valid: {why}"))
    }

    fn read(text: &str) -> Result<Self, String> {
        let (root, rest) = match (text.strip_prefix("$$"), text.strip_prefix('$')) {
            (Some(rest), _) => (Root::Context, rest),
            (None, Some(rest)) => (Root::Input, rest),
            (None, None) => return Err("it does not start with '$'".to_owned()),
        };
        let segments = read_segments(rest)?;
        if segments.len() > MAX_NESTING {
            return Err(format!("it has more than {MAX_NESTING} steps"));
        }
        let steps = segments.iter().map(|segment| match segment {
            Segment::Step(step) => Some(step.clone()),
            Segment::Many(_) => None,
        });
        let target = match steps.collect() {
            Some(steps) => Target::One(steps),
            None => Target::many(segments)?,
        };
        Ok(Self { text: text.to_owned(), root, target })
    }

    /// A *reference path*: one that names a single node.
    pub(crate) fn parse_reference(text: &str) -> Result<Self, String> {
        let path = Self::parse(text).map_err(|why| format!("Value is not a Reference Path: {why}"))?;
        match path.target {
            Target::One(_) => Ok(path),
            _ => Err(format!("Value is not a Reference Path: '{text}' can name more than one node")),
        }
    }

    /// The steps of a path into the state's own data, for writing. `None` for a path into the context object.
    pub(crate) fn writable_steps(&self) -> Option<&[Step]> {
        match &self.target {
            Target::One(steps) if self.root == Root::Input => Some(steps),
            _ => None,
        }
    }

    /// What the path names, or `None` if there is no such node. A path that can name several nodes gives an array, which
    /// is empty where it names none. An error where that would be more than fits in any payload.
    pub(crate) fn find(&self, data: &Data<'_>) -> Result<Option<Value>, String> {
        let root = match self.root {
            Root::Input => data.input,
            Root::Context => data.context.object(),
        };
        self.find_in(root)
    }

    fn find_in(&self, root: &Value) -> Result<Option<Value>, String> {
        match &self.target {
            Target::One(steps) => Ok(steps.iter().try_fold(root, |node, step| step.of(node)).cloned()),
            Target::Many(selectors) => {
                let nodes = select(root, selectors).ok_or_else(|| format!("Invalid path '{self}' : {TOO_MUCH}"))?;
                Ok(Some(nodes.into_iter().cloned().collect()))
            }
            // Each node once at most, by its form.
            Target::Whole(query) => Ok(Some(query.query(root).all().into_iter().cloned().collect())),
        }
    }

    /// The path in the form that AWS uses in its messages: `$['a'][0]`.
    pub(crate) fn canonical(&self) -> String {
        match &self.target {
            Target::Many(_) | Target::Whole(_) => self.text.clone(),
            Target::One(steps) => format!("${}", steps.iter().map(rfc_step).collect::<String>()),
        }
    }
}

impl Target {
    fn many(segments: Vec<Segment>) -> Result<Self, String> {
        let mut forms = Vec::with_capacity(segments.len());
        for segment in &segments {
            if let Segment::Many(text) = segment {
                forms.push(filter::check(text)?);
            }
        }
        if !forms.iter().any(|form| form.names_root) {
            return segments.into_iter().map(Selector::of).collect::<Result<_, _>>().map(Self::Many);
        }
        let text: String = segments.iter().map(rfc_segment).collect();
        if text.contains("..") || forms.iter().any(|form| form.repeats > 1) {
            return Err(
                "a path with a filter that names the whole document ('$') may have no '..' and no list".to_owned()
            );
        }
        JsonPath::parse(&format!("${text}")).map(Self::Whole).map_err(|why| why.to_string())
    }
}

impl Selector {
    fn of(segment: Segment) -> Result<Self, String> {
        let text = match segment {
            Segment::Step(step) => return Ok(Self::Step(step)),
            Segment::Many(text) => text,
        };
        let form = filter::check(&text)?;
        let query = JsonPath::parse(&format!("${text}")).map_err(|why| why.to_string())?;
        Ok(Self::Query { query, is_deep: form.is_deep, repeats: form.repeats })
    }
}

/// The nodes that the selectors lead to, or `None` when it takes too much to find or to copy them.
fn select<'a>(root: &'a Value, selectors: &[Selector]) -> Option<Vec<&'a Value>> {
    let mut budget = Budget::default();
    let mut nodes = vec![root];
    for selector in selectors {
        let mut found = Vec::new();
        for node in nodes {
            match selector {
                Selector::Step(step) => found.extend(step.of(node)),
                Selector::Query { query, is_deep, repeats } => {
                    match is_deep {
                        true => budget.visit_all(node, *repeats)?,
                        false => budget.visit_children(node, *repeats)?,
                    }
                    found.extend(query.query(node).all());
                }
            }
        }
        nodes = found;
    }
    nodes.iter().try_for_each(|node| budget.copy(node))?;
    Some(nodes)
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Step {
    fn of<'a>(&self, node: &'a Value) -> Option<&'a Value> {
        match self {
            Self::Field(name) => node.as_object()?.get(name),
            Self::Index(index) => {
                let items = node.as_array()?;
                let index = match usize::try_from(*index) {
                    Ok(index) => index,
                    Err(_) => items.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
                };
                items.get(index)
            }
        }
    }
}

fn read_segments(mut rest: &str) -> Result<Vec<Segment>, String> {
    let mut segments = Vec::new();
    while !rest.is_empty() {
        let (segment, after) = read_segment(rest)?;
        segments.push(segment);
        rest = after;
    }
    Ok(segments)
}

fn read_segment(rest: &str) -> Result<(Segment, &str), String> {
    if let Some(below) = rest.strip_prefix("..") {
        return read_descent(below);
    }
    if rest.starts_with('[') {
        return read_bracket(rest);
    }
    let Some(child) = rest.strip_prefix('.') else {
        return Err(format!("expected '.' or '[' before '{rest}'"));
    };
    if child.starts_with('[') {
        return read_bracket(child);
    }
    if let Some(after) = child.strip_prefix('*') {
        return Ok((Segment::Many("[*]".to_owned()), after));
    }
    let (name, after) = read_name(child)?;
    Ok((Segment::Step(Step::Field(name.to_owned())), after))
}

/// `..name`, `..*` and `..[...]`: every node below.
fn read_descent(below: &str) -> Result<(Segment, &str), String> {
    if let Some(after) = below.strip_prefix('*') {
        return Ok((Segment::Many("..[*]".to_owned()), after));
    }
    let (segment, after) = match below.starts_with('[') {
        true => read_bracket(below)?,
        false => {
            let (name, after) = read_name(below)?;
            (Segment::Step(Step::Field(name.to_owned())), after)
        }
    };
    Ok((Segment::Many(format!("..{}", rfc_segment(&segment))), after))
}

fn read_name(text: &str) -> Result<(&str, &str), String> {
    let end =
        text.find(|c: char| c.is_whitespace() || c.is_control() || ".[]()'\"*?,{}".contains(c)).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    if name.is_empty() {
        return Err("a field name is missing".to_owned());
    }
    if after.starts_with('(') {
        return Err(format!("functions such as '{name}()' are not supported"));
    }
    Ok((name, after))
}

fn read_bracket(text: &str) -> Result<(Segment, &str), String> {
    let end = closing_bracket(text)?;
    let (inner, after) = (text[1..end].trim(), &text[end + 1..]);
    if let Ok(index) = inner.parse::<i64>() {
        return Ok((Segment::Step(Step::Index(index)), after));
    }
    if let Some(name) = quoted_name(inner) {
        return Ok((Segment::Step(Step::Field(name)), after));
    }
    Ok((Segment::Many(format!("[{inner}]")), after))
}

/// Where the bracket that opens `text` closes, brackets and quotes inside it skipped.
fn closing_bracket(text: &str) -> Result<usize, String> {
    let mut depth = 0_usize;
    let mut grouping = 0_usize;
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '!') => grouping += 1,
            (None, '[') => depth += 1,
            (None, ']') if depth == 1 => return Ok(at),
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
        if depth + grouping > MAX_FILTER_NESTING {
            return Err("the filter is nested too deeply".to_owned());
        }
    }
    Err("']' is missing".to_owned())
}

/// The name in `'name'` or `"name"`; nothing for a list of names.
fn quoted_name(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut name = String::new();
    let mut chars = text[1..].chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => name.push(chars.next()?),
            c if c == quote => return chars.next().is_none().then_some(name),
            c => name.push(c),
        }
    }
    None
}

fn rfc_segment(segment: &Segment) -> String {
    match segment {
        Segment::Many(text) => text.clone(),
        Segment::Step(step) => rfc_step(step),
    }
}

fn rfc_step(step: &Step) -> String {
    match step {
        Step::Index(index) => format!("[{index}]"),
        Step::Field(name) => format!("['{}']", name.chars().map(rfc_char).collect::<String>()),
    }
}

fn rfc_char(c: char) -> String {
    match c {
        '\\' => "\\\\".to_owned(),
        '\'' => "\\'".to_owned(),
        c if c < ' ' => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    }
}

/// For the fuzz targets.
pub(crate) mod fuzzing {
    use serde_json::Value;

    use super::{Path, Root, Target};

    /// What a path names in a document.
    pub fn find(path: &str, document: &Value) -> Result<Option<Value>, String> {
        let path = Path::parse(path)?;
        match path.root {
            Root::Input => path.find_in(document),
            Root::Context => Err("a path into the context object".to_owned()),
        }
    }

    /// The path as messages write it, if it can name one node only.
    pub fn canonical(path: &str) -> Option<String> {
        let path = Path::parse(path).ok()?;
        matches!((path.root, &path.target), (Root::Input, Target::One(_))).then(|| path.canonical())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::context::testing::with_data;

    fn find(path: &str, input: &Value) -> Option<Value> {
        let path = Path::parse(path).expect("a valid path");
        with_data(input, |data| path.find(data)).expect("not too much")
    }

    #[test]
    fn paths_name_nodes() {
        let input = json!({
            "a": { "b": [10, 20, 30] },
            "delivery-partner": "UQS",
            "def ghi": 1,
            "it's": 2,
            "dotted.name": 3,
            "São": 4,
            "items": [ { "id": 1, "ok": true }, { "id": 2, "ok": false } ],
            "nothing": null,
        });
        let cases = [
            ("$", Some(input.clone())),
            ("$.a.b[0]", Some(json!(10))),
            ("$.a.b[-1]", Some(json!(30))),
            ("$['a']['b'][1]", Some(json!(20))),
            ("$[\"a\"].b[ 1 ]", Some(json!(20))),
            ("$.delivery-partner", Some(json!("UQS"))),
            ("$.['def ghi']", Some(json!(1))),
            ("$['it\\'s']", Some(json!(2))),
            ("$['dotted.name']", Some(json!(3))),
            ("$.São", Some(json!(4))),
            ("$.nothing", Some(json!(null))),
            ("$.nothing.more", None),
            ("$.missing", None),
            ("$.a.b[3]", None),
            ("$.a.b[-4]", None),
            ("$.a[0]", None),
            ("$.a.b.c", None),
        ];
        for (path, expected) in cases {
            assert_eq!(find(path, &input), expected, "{path}");
        }
    }

    #[test]
    fn paths_that_can_name_many_nodes_give_arrays() {
        let input = json!({
            "vals": [0, 10, 20, 30, 40, 50],
            "items": [ { "id": 1, "a-b": "x" }, { "id": 2, "a-b": "y" } ],
            "flat": 7,
        });
        let cases = [
            ("$.vals[3:]", Some(json!([30, 40, 50]))),
            ("$.vals[0,1]", Some(json!([0, 10]))),
            ("$.vals[*]", Some(json!([0, 10, 20, 30, 40, 50]))),
            ("$.items[*].id", Some(json!([1, 2]))),
            ("$.items[*].a-b", Some(json!(["x", "y"]))),
            ("$.items[?(@.id > 1)].id", Some(json!([2]))),
            ("$.items[?(@.id == 9)]", Some(json!([]))),
            ("$.items[?(@['a-b'] == 'y' || @.id == 7)].id", Some(json!([2]))),
            ("$.items[?(@.id == $.items[1].id)].a-b", Some(json!(["y"]))),
            ("$..id", Some(json!([1, 2]))),
            ("$.items.*.id", Some(json!([1, 2]))),
            ("$['flat','vals']", Some(json!([7, [0, 10, 20, 30, 40, 50]]))),
            ("$['flat','vals'][1]", Some(json!([10]))),
            // Nothing is found: by a step before, a step behind, or something that is no array.
            ("$.flat[3:]", Some(json!([]))),
            ("$.flat[*]", Some(json!([]))),
            ("$.flat.x[*]", Some(json!([]))),
            ("$.missing[*]", Some(json!([]))),
            ("$.missing[:1]", Some(json!([]))),
            ("$.missing[*].x", Some(json!([]))),
            ("$.missing.deep[0].er[*]", Some(json!([]))),
            ("$.missing[?(@.x)]", Some(json!([]))),
            ("$.missing[0,1]", Some(json!([]))),
            ("$.missing.*", Some(json!([]))),
            ("$.missing..x", Some(json!([]))),
            ("$..missing", Some(json!([]))),
            ("$.vals[9:]", Some(json!([]))),
            ("$.items[*].missing.deep", Some(json!([]))),
            ("$.items[*].id.deep", Some(json!([]))),
            ("$.items[*][0]", Some(json!([]))),
            ("$$.Execution.Missing[*]", Some(json!([]))),
        ];
        for (path, expected) in cases {
            assert_eq!(find(path, &input), expected, "{path}");
        }
    }

    #[test]
    fn a_path_that_selects_too_much_is_an_error() {
        let deep = (0..120).fold(json!(1), |inner, _| json!({ "a": inner }));
        let wide = json!({ "a": vec![1; 100_000] });
        let cases = [
            ("$..a..a..a..a".to_owned(), &deep),
            ("$..*..*..*..*..*".to_owned(), &deep),
            (
                format!("$.a{}", "[0,0]".repeat(100)),
                &json!({ "a": (0..120).fold(json!(1), |inner, _| json!([inner])) }),
            ),
            (format!("$['a'{}]", ",'a'".repeat(100)), &wide),
        ];
        for (path, input) in &cases {
            let path = Path::parse(path).expect("a valid path");
            let found = with_data(input, |data| path.find(data));
            assert_eq!(found, Err(format!("Invalid path '{path}' : it selects too much")));
        }
        assert_eq!(find("$..a", &deep).map(|found| found.as_array().map(Vec::len)), Some(Some(120)));
        assert_eq!(find("$..*", &wide).map(|found| found.as_array().map(Vec::len)), Some(Some(100_001)));
    }

    #[test]
    fn the_context_object_is_under_two_dollars() {
        let input = json!({ "from": "2020-04-01" });
        let cases = [
            ("$$.Execution.Name", json!("run-1")),
            ("$$.Execution.Input.from", json!("2020-04-01")),
            ("$$.Execution.StartTime", json!("1970-01-01T00:00:00.000Z")),
            ("$$.StateMachine.Name", json!("m")),
            ("$$.State.Name", json!("S")),
            ("$$.State.RetryCount", json!(0)),
            ("$$.Map.Item.Index", json!(3)),
            ("$$.Map.Item.Value.who", json!("bob")),
        ];
        for (path, expected) in cases {
            assert_eq!(find(path, &input), Some(expected), "{path}");
        }
        assert_eq!(find("$$.Task.Token", &input), None);
        let whole = find("$$", &input).expect("the context object");
        assert_eq!(whole["Execution"]["RedriveCount"], json!(0));
    }

    #[test]
    fn malformed_paths_are_refused() {
        let nested = format!("$.a[?({}@.x{})]", "(".repeat(100), ")".repeat(100));
        let long = format!("${}", ".a".repeat(128));
        for path in [
            "",
            "a",
            "$a",
            "$.",
            "$..",
            "$.a.",
            "$.a b",
            "$.a[",
            "$.a[]",
            "$.a['b]",
            "$.a.length()",
            "$.a[?(@.x =~ /b/)]",
            "$.a[x]",
            "$.a]",
            "$.a[?@..b..c]",
            "$.a[?match(@.b, 'x')]",
            "$.a[?(@.b == $..c)]",
            "$..a[?(@.b == $.c)]",
            &nested,
            &long,
        ] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn reference_paths_name_one_node() {
        assert!(Path::parse_reference("$.a['b'][0]").is_ok());
        assert!(Path::parse_reference("$$.Execution.Id").is_ok());
        for path in ["$.a[*]", "$..a", "$.a[1:2]", "$.a[?(@.b)]", "States.UUID()"] {
            let error = Path::parse_reference(path).expect_err(path);
            assert!(error.starts_with("Value is not a Reference Path"), "{error}");
        }
    }

    #[test]
    fn messages_write_paths_canonically() {
        let path = Path::parse("$.a.b[0]").expect("a valid path");
        assert_eq!(path.canonical(), "$['a']['b'][0]");
        assert_eq!(path.to_string(), "$.a.b[0]");
    }
}
