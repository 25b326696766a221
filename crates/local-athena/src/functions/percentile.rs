//! `approx_percentile`. Computes DataFusion's estimate, which is a double, and returns it in the type of the values.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::functions_aggregate::approx_percentile_cont::approx_percentile_cont_udaf;
use datafusion::functions_aggregate::approx_percentile_cont_with_weight::approx_percentile_cont_with_weight_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use std::sync::Arc;

#[derive(Debug, PartialEq, Eq, Hash)]
struct ApproxPercentile {
    signature: Signature,
}

pub(super) fn function() -> AggregateUDF {
    AggregateUDF::from(ApproxPercentile { signature: Signature::user_defined(Volatility::Immutable) })
}

/// Returns DataFusion's aggregate for the number of arguments: a value, an optional weight, a percentage.
fn estimate(arguments: usize) -> Result<Arc<AggregateUDF>> {
    match arguments {
        2 => Ok(approx_percentile_cont_udaf()),
        3 => Ok(approx_percentile_cont_with_weight_udaf()),
        _ => Err(wrong()),
    }
}

fn wrong() -> DataFusionError {
    let message = "approx_percentile takes a number, a weight if there is one, and a percentage";
    DataFusionError::Plan(message.to_owned())
}

impl AggregateUDFImpl for ApproxPercentile {
    fn name(&self) -> &'static str {
        "approx_percentile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let (value, others) = given.split_first().ok_or_else(wrong)?;
        estimate(given.len())?;
        let value = match value {
            ty if ty.is_integer() => DataType::Int64,
            ty if ty.is_numeric() || ty.is_null() => DataType::Float64,
            _ => return Err(wrong()),
        };
        let others = others.iter().map(|_| DataType::Float64);
        Ok(std::iter::once(value).chain(others).collect())
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        arguments.first().cloned().ok_or_else(wrong)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let ty = args.return_field.data_type().clone();
        let double: FieldRef = Arc::new(Field::new("value", DataType::Float64, true));
        let doubles = vec![double.clone(); args.exprs.len()];
        let inner = estimate(args.exprs.len())?.accumulator(AccumulatorArgs {
            return_field: double,
            expr_fields: &doubles,
            ..args
        })?;
        Ok(Box::new(InTypeOfValues { inner, ty }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        estimate(args.input_fields.len())?.state_fields(args)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

#[derive(Debug)]
struct InTypeOfValues {
    inner: Box<dyn Accumulator>,
    ty: DataType,
}

impl Accumulator for InTypeOfValues {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let doubles = values.iter().map(|array| cast(array, &DataType::Float64));
        let doubles = doubles.collect::<std::result::Result<Vec<_>, _>>()?;
        self.inner.update_batch(&doubles)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.inner.evaluate()? {
            ScalarValue::Float64(Some(value)) if self.ty == DataType::Int64 => {
                Ok(ScalarValue::Int64(Some(value.round() as i64)))
            }
            other => other.cast_to(&self.ty),
        }
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }
}
