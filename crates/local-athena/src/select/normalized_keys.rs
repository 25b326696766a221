//! Normalizes the floating-point keys of sorts, groups, windows and set operations: NaN has one bit pattern, and zero no sign.
//!
//! Arrow orders floating-point numbers by their bits: a NaN with a sign, which processors make and files may hold, is before all
//! numbers and another value than NaN, and -0.0 is before 0.0. In SQL there is one NaN, after all numbers, and zeros are peers.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, NullEquality, Result};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::utils::NamePreserver;

use crate::functions::{type_of, with_normalized_floats, with_one_nan};

/// Returns the plan with normalized keys.
pub(super) fn with_normalized_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    let schema = merge_schema(&plan.inputs());
    match plan {
        LogicalPlan::Sort(mut sort) => {
            for key in &mut sort.expr {
                let ty = type_of(&key.expr, &schema)?;
                if ty.is_floating() {
                    key.expr = with_one_nan(std::mem::take(&mut key.expr), ty);
                }
            }
            Ok(LogicalPlan::Sort(sort))
        }
        LogicalPlan::Distinct(Distinct::All(input)) => Ok(LogicalPlan::Distinct(Distinct::All(columns(input)?))),
        LogicalPlan::Aggregate(mut aggregate) => {
            if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
                // The keys of grouping sets are columns.
                aggregate.input = columns(aggregate.input)?;
            } else {
                aggregate.group_expr = named(aggregate.group_expr, |expr| normalized(expr, &schema))?;
            }
            aggregate.aggr_expr = named(aggregate.aggr_expr, |expr| distinct_arguments(expr, &schema))?;
            LogicalPlan::Aggregate(aggregate).recompute_schema()
        }
        LogicalPlan::Window(mut window) => {
            window.window_expr = named(window.window_expr, |expr| window_keys(expr, &schema))?;
            LogicalPlan::Window(window).recompute_schema()
        }
        LogicalPlan::Join(mut join) if join.null_equality == NullEquality::NullEqualsNull => {
            for (left, right) in &mut join.on {
                *left = normalized(std::mem::take(left), join.left.schema())?;
                *right = normalized(std::mem::take(right), join.right.schema())?;
            }
            Ok(LogicalPlan::Join(join))
        }
        plan => Ok(plan),
    }
}

/// Changes expressions that are columns of a plan, which keep their names.
fn named(all: Vec<Expr>, change: impl Fn(Expr) -> Result<Expr>) -> Result<Vec<Expr>> {
    let names = NamePreserver::new_for_projection();
    let changed = all.into_iter().map(|expr| {
        let name = names.save(&expr);
        change(expr).map(|changed| name.restore(changed))
    });
    changed.collect()
}

/// Returns a plan whose floating-point columns are normalized.
fn columns(input: Arc<LogicalPlan>) -> Result<Arc<LogicalPlan>> {
    let schema = Arc::clone(input.schema());
    if !schema.fields().iter().any(|field| field.data_type().is_floating()) {
        return Ok(input);
    }
    let all = schema.columns().into_iter().map(Expr::Column).collect();
    let all = named(all, |expr| normalized(expr, &schema))?;
    Ok(Arc::new(LogicalPlanBuilder::from(input).project(all)?.build()?))
}

/// Returns a floating-point expression normalized, and any other as it is.
pub(super) fn normalized(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let ty = type_of(&expr, schema)?;
    Ok(if ty.is_floating() { with_normalized_floats(expr, ty) } else { expr })
}

fn distinct_arguments(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let done = expr.transform_up(|expr| match expr {
        Expr::AggregateFunction(mut call) if call.params.distinct => {
            let arguments = std::mem::take(&mut call.params.args).into_iter();
            call.params.args = arguments.map(|argument| normalized(argument, schema)).collect::<Result<_>>()?;
            Ok(Transformed::yes(Expr::AggregateFunction(call)))
        }
        expr => Ok(Transformed::no(expr)),
    });
    done.map(|done| done.data)
}

fn window_keys(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let done = expr.transform_up(|expr| match expr {
        Expr::WindowFunction(mut call) => {
            let params = &mut call.params;
            let partitions = std::mem::take(&mut params.partition_by).into_iter();
            params.partition_by = partitions.map(|key| normalized(key, schema)).collect::<Result<_>>()?;
            for key in &mut params.order_by {
                key.expr = normalized(std::mem::take(&mut key.expr), schema)?;
            }
            Ok(Transformed::yes(Expr::WindowFunction(call)))
        }
        expr => Ok(Transformed::no(expr)),
    });
    done.map(|done| done.data)
}
