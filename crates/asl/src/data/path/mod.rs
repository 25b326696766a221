//! Paths: `$.a[0]['b c']` into the data, `$$.Execution.Name` into the context object, `$name.a` into a variable.
//!
//! A path of fields and indexes selects at most one node, and it is an error if there is none. It is evaluated here,
//! because AWS accepts more than RFC 9535 (such as `$.delivery-partner`).
//!
//! A path with a wildcard, slice, list, filter or descent returns an array of the nodes that it selects, possibly
//! empty. Each of these segments is a separate query of `serde_json_path`, so that a [`Budget`] can limit the work: a
//! path of a few dozen characters can select each node of a document millions of times.

mod budget;
mod filter;

use std::fmt;

use serde_json::Value;
use serde_json_path::JsonPath;

use self::budget::Budget;
use super::context::Data;
use super::variables::{after_name, check_variable_name};
use crate::syntax::{MAX_NESTING, unquoted};

/// A parsed path.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    text: String,
    root: Root,
    query: Query,
    /// The names of a list at the end, `['a','b']`: of each selected object, an object with these fields. As on AWS, and not as
    /// in RFC 9535.
    fields: Option<Vec<String>>,
}

/// The query that a path compiles to.
#[derive(Clone, Debug)]
enum Query {
    /// At most one node, at the end of these steps.
    Single(Vec<Step>),
    /// The nodes that remain after each selector is applied to the nodes of the one before it.
    Pipeline(Vec<Selector>),
    /// The nodes that one query of the whole document selects, because its filters refer to the root.
    Document(JsonPath),
}

#[derive(Clone, Debug)]
enum Selector {
    Step(Step),
    Query {
        query: JsonPath,
        /// Whether it visits more than the children of a node.
        is_deep: bool,
        /// The maximum number of times that it selects the same node.
        repeats: usize,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Root {
    Input,
    Context,
    Variable(String),
}

/// A step to one child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Field(String),
    Index(i64),
}

/// A segment of a path.
enum Segment {
    Step(Step),
    /// A segment that may select several nodes, in the syntax of RFC 9535.
    Many(String),
    /// A list of names.
    Fields(Vec<String>),
}

/// The maximum nesting depth of a filter, because `serde_json_path` parses it recursively.
const MAX_FILTER_NESTING: usize = 32;

const TOO_MUCH: &str = "it selects too much";

impl Path {
    /// The path `$`, which selects the root.
    pub(crate) fn root() -> Self {
        Self { text: "$".to_owned(), root: Root::Input, query: Query::Single(Vec::new()), fields: None }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::parse_parts(text).map_err(|why| format!("Path '{text}' is not valid: {why}"))
    }

    fn parse_parts(text: &str) -> Result<Self, String> {
        let (root, rest) = Root::parse(text)?;
        let (segments, fields) = split_fields(parse_segments(rest)?)?;
        if segments.len() > MAX_NESTING {
            return Err(format!("it has more than {MAX_NESTING} steps"));
        }
        let steps = segments.iter().map(|segment| match segment {
            Segment::Step(step) => Some(step.clone()),
            Segment::Many(_) | Segment::Fields(_) => None,
        });
        let query = match steps.collect() {
            Some(steps) => Query::Single(steps),
            None => Query::from_segments(segments)?,
        };
        Ok(Self { text: text.to_owned(), root, query, fields })
    }

    /// Parses a *reference path*, which selects a single node.
    pub(crate) fn parse_reference(text: &str) -> Result<Self, String> {
        let path = Self::parse(text).map_err(|why| format!("Value is not a Reference Path: {why}"))?;
        match (&path.query, &path.fields) {
            (Query::Single(_), None) => Ok(path),
            _ => Err(format!("Value is not a Reference Path: '{text}' can name more than one node")),
        }
    }

    /// Returns the steps of a path into the state's data, where results can be written; `None` for other paths.
    pub(crate) fn writable_steps(&self) -> Option<&[Step]> {
        match &self.query {
            Query::Single(steps) if self.root == Root::Input && self.fields.is_none() => Some(steps),
            _ => None,
        }
    }

    /// Returns the node that the path selects, or `None` if there is none. A path that can select several nodes returns
    /// an array of them.
    ///
    /// # Errors
    /// Returns a message if the query exceeds its [`Budget`].
    pub(crate) fn find(&self, data: &Data<'_>) -> Result<Option<Value>, String> {
        self.root_of(data).map_or(Ok(None), |root| self.find_in(root))
    }

