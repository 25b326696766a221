//! How large the plan of a query would be, counted on its text before anything is planned.
//!
//! The one idea: a short text can be a large plan, because the planner writes out what the text only names. A query of WITH
//! and a view stand in the plan as often as they are named; a subquery and the arguments of some functions are planned
//! twice, and so 2^n times where n of them nest. Sizes are multiplied here and nothing is written out.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, ObjectName, Query,
    Select as SelectBody, SetExpr, Spanned, TableFactor, Visit, Visitor,
};

use super::rewrite::written;
use crate::catalog::{CATALOG_NAME, Snapshot, TableKind};
use crate::error::{ErrorKind, QueryError};
use crate::functions::names::{Meaning, meaning};
use crate::sql::{Form, Place, Select, Statement};

/// The largest plan. It takes some tenths of a second to make.
const LARGEST: u64 = 300_000;

// What the parts of a plan take of that, as measured: about a microsecond each.
/// A table, a view, or a query in FROM, for itself.
const RELATION: u64 = 100;
/// A SELECT, for itself.
const SELECT: u64 = 200;
/// An operator, a function, a column.
const EXPRESSION: u64 = 4;
/// A value that is written out: lists of them are long, and only copied.
const VALUE: u64 = 1;
// What is compared with all others of its kind: each pair takes a part of a unit, or some.
/// Pairs of the columns of one SELECT, of one GROUP BY, or of the rows of one VALUES that take one unit.
const PAIRS_OF_COLUMNS: u64 = 16;
/// A pair of relations of one FROM.
const PAIR_OF_RELATIONS: u64 = 20;
/// A pair of the parts of one UNION, INTERSECT or EXCEPT.
const PAIR_OF_PARTS: u64 = 4;

/// Trino's limit.
const MOST_GROUPING_SETS: u64 = 2048;

/// # Errors
/// [`ErrorKind::TooManyStages`] when the plan would be larger than [`LARGEST`], [`ErrorKind::TooManyGroupingSets`], and
/// those of views that cannot be read or stand on themselves.
pub(super) fn check(select: &Select, database: &str, snapshot: &Snapshot) -> Result<(), QueryError> {
    let mut views = Views { snapshot, known: HashMap::new(), open: Vec::new() };
    let size = views.size(&select.query, database)?;
    if size <= LARGEST {
        return Ok(());
    }
    let message = format!(
        "the plan of this query has the size {size}, once its views, WITH queries and repeated expressions are written \
         out, which exceeds the allowed maximum ({LARGEST}): simplify the query, or split it"
    );
    Err(QueryError::new(ErrorKind::TooManyStages, message))
}

/// How deep views may stand on views: `CREATE OR REPLACE` can make a circle of them.
pub(super) const DEEPEST_VIEW: usize = 10;

/// The refusal of a view that stands on more than [`DEEPEST_VIEW`] others.
pub(super) fn too_deep(database: &str, view: &str) -> QueryError {
    let message = format!("the view {CATALOG_NAME}.{database}.{view} stands on too many views, or on itself");
    QueryError::new(ErrorKind::Semantic, message)
}

/// The sizes of the views that a query names, each worked out once.
struct Views<'a> {
    snapshot: &'a Snapshot,
    known: HashMap<(String, String), u64>,
    /// Those that are being worked out.
    open: Vec<(String, String)>,
}

