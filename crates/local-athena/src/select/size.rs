//! Estimates the size of a query's plan from its syntax tree, and refuses the query if that is too large.
//!
//! A short text can have an exponentially large plan, because the planner expands references. WITH queries and views
//! occur in the plan once per reference; a subquery and the arguments of some functions are planned twice, hence 2^n
//! times when n of them nest. The estimate multiplies sizes and expands nothing, so that it takes time linear in the
//! text.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, ObjectName, Query,
    Select as SelectBody, SetExpr, Spanned, TableFactor, Visit, Visitor,
};

use super::rewrite::written;
use crate::catalog::{CATALOG_NAME, Snapshot, TableKind};
use crate::error::{ErrorKind, QueryError};
use crate::functions::names::{Call, FunctionMapping, mapping};
use crate::sql::{Form, Position, Select, Statement};

/// Maximum size of a plan. Planning it takes a few tenths of a second.
const MAX_PLAN_SIZE: u64 = 300_000;

// Costs of the parts of a plan. They are measured planning times: one unit is about a microsecond.
/// A table, a view, or a query in FROM, without its own plan.
const RELATION: u64 = 100;
/// A SELECT, without its expressions and relations.
const SELECT: u64 = 200;
/// An operator, a function, a column.
const EXPRESSION: u64 = 4;
/// A literal. Cheaper than an expression, because long lists of literals are only copied.
const VALUE: u64 = 1;
// The planner compares some parts with each other, which takes quadratic time. These are costs per pair.
/// Number of pairs of columns that cost one unit: columns of one SELECT, one GROUP BY, or one row of VALUES.
const PAIRS_OF_COLUMNS: u64 = 16;
/// A pair of relations of one FROM.
const PAIR_OF_RELATIONS: u64 = 20;
/// A pair of the parts of one UNION, INTERSECT or EXCEPT.
const PAIR_OF_PARTS: u64 = 4;

/// Maximum number of grouping sets, as in Trino.
const MAX_GROUPING_SETS: u64 = 2048;

/// Checks the size of a query's plan.
///
/// # Errors
/// [`ErrorKind::TooManyStages`] when the plan would be larger than [`MAX_PLAN_SIZE`];
/// [`ErrorKind::TooManyGroupingSets`]; an error of a view that cannot be read or refers to itself.
pub(super) fn check(select: &Select, database: &str, snapshot: &Snapshot) -> Result<(), QueryError> {
    let mut views = ViewSizes { snapshot, known: HashMap::new(), open: Vec::new() };
    let size = views.size(&select.query, database)?;
    if size <= MAX_PLAN_SIZE {
        return Ok(());
    }
    let message = format!(
        "the plan of this query has the size {size}, once its views, WITH queries and repeated expressions are written \
         out, which exceeds the allowed maximum ({MAX_PLAN_SIZE}): simplify the query, or split it"
    );
    Err(QueryError::new(ErrorKind::TooManyStages, message))
}

/// Maximum depth of views that refer to views. It also ends cycles, which `CREATE OR REPLACE VIEW` can create.
pub(super) const MAX_VIEW_DEPTH: usize = 10;

/// The error for a view that is nested deeper than [`MAX_VIEW_DEPTH`].
pub(super) fn too_deep(database: &str, view: &str) -> QueryError {
    let message = format!("the view {CATALOG_NAME}.{database}.{view} stands on too many views, or on itself");
    QueryError::new(ErrorKind::Semantic, message)
}

/// The sizes of the views that a query names, each computed once.
struct ViewSizes<'a> {
    snapshot: &'a Snapshot,
    known: HashMap<(String, String), u64>,
    /// The views whose size is being computed, to detect cycles.
    open: Vec<(String, String)>,
}

impl ViewSizes<'_> {
    fn size(&mut self, query: &Query, database: &str) -> Result<u64, QueryError> {
        let mut walk = SizeVisitor {
            views: self,
            database,
            sizes: vec![0],
            scopes: Vec::new(),
            with_queries: HashMap::new(),
            repeated: HashMap::new(),
        };
        match query.visit(&mut walk) {
            ControlFlow::Continue(()) => Ok(walk.sizes.pop().unwrap_or_default()),
            ControlFlow::Break(error) => Err(*error),
        }
    }

    /// Returns the size of the plan of a view, and 0 for a table. A name that does not exist has the size 0: planning
    /// refuses it later.
    fn size_of_name(&mut self, database: &str, name: &str) -> Result<u64, QueryError> {
        let key = (database.to_owned(), name.to_owned());
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let table = self.snapshot.table(database, name)?;
        let size = match table.map(|table| table.kind) {
            Some(TableKind::View { sql, database: within }) => {
                if self.open.len() >= MAX_VIEW_DEPTH || self.open.contains(&key) {
                    return Err(too_deep(database, name));
                }
                self.open.push(key.clone());
                let size = match Statement::parse(&sql, &[])?.form {
                    Form::Select(select) => self.size(&select.query, &within.to_lowercase())?,
                    // Not a SELECT: planning refuses it.
                    _ => 0,
                };
                self.open.pop();
                size
            }
            _ => 0,
        };
        self.known.insert(key, size);
        Ok(size)
    }
}