    /// Returns the value in which the path begins. `None` for a variable that was not assigned.
    fn root_of<'a>(&self, data: &Data<'a>) -> Option<&'a Value> {
        match &self.root {
            Root::Input => Some(data.input),
            Root::Context => Some(data.context.object()),
            Root::Variable(name) => data.context.variables.get(name),
        }
    }

    /// Returns the name of the variable in which the path begins.
    pub(crate) fn variable(&self) -> Option<&str> {
        match &self.root {
            Root::Input | Root::Context => None,
            Root::Variable(name) => Some(name),
        }
    }

    fn find_in(&self, root: &Value) -> Result<Option<Value>, String> {
        match &self.query {
            Query::Single(steps) => {
                let node = steps.iter().try_fold(root, |node, step| step.child(node));
                Ok(node.and_then(|node| self.value_of(node)))
            }
            Query::Pipeline(selectors) => {
                let nodes = select(root, selectors).ok_or_else(|| format!("Invalid path '{self}' : {TOO_MUCH}"))?;
                Ok(Some(nodes.into_iter().filter_map(|node| self.value_of(node)).collect()))
            }
            // Needs no budget: `from_segments` admits only queries that select each node at most once.
            Query::Document(query) => {
                Ok(Some(query.query(root).all().into_iter().filter_map(|node| self.value_of(node)).collect()))
            }
        }
    }

    /// Returns a selected node, or the fields of it that the path lists.
    fn value_of(&self, node: &Value) -> Option<Value> {
        let Some(names) = &self.fields else { return Some(node.clone()) };
        let object = node.as_object()?;
        let fields = names.iter().filter_map(|name| Some((name.clone(), object.get(name)?.clone())));
        Some(Value::Object(fields.collect()))
    }

    /// Returns why the path selects nothing, in the words of the JSONPath library that AWS uses.
    pub(crate) fn no_result(&self, data: &Data<'_>) -> String {
        format!("Invalid path '{self}' : {}", self.first_missing(self.root_of(data)))
    }

    fn first_missing(&self, root: Option<&Value>) -> String {
        let none = || format!("No results for path: {}", self.canonical());
        let (Query::Single(steps), Some(root)) = (&self.query, root) else { return none() };
        let (mut node, mut passed) = (root, self.root.canonical());
        for (at, step) in steps.iter().enumerate() {
            let rest = steps.get(at..).unwrap_or_default();
            match step.child(node) {
                Some(child) => node = child,
                None if rest.len() > 1 || !step.fits(node) => {
                    return step.missing(node, &passed, rest).unwrap_or_else(none);
                }
                None => return none(),
            }
            passed.push_str(&rfc_step(step));
        }
        none()
    }

    /// Whether the last step is an index beyond the end of an existing array.
    pub(crate) fn is_beyond_end(&self, data: &Data<'_>) -> bool {
        let Query::Single(steps) = &self.query else { return false };
        let Some((Step::Index(_), before)) = steps.split_last() else { return false };
        let array = self.root_of(data).and_then(|root| before.iter().try_fold(root, |node, step| step.child(node)));
        array.is_some_and(Value::is_array)
    }

    /// The path in the form that AWS uses in its messages: `$['a'][0]`.
    pub(crate) fn canonical(&self) -> String {
        match &self.query {
            Query::Pipeline(_) | Query::Document(_) => self.text.clone(),
            Query::Single(steps) => {
                format!("{}{}", self.root.canonical(), steps.iter().map(rfc_step).collect::<String>())
            }
        }
    }
}

impl Root {
    /// Returns the root of a path and its steps.
    fn parse(text: &str) -> Result<(Self, &str), String> {
        if let Some(rest) = text.strip_prefix("$$") {
            return Ok((Self::Context, rest));
        }
        let rest = text.strip_prefix('$').ok_or_else(|| "it does not start with '$'".to_owned())?;
        let steps = after_name(rest);
        match rest.strip_suffix(steps) {
            Some("") | None => Ok((Self::Input, rest)),
            Some(name) => check_variable_name(name).map(|()| (Self::Variable(name.to_owned()), steps)),
        }
    }

    fn canonical(&self) -> String {
        match self {
            Self::Input | Self::Context => "$".to_owned(),
            Self::Variable(name) => format!("${name}"),
        }
    }
}

/// Returns the value that the path in `field` of a definition selects.
///
/// # Errors
/// Returns a message if there is none.
pub(crate) fn referenced(path: &Path, field: &str, data: &Data<'_>) -> Result<Value, String> {
    path.find(data)?.ok_or_else(|| format!("The {field} parameter does not reference an input value: {path}"))
}

