//! Rewrites a query's syntax tree from Athena's SQL to DataFusion's. Refuses constructs that Athena does not have.
//!
//! A column without a name gets a [`marker`], a name that no user can type. So two such columns never clash, and each
//! can be shown as `_col0`, `_col1`, ... by its position in the result.

mod exists;
mod expressions;
mod joins;

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, Distinct, ExcludeSelectItem, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator,
    LimitClause, ObjectName, OrderBy, OrderByKind, Query, Select, SelectFlavor, SelectItem, SetExpr, Spanned,
    TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, Value, Visit, VisitMut, Visitor, VisitorMut,
    visit_expressions,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use self::exists::rewrite_exists;
use self::expressions::{number, rewritten};
use self::joins::rewrite_using;
use super::table::PATH;
use super::unnest::nest;
use crate::error::{ErrorKind, QueryError};
use crate::sql::Position;

/// Rewrites a query in place. `external` are the names of the external tables that it reads. `with_path` says whether
/// these have the column `$path`.
pub(super) fn rewrite(query: &mut Query, external: &HashSet<String>, with_path: bool) -> Result<(), QueryError> {
    let mut rewriter = Rewriter { external, with_path, markers: 0 };
    match query.visit(&mut rewriter) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

/// Returns whether a query names the pseudo-column `$path`. Only identifiers count: not a literal, a comment or an
/// alias.
pub(super) fn names_path(query: &Query) -> bool {
    query.visit(&mut PathFinder).is_break()
}

struct PathFinder;

impl Visitor for PathFinder {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let is_path = match expr {
            Expr::Identifier(ident) => ident.value == PATH,
            Expr::CompoundIdentifier(parts) => parts.iter().any(|part| part.value == PATH),
            _ => false,
        };
        if is_path { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The columns of USING are not expressions, so that [`pre_visit_expr`](Self::pre_visit_expr) does not see them.
    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let is_path = select.from.iter().any(joins_using_path);
        if is_path { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn joins_using_path(table: &TableWithJoins) -> bool {
    use JoinOperator as J;
    let is_nested = |factor: &TableFactor| match factor {
        TableFactor::NestedJoin { table_with_joins, .. } => joins_using_path(table_with_joins),
        _ => false,
    };
    let names_path = |operator: &JoinOperator| match operator {
        J::Join(JoinConstraint::Using(columns))
        | J::Inner(JoinConstraint::Using(columns))
        | J::Left(JoinConstraint::Using(columns))
        | J::LeftOuter(JoinConstraint::Using(columns))
        | J::Right(JoinConstraint::Using(columns))
        | J::RightOuter(JoinConstraint::Using(columns))
        | J::FullOuter(JoinConstraint::Using(columns)) => columns.iter().any(|column| written(column) == PATH),
        _ => false,
    };
    is_nested(&table.relation)
        || table.joins.iter().any(|join| is_nested(&join.relation) || names_path(&join.join_operator))
}

/// The first character of a marker: a control character, which users do not type in names.
const MARK: char = '\u{1}';

/// Returns the column name that users see for a name in a DataFusion plan; `None` for a column without a name.
pub(super) fn shown_name(name: &str) -> Option<&str> {
    match name.strip_prefix(MARK) {
        None => Some(name),
        Some(marker) => marker.split_once(':').map(|(_, shown)| shown),
    }
}

struct Rewriter<'a> {
    external: &'a HashSet<String>,
    with_path: bool,
    markers: usize,
}

type Flow = ControlFlow<Box<QueryError>>;

fn refuse(span: Span, what: &str) -> Flow {
    let position = Position::start(span).map_or_else(String::new, |position| format!("{position}: "));
    ControlFlow::Break(Box::new(QueryError::not_supported(&format!("{position}{what}"))))
}

fn stop(error: QueryError) -> Flow {
    ControlFlow::Break(Box::new(error))
}

impl VisitorMut for Rewriter<'_> {
    type Break = Box<QueryError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        let span = query.span();
        let by_comma = matches!(query.limit_clause, Some(LimitClause::OffsetCommaLimit { .. }));
        let ties = query.fetch.as_ref().is_some_and(|f| f.with_ties || f.percent);
        let foreign = by_comma
            || ties
            || !query.locks.is_empty()
            || query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty();
        if foreign {
            return refuse(span, "a clause of this query (LIMIT a, b; WITH TIES; FOR; SETTINGS)");
        }
        check_order_of_offset(query)?;
        fetch_is_limit(query)?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            check_order_by(select, query.order_by.as_ref())?;
            if let Err(error) = rewrite_using(select, query.order_by.as_mut()) {
                return stop(error);
            }
        }
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            self.name_values(&cte.query.body, &mut cte.alias);
        }
        check_body(&query.body)
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        self.refuse_foreign_clauses(select)?;
        nest(&mut select.from, |factor| match factor {
            TableFactor::UNNEST { array_exprs, with_ordinality, .. } => {
                *with_ordinality || array_exprs.iter().any(has_column)
            }
            _ => false,
        });
        // That of a query is rewritten with its ORDER BY.
        if let Err(error) = rewrite_using(select, None) {
            return stop(error);
        }
        rewrite_exists(select);
        group_by_columns(select);
        self.hide_path(select)?;
        self.name_columns(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        let span = factor.span();
        match factor {
            TableFactor::Table { args, version, sample, with_hints, partitions, .. } => {
                let foreign = args.is_some()
                    || version.is_some()
                    || sample.is_some()
                    || !with_hints.is_empty()
                    || !partitions.is_empty();
                if foreign {
                    return refuse(span, "a table with arguments, a version or a sample");
                }
                ControlFlow::Continue(())
            }
            TableFactor::Derived { sample: None, subquery, alias, .. } => {
                if values_width(&subquery.body).is_some() {
                    let name = self.marker(None);
                    let nameless = TableAlias { explicit: true, name, columns: Vec::new(), at: None };
                    self.name_values(&subquery.body, alias.get_or_insert(nameless));
                }
                ControlFlow::Continue(())
            }
            TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            TableFactor::UNNEST { with_offset: false, .. } => ControlFlow::Continue(()),
            _ => refuse(span, "this kind of relation"),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        let span = expr.span();
        match expr {
            Expr::Cast { kind: CastKind::DoubleColon, .. } => refuse(span, "a cast with '::' (use CAST)"),
            Expr::Cast { kind: CastKind::SafeCast, .. } => refuse(span, "SAFE_CAST (use TRY_CAST)"),
            Expr::ILike { .. } => refuse(span, "ILIKE (use lower(...) LIKE)"),
            Expr::SimilarTo { .. } | Expr::RLike { .. } => refuse(span, "this operator (use regexp_like)"),
            Expr::JsonAccess { .. }
            | Expr::Convert { .. }
            | Expr::Overlay { .. }
            | Expr::Collate { .. }
            | Expr::Dictionary(_)
            | Expr::Map(_)
            | Expr::MatchAgainst { .. }
            | Expr::InUnnest { .. } => refuse(span, "this expression"),
            Expr::BinaryOp { op, .. } if !is_standard(op) => refuse(span, &format!("the operator {op}")),
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        match rewritten(expr) {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(new)) => {
                *expr = new;
                ControlFlow::Continue(())
            }
            Err(error) => stop(error),
        }
    }
}

/// Checks that OFFSET stands before LIMIT, as on Athena.
fn check_order_of_offset(query: &Query) -> Flow {
    if let Some(LimitClause::LimitOffset { limit: Some(limit), offset: Some(offset), .. }) = &query.limit_clause
        && let (Some(limit), Some(offset)) = (Position::start(limit.span()), Position::start(offset.value.span()))
        && limit < offset
    {
        let message = format!("{offset}: mismatched input 'OFFSET'. OFFSET stands before LIMIT");
        return stop(QueryError::new(ErrorKind::Syntax, message));
    }
    ControlFlow::Continue(())
}

/// Checks that the names in ORDER BY stand for one output column each.
fn check_order_by(select: &Select, order: Option<&OrderBy>) -> Flow {
    let Some(OrderBy { kind: OrderByKind::Expressions(orders), .. }) = order else { return ControlFlow::Continue(()) };
    let outputs = |name: &str| {
        let named = select.projection.iter().filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, expr } => Some((&alias.value, expr)),
            SelectItem::UnnamedExpr(expr @ Expr::Identifier(ident)) => Some((&ident.value, expr)),
            _ => None,
        });
        named
            .filter(|(output, _)| output.eq_ignore_ascii_case(name))
            .map(|(_, expr)| expr.to_string())
            .collect::<HashSet<_>>()
    };
    for order in orders {
        if let Expr::Identifier(ident) = &order.expr
            && outputs(&ident.value).len() > 1
        {
            let position = Position::start(ident.span).map_or_else(String::new, |position| format!("{position}: "));
            let message = format!("{position}Column '{}' is ambiguous", ident.value);
            return stop(QueryError::new(ErrorKind::AmbiguousName, message));
        }
    }
    ControlFlow::Continue(())
}

