//! The data flow of a state: `InputPath` before its work, `ResultPath` and `OutputPath` after it.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::context::Data;
use super::path::{Path, Step};
use crate::syntax::{DefinitionError, Fields, MAX_NESTING};

/// The maximum size of a payload between two states, in bytes of JSON text.
const MAX_PAYLOAD: usize = 256 * 1024;

/// `InputPath` and `OutputPath`, which every state except Fail may have.
#[derive(Clone, Debug)]
pub(crate) struct Filters {
    input: Filter,
    output: Filter,
}

#[derive(Clone, Debug)]
enum Filter {
    Path(Path),
    /// `null`: the data is replaced by an empty object.
    Null,
}

impl Filters {
    pub(crate) fn parse(fields: &mut Fields) -> Result<Self, DefinitionError> {
        Ok(Self { input: Filter::parse(fields, "InputPath")?, output: Filter::parse(fields, "OutputPath")? })
    }

    pub(crate) fn input(&self, data: &Data<'_>) -> Result<Value, String> {
        self.input.apply(data)
    }

    pub(crate) fn output(&self, data: &Data<'_>) -> Result<Value, String> {
        self.output.apply(data)
    }
}

impl Filter {
    fn parse(fields: &mut Fields, field: &str) -> Result<Self, DefinitionError> {
        match fields.take(field) {
            None => Ok(Self::Path(Path::root())),
            Some(Value::Null) => Ok(Self::Null),
            Some(Value::String(text)) => match Path::parse(&text) {
                Ok(path) => Ok(Self::Path(path)),
                Err(why) => Err(fields.error(field, format!("Value must be a valid JSONPath. {why}"))),
            },
            Some(_) => Err(fields.error(field, "Value must be a path or null")),
        }
    }

    fn apply(&self, data: &Data<'_>) -> Result<Value, String> {
        match self {
            Self::Null => Ok(Value::Object(Map::new())),
            Self::Path(path) => path.find(data)?.ok_or_else(|| path.no_result(data)),
        }
    }
}

/// `ResultPath`: the node of the state's raw input that its result replaces.
#[derive(Clone, Debug)]
pub(crate) enum ResultPath {
    /// `null`: the result is discarded, and the input is the output.
    Discard,
    /// `$.a.b`: that node. `$`, the default, is the root: the result is the output.
    Node(Path, Vec<Step>),
}

impl ResultPath {
    pub(crate) fn parse(fields: &mut Fields) -> Result<Self, DefinitionError> {
        let text = match fields.take("ResultPath") {
            None => return Ok(Self::Node(Path::root(), Vec::new())),
            Some(Value::Null) => return Ok(Self::Discard),
            Some(Value::String(text)) => text,
            Some(_) => return Err(fields.error("ResultPath", "Value must be a path or null")),
        };
        let path = Path::parse_reference(&text).map_err(|why| fields.error("ResultPath", why))?;
        match path.writable_steps().map(<[Step]>::to_vec) {
            Some(steps) => Ok(Self::Node(path, steps)),
            None => Err(fields.error("ResultPath", "A result cannot be written to the context object or a variable")),
        }
    }

    /// Returns the raw input with `result` inserted.
    ///
    /// # Errors
    /// Returns a message if the path does not fit the input, such as an index into an object.
    pub(crate) fn insert(&self, mut input: Value, result: Value) -> Result<Value, String> {
        match self {
            Self::Discard => Ok(input),
            Self::Node(path, steps) => match node_at(&mut input, steps) {
                Some(slot) => {
                    *slot = result;
                    Ok(input)
                }
                None => Err(format!("Unable to apply ReferencePath {path} to input {input}")),
            },
        }
    }
}

/// Returns the node at the end of `steps`. Creates missing fields, but changes no existing value on the way.
fn node_at<'a>(mut node: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    for (at, step) in steps.iter().enumerate() {
        let last = at + 1 == steps.len();
        node = match (step, node) {
            (Step::Field(name), Value::Object(fields)) => {
                let missing = if last { Value::Null } else { Value::Object(Map::new()) };
                fields.entry(name.as_str()).or_insert(missing)
            }
            (Step::Index(index), Value::Array(items)) => items.get_mut(usize::try_from(*index).ok()?)?,
            _ => return None,
        };
    }
    Some(node)
}

/// Returns whether a payload is small and flat enough to pass from one state to the next.
pub(crate) fn within_limit(payload: &Value) -> bool {
    size_within(payload, MAX_PAYLOAD).is_some()
}

