//! An analyzer rule that gives operators and casts Athena's semantics, once the types of a plan's columns are known.
//!
//! It runs before DataFusion's type coercion, which would coerce `'1' = 1`, or a double and a decimal, to a common type
//! of its own choice. This rule refuses such pairs or casts them to the type that Athena uses, so that no choice is
//! left.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, JoinType, NullEquality, Result, ScalarValue};
use datafusion::functions_aggregate::expr_fn::{bool_or, count};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::utils::{merge_schema, split_conjunction_owned};
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, Expr, ExprFunctionExt, Join, LogicalPlan, LogicalPlanBuilder, Operator, ScalarUDF,
    Subquery, TryCast, Union, ident, lit, when,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use std::sync::Arc;

use super::errors::external;
use super::normalized_keys::{normalized, with_normalized_keys};
use crate::cancellation::step;
use crate::error::{ErrorKind, QueryError};
use crate::functions::comparison::{as_join_condition, comparison, constant, is_special};
use crate::functions::names::athena_name;
use crate::functions::{
    AT_TIMEZONE, CAST_VARCHAR, NAMED, SUBSCRIPT, TRY, TRY_CAST_VARCHAR, TYPEOF, WITH_TIMEZONE, cast_call,
    check_arguments, in_milliseconds, is_operation, is_ours, null_on_error, operation, subscript, type_of,
    varchar_call, with_one_nan, zones,
};
use crate::types::{JSON, TIMESTAMP, common_type, type_name};

/// The analyzer rule.
#[derive(Debug)]
pub(super) struct AthenaSemantics;

impl AnalyzerRule for AthenaSemantics {
    fn name(&self) -> &'static str {
        "athena_semantics"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let pass = SemanticsPass { integers: !fixes_types(&plan)? };
        plan.transform_up_with_subqueries(|plan| pass.node(plan)).map(|done| done.data)
    }
}

/// Returns whether the planner has fixed types in the plan that this rule cannot change: those of recursive queries and
/// lambdas.
fn fixes_types(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|plan| {
        found |= matches!(plan, LogicalPlan::RecursiveQuery(_));
        plan.apply_expressions(|expr| {
            found |= expr.exists(|part| Ok(matches!(part, Expr::HigherOrderFunction(_))))?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

struct SemanticsPass {
    /// Whether literals that fit in 32 bits get the type integer, as on Athena. DataFusion types them as bigint.
    integers: bool,
}

impl SemanticsPass {
    fn node(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        step().map_err(external)?;
        if matches!(plan, LogicalPlan::Limit(_)) {
            return Ok(Transformed::no(plan));
        }
        check_scalar(&plan)?;
        let mut schema = merge_schema(&plan.inputs());
        if let LogicalPlan::TableScan(scan) = &plan {
            schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
        }
        let names = NamePreserver::new(&plan);
        let plan = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let changed = expr.transform_up(|expr| self.part(expr, &schema))?;
            Ok(changed.update_data(|expr| name.restore(expr)))
        })?;
        plan.map_data(|plan| match plan {
            // VALUES computes the types of its columns when it is built, so it has to be rebuilt.
            LogicalPlan::Values(values) => LogicalPlanBuilder::values(with_common_types(values.values)?)?.build(),
            LogicalPlan::Union(union) => self::union(union),
            LogicalPlan::Filter(mut filter) => {
                filter.predicate = with_join_conditions(filter.predicate);
                LogicalPlan::Filter(filter).recompute_schema()
            }
            LogicalPlan::Join(mut join) => {
                join.filter = join.filter.map(with_join_conditions);
                if is_set_operation_of_all(&join) {
                    return with_duplicates(join);
                }
                LogicalPlan::Join(join).recompute_schema()
            }
            plan => plan.recompute_schema(),
        })?
        .map_data(with_normalized_keys)
    }

    fn part(&self, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        match expr {
            Expr::Literal(ScalarValue::Int64(Some(value)), metadata) => match i32::try_from(value) {
                Ok(value) if self.integers => Ok(Transformed::yes(Expr::Literal(ScalarValue::from(value), metadata))),
                _ => Ok(Transformed::no(Expr::Literal(ScalarValue::from(value), metadata))),
            },
            expr => part(expr, schema),
        }
    }
}

/// Returns whether a join stands for EXCEPT ALL or INTERSECT ALL. Without ALL its left side has no duplicates, which makes no
/// difference to [`with_duplicates`].
fn is_set_operation_of_all(join: &Join) -> bool {
    let is_set_operation = matches!(join.join_type, JoinType::LeftAnti | JoinType::LeftSemi)
        && join.null_equality == NullEquality::NullEqualsNull;
    is_set_operation && !matches!(*join.left, LogicalPlan::Distinct(_))
}

/// Numbers the duplicates of each row on both sides of a set operation, so that each removes or keeps one: DataFusion would
/// remove or keep all.
fn with_duplicates(mut join: Join) -> Result<LogicalPlan> {
    let columns = join.left.schema().columns();
    let [left, right] = [(&mut join.left, "left"), (&mut join.right, "right")].map(|(side, name)| {
        let name = format!("\u{1}{name}");
        let all: Vec<_> = side.schema().columns().into_iter().map(Expr::Column).collect();
        let number = row_number().partition_by(all).build()?.alias(&name);
        let numbered = LogicalPlanBuilder::from(LogicalPlan::clone(side)).window([number])?.build()?;
        *side = Arc::new(with_normalized_keys(numbered)?);
        Ok::<_, DataFusionError>(Expr::Column(Column::new_unqualified(name)))
    });
    join.on.push((left?, right?));
    let joined = LogicalPlan::Join(join).recompute_schema()?;
    LogicalPlanBuilder::from(joined).project(columns.into_iter().map(Expr::Column))?.build()
}

/// Replaces the comparisons of a condition that can be equalities of a join, and hides those between a column and a value of the same
/// column, as `x + x = x`: DataFusion would take the column for sorted.
fn with_join_conditions(condition: Expr) -> Expr {
    let parts = split_conjunction_owned(condition).into_iter();
    let parts = parts.map(|part| as_join_condition(&part).unwrap_or(part)).map(|part| match part {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right })
            if !left.column_refs().is_disjoint(&right.column_refs()) =>
        {
            comparison(*left, Operator::Eq, *right, false)
        }
        part => part,
    });
    parts.reduce(Expr::and).unwrap_or_else(|| Expr::Literal(ScalarValue::from(true), None))
}

