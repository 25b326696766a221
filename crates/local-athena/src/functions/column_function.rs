//! A base for scalar functions that are computed by column, and whose types follow from those of their arguments.
//!
//! A [`ColumnFunction`] consists of a name, a rule for the types, and a body. This module implements the rest for all of
//! them: coercion of the arguments, scalars, and `try`.

use std::hash::{Hash, Hasher};

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

use super::row_function::refused_arguments;
use crate::error::QueryError;

/// The types of a call.
pub(super) struct Types {
    /// The types that the arguments are cast to.
    pub(super) arguments: Vec<DataType>,
    pub(super) result: DataType,
}

/// The arguments of a call, of the types from [`Types`] and of one length.
pub(super) struct Columns<'a> {
    pub(super) columns: &'a [ArrayRef],
    /// The type of the result.
    pub(super) result: &'a DataType,
    /// Inside `try(...)`: a row that fails is NULL.
    null_on_error: bool,
}

impl Columns<'_> {
    /// Returns the value of a row; NULL if it failed inside `try(...)`.
    pub(super) fn outcome<T>(&self, outcome: std::result::Result<Option<T>, QueryError>) -> Result<Option<T>> {
        match outcome {
            Ok(value) => Ok(value),
            Err(_) if self.null_on_error => Ok(None),
            Err(error) => Err(DataFusionError::External(Box::new(error))),
        }
    }

    /// Returns whether the call is inside `try(...)`.
    pub(super) fn is_tried(&self) -> bool {
        self.null_on_error
    }

    /// Returns the number of rows.
    pub(super) fn rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.len())
    }
}

/// The definition of a function.
#[derive(Debug, Clone)]
pub(super) struct ColumnFunction {
    /// The name under which DataFusion knows the function.
    pub(super) name: &'static str,
    /// Returns the types for arguments of the given types; `None` if the function does not take them.
    pub(super) types: fn(&[DataType]) -> Option<Types>,
    /// Computes all rows.
    pub(super) body: fn(&Columns<'_>) -> Result<ArrayRef>,
}

impl ColumnFunction {
    pub(super) fn into_udf(self) -> ScalarUDF {
        self.udf(None, false)
    }

    /// Returns a call of the function whose result has a type of its own, as that of a cast.
    pub(super) fn call_to(self, target: DataType, null_on_error: bool, arguments: Vec<Expr>) -> Expr {
        let udf = self.udf(Some(target), null_on_error);
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(udf), arguments))
    }

    fn udf(self, target: Option<DataType>, null_on_error: bool) -> ScalarUDF {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::from(ColumnUdf { function: self, target, null_on_error, signature })
    }
}

/// A [`ColumnFunction`] as a DataFusion function.
#[derive(Debug, Clone)]
struct ColumnUdf {
    function: ColumnFunction,
    /// The type of the result, where it does not follow from the arguments.
    target: Option<DataType>,
    null_on_error: bool,
    signature: Signature,
}

impl PartialEq for ColumnUdf {
    fn eq(&self, other: &Self) -> bool {
        (self.function.name, &self.target, self.null_on_error)
            == (other.function.name, &other.target, other.null_on_error)
    }
}

impl Eq for ColumnUdf {}

impl Hash for ColumnUdf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.function.name, &self.target, self.null_on_error).hash(state);
    }
}

fn downcast(udf: &ScalarUDF) -> Option<&ColumnUdf> {
    (udf.inner().as_ref() as &dyn std::any::Any).downcast_ref()
}

/// Returns whether a function is a [`ColumnFunction`].
pub(super) fn is_ours(udf: &ScalarUDF) -> bool {
    downcast(udf).is_some()
}

/// Returns the variant for `try(...)`; `None` if the function is not a [`ColumnFunction`].
pub(super) fn null_on_error(udf: &ScalarUDF) -> Option<ScalarUDF> {
    let udf = downcast(udf)?.clone();
    Some(ScalarUDF::from(ColumnUdf { null_on_error: true, ..udf }))
}

/// Refuses arguments of types that a [`ColumnFunction`] does not take. Accepts everything for other functions.
pub(super) fn check_arguments(udf: &ScalarUDF, given: &[DataType]) -> std::result::Result<(), QueryError> {
    match downcast(udf) {
        Some(udf) if (udf.function.types)(given).is_none() => Err(refused_arguments(udf.function.name, given)),
        _ => Ok(()),
    }
}

impl ScalarUDFImpl for ColumnUdf {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Leaves arguments that do not fit unchanged: [`check_arguments`] has refused them before.
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok((self.function.types)(given).map_or_else(|| given.to_vec(), |types| types.arguments))
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        let of_arguments = || (self.function.types)(given).map_or(DataType::Null, |types| types.result);
        Ok(self.target.clone().unwrap_or_else(of_arguments))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let columns = args.args.into_iter().map(|argument| argument.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let result = args.return_field.data_type();
        let array = (self.function.body)(&Columns { columns: &columns, result, null_on_error: self.null_on_error })?;
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}
