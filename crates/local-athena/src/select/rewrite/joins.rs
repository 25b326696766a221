//! Rewrites `JOIN ... USING (k)` to `ON`, with the column `k` that Athena makes of both sides.
//!
//! DataFusion takes the left column for `k`, which is NULL where an outer join found no row on the left. Here every `k` of the
//! query becomes the column of the side that has it, or `coalesce` of both for a full join; and `*` begins with these columns.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, ExcludeSelectItem, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, ObjectName, OrderBy,
    OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, Spanned, TableFactor, TableWithJoins,
    VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use super::expressions::call;
use super::written;
use crate::error::{ErrorKind, QueryError};
use crate::sql::Position;

/// A column of USING.
struct Key {
    name: String,
    /// The value of the column in the result of the join.
    value: Expr,
    /// The relations whose columns it was made of.
    relations: Vec<Ident>,
}

/// Rewrites the joins of a SELECT. Returns the keys, which ORDER BY may name too.
///
/// # Errors
/// The joins cannot be rewritten, because a relation has no name, or a key is in one of several relations on the left; and a
/// side of an outer join would be taken for the other. Joins for which it makes no difference stay.
fn keys(from: &mut TableWithJoins) -> Result<Vec<Key>, QueryError> {
    let uses =
        |join: &JoinOperator| constraint(join).is_some_and(|constraint| matches!(constraint, JoinConstraint::Using(_)));
    if !from.joins.iter().any(|join| uses(&join.join_operator)) {
        return Ok(Vec::new());
    }
    let names = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)).map(relation_name);
    let Some(names) = names.collect::<Option<Vec<_>>>() else { return without_rewrite(from) };
    let mut keys: Vec<Key> = Vec::new();
    let mut rewritten = Vec::new();
    for (at, join) in from.joins.iter().enumerate() {
        let Some(JoinConstraint::Using(columns)) = constraint(&join.join_operator) else {
            rewritten.push(None);
            continue;
        };
        let mut condition: Option<Expr> = None;
        let mut taken = Vec::new();
        for column in columns {
            let name = written(column);
            if taken.contains(&name) {
                let message = format!("Column '{name}' appears multiple times in USING clause");
                return Err(QueryError::new(ErrorKind::Semantic, message));
            }
            let known = keys.iter().position(|key| key.name == name);
            let left = match known {
                Some(known) => keys[known].value.clone(),
                None if at == 0 => qualified(&names[0], &name),
                None => return without_rewrite(from),
            };
            let right = qualified(&names[at + 1], &name);
            let equal =
                Expr::BinaryOp { left: Box::new(left.clone()), op: BinaryOperator::Eq, right: Box::new(right.clone()) };
            condition = Some(match condition {
                None => equal,
                Some(all) => Expr::BinaryOp { left: Box::new(all), op: BinaryOperator::And, right: Box::new(equal) },
            });
            let value = match &join.join_operator {
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) => right,
                JoinOperator::FullOuter(_) => call("coalesce", vec![left, right]),
                _ => left,
            };
            match known {
                Some(known) => {
                    keys[known].value = value;
                    keys[known].relations.push(names[at + 1].clone());
                }
                None => keys.push(Key {
                    name: name.clone(),
                    value,
                    relations: vec![names[0].clone(), names[at + 1].clone()],
                }),
            }
            taken.push(name);
        }
        rewritten.push(condition);
    }
    for (join, condition) in from.joins.iter_mut().zip(rewritten) {
        if let Some(condition) = condition
            && let Some(constraint) = constraint_mut(&mut join.join_operator)
        {
            *constraint = JoinConstraint::On(condition);
        }
    }
    Ok(keys)
}

fn without_rewrite(from: &TableWithJoins) -> Result<Vec<Key>, QueryError> {
    let is_outer = |join: &JoinOperator| {
        matches!(
            join,
            JoinOperator::Right(JoinConstraint::Using(_))
                | JoinOperator::RightOuter(JoinConstraint::Using(_))
                | JoinOperator::FullOuter(JoinConstraint::Using(_))
        )
    };
    match from.joins.iter().find(|join| is_outer(&join.join_operator)) {
        Some(join) => {
            let position =
                Position::start(join.relation.span()).map_or_else(String::new, |position| format!("{position}: "));
            Err(QueryError::not_supported(&format!(
                "{position}a RIGHT or FULL JOIN with USING of these relations (use ON)"
            )))
        }
        None => Ok(Vec::new()),
    }
}

/// The constraint of a join that can have USING, by reference as the join is.
macro_rules! constraint_of {
    ($join:expr) => {
        match $join {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint) => Some(constraint),
            _ => None,
        }
    };
}

fn constraint(join: &JoinOperator) -> Option<&JoinConstraint> {
    constraint_of!(join)
}

fn constraint_mut(join: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    constraint_of!(join)
}