/// Returns the size of a value in bytes of JSON text. `None` if it is over the limit, or nested too deeply.
pub(super) fn size_within(value: &Value, limit: usize) -> Option<usize> {
    let mut left = SizeLimit(limit);
    let fits = nests_within(value, MAX_NESTING) && serde_json::to_writer(&mut left, value).is_ok();
    fits.then(|| limit - left.0)
}

fn nests_within(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| nests_within(item, levels - 1)),
        Value::Object(fields) => levels > 0 && fields.values().all(|field| nests_within(field, levels - 1)),
        _ => true,
    }
}

/// A writer that discards its input, and fails after this number of bytes.
struct SizeLimit(usize);

impl Write for SizeLimit {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::testing::with_data;

    fn fields(value: Value) -> Fields {
        Fields::parse(value, "/States/S").expect("an object")
    }

    #[test]
    fn results_go_where_the_result_path_says() {
        let input = json!({ "a": 1, "list": [1, { "x": 1 }] });
        let cases = [
            (json!({}), Some(json!("R"))),
            (json!({ "ResultPath": "$" }), Some(json!("R"))),
            (json!({ "ResultPath": null }), Some(input.clone())),
            (json!({ "ResultPath": "$.b" }), Some(json!({ "a": 1, "list": [1, { "x": 1 }], "b": "R" }))),
            (json!({ "ResultPath": "$.a" }), Some(json!({ "a": "R", "list": [1, { "x": 1 }] }))),
            (
                json!({ "ResultPath": "$.b.c['d e']" }),
                Some(json!({ "a": 1, "list": [1, { "x": 1 }], "b": { "c": { "d e": "R" } } })),
            ),
            (json!({ "ResultPath": "$.list[1].y" }), Some(json!({ "a": 1, "list": [1, { "x": 1, "y": "R" }] }))),
            (json!({ "ResultPath": "$.list[0]" }), Some(json!({ "a": 1, "list": ["R", { "x": 1 }] }))),
            (json!({ "ResultPath": "$.list[2]" }), None),
            (json!({ "ResultPath": "$.list[-1]" }), None),
            (json!({ "ResultPath": "$.list.x" }), None),
            (json!({ "ResultPath": "$.a.b" }), None),
            (json!({ "ResultPath": "$[0]" }), None),
        ];
        for (state, expected) in cases {
            let path = ResultPath::parse(&mut fields(state.clone())).expect("a result path");
            let got = path.insert(input.clone(), json!("R"));
            assert_eq!(got.clone().ok(), expected, "{state}: {got:?}");
        }
    }

    #[test]
    fn result_paths_are_reference_paths_into_the_input() {
        for path in [json!("$.a[*]"), json!("$$.State.Name"), json!("a"), json!(1)] {
            let error = ResultPath::parse(&mut fields(json!({ "ResultPath": path })));
            assert_eq!(error.expect_err("refused").location, "/States/S/ResultPath");
        }
    }

    #[test]
    fn filters_select_or_empty_the_data() {
        let input = json!({ "a": { "b": 1 } });
        let cases = [
            (json!({}), Ok(input.clone())),
            (json!({ "InputPath": "$.a" }), Ok(json!({ "b": 1 }))),
            (json!({ "InputPath": null }), Ok(json!({}))),
            (json!({ "InputPath": "$$.Execution.Name" }), Ok(json!("run-1"))),
            (
                json!({ "InputPath": "$.a.c" }),
                Err("Invalid path '$.a.c' : No results for path: $['a']['c']".to_owned()),
            ),
        ];
        for (state, expected) in cases {
            let filters = Filters::parse(&mut fields(state.clone())).expect("filters");
            let got = with_data(&input, |data| filters.input(data));
            assert_eq!(got, expected, "{state}");
        }
    }

    #[test]
    fn payloads_that_pass_can_be_read_back() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        assert!(within_limit(&nested(MAX_NESTING)));
        assert!(serde_json::from_str::<Value>(&nested(MAX_NESTING).to_string()).is_ok());
        assert!(!within_limit(&nested(MAX_NESTING + 1)));
        assert!(!within_limit(&json!({ "a": nested(MAX_NESTING) })));
    }

    #[test]
    fn the_limit_counts_bytes_of_json() {
        let quotes = 2;
        assert!(within_limit(&json!("x".repeat(MAX_PAYLOAD - quotes))));
        assert!(!within_limit(&json!("x".repeat(MAX_PAYLOAD - quotes + 1))));
        assert!(!within_limit(&json!("é".repeat(MAX_PAYLOAD / 2))));
    }
}
