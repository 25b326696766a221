//! Aggregates over frames that move, as `avg(x) OVER (ROWS BETWEEN 19 PRECEDING AND CURRENT ROW)`, that are computed from the
//! rows of each frame.
//!
//! DataFusion subtracts a row that leaves the frame from the state of the aggregate. Of doubles, what the row had rounded away
//! stays: the standard deviation of a flat price is 4e-9, and a correlation is above 1. Athena computes each frame from its rows,
//! because its aggregates of doubles have no inverse, and so does this, also for aggregates that have no inverse in DataFusion.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::physical_expr::PhysicalExpr;

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
pub(super) struct Frame {
    aggregate: Arc<AggregateUDF>,
    call: Call,
    /// The values of each argument, in the batches in which they came. Those before `first` have left the frame.
    columns: Vec<Vec<ArrayRef>>,
    first: usize,
}

impl Frame {
    /// Creates the accumulator of a call.
    pub(super) fn new(aggregate: &Arc<AggregateUDF>, args: &AccumulatorArgs) -> Frame {
        let columns = vec![Vec::new(); args.expr_fields.len()];
        Frame { aggregate: Arc::clone(aggregate), call: Call::from(args), columns, first: 0 }
    }
}

impl Accumulator for Frame {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for (column, values) in self.columns.iter_mut().zip(values) {
            column.push(Arc::clone(values));
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.first += values.first().map_or(0, |values| values.len());
        let Some(batches) = self.columns.first() else { return Ok(()) };
        let mut gone = 0;
        while let Some(batch) = batches.get(gone).filter(|batch| batch.len() <= self.first) {
            self.first -= batch.len();
            gone += 1;
        }
        for column in &mut self.columns {
            column.drain(..gone);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut accumulator = self.aggregate.accumulator(self.call.args())?;
        for column in &mut self.columns {
            if let Some(oldest) = column.first_mut() {
                *oldest = oldest.slice(self.first, oldest.len() - self.first);
            }
            // One batch from now on: most frames share rows with the one before.
            if column.len() > 1 {
                let batches: Vec<&dyn Array> = column.iter().map(AsRef::as_ref).collect();
                *column = vec![concat(&batches)?];
            }
        }
        self.first = 0;
        let rows = self.columns.iter().map(|column| column.first().cloned());
        if let Some(rows) = rows.collect::<Option<Vec<_>>>() {
            accumulator.update_batch(&rows)?;
        }
        accumulator.evaluate()
    }

    fn size(&self) -> usize {
        let bytes = |batch: &ArrayRef| batch.to_data().get_slice_memory_size().unwrap_or_default();
        size_of_val(self) + self.columns.iter().flatten().map(bytes).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("a frame that moves has no partial state")
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        internal_err!("frames that move are not merged")
    }
}
