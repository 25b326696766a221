//! Aggregates of doubles over frames that move, as `avg(x) OVER (ROWS BETWEEN 19 PRECEDING AND CURRENT ROW)`.
//!
//! DataFusion subtracts a row that leaves the frame from the state of the aggregate. What the row had rounded away stays: the
//! standard deviation of a flat price is 4e-9, and a correlation is above 1. Athena computes each frame from its rows, because its
//! aggregates of doubles have no inverse, and so does this.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::arrow::datatypes::{DataType, FieldRef, Float64Type, Schema, SchemaRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::correlation::corr_udaf;
use datafusion::functions_aggregate::covariance::{covar_pop_udaf, covar_samp_udaf};
use datafusion::functions_aggregate::regr::{regr_intercept_udaf, regr_slope_udaf};
use datafusion::functions_aggregate::stddev::{stddev_pop_udaf, stddev_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_aggregate::variance::{var_pop_udaf, var_samp_udaf};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, WindowFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Expr, GroupsAccumulator, Operator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};
use datafusion::physical_expr::PhysicalExpr;

/// Returns the aggregates of doubles.
pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let inner = [
        avg_udaf(),
        corr_udaf(),
        covar_pop_udaf(),
        covar_samp_udaf(),
        regr_intercept_udaf(),
        regr_slope_udaf(),
        stddev_udaf(),
        stddev_pop_udaf(),
        sum_udaf(),
        var_pop_udaf(),
        var_samp_udaf(),
    ];
    inner.map(|inner| Arc::new(AggregateUDF::from(ByFrame { inner }))).into()
}

/// An aggregate that is computed from all rows of a frame, where its arguments are doubles. Otherwise it is the inner one.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ByFrame {
    inner: Arc<AggregateUDF>,
}

// It implements every method, because it delegates.
#[warn(clippy::missing_trait_methods)]
impl AggregateUDFImpl for ByFrame {
    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.expr_fields.iter().any(|field| *field.data_type() != DataType::Float64) {
            return self.inner.create_sliding_accumulator(args);
        }
        let columns = vec![Vec::new(); args.expr_fields.len()];
        Ok(Box::new(Frame { aggregate: Arc::clone(&self.inner), call: Call::from(&args), columns, first: 0 }))
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
        self.inner.return_type(types)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        self.inner.return_field(fields)
    }

    fn is_nullable(&self) -> bool {
        self.inner.inner().is_nullable()
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
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

    fn set_monotonicity(&self, ty: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(ty)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

/// The arguments of [`AggregateUDF::accumulator`], owned.
#[derive(Debug)]
struct Call {
    return_field: FieldRef,
    schema: SchemaRef,
    ignore_nulls: bool,
    is_reversed: bool,
    name: String,
    is_distinct: bool,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    fields: Vec<FieldRef>,
}

impl From<&AccumulatorArgs<'_>> for Call {
    fn from(args: &AccumulatorArgs<'_>) -> Call {
        Call {
            return_field: Arc::clone(&args.return_field),
            schema: Arc::new(Schema::clone(args.schema)),
            ignore_nulls: args.ignore_nulls,
            is_reversed: args.is_reversed,
            name: args.name.to_owned(),
            is_distinct: args.is_distinct,
            exprs: args.exprs.to_vec(),
            fields: args.expr_fields.to_vec(),
        }
    }
}

impl Call {
    fn args(&self) -> AccumulatorArgs<'_> {
        AccumulatorArgs {
            return_field: Arc::clone(&self.return_field),
            schema: &self.schema,
            ignore_nulls: self.ignore_nulls,
            order_bys: &[],
            is_reversed: self.is_reversed,
            name: &self.name,
            is_distinct: self.is_distinct,
            exprs: &self.exprs,
            expr_fields: &self.fields,
        }
    }
}

/// The rows of a frame.
#[derive(Debug)]
struct Frame {
    aggregate: Arc<AggregateUDF>,
    call: Call,
    /// The values of each argument. Those before `first` have left the frame.
    columns: Vec<Vec<Option<f64>>>,
    first: usize,
}

impl Accumulator for Frame {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for (column, values) in self.columns.iter_mut().zip(values) {
            column.extend(values.as_primitive::<Float64Type>());
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.first += values.first().map_or(0, |values| values.len());
        let length = self.columns.first().map_or(0, Vec::len);
        // Moves each row once on average.
        if self.first * 2 >= length {
            for column in &mut self.columns {
                column.drain(..self.first);
            }
            self.first = 0;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut accumulator = self.aggregate.accumulator(self.call.args())?;
        let arrays = self.columns.iter().map(|column| column[self.first..].iter().copied());
        let arrays: Vec<ArrayRef> =
            arrays.map(|values| Arc::new(values.collect::<Float64Array>()) as ArrayRef).collect();
        accumulator.update_batch(&arrays)?;
        accumulator.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.columns.iter().map(|column| column.capacity() * size_of::<Option<f64>>()).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("a frame that moves has no partial state")
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        internal_err!("frames that move are not merged")
    }
}
