//! `greatest` and `least`. They return NULL if any argument is NULL, while DataFusion's ignore NULL arguments.

use datafusion::arrow::array::{Array, BooleanArray};
use datafusion::arrow::compute::nullif;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::core::{greatest as df_greatest, least as df_least};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct GreatestLeast {
    inner: Arc<ScalarUDF>,
}

pub(super) fn functions() -> [ScalarUDF; 2] {
    [df_greatest(), df_least()].map(|inner| ScalarUDF::from(GreatestLeast { inner }))
}

impl ScalarUDFImpl for GreatestLeast {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(given)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let mut has_null = vec![false; rows];
        for argument in &args.args {
            match argument {
                ColumnarValue::Scalar(scalar) if scalar.is_null() => {
                    let nothing = ScalarValue::try_from(args.return_field.data_type())?;
                    return Ok(ColumnarValue::Scalar(nothing));
                }
                ColumnarValue::Scalar(_) => {}
                ColumnarValue::Array(array) => {
                    for (row, has_null) in has_null.iter_mut().enumerate() {
                        *has_null |= array.is_null(row);
                    }
                }
            }
        }
        let result = self.inner.invoke_with_args(args)?;
        let array = result.into_array(rows)?;
        let nulled = nullif(&array, &BooleanArray::from(has_null))?;
        Ok(ColumnarValue::Array(nulled))
    }
}