/// Casts an expression to a type, unless it has it.
fn cast_to(expr: Expr, from: &DataType, target: &DataType) -> Expr {
    match target {
        target if from == target => expr,
        DataType::Float64 if matches!(from, DataType::Decimal128(..)) => as_double(expr, target),
        target => Expr::Cast(Cast::new(Box::new(expr), target.clone())),
    }
}

/// Casts the values of each column of VALUES to their common type.
fn with_common_types(mut rows: Vec<Vec<Expr>>) -> Result<Vec<Vec<Expr>>> {
    let empty = DFSchema::empty();
    for column in 0..rows.first().map_or(0, Vec::len) {
        let types = rows.iter().map(|row| type_of(&row[column], &empty)).collect::<Result<Vec<_>>>()?;
        let mut common = DataType::Null;
        for ty in &types {
            common = common_type(&common, ty).ok_or_else(|| {
                let (common, ty) = (type_name(&common), type_name(ty));
                mismatch(format!("Values rows have mismatched types: {common} vs {ty}"))
            })?;
        }
        for (row, ty) in rows.iter_mut().zip(&types) {
            row[column] = cast_to(std::mem::take(&mut row[column]), ty, &common);
        }
    }
    Ok(rows)
}

/// Casts the columns of the inputs of a union to their common types.
fn union(union: Union) -> Result<LogicalPlan> {
    let width = union.schema.fields().len();
    let mut common = vec![DataType::Null; width];
    for input in &union.inputs {
        for (at, field) in input.schema().fields().iter().enumerate() {
            let ty = field.data_type();
            common[at] = common_type(&common[at], ty).ok_or_else(|| {
                let (common, ty) = (type_name(&common[at]), type_name(ty));
                let message = format!("column {} in UNION query has incompatible types: {common}, {ty}", at + 1);
                mismatch(message)
            })?;
        }
    }
    let inputs = union.inputs.into_iter().map(|input| {
        let types: Vec<_> = input.schema().fields().iter().map(|field| field.data_type().clone()).collect();
        if types == common {
            return Ok(input);
        }
        let columns = input.schema().columns().into_iter().zip(types.iter().zip(&common));
        let columns = columns.map(|(column, (ty, common))| {
            let name = column.name.clone();
            cast_to(Expr::Column(column), ty, common).alias(name)
        });
        Ok(Arc::new(
            LogicalPlanBuilder::from(Arc::unwrap_or_clone(input)).project(columns.collect::<Vec<_>>())?.build()?,
        ))
    });
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?))
}

