//! `try` and `typeof`: they stand in a plan until its types are known, and are then replaced.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// NULL where the expression in it fails.
pub(crate) const TRY: &str = "try";

/// The name of the type of the expression in it.
pub(crate) const TYPEOF: &str = "typeof";

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Marker {
    name: &'static str,
    signature: Signature,
}

pub(super) fn functions() -> [ScalarUDF; 2] {
    [TRY, TYPEOF].map(|name| ScalarUDF::from(Marker { name, signature: Signature::any(1, Volatility::Immutable) }))
}

impl ScalarUDFImpl for Marker {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [_] if self.name == TYPEOF => Ok(DataType::Utf8),
            [ty] => Ok(ty.clone()),
            _ => Err(DataFusionError::Plan(format!("{} takes one argument", self.name))),
        }
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Internal(format!("{} was not replaced", self.name)))
    }
}
