//! A base for scalar functions that are computed row by row, which most of Athena's are.
//!
//! A [`RowFunction`] consists of a name, the kinds of its arguments, its return type, and a body that computes one row
//! without NULL arguments (a NULL argument gives a NULL result). This module implements the rest for all of them: type
//! coercion, arrays and scalars, NULL, `try`, and a limit on the size of the result.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array,
    LargeStringArray, ListBuilder, StringArray, StringBuilder, TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::names::athena_name;
use super::zones;
use crate::error::{ErrorKind, QueryError};
use crate::types::{JSON, TIMESTAMP, type_name};

/// The kind of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// JSON, or a text of it.
    Json,
    Bytes,
    Integer,
    Double,
    /// A date, or a timestamp with or without a time zone.
    Moment,
}

/// The return type of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Returns {
    Text,
    Json,
    Bytes,
    Texts,
    Boolean,
    /// `integer`
    Int,
    /// `bigint`
    Bigint,
    Double,
    Date,
    Timestamp,
    /// `timestamp with time zone`, in UTC
    Utc,
    /// The type of the argument at this position.
    SameAs(usize),
}

/// A value that a body returns.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Bytes(Vec<u8>),
    Texts(Vec<String>),
    Boolean(bool),
    Integer(i64),
    Double(f64),
    /// A local time in the zone of the return type; midnight for a date.
    Moment(NaiveDateTime),
}

impl Value {
    fn text_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Texts(texts) => texts.iter().map(String::len).sum(),
            _ => 0,
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Integer(value as i64)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Vec<String>> for Value {
    fn from(value: Vec<String>) -> Self {
        Self::Texts(value)
    }
}

impl From<NaiveDateTime> for Value {
    fn from(value: NaiveDateTime) -> Self {
        Self::Moment(value)
    }
}

impl From<NaiveDate> for Value {
    fn from(value: NaiveDate) -> Self {
        Self::Moment(value.into())
    }
}

/// The result of a body: a value, NULL, or an error.
pub(super) type Outcome = std::result::Result<Option<Value>, QueryError>;

/// Returns a value as an [`Outcome`].
pub(super) fn some(value: impl Into<Value>) -> Outcome {
    Ok(Some(value.into()))
}

/// Returns the error `INVALID_FUNCTION_ARGUMENT`.
pub(super) fn invalid(message: impl std::fmt::Display) -> QueryError {
    QueryError::new(ErrorKind::InvalidFunctionArgument, message)
}

/// Maximum bytes of text that a function returns for one batch of rows. Functions like `rpad` and `regexp_replace` can
/// multiply the size of their input, and the memory pool does not account for the results of expressions.
pub(super) const MAX_RESULT_BYTES: usize = 256 << 20;

/// Returns the error `EXHAUSTED_RESOURCES`.
pub(super) fn too_much_text(what: &str) -> QueryError {
    let message =
        format!("Query exhausted resources at this scale factor: {what} has more than {MAX_RESULT_BYTES} bytes");
    QueryError::new(ErrorKind::ExhaustedResources, message)
}

/// The arguments of one row, none of them NULL.
///
/// # Panics
/// An accessor panics if the function did not declare an argument of this kind at this position: a defect that any call
/// of the function shows.
pub(super) struct Args<'a> {
    columns: &'a [Column],
    row: usize,
}

struct Column {
    array: ArrayRef,
    is_scalar: bool,
    zone: Option<Tz>,
}