/// Checks that WHERE, HAVING and GROUP BY have no window functions, and GROUP BY no aggregates: they are evaluated
/// before.
fn check_scalar(plan: &LogicalPlan) -> Result<()> {
    let is_window = |expr: &Expr| Ok(matches!(expr, Expr::WindowFunction(_)));
    let is_grouped = |expr: &Expr| Ok(matches!(expr, Expr::WindowFunction(_) | Expr::AggregateFunction(_)));
    let wrong = match plan {
        LogicalPlan::Filter(filter) if filter.predicate.exists(is_window)? => "WHERE clause",
        LogicalPlan::Aggregate(aggregate) => {
            let mut grouped = aggregate.group_expr.iter().map(|expr| expr.exists(is_grouped));
            if !grouped.try_fold(false, |any, one| one.map(|one| any || one))? {
                return Ok(());
            }
            "GROUP BY clause"
        }
        _ => return Ok(()),
    };
    let message = format!("{wrong} cannot contain aggregations, window functions or grouping operations");
    Err(external(QueryError::new(ErrorKind::ExpressionNotScalar, message)))
}

fn mismatch(message: impl std::fmt::Display) -> DataFusionError {
    external(QueryError::new(ErrorKind::TypeMismatch, message))
}

fn part(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(binary) => operator(binary, schema),
        Expr::Between(between) => self::between(between, schema),
        Expr::InList(mut list) => {
            let mut all = vec![*list.expr];
            all.append(&mut list.list);
            comparable(&all, "IN", schema)?;
            let are_special = all.iter().map(|e| Ok(is_special(&type_of(e, schema)?))).collect::<Result<Vec<_>>>()?;
            let mut all = without_mixed_decimals(all, schema)?.into_iter();
            let (expr, others) = (all.next().unwrap_or_default(), all.collect::<Vec<_>>());
            let is_plain = |expr: &Expr| constant(expr).is_some_and(|value| value != 0.0);
            if are_special.contains(&true) && !others.iter().all(is_plain) {
                return any_equal(expr, others, list.negated, schema).map(Transformed::yes);
            }
            list.expr = Box::new(expr);
            list.list = others;
            Ok(Transformed::yes(Expr::InList(list)))
        }
        Expr::Case(case) => self::case(case, schema),
        Expr::InSubquery(inside) => {
            let column = inside.subquery.subquery.schema().field(0).data_type().clone();
            let ty = type_of(&inside.expr, schema)?;
            if !are_comparable(&ty, &column) {
                let (ty, column) = (type_name(&ty), type_name(&column));
                return Err(mismatch(format!(
                    "value and result of subquery must be of the same type for IN expression: {ty} vs {column}"
                )));
            }
            if inside.negated && inside.expr.column_refs().is_empty() && inside.subquery.outer_ref_columns.is_empty() {
                return not_in(*inside.expr, inside.subquery).map(Transformed::yes);
            }
            Ok(Transformed::no(Expr::InSubquery(inside)))
        }
        Expr::Cast(cast) => {
            let target = cast.field.data_type().clone();
            self::cast(*cast.expr, &target, false, schema)
        }
        Expr::TryCast(cast) => {
            let target = cast.field.data_type().clone();
            self::cast(*cast.expr, &target, true, schema)
        }
        Expr::ScalarFunction(function) => scalar_function(function, schema),
        other => Ok(Transformed::no(other)),
    }
}

