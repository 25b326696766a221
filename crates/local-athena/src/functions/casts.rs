//! The casts for which Arrow and Athena differ: floating point to integer (Athena rounds, Arrow truncates), numbers and
//! times to text, and text to timestamps.

use std::sync::Arc;

use chrono::{NaiveDate, NaiveDateTime};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray, TimestampMillisecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::{ErrorKind, QueryError};
use crate::types::type_name;
use crate::{java_double, result_text};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct AthenaCast {
    target: DataType,
    /// For `try_cast`: return NULL instead of failing.
    null_on_error: bool,
    signature: Signature,
}

/// Returns the function for a cast between two types; `None` if Arrow's cast has the same result as Athena's.
pub(crate) fn cast_function(from: &DataType, target: &DataType, null_on_error: bool) -> Option<ScalarUDF> {
    let is_special = match (from, target) {
        (DataType::Float32 | DataType::Float64, target) if target.is_integer() => true,
        (from, DataType::Timestamp(_, None)) if from.is_string() => true,
        (from, target) if target.is_string() => {
            from.is_floating() || matches!(from, DataType::Timestamp(..) | DataType::Time64(_))
        }
        _ => false,
    };
    is_special.then(|| {
        ScalarUDF::from(AthenaCast {
            target: target.clone(),
            null_on_error,
            signature: Signature::any(1, Volatility::Immutable),
        })
    })
}

impl AthenaCast {
    fn rounded(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let doubles = cast(array, &DataType::Float64)?;
        let whole = doubles.as_primitive::<Float64Type>().iter().map(|value| {
            let Some(value) = value else { return Ok(None) };
            match self.fit(value.round()) {
                Some(whole) => Ok(Some(whole)),
                None if self.null_on_error => Ok(None),
                None => Err(self.does_not_fit(value)),
            }
        });
        let whole: ArrayRef = Arc::new(whole.collect::<Result<Int64Array>>()?);
        Ok(cast(&whole, &self.target)?)
    }

    fn fit(&self, rounded: f64) -> Option<i64> {
        let (least, most) = match self.target {
            DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
            // The largest double below 2^63, which itself does not fit.
            _ => (i64::MIN as f64, 9_223_372_036_854_774_784.0),
        };
        (least..=most).contains(&rounded).then_some(rounded as i64)
    }

    fn does_not_fit(&self, value: f64) -> DataFusionError {
        let (value, target) = (java_double::format_f64(value), type_name(&self.target));
        DataFusionError::External(Box::new(QueryError::new(
            ErrorKind::InvalidCastArgument,
            format_args!("Cannot cast {value} to {target}"),
        )))
    }

    fn timestamps(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let texts = cast(array, &DataType::Utf8)?;
        let millis = texts.as_string::<i32>().iter().map(|text| {
            let Some(text) = text else { return Ok(None) };
            match timestamp(text) {
                Some(moment) => Ok(Some(moment.and_utc().timestamp_millis())),
                None if self.null_on_error => Ok(None),
                None => Err(DataFusionError::External(Box::new(QueryError::new(
                    ErrorKind::InvalidCastArgument,
                    format_args!("Value cannot be cast to timestamp: {text}"),
                )))),
            }
        });
        Ok(Arc::new(millis.collect::<Result<TimestampMillisecondArray>>()?))
    }

    fn texts(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let texts: ArrayRef = if array.data_type().is_floating() {
            let doubles = cast(array, &DataType::Float64)?;
            let doubles = doubles.as_primitive::<Float64Type>().iter();
            let texts = doubles.map(|value| value.map(java_double::format_varchar));
            Arc::new(texts.collect::<StringArray>())
        } else {
            let texts = (0..array.len()).map(|row| result_text::value(array, row));
            let texts = texts.collect::<std::result::Result<StringArray, _>>();
            Arc::new(texts.map_err(|error| DataFusionError::External(Box::new(error)))?)
        };
        Ok(cast(&texts, &self.target)?)
    }
}

/// Parses `2020-04-01`, optionally followed by a time to the minute, the second or a fraction of it.
fn timestamp(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim();
    let forms = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    let moment = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    moment.or_else(|| text.parse::<NaiveDate>().ok().map(NaiveDateTime::from))
}

impl ScalarUDFImpl for AthenaCast {
    fn name(&self) -> &'static str {
        "cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.target.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(argument) = args.args.into_iter().next() else {
            return Err(DataFusionError::Internal("cast takes a value".to_owned()));
        };
        let array = argument.into_array(args.number_rows)?;
        let array = match self.target {
            DataType::Timestamp(..) => self.timestamps(&array)?,
            _ if self.target.is_integer() => self.rounded(&array)?,
            _ => self.texts(&array)?,
        };
        Ok(ColumnarValue::Array(array))
    }
}
