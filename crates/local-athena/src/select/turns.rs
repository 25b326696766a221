//! Queries that let others have their turn, and stop when nobody wants them any more.
//!
//! A task of a query gives its thread back only when it waits, and an aggregation over a join does not: it takes batch
//! after batch of what two small tables multiply to. DataFusion counts the batches of files alone, of which there are few.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
    replace_children_if_necessary,
};
use futures::StreamExt;

/// Puts a [`TurnExec`] before what takes several inputs, which are the joins and the unions, and behind it: a join may give
/// many batches for one of an input, and none for many.
#[derive(Debug)]
pub(super) struct TakingTurns;

impl PhysicalOptimizerRule for TakingTurns {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let turn = |input| Arc::new(TurnExec { input }) as Arc<dyn ExecutionPlan>;
        plan.transform_up(|node| {
            let inputs = node.children();
            if inputs.len() < 2 {
                return Ok(Transformed::no(node));
            }
            let inputs = inputs.into_iter().cloned().map(turn).collect();
            Ok(Transformed::yes(turn(replace_children_if_necessary(node, inputs)?)))
        })
        .data()
    }

    fn name(&self) -> &str {
        "taking_turns"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The batches of its input, each after all other tasks had a turn.
#[derive(Debug)]
struct TurnExec {
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for TurnExec {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for TurnExec {
    fn name(&self) -> &str {
        "TurnExec"
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
            Ok([input]) => Ok(Arc::new(Self { input })),
            Err(children) => internal_err!("{} has one input and not {}", self.name(), children.len()),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batches = self.input.execute(partition, context)?;
        let schema = batches.schema();
        let in_turns = batches.then(async |batch| {
            tokio::task::yield_now().await;
            batch
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, in_turns)))
    }
}