fn operator(binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let BinaryExpr { left, op, right } = binary;
    let types = (type_of(&left, schema)?, type_of(&right, schema)?);
    let wrong = || {
        let (left, right) = (type_name(&types.0), type_name(&types.1));
        mismatch(format!("Cannot apply operator: {left} {op} {right}"))
    };
    if op == Operator::StringConcat {
        let is_list = |ty: &DataType| matches!(ty, DataType::List(_));
        let joins = |ty: &DataType| ty.is_string() || ty.is_null();
        let fits = joins(&types.0) && joins(&types.1) || is_list(&types.0) || is_list(&types.1);
        if !fits {
            return Err(wrong());
        }
    }
    if compares(op) && !are_comparable(&types.0, &types.1) {
        return Err(wrong());
    }
    if op.is_numerical_operators() {
        // DataFusion would add an integer to a date as days, and to a timestamp as nanoseconds.
        let (number, text, time) = (Some(Family::Number), Some(Family::Text), Some(Family::Time));
        let families = (family(&types.0), family(&types.1));
        if families.0 == text || families.1 == text || [(number, time), (time, number)].contains(&families) {
            return Err(wrong());
        }
        if [&types.0, &types.1].contains(&&DataType::Date32) && [&*left, &*right].into_iter().any(has_hours) {
            let message = match op {
                Operator::Minus => "Cannot subtract hour, minutes or seconds from a date",
                _ => "Cannot add hour, minutes or seconds to a date",
            };
            return Err(external(QueryError::new(ErrorKind::InvalidFunctionArgument, message)));
        }
        let exact = |ty: &DataType| ty.is_integer() || matches!(ty, DataType::Decimal128(..));
        if exact(&types.0) && exact(&types.1) {
            return Ok(Transformed::yes(operation(*left, op, *right, true)));
        }
    }
    let mut pair = without_mixed_decimals(vec![*left, *right], schema)?.into_iter();
    let (left, right) = (pair.next().unwrap_or_default(), pair.next().unwrap_or_default());
    if matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) {
        let (left, right) = (normalized(left, schema)?, normalized(right, schema)?);
        return Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))));
    }
    if compares(op) && (is_special(&types.0) || is_special(&types.1)) {
        // An integer or a decimal is never NaN: beside a constant, DataFusion's operator is right, and selects row groups.
        let is_exact = |ty: &DataType| ty.is_integer() || matches!(ty, DataType::Decimal128(..));
        let differs = |value: &Expr| constant(value).is_some_and(|value| value != 0.0);
        if is_exact(&types.0) && differs(&right) || is_exact(&types.1) && differs(&left) {
            return Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))));
        }
        let is_float = types.0.is_floating() || types.1.is_floating();
        return Ok(Transformed::yes(comparison(left, op, right, is_float)));
    }
    if matches!(types.0, DataType::List(_)) || matches!(types.1, DataType::List(_)) {
        return Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))));
    }
    if op == Operator::Minus && types == (DataType::Date32, DataType::Date32) {
        let moment = |date| Expr::Cast(Cast::new(Box::new(date), TIMESTAMP));
        return Ok(Transformed::yes(operation(moment(left), op, moment(right), false)));
    }
    let divides = matches!(op, Operator::Divide | Operator::Modulo);
    if divides
        && constant(&right).is_none_or(|divisor| divisor == 0.0)
        && (types.0.is_floating() || types.1.is_floating())
    {
        let ty = common_type(&types.0, &types.1).unwrap_or(DataType::Float64);
        return Ok(Transformed::yes(with_one_nan(operation(left, op, right, false), ty)));
    }
    Ok(Transformed::yes(operation(left, op, right, false)))
}

/// Returns whether an expression is an interval that is no number of days.
fn has_hours(expr: &Expr) -> bool {
    const DAY: i64 = 86_400_000_000_000;
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(span)), _) => span.nanoseconds % DAY != 0,
        Expr::Literal(ScalarValue::IntervalDayTime(Some(span)), _) => {
            i64::from(span.milliseconds) * 1_000_000 % DAY != 0
        }
        _ => false,
    }
}

fn compares(operator: Operator) -> bool {
    use Operator as O;
    matches!(operator, O::Eq | O::NotEq | O::Lt | O::LtEq | O::Gt | O::GtEq | O::IsDistinctFrom | O::IsNotDistinctFrom)
}

fn call(function: ScalarUDF, arguments: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), arguments))
}

