//! Cooperative scheduling: operators yield to the runtime after each batch of a join or union, so that other queries
//! progress and cancellation takes effect.
//!
//! A tokio task keeps its thread until it awaits something that is not ready. An aggregation over a join never does:
//! the inputs are small and in memory, and the join produces batch after batch. DataFusion has cooperative scheduling
//! of its own, but it counts batches at the data sources, of which a join of small tables reads few while it produces
//! many.
//!
//! Not DataFusion's `CooperativeExec` at the same places, because it yields after 128 batches: the stop of a cross join took
//! 95 ms instead of 4 ms, and a join without matches did not yield before its end.

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

use super::passthrough_exec::{Passthrough, PassthroughExec};

/// Inserts a [`YieldPoint`] before and after each operator with several inputs (joins, unions). Both are needed: a join
/// can produce many batches from one input batch, and consume many input batches without producing any.
#[derive(Debug)]
pub(super) struct InsertYields;

impl PhysicalOptimizerRule for InsertYields {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let yield_point = |input| PassthroughExec::wrap(input, YieldPoint);
        plan.transform_up(|node| {
            let inputs = node.children();
            if inputs.len() < 2 {
                return Ok(Transformed::no(node));
            }
            let inputs = inputs.into_iter().cloned().map(yield_point).collect();
            Ok(Transformed::yes(yield_point(replace_children_if_necessary(node, inputs)?)))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "insert_yields"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Yields to the tokio scheduler before it passes on each batch.
#[derive(Debug, Clone, Copy)]
struct YieldPoint;

impl Passthrough for YieldPoint {
    const NAME: &'static str = "YieldExec";

    fn forward(self, batches: SendableRecordBatchStream) -> BoxStream<'static, Result<RecordBatch>> {
        let yielding = batches.then(async |batch| {
            tokio::task::yield_now().await;
            batch
        });
        yielding.boxed()
    }
}