impl Query {
    fn from_segments(segments: Vec<Segment>) -> Result<Self, String> {
        let mut forms = Vec::with_capacity(segments.len());
        for segment in &segments {
            if !matches!(segment, Segment::Step(_)) {
                forms.push(filter::check(&rfc_segment(segment))?);
            }
        }
        if !forms.iter().any(|form| form.names_root) {
            return segments.into_iter().map(Selector::from_segment).collect::<Result<_, _>>().map(Self::Pipeline);
        }
        let text: String = segments.iter().map(rfc_segment).collect();
        if text.contains("..") || forms.iter().any(|form| form.repeats > 1) {
            return Err(
                "a path with a filter that names the whole document ('$') may have no '..' and no list".to_owned()
            );
        }
        JsonPath::parse(&format!("${text}")).map(Self::Document).map_err(|why| why.to_string())
    }
}

impl Selector {
    fn from_segment(segment: Segment) -> Result<Self, String> {
        let text = match segment {
            Segment::Step(step) => return Ok(Self::Step(step)),
            many => rfc_segment(&many),
        };
        let form = filter::check(&text)?;
        let query = JsonPath::parse(&format!("${text}")).map_err(|why| why.to_string())?;
        Ok(Self::Query { query, is_deep: form.is_deep, repeats: form.repeats })
    }
}

