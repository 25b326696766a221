//! Functions of JSON, and casts from and to it. A JSON value is text in memory, of a type of its own ([`JSON`]).

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, ListArray, StringArray, new_null_array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::Expr;
use serde_json::Value as Json;

use super::casts::from_texts;
use super::column_function::{ColumnFunction, Columns, Types};
use super::row_function::Kind::{self, Integer, Text};
use super::row_function::{Args, Outcome, Returns, RowFunction, invalid, some};
use crate::error::{ErrorKind, QueryError};
use crate::types::{JSON, type_name};
use crate::{java_double, result_text};

pub(super) fn functions() -> Vec<RowFunction> {
    let by_path = |name, returns, body| RowFunction { name, forms: &[&[Kind::Json, Text]], returns, body };
    let whole = |name, returns, body| RowFunction { name, forms: &[&[Kind::Json]], returns, body };
    vec![
        by_path("json_extract_scalar", Returns::Text, |args| found(args, scalar)),
        by_path("json_extract", Returns::Json, |args| found(args, |json| Some(written(json, false)))),
        by_path("json_size", Returns::Bigint, |args| {
            let size = |json: &Json| match json {
                Json::Array(items) => items.len(),
                Json::Object(fields) => fields.len(),
                _ => 0,
            };
            Ok(at_path(args)?.map(|json| size(&json).into()))
        }),
        RowFunction {
            name: "json_array_get",
            forms: &[&[Kind::Json, Integer]],
            returns: Returns::Json,
            body: |args| match read(args.text(0)) {
                Some(Json::Array(items)) => {
                    let index = args.integer(1);
                    let index = if index < 0 { index + items.len() as i64 } else { index };
                    let item = usize::try_from(index).ok().and_then(|index| items.get(index));
                    Ok(item.filter(|item| !item.is_null()).map(|item| written(item, false).into()))
                }
                _ => Ok(None),
            },
        },
        whole("json_array_length", Returns::Bigint, |args| match read(args.text(0)) {
            Some(Json::Array(items)) => some(items.len()),
            _ => Ok(None),
        }),
        whole("is_json_scalar", Returns::Boolean, |args| {
            let json = read(args.text(0));
            let json = json.ok_or_else(|| invalid(format_args!("Invalid JSON value: {}", args.text(0))))?;
            some(!matches!(json, Json::Array(_) | Json::Object(_)))
        }),
        RowFunction {
            name: "json_parse",
            forms: &[&[Text]],
            returns: Returns::Json,
            body: |args| {
                let json = read(args.text(0));
                let json =
                    json.ok_or_else(|| invalid(format_args!("Cannot convert value to JSON: '{}'", args.text(0))))?;
                some(written(&json, true))
            },
        },
        whole("json_format", Returns::Text, |args| some(args.text(0))),
    ]
}

fn read(text: &str) -> Option<Json> {
    serde_json::from_str(text).ok()
}

/// Returns the text of a JSON literal, with its keys in order; `None` if it is not JSON.
pub(crate) fn literal(text: &str) -> Option<String> {
    read(text).map(|json| written(&json, true))
}

/// Writes JSON without spaces, with numbers as Java writes them. `json_parse` sorts the keys of objects, `json_extract` does not.
fn written(json: &Json, is_sorted: bool) -> String {
    fn write(json: &Json, is_sorted: bool, out: &mut String) {
        match json {
            Json::Number(number) if number.is_f64() => {
                out.push_str(&java_double::format_f64(number.as_f64().unwrap_or_default()));
            }
            Json::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write(item, is_sorted, out);
                }
                out.push(']');
            }
            Json::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                if is_sorted {
                    fields.sort_by(|left, right| left.0.cmp(right.0));
                }
                out.push('{');
                for (at, (key, value)) in fields.into_iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    out.push_str(&quoted(key));
                    out.push(':');
                    write(value, is_sorted, out);
                }
                out.push('}');
            }
            other => out.push_str(&other.to_string()),
        }
    }
    let mut out = String::new();
    write(json, is_sorted, &mut out);
    out
}

fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

/// Returns the call for a cast from or to JSON; `None` if neither type is JSON.
pub(super) fn json_cast(from: &DataType, target: &DataType, null_on_error: bool, argument: &Expr) -> Option<Expr> {
    let cast = match (from == &JSON, target == &JSON) {
        (false, true) => TO_JSON,
        (true, false) => FROM_JSON,
        _ => return None,
    };
    Some(cast.call_to(target.clone(), null_on_error, vec![argument.clone()]))
}

const TO_JSON: ColumnFunction =
    ColumnFunction { name: "to_json", types: of_one, body: |columns| to_json(&columns.columns[0]) };

const FROM_JSON: ColumnFunction = ColumnFunction {
    name: "from_json",
    types: of_one,
    body: |columns| {
        let texts = columns.columns[0].as_string::<i64>();
        let values = texts.iter().map(|text| text.map(|text| read(text).unwrap_or(Json::Null)));
        from_json(columns, &values.collect::<Vec<_>>(), columns.result)
    },
};

fn of_one(given: &[DataType]) -> Option<Types> {
    let [from] = given else { return None };
    Some(Types { arguments: vec![from.clone()], result: JSON })
}