/// A visitor that sums sizes from the leaves of a query to its root.
struct SizeVisitor<'v, 'a> {
    views: &'v mut ViewSizes<'a>,
    /// The database in which names without one are resolved.
    database: &'v str,
    /// A stack: the size so far of each enclosing query and expression.
    sizes: Vec<u64>,
    /// A stack: the WITH queries of each enclosing query, with their sizes.
    scopes: Vec<HashMap<String, u64>>,
    /// The names of WITH queries by their address, because the visitor is not told which queries are those of WITH.
    with_queries: HashMap<*const Query, String>,
    /// The number of copies of an expression in the plan, by its address.
    repeated: HashMap<*const Expr, u64>,
}

type Flow = ControlFlow<Box<QueryError>>;

impl SizeVisitor<'_, '_> {
    fn add(&mut self, size: u64) {
        if let Some(sum) = self.sizes.last_mut() {
            *sum = sum.saturating_add(size);
        }
    }

    fn leave(&mut self) -> u64 {
        self.sizes.pop().unwrap_or_default()
    }

    fn size_of_relation(&mut self, relation: &ObjectName) -> Result<u64, QueryError> {
        let name = written(relation);
        if let Some(size) = self.scopes.iter().rev().find_map(|scope| scope.get(&name)) {
            return Ok(*size);
        }
        let parts: Vec<&str> = name.split('.').collect();
        match parts[..] {
            [table] => self.views.size_of_name(self.database, table),
            [database, table] | [_, database, table] => self.views.size_of_name(database, table),
            _ => Ok(0),
        }
    }
}