/// Applies the selectors in order. Returns `None` if finding or copying the nodes exceeds the budget.
fn select<'a>(root: &'a Value, selectors: &[Selector]) -> Option<Vec<&'a Value>> {
    let mut budget = Budget::default();
    let mut nodes = vec![root];
    for selector in selectors {
        let mut found = Vec::new();
        for node in nodes {
            match selector {
                Selector::Step(step) => found.extend(step.child(node)),
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
    /// Whether nodes of this kind have such steps: objects have fields, arrays have indexes.
    fn fits(&self, node: &Value) -> bool {
        match self {
            Self::Field(_) => node.is_object(),
            Self::Index(_) => node.is_array(),
        }
    }

    /// Returns why a node has no such child, at the first of the steps that are left. `None` for an index beyond the end.
    fn missing(&self, node: &Value, passed: &str, rest: &[Self]) -> Option<String> {
        match (self, self.fits(node)) {
            (Self::Field(_), true) => Some(format!("Missing property in path {passed}{}", rfc_step(self))),
            (Self::Field(_), false) => {
                let found = kind_of(node);
                Some(format!(
                    "Expected to find an object with property {} in path {passed} but found {found}",
                    rfc_step(self)
                ))
            }
            (Self::Index(_), true) => None,
            (Self::Index(_), false) => {
                let filter: String = rest.iter().map(rfc_step).collect();
                Some(format!("Filter: {filter} can only be applied to arrays. Current context is: {node}"))
            }
        }
    }

    fn child<'a>(&self, node: &'a Value) -> Option<&'a Value> {
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

fn kind_of(node: &Value) -> &'static str {
    match node {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn parse_segments(mut rest: &str) -> Result<Vec<Segment>, String> {
    let mut segments = Vec::new();
    while !rest.is_empty() {
        let (segment, after) = parse_segment(rest)?;
        segments.push(segment);
        rest = after;
    }
    Ok(segments)
}

/// Splits off a list of names, which only the end of a path may have.
fn split_fields(mut segments: Vec<Segment>) -> Result<(Vec<Segment>, Option<Vec<String>>), String> {
    let fields = match segments.pop() {
        Some(Segment::Fields(names)) => Some(names),
        last => {
            segments.extend(last);
            None
        }
    };
    match segments.iter().find(|segment| matches!(segment, Segment::Fields(_))) {
        None => Ok((segments, fields)),
        Some(list) => Err(format!("Multi properties can only be used as path leafs: ${}", rfc_segment(list))),
    }
}

fn parse_segment(rest: &str) -> Result<(Segment, &str), String> {
    if let Some(below) = rest.strip_prefix("..") {
        return parse_descent(below);
    }
    if rest.starts_with('[') {
        return parse_bracket(rest);
    }
    let Some(child) = rest.strip_prefix('.') else {
        return Err(format!("expected '.' or '[' before '{rest}'"));
    };
    if child.starts_with('[') {
        return parse_bracket(child);
    }
    if let Some(after) = child.strip_prefix('*') {
        return Ok((Segment::Many("[*]".to_owned()), after));
    }
    let (name, after) = parse_name(child)?;
    Ok((Segment::Step(Step::Field(name.to_owned())), after))
}

/// Parses a descent: `..name`, `..*` or `..[...]`.
fn parse_descent(below: &str) -> Result<(Segment, &str), String> {
    if let Some(after) = below.strip_prefix('*') {
        return Ok((Segment::Many("..[*]".to_owned()), after));
    }
    let (segment, after) = match below.starts_with('[') {
        true => parse_bracket(below)?,
        false => {
            let (name, after) = parse_name(below)?;
            (Segment::Step(Step::Field(name.to_owned())), after)
        }
    };
    Ok((Segment::Many(format!("..{}", rfc_segment(&segment))), after))
}

fn parse_name(text: &str) -> Result<(&str, &str), String> {
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

fn parse_bracket(text: &str) -> Result<(Segment, &str), String> {
    let end = closing_bracket(text)?;
    let (inner, after) = (text[1..end].trim(), &text[end + 1..]);
    if let Ok(index) = inner.parse::<i64>() {
        return Ok((Segment::Step(Step::Index(index)), after));
    }
    if let Some(name) = quoted_name(inner) {
        return Ok((Segment::Step(Step::Field(name)), after));
    }
    if let Some(names) = quoted_names(text.get(..=end).unwrap_or_default()) {
        return Ok((Segment::Fields(names), after));
    }
    Ok((Segment::Many(format!("[{inner}]")), after))
}

/// Returns the offset of the bracket that closes the one at the start of `text`.
fn closing_bracket(text: &str) -> Result<usize, String> {
    let mut grouping = 0_usize;
    for c in unquoted(text) {
        match c.char {
            ']' if c.depth == 1 => return Ok(c.at),
            '(' | '!' => grouping += 1,
            _ => {}
        }
        if c.depth + grouping > MAX_FILTER_NESTING {
            return Err("the filter is nested too deeply".to_owned());
        }
    }
    Err("']' is missing".to_owned())
}

/// Returns the name in `'name'` or `"name"`, and `None` for a list of names. A backslash escapes the next character; before a
/// double quote in `'name'` it stands for itself, as on AWS.
fn quoted_name(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut name = String::new();
    let mut chars = text[1..].chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let escaped = chars.next()?;
                if escaped == '"' && quote != '"' {
                    name.push(c);
                }
                name.push(escaped);
            }
            c if c == quote => return chars.next().is_none().then_some(name),
            c => name.push(c),
        }
    }
    None
}

/// Returns the names in `['a','b']`, and `None` for a list of anything else.
fn quoted_names(list: &str) -> Option<Vec<String>> {
    let commas = unquoted(list).filter(|c| c.char == ',').map(|c| c.at);
    let ends: Vec<usize> = commas.chain([list.len() - 1]).collect();
    let starts = [0].into_iter().chain(ends.iter().copied());
    starts.zip(&ends).map(|(start, end)| quoted_name(list.get(start + 1..*end)?.trim())).collect()
}

fn rfc_segment(segment: &Segment) -> String {
    match segment {
        Segment::Many(text) => text.clone(),
        Segment::Step(step) => rfc_step(step),
        Segment::Fields(names) => {
            let names = names.iter().map(|name| format!("'{}'", name.chars().map(rfc_char).collect::<String>()));
            format!("[{}]", names.collect::<Vec<_>>().join(", "))
        }
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

    use super::{Path, Query, Root};

    /// Returns the node or the array of nodes that a path selects in a document.
    ///
    /// # Errors
    /// The reason if the path does not parse, starts in the context object or selects nothing.
    pub fn find(path: &str, document: &Value) -> Result<Option<Value>, String> {
        let path = Path::parse(path)?;
        match path.root {
            Root::Input => path.find_in(document),
            Root::Context | Root::Variable(_) => Err("a path into the context object or a variable".to_owned()),
        }
    }

    /// Returns the canonical form of a path that can select one node only.
    pub fn canonical(path: &str) -> Option<String> {
        let path = Path::parse(path).ok()?;
        matches!((&path.root, &path.query), (Root::Input, Query::Single(_))).then(|| path.canonical())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::testing::with_data;

    fn find(path: &str, input: &Value) -> Option<Value> {
        let path = Path::parse(path).expect("a valid path");
        with_data(input, |data| path.find(data)).expect("not too much")
    }

    #[test]
    fn a_path_begins_in_the_input_the_context_or_a_variable() {
        let input = json!({ "known": 1 });
        let cases = [
            ("$.known", Some(json!(1))),
            ("$$.Execution.Name", Some(json!("run-1"))),
            ("$known", Some(json!({ "list": [1, 2] }))),
            ("$known.list[-1]", Some(json!(2))),
            ("$known['list'][*]", Some(json!([1, 2]))),
            ("$known..list", Some(json!([[1, 2]]))),
            ("$known[?(@[0] == $.list[0])]", Some(json!([[1, 2]]))),
            ("$known.none", None),
            ("$unknown", None),
            ("$unknown[*]", None),
        ];
        for (path, expected) in cases {
            assert_eq!(find(path, &input), expected, "{path}");
        }
        let path = Path::parse("$known.list[5]").expect("a path");
        assert_eq!((path.variable(), path.canonical().as_str()), (Some("known"), "$known['list'][5]"));
        assert!(with_data(&input, |data| path.is_beyond_end(data)));
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
            // Nothing is selected: by the step before, by the step after, or because the value is not an array.
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
    fn a_list_of_names_gives_an_object() {
        let input = json!({ "a": 1, "b": [2], "c, d": 3, "items": [ { "x": 1, "y": 2 }, { "x": 3 }, 4 ] });
        let cases = [
            ("$['a','b']", Some(json!({ "a": 1, "b": [2] }))),
            ("$[ 'b' , \"c, d\" ]", Some(json!({ "b": [2], "c, d": 3 }))),
            ("$['a','missing']", Some(json!({ "a": 1 }))),
            ("$.items[0]['y','x']", Some(json!({ "y": 2, "x": 1 }))),
            ("$.items[*]['x','y']", Some(json!([{ "x": 1, "y": 2 }, { "x": 3 }]))),
            ("$.missing['x','y']", None),
            ("$.a['x','y']", None),
        ];
        for (path, expected) in cases {
            assert_eq!(find(path, &input), expected, "{path}");
        }
        let error = Path::parse("$['a', 'b'].v").expect_err("not at the end");
        assert!(error.ends_with("Multi properties can only be used as path leafs: $['a', 'b']"), "{error}");
        assert!(Path::parse_reference("$['a','b']").is_err());
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
            (format!("$..['a'{}]", ",'a'".repeat(100)), &wide),
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
            "$a b",
            "$1",
            "$_a",
            "$states",
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
    fn a_backslash_before_a_double_quote_is_itself() {
        let input = json!({ "k\\\"\"n\"": 1, "k\"": 2, "a\\b": 3, "it's": 4 });
        let cases = [
            (r#"$['k\""n"']"#, Some(json!(1))),
            (r#"$['k"']"#, Some(json!(2))),
            (r#"$["k\""]"#, Some(json!(2))),
            (r"$['a\\b']", Some(json!(3))),
            (r"$['it\'s']", Some(json!(4))),
        ];
        for (path, expected) in cases {
            assert_eq!(find(path, &input), expected, "{path}");
        }
    }

    #[test]
    fn what_is_missing_is_said_of_the_first_step_that_is() {
        let input = json!({ "a": { "b": [1], "t": "x" }, "n": null });
        let cases = [
            ("$.x", "No results for path: $['x']"),
            ("$.a.x", "No results for path: $['a']['x']"),
            ("$.no.such.path", "Missing property in path $['no']"),
            ("$.a.no.path", "Missing property in path $['a']['no']"),
            ("$.a.no[0]", "Missing property in path $['a']['no']"),
            ("$.a.b[1]", "No results for path: $['a']['b'][1]"),
            ("$.a.b[7].c", "No results for path: $['a']['b'][7]['c']"),
            ("$.a.t.x", "Expected to find an object with property ['x'] in path $['a']['t'] but found a string"),
            ("$.a.b.c.d", "Expected to find an object with property ['c'] in path $['a']['b'] but found an array"),
            ("$.n.x", "Expected to find an object with property ['x'] in path $['n'] but found null"),
            ("$.a.t[0]", "Filter: [0] can only be applied to arrays. Current context is: \"x\""),
            ("$.a[0].x", "Filter: [0]['x'] can only be applied to arrays. Current context is: {\"b\":[1],\"t\":\"x\"}"),
            ("$$.Execution.X.Y", "Missing property in path $['Execution']['X']"),
        ];
        for (path, expected) in cases {
            let parsed = Path::parse(path).expect("a valid path");
            let message = with_data(&input, |data| parsed.no_result(data));
            assert_eq!(message, format!("Invalid path '{path}' : {expected}"));
        }
    }

    #[test]
    fn messages_write_paths_canonically() {
        let path = Path::parse("$.a.b[0]").expect("a valid path");
        assert_eq!(path.canonical(), "$['a']['b'][0]");
        assert_eq!(path.to_string(), "$.a.b[0]");
    }
}