fn external(error: QueryError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn to_json(array: &ArrayRef) -> DataFusionResult<ArrayRef> {
    let row = |row: usize| {
        if array.is_null(row) || array.data_type().is_null() {
            return Ok(None);
        }
        let mut out = String::new();
        write_value(array, row, &mut out).map_err(external)?;
        Ok(Some(out))
    };
    Ok(Arc::new((0..array.len()).map(row).collect::<DataFusionResult<LargeStringArray>>()?))
}

/// Writes a value as JSON: null, a number, or a text in quotes.
pub(crate) fn write_value(array: &ArrayRef, row: usize, out: &mut String) -> Result<(), QueryError> {
    let floating = |text: String, is_finite: bool| if is_finite { text } else { format!("\"{text}\"") };
    if array.is_null(row) || array.data_type().is_null() {
        out.push_str("null");
        return Ok(());
    }
    match array.data_type() {
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            out.push_str(&floating(java_double::format_f64(value), value.is_finite()));
        }
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            out.push_str(&floating(java_double::format_f32(value), value.is_finite()));
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            out.push('[');
            for item in 0..items.len() {
                if item > 0 {
                    out.push(',');
                }
                write_value(&items, item, out)?;
            }
            out.push(']');
        }
        DataType::Struct(fields) => {
            out.push('{');
            for (at, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&quoted(field.name()));
                out.push(':');
                write_value(column, row, out)?;
            }
            out.push('}');
        }
        ty => {
            let text = result_text::value(array, row)?.unwrap_or_default();
            let is_plain = *ty == JSON || *ty == DataType::Boolean || ty.is_numeric();
            out.push_str(&if is_plain { text } else { quoted(&text) });
        }
    }
    Ok(())
}

/// Casts values to a type, elements of arrays by the type of the element. JSON's null is NULL.
fn from_json(columns: &Columns<'_>, values: &[Option<Json>], target: &DataType) -> DataFusionResult<ArrayRef> {
    let refused = |json: &Json| {
        let message = format_args!("Cannot cast to {}. Unexpected JSON: {json}", type_name(target));
        QueryError::new(ErrorKind::InvalidCastArgument, message)
    };
    if let DataType::List(item) = target {
        let (mut items, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
        for value in values {
            let array = columns.outcome(match value {
                None | Some(Json::Null) => Ok(None),
                Some(Json::Array(array)) => Ok(Some(array)),
                Some(other) => Err(refused(other)),
            })?;
            valid.push(array.is_some());
            lengths.push(array.map_or(0, Vec::len));
            items.extend(array.into_iter().flatten().cloned().map(Some));
        }
        let items = from_json(columns, &items, item.data_type())?;
        let (offsets, valid) = (OffsetBuffer::from_lengths(lengths), NullBuffer::from(valid));
        return Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, items, Some(valid))?));
    }
    if target == &JSON {
        let texts = values.iter().map(|value| value.as_ref().map(|value| written(value, false)));
        return Ok(Arc::new(texts.collect::<LargeStringArray>()));
    }
    if target.is_null() {
        return Ok(new_null_array(target, values.len()));
    }
    if matches!(target, DataType::Struct(_) | DataType::Map(..)) {
        let message = format!("a cast from JSON to {}", type_name(target));
        return Err(external(QueryError::not_supported(&message)));
    }
    let text = |value: &Option<Json>| {
        columns.outcome(match value {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone())),
            Some(Json::Bool(value)) if target.is_numeric() => Ok(Some(u8::from(*value).to_string())),
            Some(Json::Bool(value)) => Ok(Some(value.to_string())),
            Some(Json::Number(number)) => Ok(Some(number_text(number, target))),
            Some(other) => Err(refused(other)),
        })
    };
    let texts: ArrayRef = Arc::new(values.iter().map(text).collect::<DataFusionResult<StringArray>>()?);
    from_texts(columns, &texts, target)
}

/// Writes a number so that a cast from its text to the target is the cast from the number.
fn number_text(number: &serde_json::Number, target: &DataType) -> String {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(double) if target.is_string() => java_double::format_varchar(double),
        Some(double) if target.is_integer() => format!("{:.0}", double.round()),
        Some(double) if target == &DataType::Boolean => u8::from(double != 0.0).to_string(),
        _ if target == &DataType::Boolean => u8::from(number.as_i64() != Some(0)).to_string(),
        _ => number.to_string(),
    }
}

fn found(args: &Args<'_>, give: fn(&Json) -> Option<String>) -> Outcome {
    Ok(at_path(args)?.and_then(|json| give(&json)).map(Into::into))
}

/// Returns the value at the path of the second argument.
fn at_path(args: &Args<'_>) -> Result<Option<Json>, QueryError> {
    let steps = steps(args.text(1))?;
    let Some(mut at) = read(args.text(0)) else { return Ok(None) };
    for step in &steps {
        let next = match (&mut at, step) {
            (Json::Object(fields), Step::Key(key)) => fields.get_mut(key),
            (Json::Array(items), Step::Index(index)) => items.get_mut(*index),
            _ => None,
        };
        match next {
            Some(next) => at = next.take(),
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// Returns the text of a scalar; `None` for null, objects and arrays.
pub(super) fn scalar_text(text: &str) -> Option<String> {
    read(text).and_then(|json| scalar(&json))
}

/// Returns a scalar as text, a string without its quotes; `None` for null, objects and arrays.
fn scalar(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Bool(_) | Json::Number(_) => Some(written(json, false)),
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