impl Args<'_> {
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    fn at(&self, position: usize) -> (&Column, usize) {
        let column = &self.columns[position];
        (column, if column.is_scalar { 0 } else { self.row })
    }

    pub(super) fn text(&self, position: usize) -> &str {
        let (column, row) = self.at(position);
        column.array.as_string::<i32>().value(row)
    }

    pub(super) fn bytes(&self, position: usize) -> &[u8] {
        let (column, row) = self.at(position);
        column.array.as_binary::<i32>().value(row)
    }

    /// Returns the bytes of a text or of bytes.
    pub(super) fn text_or_bytes(&self, position: usize) -> &[u8] {
        match self.columns[position].array.data_type() {
            DataType::Binary => self.bytes(position),
            _ => self.text(position).as_bytes(),
        }
    }

    pub(super) fn integer(&self, position: usize) -> i64 {
        let (column, row) = self.at(position);
        column.array.as_primitive::<Int64Type>().value(row)
    }

    pub(super) fn double(&self, position: usize) -> f64 {
        let (column, row) = self.at(position);
        column.array.as_primitive::<Float64Type>().value(row)
    }

    /// Returns the local time in the value's zone; midnight for a date.
    pub(super) fn moment(&self, position: usize) -> std::result::Result<NaiveDateTime, QueryError> {
        let (column, row) = self.at(position);
        let clock = match column.array.data_type() {
            DataType::Date32 => {
                let days = column.array.as_primitive::<Date32Type>();
                days.value_as_date(row).map(NaiveDateTime::from)
            }
            _ => {
                let millis = column.array.as_primitive::<TimestampMillisecondType>();
                let utc = DateTime::from_timestamp_millis(millis.value(row));
                utc.map(|utc| match column.zone {
                    Some(zone) => utc.with_timezone(&zone).naive_local(),
                    None => utc.naive_utc(),
                })
            }
        };
        clock.ok_or_else(|| invalid("a point in time is out of range"))
    }

    /// Returns [`Kind::Bytes`] for bytes, and [`Kind::Text`] for another argument.
    pub(super) fn kind(&self, position: usize) -> Kind {
        if self.columns[position].array.data_type() == &DataType::Binary { Kind::Bytes } else { Kind::Text }
    }

    /// Returns whether the argument is a date and not a timestamp.
    pub(super) fn is_date(&self, position: usize) -> bool {
        self.columns[position].array.data_type() == &DataType::Date32
    }

    /// Returns seconds since 1970 in UTC, with a fraction.
    pub(super) fn unix_seconds(&self, position: usize) -> f64 {
        let (column, row) = self.at(position);
        match column.array.data_type() {
            DataType::Date32 => f64::from(column.array.as_primitive::<Date32Type>().value(row)) * 86_400.0,
            _ => {
                let millis = column.array.as_primitive::<TimestampMillisecondType>();
                millis.value(row) as f64 / 1000.0
            }
        }
    }

    fn has_null(&self) -> bool {
        (0..self.columns.len()).any(|position| {
            let (column, row) = self.at(position);
            column.array.is_null(row)
        })
    }
}

/// The definition of a function.
#[derive(Debug, Clone)]
pub(super) struct RowFunction {
    pub(super) name: &'static str,
    /// The overloads: the kinds of arguments of each.
    pub(super) forms: &'static [&'static [Kind]],
    pub(super) returns: Returns,
    pub(super) body: fn(&Args<'_>) -> Outcome,
}

impl RowFunction {
    pub(super) fn into_udf(self) -> ScalarUDF {
        ScalarUDF::from(RowFunctionUdf {
            function: self,
            null_on_error: false,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    }
}

/// A [`RowFunction`] as a DataFusion function.
#[derive(Debug, Clone)]
struct RowFunctionUdf {
    function: RowFunction,
    /// Inside `try(...)`: return NULL instead of failing.
    null_on_error: bool,
    signature: Signature,
}

impl PartialEq for RowFunctionUdf {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name && self.null_on_error == other.null_on_error
    }
}

impl Eq for RowFunctionUdf {}

impl Hash for RowFunctionUdf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
        self.null_on_error.hash(state);
    }
}

/// Returns the variant for `try(...)`; `None` if the function is not a [`RowFunction`].
pub(super) fn null_on_error(udf: &ScalarUDF) -> Option<ScalarUDF> {
    let function = downcast(udf)?;
    Some(ScalarUDF::from(RowFunctionUdf { null_on_error: true, ..function.clone() }))
}

