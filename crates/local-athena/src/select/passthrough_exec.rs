//! A base for physical operators that pass all rows through, in order, and change only the batches or their timing.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::stream::BoxStream;

/// The behaviour of such an operator: how it forwards the batches of one partition. It keeps all rows and their order.
pub(super) trait Passthrough: fmt::Debug + Copy + Send + Sync + 'static {
    /// The name of the operator in EXPLAIN.
    const NAME: &'static str;

    /// Whether the operator says nothing of its rows: no order, no constant column, no equal columns.
    const SAYS_NOTHING: bool = false;

    fn forward(self, batches: SendableRecordBatchStream) -> BoxStream<'static, Result<RecordBatch>>;
}

/// The physical operator. Its properties (schema, partitions, order) are those of its input, unless it says nothing of its rows.
#[derive(Debug)]
pub(super) struct PassthroughExec<R> {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    passthrough: R,
}

impl<R: Passthrough> PassthroughExec<R> {
    pub(super) fn wrap(input: Arc<dyn ExecutionPlan>, passthrough: R) -> Arc<dyn ExecutionPlan> {
        let mut properties = Arc::clone(input.properties());
        if R::SAYS_NOTHING {
            let nothing = EquivalenceProperties::new(input.schema());
            properties = Arc::new(PlanProperties::clone(&properties).with_eq_properties(nothing));
        }
        Arc::new(Self { input, properties, passthrough })
    }
}

impl<R: Passthrough> DisplayAs for PassthroughExec<R> {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(R::NAME)
    }
}

impl<R: Passthrough> ExecutionPlan for PassthroughExec<R> {
    fn name(&self) -> &str {
        R::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![!R::SAYS_NOTHING]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Self::wrap(input, self.passthrough)),
            Err(children) => internal_err!("{} has one input and not {}", R::NAME, children.len()),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batches = self.input.execute(partition, context)?;
        let schema = batches.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, self.passthrough.forward(batches))))
    }
}