fn between(between: Between, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let all = vec![*between.expr, *between.low, *between.high];
    comparable(&all, "BETWEEN", schema)?;
    let mut all = without_mixed_decimals(all, schema)?.into_iter();
    let mut next = || Box::new(all.next().unwrap_or_default());
    let (expr, low, high) = (next(), next(), next());
    let ty = type_of(&expr, schema)?;
    let is_plain = |expr: &Expr| constant(expr).is_some_and(|value| value != 0.0);
    if (is_special(&ty) || is_special(&type_of(&low, schema)?) || is_special(&type_of(&high, schema)?))
        && !(is_plain(&low) && is_plain(&high))
    {
        let is_float = !matches!(ty, DataType::List(_));
        let above = comparison((*expr).clone(), Operator::GtEq, *low, is_float);
        let within = above.and(comparison(*expr, Operator::LtEq, *high, is_float));
        return Ok(Transformed::yes(if between.negated { Expr::Not(Box::new(within)) } else { within }));
    }
    Ok(Transformed::yes(Expr::Between(Between::new(expr, between.negated, low, high))))
}

/// Returns `expr IN (others)` as comparisons.
fn any_equal(expr: Expr, others: Vec<Expr>, negated: bool, schema: &DFSchema) -> Result<Expr> {
    let mut any = Expr::Literal(ScalarValue::from(false), None);
    for other in others {
        let is_float = type_of(&expr, schema)?.is_floating() || type_of(&other, schema)?.is_floating();
        any = any.or(comparison(expr.clone(), Operator::Eq, other, is_float));
    }
    Ok(if negated { Expr::Not(Box::new(any)) } else { any })
}

/// Returns `value NOT IN (SELECT ...)` of a value without columns as a subquery of its own. DataFusion makes a join of it, which forgets
/// that the SELECT has a NULL.
fn not_in(value: Expr, subquery: Subquery) -> Result<Expr> {
    let Subquery { subquery: select, outer_ref_columns, spans } = subquery;
    let column = Expr::from(select.schema().qualified_field(0));
    let is_float =
        type_of(&value, &DFSchema::empty())?.is_floating() || type_of(&column, select.schema())?.is_floating();
    let equal = comparison(value, Operator::Eq, column, is_float);
    let [all, known, any] = ["\u{1}all", "\u{1}known", "\u{1}any"];
    let aggregates = [count(lit(1)).alias(all), count(equal.clone()).alias(known), bool_or(equal).alias(any)];
    let is_outside = when(ident(all).eq(lit(0_i64)), lit(true))
        .when(ident(any), lit(false))
        .when(ident(known).lt(ident(all)), Expr::Literal(ScalarValue::Boolean(None), None))
        .otherwise(lit(true))?;
    let plan =
        LogicalPlanBuilder::from(select).aggregate(Vec::<Expr>::new(), aggregates)?.project([is_outside])?.build()?;
    Ok(Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), outer_ref_columns, spans }))
}

fn comparable(all: &[Expr], operator: &str, schema: &DFSchema) -> Result<()> {
    let Some((first, others)) = all.split_first() else {
        return Ok(());
    };
    let first = type_of(first, schema)?;
    for other in others {
        let other = type_of(other, schema)?;
        if !are_comparable(&first, &other) {
            let (first, other) = (type_name(&first), type_name(&other));
            return Err(mismatch(format!("Cannot apply operator: {first} {operator} {other}")));
        }
    }
    Ok(())
}

/// A family of types. Values of one family are comparable, and can be coerced to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Boolean,
    Number,
    Text,
    Json,
    Time,
    Interval,
    Bytes,
}

/// Returns the family of a type; `None` for NULL, arrays and rows.
fn family(ty: &DataType) -> Option<Family> {
    Some(match ty {
        DataType::Boolean => Family::Boolean,
        ty if ty.is_numeric() => Family::Number,
        &JSON => Family::Json,
        ty if ty.is_string() => Family::Text,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Family::Time,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Family::Bytes,
        DataType::Interval(_) | DataType::Duration(_) => Family::Interval,
        DataType::Dictionary(_, value) => return family(value),
        _ => return None,
    })
}

/// Returns whether values of two types are comparable. DataFusion checks types without a family, except arrays.
fn are_comparable(left: &DataType, right: &DataType) -> bool {
    match (family(left), family(right)) {
        (Some(left), Some(right)) => left == right,
        _ if is_special(left) || is_special(right) => common_type(left, right).is_some(),
        _ => true,
    }
}