impl RowFunctionUdf {
    fn array(&self, values: Vec<Option<Value>>, ty: &DataType) -> Result<ArrayRef> {
        let fault = || {
            let message = format!("{} gave a value that is no {ty}", self.function.name);
            DataFusionError::Internal(message)
        };
        macro_rules! primitive {
            ($array:ty, $pattern:pat => $value:expr) => {{
                let values = values.into_iter().map(|value| match value {
                    None => Ok(None),
                    Some($pattern) => Ok(Some($value)),
                    Some(_) => Err(fault()),
                });
                Arc::new(values.collect::<Result<$array>>()?) as ArrayRef
            }};
        }
        Ok(match ty {
            DataType::Utf8 => primitive!(StringArray, Value::Text(text) => text),
            DataType::Binary => {
                let values = values.into_iter().map(|value| match value {
                    None => Ok(None),
                    Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
                    Some(_) => Err(fault()),
                });
                let values = values.collect::<Result<Vec<_>>>()?;
                Arc::new(values.iter().map(|value| value.as_deref()).collect::<BinaryArray>())
            }
            &JSON => primitive!(LargeStringArray, Value::Text(text) => text),
            DataType::Boolean => primitive!(BooleanArray, Value::Boolean(value) => value),
            DataType::Int32 => primitive!(Int32Array, Value::Integer(value) => {
                i32::try_from(value).map_err(|_| fault())?
            }),
            DataType::Int64 => primitive!(Int64Array, Value::Integer(value) => value),
            DataType::Float64 => primitive!(Float64Array, Value::Double(value) => value),
            DataType::Date32 => primitive!(Date32Array, Value::Moment(moment) => {
                Date32Type::from_naive_date(moment.date())
            }),
            DataType::Timestamp(TimeUnit::Millisecond, zone) => {
                let zone = zone_of(zone.as_deref())?;
                let values = values.into_iter().map(|value| match value {
                    None => Ok(None),
                    Some(Value::Moment(moment)) => Ok(Some(match zone {
                        Some(zone) => zones::instant(moment, zone),
                        None => moment.and_utc().timestamp_millis(),
                    })),
                    Some(_) => Err(fault()),
                });
                let array = values.collect::<Result<TimestampMillisecondArray>>()?;
                Arc::new(array.with_data_type(ty.clone()))
            }
            DataType::List(_) => {
                let mut lists = ListBuilder::new(StringBuilder::new());
                for value in values {
                    match value {
                        None => lists.append_null(),
                        Some(Value::Texts(texts)) => {
                            lists.append_value(texts.into_iter().map(Some));
                        }
                        Some(_) => return Err(fault()),
                    }
                }
                Arc::new(lists.finish())
            }
            _ => return Err(fault()),
        })
    }

    /// Returns the types to which arguments of the given types are coerced; `None` if no overload accepts them.
    fn accept(&self, given: &[DataType]) -> Option<Vec<DataType>> {
        self.function.forms.iter().find_map(|form| {
            let pairs = form.iter().zip(given);
            let types = pairs.map(|(kind, ty)| kind.accept(ty)).collect();
            if form.len() == given.len() { types } else { None }
        })
    }

    fn does_not_take(&self, given: &[DataType]) -> QueryError {
        let given: Vec<_> = given.iter().map(type_name).collect();
        let name = self.function.name;
        let forms = self.function.forms.iter().map(|form| {
            let kinds: Vec<_> = form.iter().map(|kind| kind.name()).collect();
            format!("{name}({})", kinds.join(", "))
        });
        let message = format!(
            "Unexpected parameters ({}) for function {name}. Expected: {}",
            given.join(", "),
            forms.collect::<Vec<_>>().join(", ")
        );
        QueryError::new(ErrorKind::TypeMismatch, message)
    }
}

/// Refuses arguments of types that a [`RowFunction`] does not accept. Accepts everything for other functions.
pub(super) fn check_arguments(udf: &ScalarUDF, given: &[DataType]) -> std::result::Result<(), QueryError> {
    match downcast(udf) {
        Some(function) if function.accept(given).is_none() => Err(function.does_not_take(given)),
        _ => Ok(()),
    }
}

