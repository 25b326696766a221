//! DataFusion's optimizer, made to stop: its rules go over all parts of a plan, several times.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::errors::external;
use crate::stop::step;

/// DataFusion's own rules, each of which is a step at each part of a plan.
pub(super) fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let rules = Optimizer::new().rules.into_iter();
    rules.map(|rule| Arc::new(Watched(rule)) as Arc<dyn OptimizerRule + Send + Sync>).collect()
}

#[derive(Debug)]
struct Watched(Arc<dyn OptimizerRule + Send + Sync>);

impl OptimizerRule for Watched {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        step().map_err(external)?;
        self.0.rewrite(plan, config)
    }
}