impl Visitor for SizeVisitor<'_, '_> {
    type Break = Box<QueryError>;

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        self.sizes.push(0);
        self.scopes.push(HashMap::new());
        let (parts, values) = parts(&query.body);
        self.add((parts * parts * PAIR_OF_PARTS).saturating_add(values));
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.with_queries.insert(&raw const *cte.query, cte.alias.name.value.to_lowercase());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> Flow {
        let size = self.leave();
        self.scopes.pop();
        // A WITH query is planned at its definition too, even if no relation names it.
        self.add(size);
        if let (Some(name), Some(scope)) = (self.with_queries.remove(&(&raw const *query)), self.scopes.last_mut()) {
            scope.insert(name, size);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &SelectBody) -> Flow {
        let columns = size_of_columns(select.projection.len()).saturating_add(match &select.group_by {
            GroupByExpr::Expressions(parts, _) => size_of_columns(parts.len()),
            GroupByExpr::All(_) => 0,
        });
        let relations: u64 = select.from.iter().map(|from| 1 + from.joins.len() as u64).sum();
        self.add(SELECT.saturating_add(columns).saturating_add(relations * relations * PAIR_OF_RELATIONS));
        let sets = grouping_sets(&select.group_by);
        if sets > MAX_GROUPING_SETS {
            let position =
                Position::start(select.group_by.span()).map_or_else(String::new, |position| format!("{position}: "));
            let message =
                format!("{position}GROUP BY has {sets} grouping sets but can contain at most {MAX_GROUPING_SETS}");
            return ControlFlow::Break(Box::new(QueryError::new(ErrorKind::TooManyGroupingSets, message)));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Flow {
        match self.size_of_relation(relation) {
            Ok(size) => {
                self.add(size);
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }

    fn pre_visit_table_factor(&mut self, _factor: &TableFactor) -> Flow {
        self.add(RELATION);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        self.sizes.push(0);
        self.repeated.extend(repeated(expr).into_iter().map(|(part, times)| (&raw const *part, times)));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> Flow {
        let own = if matches!(expr, Expr::Value(_)) { VALUE } else { EXPRESSION };
        let all = own.saturating_add(self.leave().saturating_mul(times(expr)));
        let times = self.repeated.remove(&(&raw const *expr)).unwrap_or(1);
        self.add(all.saturating_mul(times));
        ControlFlow::Continue(())
    }
}

fn size_of_columns(count: usize) -> u64 {
    let count = count as u64;
    count * count / PAIRS_OF_COLUMNS
}

/// Returns the number of parts of a set operation (UNION, INTERSECT, EXCEPT), and the size of the columns of VALUES in
/// it.
fn parts(body: &SetExpr) -> (u64, u64) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            let (left, right) = (parts(left), parts(right));
            (left.0 + right.0, left.1.saturating_add(right.1))
        }
        SetExpr::Values(values) => (0, size_of_columns(values.rows.first().map_or(0, |row| row.content.len()))),
        _ => (1, 0),
    }
}

/// Returns the number of copies of all parts of an expression in the plan.
fn times(expr: &Expr) -> u64 {
    match expr {
        // A subquery is planned as a plan, and again as a part of the expression.
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => 2,
        // Planned twice too, and its parts take longer than others.
        Expr::Lambda(_) => 3,
        // The generated name of such a column contains its expressions again.
        Expr::Function(function) if function.filter.is_some() || function.over.is_some() => 2,
        _ => 1,
    }
}

/// Returns the parts of an expression that have several copies in the plan, with the number of copies.
fn repeated(expr: &Expr) -> Vec<(&Expr, u64)> {
    match expr {
        // Becomes x >= a AND x <= b, with a name that contains x.
        Expr::Between { expr, .. } => vec![(&**expr, 3)],
        // The optimizer unwraps a cast in a comparison if possible, and simplifies the rest again.
        Expr::BinaryOp { left, op, right } if compares(op) => vec![(&**left, 2), (&**right, 2)],
        Expr::Like { expr, pattern, .. } => vec![(&**expr, 2), (&**pattern, 2)],
        // A CASE of booleans becomes (a AND x) OR (NOT a AND y).
        Expr::Case { operand, conditions, .. } => operand
            .as_deref()
            .into_iter()
            .chain(conditions.iter().map(|when| &when.condition))
            .map(|c| (c, CONDITION_COPIES))
            .collect(),
        Expr::Function(function) => repeated_arguments(function),
        _ => Vec::new(),
    }
}

/// Number of copies of a CASE's condition in the plan.
const CONDITION_COPIES: u64 = 3;
/// Number of copies of an argument of coalesce, which becomes CASE WHEN a IS NOT NULL THEN a ...
const COALESCE_COPIES: u64 = 4;

fn compares(operator: &BinaryOperator) -> bool {
    use BinaryOperator as O;
    matches!(operator, O::Eq | O::NotEq | O::Lt | O::LtEq | O::Gt | O::GtEq)
}

fn repeated_arguments(function: &Function) -> Vec<(&Expr, u64)> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let arguments = list.args.iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    let mapping = mapping(&written(&function.name), list.args.len());
    let times = |at: usize| match mapping {
        Call::Mapped(FunctionMapping::Macro(template) | FunctionMapping::Over(_, template)) => {
            let position = format!("${}", at + 1);
            // The condition of a CASE has as many copies as above.
            let conditions = template.matches(&format!("WHEN {position}")).count();
            let others = (template.matches(&position).count() - conditions) as u64;
            // The types of each copy are computed again for each other copy, at each level.
            let times = others * others + conditions as u64 * CONDITION_COPIES;
            // The calls in a template are expanded too.
            if template.contains("coalesce(") { times * COALESCE_COPIES } else { times }
        }
        // One call per percentage.
        Call::Mapped(FunctionMapping::Percentile) => list.args.len() as u64 * 8,
        // In the order, in the filter, and in the generated names of both.
        Call::Mapped(FunctionMapping::FirstBy { .. }) => 4,
        Call::Mapped(FunctionMapping::Function("coalesce")) => COALESCE_COPIES,
        _ => 1,
    };
    arguments.enumerate().map(|(at, argument)| (argument, times(at).max(1))).collect()
}

/// Returns the number of grouping sets of a GROUP BY: the product of those of its parts.
fn grouping_sets(group_by: &GroupByExpr) -> u64 {
    let GroupByExpr::Expressions(parts, _) = group_by else { return 1 };
    let sets = |part: &Expr| match part {
        Expr::Cube(columns) => 2_u64.saturating_pow(u32::try_from(columns.len()).unwrap_or(u32::MAX)),
        Expr::Rollup(columns) => columns.len() as u64 + 1,
        Expr::GroupingSets(sets) => sets.len() as u64,
        _ => 1,
    };
    parts.iter().map(sets).fold(1, u64::saturating_mul)
}