/// Returns the name by which a relation's columns are qualified.
pub(super) fn relation_name(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(alias.name.clone())
        }
        TableFactor::Table { name, .. } => name.0.last().and_then(|part| part.as_ident()).cloned(),
        _ => None,
    }
}

fn qualified(relation: &Ident, column: &str) -> Expr {
    Expr::CompoundIdentifier(vec![relation.clone(), Ident::with_quote('"', column)])
}

/// Rewrites the joins with USING of the SELECT of a query, and its ORDER BY.
pub(super) fn rewrite_using(select: &mut Select, order: Option<&mut OrderBy>) -> Result<(), QueryError> {
    let mut all = Vec::new();
    for from in &mut select.from {
        all.push(keys(from)?);
    }
    if all.iter().all(Vec::is_empty) {
        return Ok(());
    }
    let star = stars(select, &all);
    let keys: Vec<Key> = all.into_iter().flatten().collect();
    let mut replacer = Replacer { keys: &keys, depth: 0 };
    let mut items = Vec::new();
    for mut item in std::mem::take(&mut select.projection) {
        match item {
            SelectItem::Wildcard(_) => items.extend(star.iter().cloned()),
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) if replacer.key(&ident).is_some() => {
                let expr = replacer.key(&ident).cloned().unwrap_or_else(|| Expr::Identifier(ident.clone()));
                items.push(SelectItem::ExprWithAlias { expr, alias: ident });
            }
            _ => {
                replaced(&mut item, &mut replacer)?;
                items.push(item);
            }
        }
    }
    let outputs: Vec<String> = items.iter().filter_map(output_name).collect();
    select.projection = items;
    if let Some(condition) = &mut select.selection {
        replaced(condition, &mut replacer)?;
    }
    if let Some(condition) = &mut select.having {
        replaced(condition, &mut replacer)?;
    }
    if let GroupByExpr::Expressions(groups, _) = &mut select.group_by {
        for group in groups {
            replaced(group, &mut replacer)?;
        }
    }
    if let Some(OrderBy { kind: OrderByKind::Expressions(orders), .. }) = order {
        for order in orders {
            // An output column comes first.
            let is_output =
                matches!(&order.expr, Expr::Identifier(ident) if outputs.contains(&ident.value.to_lowercase()));
            if !is_output {
                replaced(&mut order.expr, &mut replacer)?;
            }
        }
    }
    Ok(())
}

fn output_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.to_lowercase()),
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(ident.value.to_lowercase()),
        _ => None,
    }
}

/// Returns the columns of `*`: of each relation of FROM first the keys, then the others from left to right.
fn stars(select: &Select, keys: &[Vec<Key>]) -> Vec<SelectItem> {
    let mut items = Vec::new();
    for (from, keys) in select.from.iter().zip(keys) {
        for key in keys {
            items.push(SelectItem::ExprWithAlias { expr: key.value.clone(), alias: Ident::with_quote('"', &key.name) });
        }
        for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
            let Some(name) = relation_name(factor) else { continue };
            let own: Vec<_> = keys.iter().filter(|key| key.relations.contains(&name)).collect();
            let excluded =
                own.iter().map(|key| ObjectName::from(vec![Ident::with_quote('"', &key.name)])).collect::<Vec<_>>();
            let options = WildcardAdditionalOptions {
                opt_exclude: (!excluded.is_empty()).then_some(ExcludeSelectItem::Multiple(excluded)),
                ..WildcardAdditionalOptions::default()
            };
            let relation = SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![name]));
            items.push(SelectItem::QualifiedWildcard(relation, options));
        }
    }
    items
}

fn replaced(part: &mut impl VisitMut, replacer: &mut Replacer<'_>) -> Result<(), QueryError> {
    match part.visit(replacer) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

/// Replaces the keys in expressions, and not in subqueries, whose columns come first.
struct Replacer<'a> {
    keys: &'a [Key],
    depth: usize,
}

impl Replacer<'_> {
    fn key(&self, ident: &Ident) -> Option<&Expr> {
        let name = ident.value.to_lowercase();
        self.keys.iter().find(|key| key.name == name).map(|key| &key.value)
    }
}

impl VisitorMut for Replacer<'_> {
    type Break = Box<QueryError>;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<Box<QueryError>> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Box<QueryError>> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Box<QueryError>> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        match expr {
            Expr::Identifier(ident) => {
                if let Some(value) = self.key(ident) {
                    *expr = value.clone();
                }
            }
            Expr::CompoundIdentifier(parts) => {
                if let [relation, column] = parts.as_slice()
                    && let Some(key) = self.keys.iter().find(|key| key.name == column.value.to_lowercase())
                    && key.relations.iter().any(|known| known.value.eq_ignore_ascii_case(&relation.value))
                {
                    let position =
                        Position::start(relation.span).map_or_else(String::new, |position| format!("{position}: "));
                    let message = format!("{position}Column '{}.{}' cannot be resolved", relation.value, column.value);
                    return ControlFlow::Break(Box::new(QueryError::new(ErrorKind::ColumnNotFound, message)));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
