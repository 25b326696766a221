//! The special forms `try` and `typeof`. They are placeholders in a plan until its types are known; then the semantics
//! rule replaces them, so that they are never called.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// `try(expression)`: NULL if the expression fails.
pub(crate) const TRY: &str = "try";

/// `typeof(expression)`: the name of the expression's type.
pub(crate) const TYPEOF: &str = "typeof";

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SpecialForm {
    name: &'static str,
    signature: Signature,
}

pub(super) fn functions() -> [ScalarUDF; 2] {
    [TRY, TYPEOF].map(|name| ScalarUDF::from(SpecialForm { name, signature: Signature::any(1, Volatility::Immutable) }))
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
            [ty] => Ok(ty.clone()),
            _ => Err(DataFusionError::Plan(format!("{} takes one argument", self.name))),
        }
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Internal(format!("{} was not replaced", self.name)))
    }
}
