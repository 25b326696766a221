//! DataFusion's optimizer rules, without what makes them give wrong answers (DataFusion 55.2).
//!
//! Each was found by generated queries that `DuckDB` answers otherwise, and has a statement in `statements.txt`.

use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{NullEquality, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{BinaryExpr, Expr, Join, JoinType, LogicalPlan, lit};
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use futures::stream::BoxStream;

use super::passthrough_exec::{Passthrough, PassthroughExec};

/// A rule of DataFusion's.
pub(super) type Rule = Arc<dyn OptimizerRule + Send + Sync>;

type PhysicalRule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// Returns the rules for logical plans.
pub(super) fn logical() -> Vec<Rule> {
    let rules = Optimizer::new().rules.into_iter();
    rules
        .map(|rule| match rule.name() {
            "push_down_filter" => Arc::new(SoundFilters(rule)) as Rule,
            "eliminate_cross_join" => Arc::new(KeysAreKept(rule)),
            "extract_equijoin_predicate" => Arc::new(NullsStayApart(rule)),
            _ => rule,
        })
        .collect()
}

/// Returns the rules for physical plans.
///
/// The rules that push filters down are left out. They find columns by name: below a join of tables with columns of one name, they can
/// apply a filter to the other column. The logical rule has pushed the filters of the statement down already; what is lost are the
/// bounds that a join or a limit learns while it runs.
pub(super) fn physical() -> Vec<PhysicalRule> {
    let mut rules = PhysicalOptimizer::new().rules;
    rules.retain(|rule| !rule.name().starts_with("FilterPushdown"));
    // Before the rule that leaves out sorts.
    let place = rules.iter().position(|rule| rule.name() == "EnsureRequirements").unwrap_or_default();
    rules.insert(place, Arc::new(OuterJoinsSayNothing));
    rules
}

/// Delegates what a wrapped rule does not change.
macro_rules! delegated {
    () => {
        fn name(&self) -> &str {
            self.0.name()
        }

        fn apply_order(&self) -> Option<ApplyOrder> {
            self.0.apply_order()
        }
    };
}

/// Pushes no filter below an aggregation that has a row without rows to aggregate: that row would be there though the filter is
/// false. DataFusion pushes conditions without columns, as `1 = (SELECT ...)`, below it.
///
/// The constants of the conditions are on the right. DataFusion takes `1 = x` and `x = 1` together for false.
#[derive(Debug)]
struct SoundFilters(Rule);

impl OptimizerRule for SoundFilters {
    delegated!();

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let plan = match plan {
            LogicalPlan::Filter(mut filter) => {
                let mut below = &filter.input;
                while let LogicalPlan::Filter(inner) = &**below {
                    below = &inner.input;
                }
                if has_totals(below) {
                    return Ok(Transformed::no(LogicalPlan::Filter(filter)));
                }
                filter.predicate = with_constants_right(filter.predicate);
                LogicalPlan::Filter(filter)
            }
            LogicalPlan::Join(mut join) => {
                join.filter = join.filter.map(with_constants_right);
                LogicalPlan::Join(join)
            }
            plan => plan,
        };
        self.0.rewrite(plan, config)
    }
}

fn with_constants_right(condition: Expr) -> Expr {
    let parts = split_conjunction_owned(condition).into_iter();
    let parts = parts.map(|part| match part {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if matches!(*left, Expr::Literal(..))
                && !matches!(*right, Expr::Literal(..))
                && let Some(op) = op.swap() =>
        {
            Expr::BinaryExpr(BinaryExpr { left: right, op, right: left })
        }
        part => part,
    });
    parts.reduce(Expr::and).unwrap_or_else(|| lit(true))
}

fn has_totals(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Aggregate(aggregate) = plan else { return false };
    aggregate.group_expr.is_empty() || aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_)))
}

/// Leaves joins in the order in which they are written where reordering them would lose a key: the rule keeps a key only if each side
/// has columns of one of the joined inputs, and gives the keys that it finds the treatment of NULL of one of the joins.
#[derive(Debug)]
struct KeysAreKept(Rule);

impl OptimizerRule for KeysAreKept {
    delegated!();

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let mut loses = false;
        plan.apply_with_subqueries(|node| {
            loses |= loses_keys(node);
            Ok(if loses { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if loses { Ok(Transformed::no(plan)) } else { self.0.rewrite(plan, config) }
    }
}

/// Makes no keys of the conditions of a join in whose keys NULL equals NULL: DataFusion would add keys in which NULL equals nothing to
/// them.
#[derive(Debug)]
struct NullsStayApart(Rule);

impl OptimizerRule for NullsStayApart {
    delegated!();

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Join(join) if join.null_equality == NullEquality::NullEqualsNull => {
                Ok(Transformed::no(LogicalPlan::Join(join)))
            }
            plan => self.0.rewrite(plan, config),
        }
    }
}

/// Returns whether a tree of inner joins has a key that the rule does not keep.
fn loses_keys(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Join(join) = plan else { return false };
    if join.join_type != JoinType::Inner {
        return false;
    }
    let mut inputs = Vec::new();
    leaves(plan, &mut inputs);
    let belongs_to_one = |key: &Expr| {
        let columns = key.column_refs();
        let has_all = |input: &&LogicalPlan| columns.iter().all(|column| input.schema().has_column(column));
        !columns.is_empty() && inputs.iter().any(has_all)
    };
    join.null_equality == NullEquality::NullEqualsNull
        || join.on.iter().any(|(left, right)| !belongs_to_one(left) || !belongs_to_one(right))
}

fn inner_join(plan: &LogicalPlan) -> Option<&Join> {
    match plan {
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => Some(join),
        _ => None,
    }
}

/// Adds the inputs of a tree of inner joins.
fn leaves<'a>(plan: &'a LogicalPlan, found: &mut Vec<&'a LogicalPlan>) {
    match inner_join(plan) {
        Some(join) => {
            leaves(&join.left, found);
            leaves(&join.right, found);
        }
        None => found.push(plan),
    }
}

/// Hides what an outer join says of its rows. DataFusion takes a column that is constant in the table whose rows may be missing for
/// constant in the join, and leaves out the sort of `ORDER BY`.
#[derive(Debug)]
struct OuterJoinsSayNothing;

impl PhysicalOptimizerRule for OuterJoinsSayNothing {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let is_outer = |node: &Arc<dyn ExecutionPlan>| {
            let hash = node.downcast_ref::<HashJoinExec>().map(HashJoinExec::join_type);
            let other = || node.downcast_ref::<NestedLoopJoinExec>().map(NestedLoopJoinExec::join_type);
            hash.or_else(other).is_some_and(|join| join.is_outer())
        };
        plan.transform_up(|node| {
            Ok(match is_outer(&node) {
                true => Transformed::yes(PassthroughExec::wrap(node, NothingSaid)),
                false => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "outer_joins_say_nothing"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Passes the batches on.
#[derive(Debug, Clone, Copy)]
struct NothingSaid;

impl Passthrough for NothingSaid {
    const NAME: &'static str = "UnsortedExec";
    const SAYS_NOTHING: bool = true;

    fn forward(self, batches: SendableRecordBatchStream) -> BoxStream<'static, Result<RecordBatch>> {
        batches
    }
}