fn case(mut case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if let Some(compared) = case.expr.take_if(|expr| type_of(expr, schema).is_ok_and(|ty| is_special(&ty))) {
        for (when, _) in &mut case.when_then_expr {
            let value = std::mem::take(&mut **when);
            **when = comparison((*compared).clone(), Operator::Eq, value, true);
        }
    }
    let mut results: Vec<Expr> = case.when_then_expr.iter().map(|(_, then)| (**then).clone()).collect();
    results.extend(case.else_expr.as_deref().cloned());
    let types = results.iter().map(|r| type_of(r, schema)).collect::<Result<Vec<_>>>()?;
    let mut known = types.iter().filter(|ty| !ty.is_null());
    if let Some(first) = known.next()
        && let Some(other) = known.find(|ty| !are_comparable(first, ty))
    {
        let (first, other) = (type_name(first), type_name(other));
        return Err(mismatch(format!(
            "All CASE results must be the same type or coercible to a common type. Cannot find common type between {first} and {other}"
        )));
    }
    let mut results = without_mixed_decimals(results, schema)?.into_iter();
    for (_, then) in &mut case.when_then_expr {
        **then = results.next().unwrap_or_default();
    }
    if case.else_expr.is_some() {
        case.else_expr = results.next().map(Box::new);
    }
    Ok(Transformed::yes(Expr::Case(case)))
}

/// Casts decimals to floating point if another expression is floating point, as Athena does.
fn without_mixed_decimals(all: Vec<Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
    let types = all.iter().map(|e| type_of(e, schema)).collect::<Result<Vec<_>>>()?;
    let Some(floating) = types.iter().find(|ty| ty.is_floating()) else {
        return Ok(all);
    };
    let double = if types.contains(&DataType::Float64) { &DataType::Float64 } else { floating };
    let pairs = all.into_iter().zip(&types);
    Ok(pairs
        .map(|(expr, ty)| match ty {
            DataType::Decimal128(..) | DataType::Decimal256(..) => as_double(expr, double),
            _ => expr,
        })
        .collect())
}

/// Casts a decimal to floating point. A literal is parsed as the nearest double instead, because a cast would divide
/// the unscaled integer and could round twice.
fn as_double(expr: Expr, ty: &DataType) -> Expr {
    if let Expr::Literal(value, _) = &expr
        && ty == &DataType::Float64
        && let Ok(double) = value.to_string().parse::<f64>()
    {
        return Expr::Literal(ScalarValue::from(double), None);
    }
    Expr::Cast(Cast::new(Box::new(expr), ty.clone()))
}

fn cast(expr: Expr, target: &DataType, or_null: bool, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let from = type_of(&expr, schema)?;
    let target = in_milliseconds(target);
    if let (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, Some(_))) = (&from, &target) {
        // A timestamp with a zone keeps it.
        return Ok(Transformed::yes(expr));
    }
    if let (Expr::Literal(text, _), DataType::Timestamp(_, Some(_))) = (&expr, &target)
        && let Some(Some(text)) = text.try_as_str()
        && let Some(moment) = zones::Moment::parse(text).filter(|moment| moment.zone.is_some())
        && let Some(value) = moment.scalar()
    {
        return Ok(Transformed::yes(Expr::Literal(value, None)));
    }
    if !may_cast(&from, &target) {
        let (from, target) = (type_name(&from), type_name(&target));
        return Err(mismatch(format!("Cannot cast {from} to {target}")));
    }
    if let Some(call) = cast_call(&from, &target, or_null, &expr) {
        return Ok(Transformed::yes(call));
    }
    let expr = match (&from, &target) {
        // Athena rounds. Arrow truncates, except in a cast to a decimal of scale 0.
        (DataType::Decimal128(_, scale), target) if *scale > 0 && target.is_integer() => {
            Expr::Cast(Cast::new(Box::new(expr), DataType::Decimal128(38, 0)))
        }
        (DataType::Decimal128(..), DataType::Float64) => as_double(expr, &target),
        _ => expr,
    };
    let cast = match or_null {
        true => Expr::TryCast(TryCast::new(Box::new(expr), target)),
        false => Expr::Cast(Cast::new(Box::new(expr), target)),
    };
    Ok(Transformed::yes(cast))
}

/// Returns whether Athena can cast between the families of two types. DataFusion checks types without a family.
fn may_cast(from: &DataType, target: &DataType) -> bool {
    let (Some(from), Some(target)) = (family(from), family(target)) else {
        return true;
    };
    match (from, target) {
        (from, target) if from == target => true,
        (Family::Json, other) | (other, Family::Json) => other != Family::Bytes,
        (Family::Boolean, Family::Number) | (Family::Number, Family::Boolean) => true,
        (Family::Text, other) | (other, Family::Text) => other != Family::Bytes,
        _ => false,
    }
}

