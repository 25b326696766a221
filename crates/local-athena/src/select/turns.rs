//! Queries that let others have their turn, and stop when nobody wants them any more.
//!
//! A task of a query gives its thread back only when it waits, and an aggregation over a join does not: it takes batch
//! after batch of what two small tables multiply to. DataFusion counts the batches of files alone, of which there are few.

use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};
use futures::StreamExt;
use futures::stream::BoxStream;

use super::relay::{Relay, RelayExec};

/// Puts a [`Turn`] before what takes several inputs, which are the joins and the unions, and behind it: a join may give
/// many batches for one of an input, and none for many.
#[derive(Debug)]
pub(super) struct TakingTurns;

impl PhysicalOptimizerRule for TakingTurns {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let turn = |input| RelayExec::plan(input, Turn);
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

/// Gives each batch after all other tasks had a turn.
#[derive(Debug, Clone, Copy)]
struct Turn;

impl Relay for Turn {
    const NAME: &'static str = "TurnExec";

    fn relay(self, batches: SendableRecordBatchStream) -> BoxStream<'static, Result<RecordBatch>> {
        let in_turns = batches.then(async |batch| {
            tokio::task::yield_now().await;
            batch
        });
        in_turns.boxed()
    }
}
