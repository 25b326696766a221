//! Intrinsic functions: `States.Format('{}/{}', $.bucket, $.key)`.
//!
//! An [`Expression`] is what may stand behind a field whose name ends in `.$`: a path, or a call whose arguments are
//! expressions again. Arity and syntax are checked when the definition is read; types when the call is made, because
//! only then are the values known. AWS reports every such error as `States.Runtime`, and words it as here.

mod array;
mod encoding;
mod format;
mod hash;
mod identifier;
mod json;
mod math;
mod parser;
mod text;

use std::fmt;

use serde_json::Value;

use crate::context::Data;
use crate::path::Path;

/// A path, a literal or a call.
#[derive(Clone, Debug)]
pub(crate) enum Expression {
    Path(Path),
    /// A string in single quotes. `source` still has its escapes, which a format template reads differently.
    Text {
        value: String,
        source: String,
    },
    /// A number, `true`, `false` or `null`.
    Literal(Value),
    Call(Call),
}

/// A call of an intrinsic function.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    function: Function,
    arguments: Vec<Expression>,
    /// The call as it is written, for messages.
    source: String,
}

impl Expression {
    /// Reads what a `.$` field may hold: a path or a call.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('$') {
            return Path::parse(text).map(Self::Path);
        }
        parser::parse_call(text).map(Self::Call)
    }

    fn evaluate(&self, data: &Data<'_>, source: &str) -> Result<Value, String> {
        match self {
            Self::Path(path) => path.find(data)?.ok_or_else(|| {
                format!(
                    "There was an error while evaluating the intrinsic function: {source}. The JsonPath argument for the field '{path}' could not be found in the input '{}'",
                    data.input
                )
            }),
            Self::Text { value, .. } => Ok(Value::from(value.as_str())),
            Self::Literal(value) => Ok(value.clone()),
            Self::Call(call) => call.evaluate(data),
        }
    }
}

impl Call {
    pub(crate) fn evaluate(&self, data: &Data<'_>) -> Result<Value, String> {
        let values = self
            .arguments
            .iter()
            .map(|argument| argument.evaluate(data, &self.source))
            .collect::<Result<Vec<_>, _>>()?;
        self.apply(&values).map_err(|why| {
            format!(
                "There was an error while evaluating the intrinsic function: {}. Invalid arguments in {}: {why}",
                self.source, self.function
            )
        })
    }

    fn apply(&self, values: &[Value]) -> Result<Value, String> {
        let arguments = Arguments(values);
        match self.function {
            Function::Array => Ok(Value::from(values)),
            Function::ArrayPartition => array::partition(arguments),
            Function::ArrayContains => array::contains(arguments),
            Function::ArrayRange => array::range(arguments),
            Function::ArrayGetItem => array::get_item(arguments),
            Function::ArrayLength => array::length(arguments),
            Function::ArrayUnique => array::unique(arguments),
            Function::Base64Encode => encoding::encode(arguments),
            Function::Base64Decode => encoding::decode(arguments),
            Function::Hash => hash::hash(arguments),
            Function::JsonMerge => json::merge(arguments),
            Function::StringToJson => json::from_text(arguments),
            Function::JsonToString => json::to_text(arguments),
            Function::MathRandom => math::random(arguments),
            Function::MathAdd => math::add(arguments),
            Function::StringSplit => text::split(arguments),
            Function::Uuid => Ok(identifier::uuid()),
            Function::Format => self.format(arguments),
        }
    }

    fn format(&self, arguments: Arguments<'_>) -> Result<Value, String> {
        let template = match self.arguments.first() {
            Some(Expression::Text { source, .. }) => source,
            _ => arguments.text(0)?,
        };
        format::format(template, arguments.0.get(1..).unwrap_or_default())
    }
}

/// Every intrinsic function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Array,
    ArrayPartition,
    ArrayContains,
    ArrayRange,
    ArrayGetItem,
    ArrayLength,
    ArrayUnique,
    Base64Encode,
    Base64Decode,
    Hash,
    JsonMerge,
    StringToJson,
    JsonToString,
    MathRandom,
    MathAdd,
    StringSplit,
    Uuid,
    Format,
}

/// Name, fewest and most arguments of each function.
const FUNCTIONS: [(Function, &str, usize, usize); 18] = [
    (Function::Array, "States.Array", 0, usize::MAX),
    (Function::ArrayPartition, "States.ArrayPartition", 2, 2),
    (Function::ArrayContains, "States.ArrayContains", 2, 2),
    (Function::ArrayRange, "States.ArrayRange", 3, 3),
    (Function::ArrayGetItem, "States.ArrayGetItem", 2, 2),
    (Function::ArrayLength, "States.ArrayLength", 1, 1),
    (Function::ArrayUnique, "States.ArrayUnique", 1, 1),
    (Function::Base64Encode, "States.Base64Encode", 1, 1),
    (Function::Base64Decode, "States.Base64Decode", 1, 1),
    (Function::Hash, "States.Hash", 2, 2),
    (Function::JsonMerge, "States.JsonMerge", 3, 3),
    (Function::StringToJson, "States.StringToJson", 1, 1),
    (Function::JsonToString, "States.JsonToString", 1, 1),
    (Function::MathRandom, "States.MathRandom", 2, 3),
    (Function::MathAdd, "States.MathAdd", 2, 2),
    (Function::StringSplit, "States.StringSplit", 2, 2),
    (Function::Uuid, "States.UUID", 0, 0),
    (Function::Format, "States.Format", 1, usize::MAX),
];

