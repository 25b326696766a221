//! The special forms `try`, `typeof`, casts to `varchar(n)`, and zones. They are placeholders in a plan until its types are known; then the semantics
//! rule replaces them, so that they are never called.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::adapters::NAMED;
use super::zones::UTC;

/// `try(expression)`: NULL if the expression fails.
pub(crate) const TRY: &str = "try";

/// `typeof(expression)`: the name of the expression's type.
pub(crate) const TYPEOF: &str = "typeof";

/// `CAST(value AS varchar(length))`, with the value and the length as its arguments.
pub(crate) const CAST_VARCHAR: &str = "cast_varchar";

/// The same of `TRY_CAST`.
pub(crate) const TRY_CAST_VARCHAR: &str = "try_cast_varchar";

/// `timestamp AT TIME ZONE zone`: the same instant in another zone.
pub(crate) const AT_TIMEZONE: &str = "at_timezone";

/// `with_timezone(timestamp, zone)`: the instant of a local time.
pub(crate) const WITH_TIMEZONE: &str = "with_timezone";

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SpecialForm {
    name: &'static str,
    signature: Signature,
}

pub(super) fn functions() -> [ScalarUDF; 7] {
    let all = [
        (TRY, 1),
        (NAMED, 2),
        (TYPEOF, 1),
        (CAST_VARCHAR, 2),
        (TRY_CAST_VARCHAR, 2),
        (AT_TIMEZONE, 2),
        (WITH_TIMEZONE, 2),
    ];
    all.map(|(name, arguments)| {
        ScalarUDF::from(SpecialForm { name, signature: Signature::any(arguments, Volatility::Immutable) })
    })
}

impl ScalarUDFImpl for SpecialForm {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [_] if self.name == TYPEOF => Ok(DataType::Utf8),
            [ty, _] if self.name == NAMED => Ok(ty.clone()),
            [_, _] if [AT_TIMEZONE, WITH_TIMEZONE].contains(&self.name) => {
                Ok(DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into())))
            }
            [_, _] => Ok(DataType::Utf8),
            [ty] => Ok(ty.clone()),
            _ => Err(DataFusionError::Plan(format!("{} takes one argument", self.name))),
        }
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Internal(format!("{} was not replaced", self.name)))
    }
}
