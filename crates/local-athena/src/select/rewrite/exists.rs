//! Rewrites EXISTS among the output columns of a SELECT to `(SELECT count(*) FROM ...) > 0`: DataFusion has EXISTS in WHERE only.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::expressions::number;
use crate::sql::AthenaDialect;

/// Rewrites the output columns of a SELECT.
pub(super) fn rewrite_exists(select: &mut Select) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            let _ = VisitMut::visit(expr, &mut Rewriter { depth: 0 });
        }
    }
}

/// Rewrites the expressions outside subqueries: each of these is rewritten on its own.
struct Rewriter {
    depth: usize,
}

impl VisitorMut for Rewriter {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0
            && let Expr::Exists { subquery, negated } = expr
            && let Some(counted) = counted(subquery)
        {
            let op = if *negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
            let zero = Box::new(Expr::value(number("0")));
            let test = Expr::BinaryOp { left: Box::new(Expr::Subquery(Box::new(counted))), op, right: zero };
            *expr = Expr::Nested(Box::new(test));
        }
        ControlFlow::Continue(())
    }
}

/// Returns the query that counts the rows of another; `None` if that has clauses that change the number of its rows.
fn counted(query: &Query) -> Option<Query> {
    let mut counted = query.clone();
    let SetExpr::Select(select) = counted.body.as_mut() else { return None };
    let groups = matches!(&select.group_by, GroupByExpr::Expressions(groups, _) if groups.is_empty());
    let is_plain = groups
        && select.having.is_none()
        && select.distinct.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none();
    let aggregates = select.projection.iter().any(|item| item.to_string().contains('('));
    if !is_plain || aggregates {
        return None;
    }
    let count =
        Parser::new(&AthenaDialect::default()).try_with_sql("count(*)").and_then(|mut parser| parser.parse_expr());
    select.projection = vec![SelectItem::UnnamedExpr(count.ok()?)];
    counted.order_by = None;
    Some(counted)
}
