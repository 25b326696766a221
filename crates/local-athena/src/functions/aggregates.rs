//! The aggregates. DataFusion computes some otherwise than Athena: sums, extremes and averages ([`folds`]), and those over frames
//! that move ([`Frame`]).

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, WindowFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Expr, GroupsAccumulator, Operator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};

use super::folds::{self, DecimalAverage, decimal_sum};
use super::moving_frames::Frame;
use super::{from_datafusion, percentile};

/// Returns the aggregates.
pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let mut changed = from_datafusion::changed_aggregates();
    changed.push(Arc::new(percentile::function()));
    let changed = changed.into_iter().map(|inner| Arc::new(AggregateUDF::from(AthenaAggregate { inner })));
    from_datafusion::aggregates().into_iter().chain(changed).collect()
}

/// DataFusion's aggregate with other accumulators.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AthenaAggregate {
    inner: Arc<AggregateUDF>,
}

impl AthenaAggregate {
    /// Returns the accumulator of this crate; `None` if DataFusion's is right. Those of distinct values have another state, except
    /// where values that occur twice make no difference.
    fn own(&self, args: &AccumulatorArgs) -> Option<Box<dyn Accumulator>> {
        if args.is_distinct && self.name() != "max" && self.name() != "min" {
            return None;
        }
        let ty = args.return_field.data_type();
        if self.is_decimal_average(ty) {
            return Some(Box::new(DecimalAverage::new(ty)));
        }
        folds::accumulator(self.name(), ty)
    }

    fn own_groups(&self, args: &AccumulatorArgs) -> Option<Box<dyn GroupsAccumulator>> {
        if args.is_distinct {
            return None;
        }
        folds::groups_accumulator(self.name(), args.return_field.data_type())
    }

    fn is_decimal_average(&self, ty: &DataType) -> bool {
        self.name() == "avg" && matches!(ty, DataType::Decimal128(..))
    }
}

// It implements every method, because it delegates.
#[warn(clippy::missing_trait_methods)]
impl AggregateUDFImpl for AthenaAggregate {
    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.own(&args).map_or_else(|| self.inner.accumulator(args), Ok)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.own_groups(&args).map_or_else(|| self.inner.create_groups_accumulator(args), Ok)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let is_double = |field: &FieldRef| *field.data_type() == DataType::Float64;
        if args.expr_fields.is_empty() || !args.expr_fields.iter().all(is_double) {
            let own = self.own(&args).map_or_else(|| self.inner.create_sliding_accumulator(args.clone()), Ok)?;
            // The rows of an order are not at hand here.
            if own.supports_retract_batch() || !args.order_bys.is_empty() {
                return Ok(own);
            }
        }
        let this = Arc::new(AggregateUDF::from(AthenaAggregate { inner: Arc::clone(&self.inner) }));
        Ok(Box::new(Frame::new(&this, &args)))
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.inner.inner().schema_name(params)
    }

    fn human_display(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.inner.inner().human_display(params)
    }

    fn window_function_schema_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.inner.inner().window_function_schema_name(params)
    }

    fn display_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.inner.inner().display_name(params)
    }

    fn window_function_display_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.inner.inner().window_function_display_name(params)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [ty] if self.is_decimal_average(ty) => Ok(ty.clone()),
            types => self.inner.return_type(types),
        }
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        match fields {
            [field] if self.is_decimal_average(field.data_type()) => {
                Ok(Arc::new(Field::new(self.name(), field.data_type().clone(), true)))
            }
            fields => self.inner.return_field(fields),
        }
    }

    fn is_nullable(&self) -> bool {
        self.inner.inner().is_nullable()
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let ty = args.return_field.data_type();
        if self.is_decimal_average(ty) && !args.is_distinct {
            let field = |name: &str, ty| Arc::new(Field::new(format!("{}[{name}]", args.name), ty, true));
            return Ok(vec![field("sum", decimal_sum(ty)), field("count", DataType::Int64)]);
        }
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        if !args.is_distinct && self.is_decimal_average(args.return_field.data_type()) {
            return false;
        }
        self.own_groups(&args).is_some() || self.inner.groups_accumulator_supported(args)
    }

    fn with_beneficial_ordering(self: Arc<Self>, is_ordered: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        Arc::clone(self.inner.inner()).with_beneficial_ordering(is_ordered)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        self.inner.simplify()
    }

    fn simplify_expr_op_literal(
        &self,
        function: &AggregateFunction,
        argument: &Expr,
        operator: Operator,
        literal: &Expr,
        argument_is_left: bool,
    ) -> Result<Option<Expr>> {
        self.inner.inner().simplify_expr_op_literal(function, argument, operator, literal, argument_is_left)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_udf()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.is_descending()
    }

    fn value_from_stats(&self, statistics: &StatisticsArgs) -> Option<ScalarValue> {
        self.inner.value_from_stats(statistics)
    }

    fn default_value(&self, ty: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(ty)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.inner.supports_within_group_clause()
    }

    /// DataFusion leaves out the sort by a `min` or `max` over a frame that grows, though the first ones are NULL.
    fn set_monotonicity(&self, _ty: &DataType) -> SetMonotonicity {
        SetMonotonicity::NotMonotonic
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