/// The functions that accept decimals; the arguments of others are cast to double.
const ON_DECIMALS: [&str; 3] = ["coalesce", "nullif", "make_array"];

/// DataFusion's functions of numbers that would return a real for a real. Athena's take and return doubles.
const ON_DOUBLES: [&str; 18] = [
    "acos", "asin", "atan", "atan2", "cbrt", "cos", "cosh", "degrees", "exp", "ln", "log", "log10", "log2", "radians",
    "sin", "sinh", "tan", "tanh",
];

/// DataFusion's text functions. They would accept, and coerce, any type that can be cast to text, even bytes.
const ON_TEXTS: [&str; 9] =
    ["btrim", "concat_ws", "lower", "ltrim", "reverse", "rtrim", "starts_with", "translate", "upper"];

fn check_texts(function: &str, types: &[DataType]) -> Result<()> {
    let texts = match function {
        // The first argument is the array; the others are the separator and the text for NULL.
        "array_to_string" => types.get(1..).unwrap_or_default(),
        _ if ON_TEXTS.contains(&function) => types,
        _ => return Ok(()),
    };
    if texts.iter().all(|ty| ty.is_string() || ty.is_null()) {
        return Ok(());
    }
    let given: Vec<_> = types.iter().map(type_name).collect();
    let (given, name) = (given.join(", "), athena_name(function));
    Err(mismatch(format!("Unexpected parameters ({given}) for function {name}")))
}

fn scalar_function(function: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let ScalarFunction { func, args } = function;
    let types = args.iter().map(|a| type_of(a, schema)).collect::<Result<Vec<_>>>()?;
    check_arguments(&func, &types).map_err(external)?;
    check_texts(func.name(), &types)?;
    if func.name() == SUBSCRIPT {
        let subscript = subscript();
        check_arguments(&subscript, &types).map_err(external)?;
        return Ok(Transformed::yes(call(subscript, args)));
    }
    match (func.name(), args.as_slice(), types.as_slice()) {
        (CAST_VARCHAR | TRY_CAST_VARCHAR, [value, length], [ty, _]) => {
            let is_tried = func.name() == TRY_CAST_VARCHAR;
            return cast_varchar(value.clone(), length.clone(), ty, is_tried, schema).map(Transformed::yes);
        }
        (AT_TIMEZONE | WITH_TIMEZONE, [moment, zone], [ty, _]) => {
            return in_zone(func.name(), moment.clone(), zone, ty).map(Transformed::yes);
        }
        ("from_iso8601_timestamp", [Expr::Literal(text, _)], _)
            if let Some(Some(text)) = text.try_as_str()
                && let Some(moment) = zones::Moment::parse_iso(text).filter(|moment| moment.zone.is_some())
                && let Some(value) = moment.scalar() =>
        {
            return Ok(Transformed::yes(Expr::Literal(value, None)));
        }
        (TYPEOF, _, [ty]) => {
            let name = ScalarValue::from(type_name(ty));
            return Ok(Transformed::yes(Expr::Literal(name, None)));
        }
        ("nullif", [left, right], [ty, other]) if is_special(ty) || is_special(other) => {
            let is_float = ty.is_floating() || other.is_floating();
            let equal = comparison(left.clone(), Operator::Eq, right.clone(), is_float);
            let null = Expr::Literal(ScalarValue::try_from(ty)?, None);
            return Ok(Transformed::yes(when(equal, null).otherwise(left.clone())?));
        }
        // DataFusion's has bigints.
        ("make_array", [], []) => {
            let empty = ScalarValue::new_list(&[], &DataType::Null, true);
            return Ok(Transformed::yes(Expr::Literal(ScalarValue::List(empty), None)));
        }
        (NAMED, [value, _], _) => return Ok(Transformed::yes(value.clone())),
        (TRY, [inner], _) => return null_where_it_fails(inner.clone()),
        ("concat", _, [DataType::List(_), ..]) => {
            let concat = datafusion::functions_nested::concat::array_concat_udf();
            return Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(concat, args))));
        }
        _ => {}
    }
    let args = if is_operation(&func) || is_ours(&func) {
        args
    } else if ON_DECIMALS.contains(&func.name()) {
        with_common_type(args, &types)?
    } else {
        let on_doubles = ON_DOUBLES.contains(&func.name());
        let pairs = args.into_iter().zip(&types);
        let doubles = pairs.map(|(arg, ty)| match ty {
            DataType::Decimal128(..) => as_double(arg, &DataType::Float64),
            ty if on_doubles && ty.is_numeric() => cast_to(arg, ty, &DataType::Float64),
            _ => arg,
        });
        doubles.collect()
    };
    let on_doubles = ON_DOUBLES.contains(&func.name());
    let call = Expr::ScalarFunction(ScalarFunction { func, args });
    Ok(Transformed::yes(if on_doubles { with_one_nan(call, DataType::Float64) } else { call }))
}