/// Qualifies the names in GROUP BY that are also aliases of output columns: on Athena they are columns of the relation, and an
/// alias is none. Over several relations they stay.
fn group_by_columns(select: &mut Select) {
    let relation = match select.from.as_slice() {
        [TableWithJoins { relation, joins }] if joins.is_empty() => joins::relation_name(relation),
        _ => None,
    };
    let Some(relation) = relation else { return };
    let aliases: HashSet<_> = select
        .projection
        .iter()
        .filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.to_lowercase()),
            _ => None,
        })
        .collect();
    let GroupByExpr::Expressions(groups, _) = &mut select.group_by else { return };
    for group in groups {
        if let Expr::Identifier(ident) = group
            && aliases.contains(&ident.value.to_lowercase())
        {
            *group = Expr::CompoundIdentifier(vec![relation.clone(), ident.clone()]);
        }
    }
}

/// Checks that a query's body only reads, and that DataFusion supports it.
fn check_body(body: &SetExpr) -> Flow {
    match body {
        // A query in parentheses is visited on its own.
        SetExpr::Select(_) | SetExpr::Query(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { left, right, .. } => {
            check_body(left)?;
            check_body(right)
        }
        SetExpr::Values(values) => {
            let query = |expr: &Expr| match expr {
                Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(expr.span()),
                _ => ControlFlow::Continue(()),
            };
            match visit_expressions(values, query) {
                ControlFlow::Break(span) => refuse(span, "a subquery in VALUES"),
                ControlFlow::Continue(()) => ControlFlow::Continue(()),
            }
        }
        other => refuse(other.span(), "a statement inside a query"),
    }
}

/// Returns the number of columns of a query whose columns come from VALUES; `None` for another query.
fn values_width(body: &SetExpr) -> Option<usize> {
    match body {
        SetExpr::Values(values) => values.rows.first().map(|row| row.content.len()),
        SetExpr::Query(query) => values_width(&query.body),
        SetExpr::SetOperation { left, .. } => values_width(left),
        _ => None,
    }
}

/// Rewrites `FETCH FIRST n ROWS ONLY` to `LIMIT n`.
fn fetch_is_limit(query: &mut Query) -> Flow {
    let span = query.span();
    let Some(fetch) = query.fetch.take() else {
        return ControlFlow::Continue(());
    };
    let count = fetch.quantity.unwrap_or_else(|| Expr::value(number("1")));
    let clause =
        query.limit_clause.get_or_insert(LimitClause::LimitOffset { limit: None, offset: None, limit_by: Vec::new() });
    match clause {
        LimitClause::LimitOffset { limit: limit @ None, .. } => {
            *limit = Some(count);
            ControlFlow::Continue(())
        }
        _ => refuse(span, "FETCH beside LIMIT"),
    }
}

/// Returns whether an expression names a column.
fn has_column(expr: &Expr) -> bool {
    let found = visit_expressions(expr, |part| match part {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn is_standard(operator: &BinaryOperator) -> bool {
    use BinaryOperator as O;
    matches!(
        operator,
        O::Plus
            | O::Minus
            | O::Multiply
            | O::Divide
            | O::Modulo
            | O::StringConcat
            | O::Gt
            | O::Lt
            | O::GtEq
            | O::LtEq
            | O::Eq
            | O::NotEq
            | O::And
            | O::Or
    )
}

fn is_natural(join: &JoinOperator) -> bool {
    use JoinOperator as J;
    matches!(
        join,
        J::Join(JoinConstraint::Natural)
            | J::Inner(JoinConstraint::Natural)
            | J::Left(JoinConstraint::Natural)
            | J::LeftOuter(JoinConstraint::Natural)
            | J::Right(JoinConstraint::Natural)
            | J::RightOuter(JoinConstraint::Natural)
            | J::FullOuter(JoinConstraint::Natural)
    )
}

fn is_foreign(join: &JoinOperator) -> bool {
    use JoinOperator as J;
    !matches!(
        join,
        J::Join(_)
            | J::Inner(_)
            | J::Left(_)
            | J::LeftOuter(_)
            | J::Right(_)
            | J::RightOuter(_)
            | J::FullOuter(_)
            | J::CrossJoin(_)
    )
}

impl Rewriter<'_> {
    fn refuse_foreign_clauses(&self, select: &Select) -> Flow {
        let span = select.select_token.0.span;
        let joins = || select.from.iter().flat_map(|from| &from.joins).map(|join| &join.join_operator);
        let natural = joins().any(is_natural);
        let foreign_join = joins().any(is_foreign);
        let distinct_on = matches!(select.distinct, Some(Distinct::On(_)));
        let group_all = matches!(&select.group_by, GroupByExpr::All(_));
        let modifiers = matches!(&select.group_by, GroupByExpr::Expressions(_, modifiers) if !modifiers.is_empty());
        for (is_there, what) in [
            (natural, "NATURAL JOIN"),
            (foreign_join, "this kind of join"),
            (distinct_on, "DISTINCT ON"),
            (group_all, "GROUP BY ALL"),
            (modifiers, "a modifier of GROUP BY (use GROUP BY ROLLUP (...))"),
            (select.qualify.is_some(), "QUALIFY"),
            (select.top.is_some(), "TOP"),
            (select.into.is_some(), "SELECT INTO"),
            (select.exclude.is_some(), "EXCLUDE"),
            (select.prewhere.is_some(), "PREWHERE"),
            (!select.lateral_views.is_empty(), "LATERAL VIEW"),
            (!select.connect_by.is_empty(), "CONNECT BY"),
            (!select.cluster_by.is_empty(), "CLUSTER BY"),
            (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
            (!select.sort_by.is_empty(), "SORT BY"),
            (select.value_table_mode.is_some(), "SELECT AS"),
            (select.flavor != SelectFlavor::Standard, "FROM without SELECT"),
        ] {
            if is_there {
                return refuse(span, what);
            }
        }
        ControlFlow::Continue(())
    }

    /// Excludes `$path` from `*`: external tables have the column in a query that names it, but `*` must not show it.
    fn hide_path(&self, select: &mut Select) -> Flow {
        let has_star = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        let is_external = |factor: &TableFactor| matches!(factor, TableFactor::Table { name, .. } if self.external.contains(&written(name)));
        let factors: Vec<_> = select
            .from
            .iter()
            .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|j| &j.relation)))
            .collect();
        if !self.with_path
            || !select.projection.iter().any(has_star)
            || !factors.iter().any(|factor| is_external(factor))
        {
            return ControlFlow::Continue(());
        }
        if factors.len() > 1 {
            return refuse(
                select.select_token.0.span,
                "* over a join in a query that names \"$path\" (name the columns)",
            );
        }
        let path = ObjectName::from(vec![Ident::with_quote('"', PATH)]);
        for item in &mut select.projection {
            if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item {
                options.opt_exclude = Some(ExcludeSelectItem::Single(path.clone()));
            }
        }
        ControlFlow::Continue(())
    }

    fn name_columns(&mut self, select: &mut Select) {
        let mut taken = HashSet::new();
        for item in &mut select.projection {
            let name = match item {
                SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.to_lowercase()),
                SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(ident.value.to_lowercase()),
                SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                    parts.last().map(|part| part.value.to_lowercase())
                }
                SelectItem::UnnamedExpr(_) => None,
                _ => continue,
            };
            if let Some(name) = &name
                && taken.insert(name.clone())
            {
                continue;
            }
            let alias = self.marker(name.as_deref());
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                let expr = std::mem::replace(expr, Expr::value(Value::Null));
                *item = SelectItem::ExprWithAlias { expr, alias };
            }
        }
    }

    /// Names the columns of VALUES by markers, unless the relation has column aliases. DataFusion would name them
    /// `column1`, `column2`, ..., which Athena does not.
    fn name_values(&mut self, body: &SetExpr, alias: &mut TableAlias) {
        if alias.columns.is_empty() {
            let width = values_width(body).unwrap_or_default();
            alias.columns =
                (0..width).map(|_| TableAliasColumnDef { name: self.marker(None), data_type: None }).collect();
        }
    }

    /// Returns a new marker, for a column without a name or for the second column of the name `shown`.
    fn marker(&mut self, shown: Option<&str>) -> Ident {
        self.markers += 1;
        let shown = shown.map_or_else(String::new, |name| format!(":{name}"));
        Ident::with_quote('"', format!("{MARK}{}{shown}", self.markers))
    }
}

