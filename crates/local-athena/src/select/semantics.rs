//! An analyzer rule that gives operators and casts Athena's semantics, once the types of a plan's columns are known.
//!
//! It runs before DataFusion's type coercion, which would coerce `'1' = 1`, or a double and a decimal, to a common type
//! of its own choice. This rule refuses such pairs or casts them to the type that Athena uses, so that no choice is
//! left.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, Expr, LogicalPlan, LogicalPlanBuilder, Operator, ScalarUDF, TryCast,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use std::sync::Arc;

use super::errors::external;
use crate::cancellation::step;
use crate::error::{ErrorKind, QueryError};
use crate::functions::names::athena_name;
use crate::functions::{TRY, TYPEOF, cast_function, check_arguments, is_operation, null_on_error, operation, type_of};
use crate::types::type_name;

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
            LogicalPlan::Values(values) => LogicalPlanBuilder::values(values.values)?.build(),
            plan => plan.recompute_schema(),
        })
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
            let mut all = without_mixed_decimals(all, schema)?.into_iter();
            list.expr = Box::new(all.next().unwrap_or_default());
            list.list = all.collect();
            Ok(Transformed::yes(Expr::InList(list)))
        }
        Expr::Case(case) => self::case(case, schema),
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
        let exact = |ty: &DataType| ty.is_integer() || matches!(ty, DataType::Decimal128(..));
        if exact(&types.0) && exact(&types.1) {
            return Ok(Transformed::yes(operation(*left, op, *right, true)));
        }
    }
    let mut pair = without_mixed_decimals(vec![*left, *right], schema)?.into_iter();
    let (left, right) = (pair.next().unwrap_or_default(), pair.next().unwrap_or_default());
    if matches!(types.0, DataType::List(_)) || matches!(types.1, DataType::List(_)) {
        return Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))));
    }
    Ok(Transformed::yes(operation(left, op, right, false)))
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
    Ok(Transformed::yes(Expr::Between(Between::new(expr, between.negated, low, high))))
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
    Time,
    Bytes,
}

/// Returns the family of a type; `None` for NULL, arrays, rows and intervals.
fn family(ty: &DataType) -> Option<Family> {
    Some(match ty {
        DataType::Boolean => Family::Boolean,
        ty if ty.is_numeric() => Family::Number,
        ty if ty.is_string() => Family::Text,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Family::Time,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Family::Bytes,
        DataType::Dictionary(_, value) => return family(value),
        _ => return None,
    })
}

/// Returns whether values of two types are comparable. DataFusion checks types without a family: NULL, arrays, rows,
/// intervals.
fn are_comparable(left: &DataType, right: &DataType) -> bool {
    match (family(left), family(right)) {
        (Some(left), Some(right)) => left == right,
        _ => true,
    }
}

fn case(mut case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
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
    let target = match target {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        other => other.clone(),
    };
    if !may_cast(&from, &target) {
        let (from, target) = (type_name(&from), type_name(&target));
        return Err(mismatch(format!("Cannot cast {from} to {target}")));
    }
    if let Some(function) = cast_function(&from, &target, or_null) {
        return Ok(Transformed::yes(call(function, vec![expr])));
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
        (Family::Boolean, Family::Number) | (Family::Number, Family::Boolean) => true,
        (Family::Text, other) | (other, Family::Text) => other != Family::Bytes,
        _ => false,
    }
}

/// The functions that accept decimals; the arguments of others are cast to double.
const ON_DECIMALS: [&str; 12] = [
    "abs",
    "round",
    "ceil",
    "floor",
    "trunc",
    "signum",
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "make_array",
    "cast",
];

/// DataFusion's text functions. They would accept, and coerce, any type that can be cast to text, even bytes.
const ON_TEXTS: [&str; 10] =
    ["btrim", "concat_ws", "lower", "ltrim", "replace", "reverse", "rtrim", "starts_with", "translate", "upper"];

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
    match (func.name(), args.as_slice(), types.as_slice()) {
        (TYPEOF, _, [ty]) => {
            let name = ScalarValue::from(type_name(ty));
            return Ok(Transformed::yes(Expr::Literal(name, None)));
        }
        (TRY, [inner], _) => return null_where_it_fails(inner.clone()),
        ("ceil" | "floor" | "round" | "trunc", [number, ..], [ty, ..]) if ty.is_integer() => {
            return Ok(Transformed::yes(number.clone()));
        }
        ("round", [_, _], [ty @ DataType::Decimal128(..), _]) => {
            // The scale of the type does not change: round(1.25, 1) is 1.30.
            let rounded = Expr::ScalarFunction(ScalarFunction::new_udf(func, args));
            return Ok(Transformed::yes(Expr::Cast(Cast::new(Box::new(rounded), ty.clone()))));
        }
        ("concat", _, [DataType::List(_), ..]) => {
            let concat = datafusion::functions_nested::concat::array_concat_udf();
            return Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(concat, args))));
        }
        _ => {}
    }
    let is_operation = is_operation(&func);
    let args = if is_operation || ON_DECIMALS.contains(&func.name()) {
        if is_operation { args } else { without_mixed_decimals(args, schema)? }
    } else {
        let pairs = args.into_iter().zip(&types);
        let doubles = pairs.map(|(arg, ty)| match ty {
            DataType::Decimal128(..) => as_double(arg, &DataType::Float64),
            _ => arg,
        });
        doubles.collect()
    };
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })))
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
