//! Plans UNNEST of columns: `FROM t CROSS JOIN UNNEST(t.a, t.b) WITH ORDINALITY AS u(x, y, n)`.
//!
//! The rewriter nests such a join: its left side is the relations before it. DataFusion itself plans UNNEST of constants only.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, NullHandling, Result, TableReference, UnnestOptions};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Join, JoinConstraint, JoinOperator, TableAlias, TableFactor, TableWithJoins, Value, ValueWithSpan,
};

use super::errors::external;
use crate::error::{ErrorKind, QueryError};
use crate::functions::{ordinals, padded};
use crate::types::type_name;

/// The planner of relations that are UNNEST, or a join with it.
#[derive(Debug)]
pub(super) struct UnnestPlanner;

/// An UNNEST of a statement.
struct Unnest {
    alias: Option<TableAlias>,
    arrays: Vec<SqlExpr>,
    with_ordinality: bool,
    /// Whether a row of the left side without elements gives a row of NULLs: LEFT JOIN.
    keeps_left: bool,
}

impl RelationPlanner for UnnestPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (left, unnest) = match relation {
            TableFactor::UNNEST { alias, array_exprs, with_ordinality: true, .. } => {
                let unnest = Unnest { alias, arrays: array_exprs, with_ordinality: true, keeps_left: false };
                (LogicalPlanBuilder::empty(true).build()?, unnest)
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } if is_join(&table_with_joins) => {
                let TableWithJoins { relation, mut joins } = *table_with_joins;
                let Some(join) = joins.pop() else { return Ok(RelationPlanning::Original(Box::new(relation))) };
                let keeps_left = matches!(join.join_operator, JoinOperator::Left(_) | JoinOperator::LeftOuter(_));
                let TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } = join.relation else {
                    return Ok(RelationPlanning::Original(Box::new(relation)));
                };
                let left = context.plan(relation)?;
                (left, Unnest { alias, arrays: array_exprs, with_ordinality, keeps_left })
            }
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        let plan = unnest.plan(left, context)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

/// Returns whether a nested join is one relation and an UNNEST, as the rewriter nests it.
fn is_join(nested: &TableWithJoins) -> bool {
    matches!(nested.joins.as_slice(), [join] if matches!(join.relation, TableFactor::UNNEST { .. }) && is_unconditional(&join.join_operator))
}

/// Returns whether a join can have an UNNEST on its right: it has no condition but `ON true`.
pub(super) fn is_unconditional(join: &JoinOperator) -> bool {
    use JoinOperator as J;
    let is_true = |constraint: &JoinConstraint| {
        matches!(
            constraint,
            JoinConstraint::None
                | JoinConstraint::On(SqlExpr::Value(ValueWithSpan { value: Value::Boolean(true), .. }))
        )
    };
    match join {
        J::CrossJoin(constraint)
        | J::Join(constraint)
        | J::Inner(constraint)
        | J::Left(constraint)
        | J::LeftOuter(constraint) => is_true(constraint),
        _ => false,
    }
}

fn wrong(kind: ErrorKind, message: impl std::fmt::Display) -> datafusion::common::DataFusionError {
    external(QueryError::new(kind, message))
}

impl Unnest {
    fn plan(self, left: LogicalPlan, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
        let schema = Arc::clone(left.schema());
        let mut arrays = Vec::new();
        for array in self.arrays {
            let array = context.sql_to_expr(array, &schema)?;
            let ty = array.get_type(&schema)?;
            if !matches!(ty, DataType::List(_)) {
                return Err(wrong(ErrorKind::TypeMismatch, format_args!("Cannot unnest type: {}", type_name(&ty))));
            }
            arrays.push(array);
        }
        if self.with_ordinality {
            let all = arrays.clone();
            arrays.push(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ordinals()), all)));
        }
        if self.keeps_left {
            // A row without elements has one NULL in each array.
            arrays = arrays
                .into_iter()
                .map(|array| Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(padded()), vec![array])))
                .collect();
        }
        let (relation, names) = names(self.alias, arrays.len(), context)?;
        let temporary = |at: usize| format!("\u{1}unnest{at}");
        let kept: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
        let unnested = arrays.into_iter().enumerate().map(|(at, array)| array.alias(temporary(at)));
        let projected = LogicalPlanBuilder::from(left).project(kept.iter().cloned().chain(unnested))?;
        let columns = (0..names.len()).map(|at| Column::new_unqualified(temporary(at))).collect();
        let options = UnnestOptions { null_handling: NullHandling::Drop, recursions: Vec::new() };
        let flat = projected.unnest_columns_with_options(columns, options)?;
        let named = names.into_iter().enumerate().map(|(at, name)| {
            let column = Expr::Column(Column::new_unqualified(temporary(at)));
            column.alias_qualified(relation.clone(), name)
        });
        flat.project(kept.into_iter().chain(named))?.build()
    }
}

/// Returns the name of the relation and those of its columns.
fn names(
    alias: Option<TableAlias>,
    columns: usize,
    context: &dyn RelationPlannerContext,
) -> Result<(Option<TableReference>, Vec<String>)> {
    let unnamed = |at: usize| format!("\u{1}unnested{at}");
    let Some(alias) = alias else { return Ok((None, (0..columns).map(unnamed).collect())) };
    let relation = context.normalize_ident(alias.name);
    if !alias.columns.is_empty() && alias.columns.len() != columns {
        let message = format!(
            "Column alias list has {} entries but '{relation}' has {columns} columns available",
            alias.columns.len()
        );
        return Err(wrong(ErrorKind::Semantic, message));
    }
    let mut names: Vec<String> = alias.columns.into_iter().map(|column| context.normalize_ident(column.name)).collect();
    if names.is_empty() {
        names = (0..columns).map(unnamed).collect();
    }
    Ok((Some(TableReference::bare(relation)), names))
}

/// Nests the relations before each UNNEST that needs it into its left side.
pub(super) fn nest(from: &mut Vec<TableWithJoins>, needs: impl Fn(&TableFactor) -> bool) {
    let mut nested: Vec<TableWithJoins> = Vec::new();
    for item in std::mem::take(from) {
        let mut current = TableWithJoins { relation: item.relation, joins: Vec::new() };
        if needs(&current.relation)
            && let Some(before) = nested.pop()
        {
            // FROM t, UNNEST(t.a)
            current = joined(before, JoinOperator::CrossJoin(JoinConstraint::None), current.relation);
        }
        for join in item.joins {
            if needs(&join.relation) && is_unconditional(&join.join_operator) {
                current = joined(current, join.join_operator, join.relation);
            } else {
                current.joins.push(join);
            }
        }
        nested.push(current);
    }
    *from = nested;
}

fn joined(left: TableWithJoins, operator: JoinOperator, unnest: TableFactor) -> TableWithJoins {
    let relation = if left.joins.is_empty() {
        left.relation
    } else {
        TableFactor::NestedJoin { table_with_joins: Box::new(left), alias: None }
    };
    let join = Join { relation: unnest, global: false, join_operator: operator };
    let both = TableWithJoins { relation, joins: vec![join] };
    TableWithJoins {
        relation: TableFactor::NestedJoin { table_with_joins: Box::new(both), alias: None },
        joins: Vec::new(),
    }
}