/// Returns a timestamp in a zone that is written out. A timestamp without a zone is in UTC for `AT TIME ZONE`, and a local time
/// for `with_timezone`.
fn in_zone(function: &str, moment: Expr, zone: &Expr, ty: &DataType) -> Result<Expr> {
    let refused = |zone: &str| {
        let message = format!("'{zone}' is not a valid time zone");
        external(QueryError::new(ErrorKind::InvalidFunctionArgument, message))
    };
    let Expr::Literal(name, _) = zone else {
        return Err(external(QueryError::not_supported("a time zone that is not written out")));
    };
    let name = name.try_as_str().flatten().ok_or_else(|| refused(&name.to_string()))?;
    let zone = zones::parse_zone(name).ok_or_else(|| refused(name))?;
    let zoned = |zone: Arc<str>| DataType::Timestamp(TimeUnit::Millisecond, Some(zone));
    let has_zone = matches!(ty, DataType::Timestamp(_, Some(_)));
    let is_local = matches!(ty, DataType::Timestamp(_, None) | DataType::Date32);
    if ty.is_null() {
        return Ok(Expr::Literal(ScalarValue::TimestampMillisecond(None, Some(zone)), None));
    }
    if !(is_local || has_zone && function == AT_TIMEZONE) {
        let given = type_name(ty);
        return Err(mismatch(format!("Unexpected parameters ({given}, varchar) for function {function}")));
    }
    let to = |expr, ty| Expr::Cast(Cast::new(Box::new(expr), ty));
    let local = if is_local { to(moment, TIMESTAMP) } else { moment };
    let instant = if is_local && function == AT_TIMEZONE { to(local, zoned(zones::UTC.into())) } else { local };
    Ok(to(instant, zoned(zone)))
}

/// Casts the arguments of a function to their common type.
fn with_common_type(args: Vec<Expr>, types: &[DataType]) -> Result<Vec<Expr>> {
    let mut common = DataType::Null;
    for ty in types {
        common = common_type(&common, ty).ok_or_else(|| {
            let (common, ty) = (type_name(&common), type_name(ty));
            mismatch(format!("All arguments must be the same type or coercible to a common type. Cannot find common type between {common} and {ty}"))
        })?;
    }
    Ok(args.into_iter().zip(types).map(|(arg, ty)| cast_to(arg, ty, &common)).collect())
}

/// Returns a cast to `varchar(length)`. A text is cut, and what another value gives has to fit.
fn cast_varchar(value: Expr, length: Expr, ty: &DataType, is_tried: bool, schema: &DFSchema) -> Result<Expr> {
    let is_varchar = ty.is_string() && ty != &JSON || ty.is_null();
    let text = cast(value, &DataType::Utf8, is_tried, schema)?.data;
    Ok(varchar_call(is_varchar, is_tried, vec![text, length]))
}

/// Rewrites `try(expr)`: every cast and function in it that can fail returns NULL instead.
fn null_where_it_fails(expr: Expr) -> Result<Transformed<Expr>> {
    let done = expr.transform_down(|expr| {
        Ok(match expr {
            Expr::ScalarSubquery(_) => Transformed::new(expr, false, TreeNodeRecursion::Jump),
            Expr::Cast(cast) => Transformed::yes(Expr::TryCast(TryCast { expr: cast.expr, field: cast.field })),
            Expr::ScalarFunction(function) => match null_on_error(&function.func) {
                Some(or_null) => Transformed::yes(call(or_null, function.args)),
                None => Transformed::no(Expr::ScalarFunction(function)),
            },
            other => Transformed::no(other),
        })
    })?;
    Ok(Transformed::yes(done.data))
}