impl Function {
    fn named(name: &str) -> Option<Self> {
        let found = FUNCTIONS.iter().find(|(_, known, ..)| *known == name)?;
        Some(found.0)
    }

    fn name(self) -> &'static str {
        let found = FUNCTIONS.iter().find(|(function, ..)| *function == self);
        found.map_or("States", |(_, name, ..)| name)
    }

    fn takes(self, count: usize) -> bool {
        FUNCTIONS.iter().any(|(function, _, least, most)| *function == self && (*least..=*most).contains(&count))
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The values of a call's arguments. The count has been checked; a function asks each for its type.
#[derive(Clone, Copy)]
struct Arguments<'a>(&'a [Value]);

/// AWS limits the strings that are encoded, decoded or hashed to this many characters.
const MAX_TEXT_LENGTH: usize = 10_000;

impl<'a> Arguments<'a> {
    fn value(self, at: usize) -> Result<&'a Value, String> {
        self.0.get(at).ok_or_else(|| format!("argument {} is missing", at + 1))
    }

    fn text(self, at: usize) -> Result<&'a str, String> {
        self.value(at)?.as_str().ok_or_else(|| format!("argument {} is not a string", at + 1))
    }

    fn limited_text(self, at: usize) -> Result<&'a str, String> {
        within_text_limit(self.text(at)?)
    }

    fn array(self, at: usize) -> Result<&'a [Value], String> {
        self.value(at)?.as_array().map(Vec::as_slice).ok_or_else(|| format!("argument {} is not an array", at + 1))
    }

    fn number(self, at: usize) -> Result<f64, String> {
        self.value(at)?.as_f64().ok_or_else(|| format!("argument {} is not a number", at + 1))
    }

    /// A whole number; AWS drops what is behind the decimal point.
    fn whole(self, at: usize) -> Result<i64, String> {
        match self.value(at)?.as_i64() {
            Some(whole) => Ok(whole),
            // A float cast saturates, which keeps an absurd bound absurd.
            None => Ok(self.number(at)?.trunc() as i64),
        }
    }
}

fn within_text_limit(text: &str) -> Result<&str, String> {
    match text.chars().count() {
        0..=MAX_TEXT_LENGTH => Ok(text),
        length => Err(format!("{length} characters are over the limit of {MAX_TEXT_LENGTH}")),
    }
}

/// Equality of JSON values, in which 1 and 1.0 are the same number.
fn json_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(l), Value::Number(r)) => l == r || l.as_f64() == r.as_f64(),
        (Value::Array(l), Value::Array(r)) => l.len() == r.len() && l.iter().zip(r).all(|(l, r)| json_equal(l, r)),
        (Value::Object(l), Value::Object(r)) => {
            l.len() == r.len() && l.iter().all(|(name, l)| r.get(name).is_some_and(|r| json_equal(l, r)))
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod testing {
    use serde_json::{Value, json};

    use super::Expression;
    use crate::context::testing::with_data;

    /// Evaluates a call on some input.
    pub(super) fn evaluate(expression: &str, input: Value) -> Result<Value, String> {
        let Expression::Call(call) = Expression::parse(expression)? else {
            panic!("{expression} is not a call");
        };
        with_data(&input, |data| call.evaluate(data))
    }

    /// Checks a table of calls and what each gives; `None` for a call that has to fail.
    pub(super) fn check(cases: &[(&str, Value, Option<Value>)]) {
        for (expression, input, expected) in cases {
            let got = evaluate(expression, input.clone());
            assert_eq!(got.clone().ok(), *expected, "{expression} on {input}: {got:?}");
        }
    }

    #[test]
    fn failures_name_the_call_and_the_reason() {
        let error = evaluate("States.MathAdd('a', 1)", json!({})).expect_err("not a number");
        assert_eq!(
            error,
            "There was an error while evaluating the intrinsic function: States.MathAdd('a', 1). \
             Invalid arguments in States.MathAdd: argument 1 is not a number"
        );
        let error = evaluate("States.Array(States.StringToJson($.missing))", json!({})).expect_err("nothing there");
        assert_eq!(
            error,
            "There was an error while evaluating the intrinsic function: States.StringToJson($.missing). \
             The JsonPath argument for the field '$.missing' could not be found in the input '{}'"
        );
    }

    #[test]
    fn calls_nest_and_read_the_context_object() {
        check(&[
            (
                "States.Format('{}-{}', $$.Execution.Name, States.ArrayGetItem(States.StringSplit($.key, '/'), 1))",
                json!({ "key": "landing/x.csv" }),
                Some(json!("run-1-x.csv")),
            ),
            (
                "States.ArrayRange(States.MathAdd($.base, 1), States.MathAdd($.base, 5), 2)",
                json!({ "base": 0 }),
                Some(json!([1, 3, 5])),
            ),
        ]);
    }
}
