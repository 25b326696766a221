//! Operators of our own, which hand on the rows of their input and decide only how.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::stream::BoxStream;

/// How the rows of a partition are handed on: all of them, and in their order.
pub(super) trait Relay: fmt::Debug + Copy + Send + Sync + 'static {
    /// As EXPLAIN shows it.
    const NAME: &'static str;

    fn relay(self, batches: SendableRecordBatchStream) -> BoxStream<'static, Result<RecordBatch>>;
}

/// The operator that does it.
#[derive(Debug)]
pub(super) struct RelayExec<R> {
    input: Arc<dyn ExecutionPlan>,
    relay: R,
}

impl<R: Relay> RelayExec<R> {
    pub(super) fn plan(input: Arc<dyn ExecutionPlan>, relay: R) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, relay })
    }
}

impl<R: Relay> DisplayAs for RelayExec<R> {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(R::NAME)
    }
}

impl<R: Relay> ExecutionPlan for RelayExec<R> {
    fn name(&self) -> &str {
        R::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
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
            Ok([input]) => Ok(Self::plan(input, self.relay)),
            Err(children) => internal_err!("{} has one input and not {}", R::NAME, children.len()),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batches = self.input.execute(partition, context)?;
        let schema = batches.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, self.relay.relay(batches))))
    }
}