/// Returns the error for a call of a function that has no form for arguments of these types.
pub(super) fn refused_arguments(function: &str, given: &[DataType]) -> QueryError {
    let given: Vec<_> = given.iter().map(type_name).collect();
    let name = athena_name(function);
    QueryError::new(
        ErrorKind::TypeMismatch,
        format_args!("Unexpected parameters ({}) for function {name}", given.join(", ")),
    )
}

fn external(error: QueryError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn downcast(udf: &ScalarUDF) -> Option<&RowFunctionUdf> {
    (udf.inner().as_ref() as &dyn std::any::Any).downcast_ref()
}

fn zone_of(name: Option<&str>) -> Result<Option<Tz>> {
    Ok(name.map(str::parse).transpose()?)
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "varchar",
            Self::Json => "json",
            Self::Bytes => "varbinary",
            Self::Integer => "bigint",
            Self::Double => "double",
            Self::Moment => "timestamp",
        }
    }

    /// Returns the type to which an argument is coerced; `None` if it is not accepted.
    fn accept(self, given: &DataType) -> Option<DataType> {
        let null = given == &DataType::Null;
        match self {
            Self::Text => (null || given.is_string() && given != &JSON).then_some(DataType::Utf8),
            Self::Json => (null || given.is_string()).then_some(DataType::Utf8),
            Self::Bytes => (null || given.is_binary()).then_some(DataType::Binary),
            Self::Integer => (null || given.is_integer()).then_some(DataType::Int64),
            Self::Double => (null || given.is_numeric()).then_some(DataType::Float64),
            Self::Moment => match given {
                DataType::Date32 => Some(DataType::Date32),
                DataType::Timestamp(_, zone) => Some(DataType::Timestamp(TimeUnit::Millisecond, zone.clone())),
                _ => null.then_some(TIMESTAMP),
            },
        }
    }
}

impl ScalarUDFImpl for RowFunctionUdf {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Leaves arguments that do not fit unchanged: [`check_arguments`] has refused them before.
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(self.accept(given).unwrap_or_else(|| given.to_vec()))
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.function.returns {
            Returns::Text => DataType::Utf8,
            Returns::Json => JSON,
            Returns::Bytes => DataType::Binary,
            Returns::Texts => DataType::new_list(DataType::Utf8, true),
            Returns::Boolean => DataType::Boolean,
            Returns::Int => DataType::Int32,
            Returns::Bigint => DataType::Int64,
            Returns::Double => DataType::Float64,
            Returns::Date => DataType::Date32,
            Returns::Timestamp => TIMESTAMP,
            Returns::Utc => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Returns::SameAs(position) => arguments.get(position).cloned().unwrap_or(DataType::Null),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_scalars = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let columns = args.args.into_iter().map(|argument| {
            let is_scalar = matches!(argument, ColumnarValue::Scalar(_));
            let array = argument.into_array(if is_scalar { 1 } else { args.number_rows })?;
            let zone = match array.data_type() {
                DataType::Timestamp(_, zone) => zone_of(zone.as_deref())?,
                _ => None,
            };
            Ok(Column { array, is_scalar, zone })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let rows = if all_scalars { 1 } else { args.number_rows };
        let mut values = Vec::with_capacity(rows);
        let mut bytes = 0;
        for row in 0..rows {
            let args = Args { columns: &columns, row };
            let outcome = if args.has_null() { Ok(None) } else { (self.function.body)(&args) };
            let value = match outcome {
                Err(error) if self.null_on_error && error.kind != ErrorKind::ExhaustedResources => None,
                outcome => outcome.map_err(external)?,
            };
            bytes += value.as_ref().map_or(0, Value::text_bytes);
            if bytes > MAX_RESULT_BYTES {
                return Err(external(too_much_text(&format!("what {} gives", self.function.name))));
            }
            values.push(value);
        }
        let array = self.array(values, args.return_field.data_type())?;
        if all_scalars {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}