/// Returns a name as it is written, in lower case.
pub(super) fn written(name: &ObjectName) -> String {
    let parts = name.0.iter().filter_map(|part| part.as_ident());
    let parts: Vec<_> = parts.map(|ident| ident.value.to_lowercase()).collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Form, Statement};

    #[test]
    fn markers_show_what_they_stand_for() {
        assert_eq!(shown_name("ticker"), Some("ticker"));
        assert_eq!(shown_name("\u{1}3"), None);
        assert_eq!(shown_name("\u{1}3:ticker"), Some("ticker"));
    }

    #[test]
    fn only_identifiers_name_the_path() {
        let names = |sql: &str| match Statement::parse(sql, &[]).expect(sql).form {
            Form::Select(select) => names_path(&select.query),
            other => panic!("{other:?}"),
        };
        for sql in [
            "SELECT \"$path\" FROM t",
            "SELECT q.\"$PATH\" FROM t q",
            "SELECT 1 FROM t WHERE x IN (SELECT max(\"$path\") FROM u)",
            "SELECT 1 FROM t GROUP BY \"$path\"",
            "SELECT 1 FROM t ORDER BY \"$path\"",
            "SELECT 1 FROM t JOIN u ON t.\"$path\" = u.x",
            "SELECT 1 FROM t JOIN u USING (\"$path\")",
            "SELECT 1 FROM t CROSS JOIN (u LEFT JOIN v USING (a, \"$path\"))",
            "WITH w AS (SELECT \"$path\" FROM t) SELECT 1 FROM w",
        ] {
            assert!(names(sql), "{sql}");
        }
        for sql in [
            "SELECT '$path' FROM t -- \"$path\"",
            "SELECT x AS \"$path\" FROM t",
            "SELECT \"path\", \"$paths\" FROM t JOIN u USING (path)",
            "SELECT * FROM \"$path\"",
        ] {
            assert!(!names(sql), "{sql}");
        }
    }
}