impl Views<'_> {
    fn size(&mut self, query: &Query, database: &str) -> Result<u64, QueryError> {
        let mut walk = Walk {
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

    /// What stands for a name of the catalog in a plan. A name that is not there is small: it is refused later.
    fn of_name(&mut self, database: &str, name: &str) -> Result<u64, QueryError> {
        let key = (database.to_owned(), name.to_owned());
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let table = self.snapshot.table(database, name)?;
        let size = match table.map(|table| table.kind) {
            Some(TableKind::View { sql, database: within }) => {
                if self.open.len() >= DEEPEST_VIEW || self.open.contains(&key) {
                    return Err(too_deep(database, name));
                }
                self.open.push(key.clone());
                let size = match Statement::parse(&sql, &[])?.form {
                    Form::Select(select) => self.size(&select.query, &within.to_lowercase())?,
                    // Refused where it is planned.
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

/// A walk through a query that adds sizes up from the leaves.
struct Walk<'v, 'a> {
    views: &'v mut Views<'a>,
    /// Where names without a database are looked up.
    database: &'v str,
    /// The size so far of each query and expression that the walk is within.
    sizes: Vec<u64>,
    /// The queries of WITH that each query has, with their sizes.
    scopes: Vec<HashMap<String, u64>>,
    /// The names of the queries of WITH, by where they are in memory: the walk meets them as queries like others.
    with_queries: HashMap<*const Query, String>,
    /// How often a part of an expression stands in the plan, likewise.
    repeated: HashMap<*const Expr, u64>,
}

type Flow = ControlFlow<Box<QueryError>>;

impl Walk<'_, '_> {
    fn add(&mut self, size: u64) {
        if let Some(sum) = self.sizes.last_mut() {
            *sum = sum.saturating_add(size);
        }
    }

    fn leave(&mut self) -> u64 {
        self.sizes.pop().unwrap_or_default()
    }

    fn of_relation(&mut self, relation: &ObjectName) -> Result<u64, QueryError> {
        let name = written(relation);
        if let Some(size) = self.scopes.iter().rev().find_map(|scope| scope.get(&name)) {
            return Ok(*size);
        }
        let parts: Vec<&str> = name.split('.').collect();
        match parts[..] {
            [table] => self.views.of_name(self.database, table),
            [database, table] | [_, database, table] => self.views.of_name(database, table),
            _ => Ok(0),
        }
    }
}

impl Visitor for Walk<'_, '_> {
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
        // A query of WITH is planned where it is defined, even if nobody names it.
        self.add(size);
        if let (Some(name), Some(scope)) = (self.with_queries.remove(&(&raw const *query)), self.scopes.last_mut()) {
            scope.insert(name, size);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &SelectBody) -> Flow {
        let columns = of_columns(select.projection.len()).saturating_add(match &select.group_by {
            GroupByExpr::Expressions(parts, _) => of_columns(parts.len()),
            GroupByExpr::All(_) => 0,
        });
        let relations: u64 = select.from.iter().map(|from| 1 + from.joins.len() as u64).sum();
        self.add(SELECT.saturating_add(columns).saturating_add(relations * relations * PAIR_OF_RELATIONS));
        let sets = grouping_sets(&select.group_by);
        if sets > MOST_GROUPING_SETS {
            let place = Place::start(select.group_by.span()).map_or_else(String::new, |place| format!("{place}: "));
            let message =
                format!("{place}GROUP BY has {sets} grouping sets but can contain at most {MOST_GROUPING_SETS}");
            return ControlFlow::Break(Box::new(QueryError::new(ErrorKind::TooManyGroupingSets, message)));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Flow {
        match self.of_relation(relation) {
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

fn of_columns(count: usize) -> u64 {
    let count = count as u64;
    count * count / PAIRS_OF_COLUMNS
}

/// How many parts a UNION, or another such operation, has, and the size of the columns of VALUES among them.
fn parts(body: &SetExpr) -> (u64, u64) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            let (left, right) = (parts(left), parts(right));
            (left.0 + right.0, left.1.saturating_add(right.1))
        }
        SetExpr::Values(values) => (0, of_columns(values.rows.first().map_or(0, |row| row.content.len()))),
        _ => (1, 0),
    }
}

/// How often all parts of an expression stand in the plan.
fn times(expr: &Expr) -> u64 {
    match expr {
        // The planner goes through a subquery as a plan, and once more as a part of the expression.
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => 2,
        // Twice as well, and its parts take longer than others.
        Expr::Lambda(_) => 3,
        // The names of such columns hold their conditions twice.
        Expr::Function(function) if function.filter.is_some() || function.over.is_some() => 2,
        _ => 1,
    }
}

/// The parts of an expression that stand in the plan more often than others, with how often that is.
fn repeated(expr: &Expr) -> Vec<(&Expr, u64)> {
    match expr {
        // x >= a AND x <= b, and a name that holds x.
        Expr::Between { expr, .. } => vec![(&**expr, 3)],
        // A cast in a comparison is taken off, where that is possible, and the rest looked at once more.
        Expr::BinaryOp { left, op, right } if compares(op) => vec![(&**left, 2), (&**right, 2)],
        Expr::Like { expr, pattern, .. } => vec![(&**expr, 2), (&**pattern, 2)],
        // A CASE of truth values becomes (a AND x) OR (NOT a AND y).
        Expr::Case { operand, conditions, .. } => operand
            .as_deref()
            .into_iter()
            .chain(conditions.iter().map(|when| &when.condition))
            .map(|c| (c, CONDITION))
            .collect(),
        Expr::Function(function) => repeated_arguments(function),
        _ => Vec::new(),
    }
}

/// How often the condition of a CASE stands in the plan.
const CONDITION: u64 = 3;
/// How often an argument of coalesce does: CASE WHEN a IS NOT NULL THEN a ...
const COALESCE: u64 = 4;

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
    let meaning = meaning(&written(&function.name), list.args.len());
    let times = |at: usize| match meaning {
        Some(Meaning::Macro(template) | Meaning::Over(_, template)) => {
            let place = format!("${}", at + 1);
            // The condition of a CASE counts as above.
            let conditions = template.matches(&format!("WHEN {place}")).count();
            let others = (template.matches(&place).count() - conditions) as u64;
            // The types of the one are worked out beside those of the other, at each level.
            let times = others * others + conditions as u64 * CONDITION;
            // What a template does with its arguments is written out as well.
            if template.contains("coalesce(") { times * COALESCE } else { times }
        }
        // One call for each percentage, which are written out.
        Some(Meaning::Percentile) => list.args.len() as u64 * 8,
        // In its order and in its filter, and in the names of both.
        Some(Meaning::FirstBy { .. }) => 4,
        Some(Meaning::Function("coalesce")) => COALESCE,
        _ => 1,
    };
    arguments.enumerate().map(|(at, argument)| (argument, times(at).max(1))).collect()
}

/// The grouping sets of a GROUP BY: one of each of its parts makes a set.
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
