//! DataFusion's optimizer rules, with a cancellation point. The optimizer applies each rule to every node of a plan,
//! several times, and never awaits; on a large plan, cancellation would come too late without these points.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::errors::external;
use super::sound_rules::{self, Rule};
use crate::cancellation::step;

/// Returns the rules. Each counts one [`step`] per plan node.
pub(super) fn rules() -> Vec<Rule> {
    sound_rules::logical().into_iter().map(|rule| Arc::new(CancellableRule(rule)) as Rule).collect()
}

#[derive(Debug)]
struct CancellableRule(Rule);

impl OptimizerRule for CancellableRule {
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
