//! Rewrites expressions from Athena's SQL to DataFusion's: functions, LIKE, casts and special forms such as EXTRACT.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, ObjectName, OrderByExpr, OrderByOptions,
    Spanned, TimezoneInfo, TrimWhereField, Value, ValueWithSpan, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::written;
use crate::error::{ErrorKind, QueryError};
use crate::functions::names::{FunctionMapping, mapping};
use crate::sql::{AthenaDialect, Position};

/// Returns the replacement of an expression, or `None` to keep it. Its parts are rewritten already.
pub(super) fn rewritten(expr: &mut Expr) -> Result<Option<Expr>, QueryError> {
    match expr {
        Expr::Function(function) => self::function(function),
        Expr::Extract { field, expr, .. } => {
            let name = extracted(field)?;
            Ok(Some(call(name, vec![take(expr)])))
        }
        Expr::Substring { expr, substring_from, substring_for, .. } => {
            let mut arguments = vec![take(expr)];
            let from = substring_from.as_mut().map(|from| take(from));
            arguments.push(from.unwrap_or_else(|| Expr::value(number("1"))));
            arguments.extend(substring_for.as_mut().map(|length| take(length)));
            Ok(Some(call("substr", arguments)))
        }
        Expr::Position { expr, r#in } => Ok(Some(call("strpos", vec![take(r#in), take(expr)]))),
        Expr::Trim { trim_where, trim_what, expr, .. } => {
            let name = match trim_where {
                Some(TrimWhereField::Leading) => "ltrim",
                Some(TrimWhereField::Trailing) => "rtrim",
                Some(TrimWhereField::Both) | None => "btrim",
            };
            let mut arguments = vec![take(expr)];
            arguments.extend(trim_what.as_mut().map(|what| take(what)));
            Ok(Some(call(name, arguments)))
        }
        Expr::AtTimeZone { timestamp, .. } => {
            // On Athena a timestamp without a zone is in UTC; DataFusion would take it for a time in the target zone.
            let inner = take(timestamp);
            **timestamp = cast_to(inner, DataType::Timestamp(None, TimezoneInfo::WithTimeZone));
            Ok(None)
        }
        Expr::Cast { expr, data_type: DataType::Varchar(length), kind, .. } => {
            let Some(length) = length.take() else { return Ok(None) };
            let mut cast = cast_to(take(expr), DataType::Varchar(None));
            if let Expr::Cast { kind: new, .. } = &mut cast {
                *new = kind.clone();
            }
            let length = Expr::value(number(&length.to_string()));
            Ok(Some(call("substr", vec![cast, Expr::value(number("1")), length])))
        }
        Expr::Like { pattern, escape_char, .. } => {
            let escape = escape_char.take();
            like_pattern(pattern, escape.as_ref())?;
            Ok(None)
        }
        Expr::Value(ValueWithSpan { value: Value::Number(text, _), .. }) if text.contains(['e', 'E']) => {
            let text = Expr::value(Value::SingleQuotedString(text.clone()));
            Ok(Some(cast_to(text, DataType::DoublePrecision)))
        }
        _ => Ok(None),
    }
}

/// Rewrites the escapes of a LIKE pattern. Athena has no escape character unless ESCAPE names one; DataFusion supports
/// only the backslash, always.
fn like_pattern(pattern: &mut Expr, escape: Option<&ValueWithSpan>) -> Result<(), QueryError> {
    let escape = match escape.map(|escape| &escape.value) {
        None => None,
        Some(Value::SingleQuotedString(text)) if text.chars().count() == 1 => text.chars().next(),
        Some(_) => {
            let message = "Escape string must be a single character";
            return Err(QueryError::new(ErrorKind::InvalidFunctionArgument, message));
        }
    };
    if let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) = pattern {
        *text = with_backslashes(text, escape)?;
        return Ok(());
    }
    match escape {
        None => Ok(()),
        Some(_) => {
            let message = "LIKE with ESCAPE is supported for a pattern that is written out";
            Err(QueryError::new(ErrorKind::NotSupported, message))
        }
    }
}

fn with_backslashes(pattern: &str, escape: Option<char>) -> Result<String, QueryError> {
    let mut out = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        if Some(c) == escape {
            match characters.next().filter(|next| matches!(next, '%' | '_') || Some(*next) == escape) {
                Some(next) => out.extend(['\\', next]),
                None => {
                    let message = "Escape character must be followed by '%', '_' or the escape character itself";
                    return Err(QueryError::new(ErrorKind::InvalidFunctionArgument, message));
                }
            }
        } else if c == '\\' {
            out.push_str("\\\\");
        } else {
            out.push(c);
        }
    }
    Ok(out)
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(Value::Null))
}

pub(super) fn number(text: &str) -> Value {
    Value::Number(text.to_owned(), false)
}

fn cast_to(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let argument = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.into_iter().map(argument).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Returns the function that extracts a field of a date.
fn extracted(field: &DateTimeField) -> Result<&'static str, QueryError> {
    use DateTimeField as F;
    Ok(match field {
        F::Year => "year",
        F::Quarter => "quarter",
        F::Month => "month",
        F::Week(None) => "week",
        F::Day => "day",
        F::DayOfWeek | F::Dow => "day_of_week",
        F::DayOfYear | F::Doy => "day_of_year",
        F::Hour => "hour",
        F::Minute => "minute",
        F::Second => "second",
        _ => {
            let message = format!("Invalid EXTRACT field: {field}");
            return Err(QueryError::new(ErrorKind::Semantic, message));
        }
    })
}

/// Returns the arguments of a call; `None` when one is not an expression, but `*` or a query.
fn arguments(function: &Function) -> Option<Vec<&Expr>> {
    match &function.args {
        FunctionArguments::None => Some(Vec::new()),
        FunctionArguments::Subquery(_) => None,
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect(),
    }
}

fn function(function: &mut Function) -> Result<Option<Expr>, QueryError> {
    let name = written(&function.name);
    let arguments: Vec<Expr> =
        arguments(function).map(|arguments| arguments.into_iter().cloned().collect()).unwrap_or_default();
    let Some(mapping) = mapping(&name, arguments.len()) else {
        let position = Position::start(function.name.span());
        let position = position.map_or_else(String::new, |position| format!("{position}: "));
        let message = format!("{position}Function '{name}' not registered");
        return Err(QueryError::new(ErrorKind::FunctionNotFound, message));
    };
    match mapping {
        FunctionMapping::Function(new) => {
            rename(function, if new == "trim" { "btrim" } else { new });
            Ok(None)
        }
        FunctionMapping::Bigint(new) => {
            rename(function, new);
            let call = Expr::Function(function.clone());
            Ok(Some(cast_to(call, DataType::BigInt(None))))
        }
        FunctionMapping::Macro(template) => Ok(Some(Expr::Nested(Box::new(expand(template, &arguments)?)))),
        FunctionMapping::Over(aggregate, template) => {
            rename(function, aggregate);
            set_arguments(function, vec![expand(template, &arguments)?]);
            Ok(None)
        }
        FunctionMapping::FirstBy { descending } => first_by(function, arguments, descending),
        FunctionMapping::Percentile => Ok(percentile(function, arguments)),
    }
}

fn rename(function: &mut Function, name: &str) {
    function.name = ObjectName::from(vec![Ident::new(name)]);
}

fn set_arguments(function: &mut Function, arguments: Vec<Expr>) {
    let argument = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    if let FunctionArguments::List(list) = &mut function.args {
        list.args = arguments.into_iter().map(argument).collect();
    }
}

/// Parses a template of [`names`](crate::functions::names) and substitutes the arguments for its placeholders.
fn expand(template: &str, arguments: &[Expr]) -> Result<Expr, QueryError> {
    let parsed =
        Parser::new(&AthenaDialect::default()).try_with_sql(template).and_then(|mut parser| parser.parse_expr());
    let mut expr = parsed.map_err(|error| QueryError::new(ErrorKind::Internal, error))?;
    let mut filler = PlaceholderFiller { arguments };
    let _ = VisitMut::visit(&mut expr, &mut filler);
    Ok(expr)
}

struct PlaceholderFiller<'a> {
    arguments: &'a [Expr],
}

impl VisitorMut for PlaceholderFiller<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Value(ValueWithSpan { value: Value::Placeholder(position), .. }) = expr
            && let Some(index) = position.strip_prefix('$').and_then(|n| n.parse::<usize>().ok())
            && let Some(argument) = self.arguments.get(index.wrapping_sub(1))
        {
            *expr = Expr::Nested(Box::new(argument.clone()));
        }
        ControlFlow::Continue(())
    }
}

/// Rewrites `max_by(x, y)` to `first_value(x ORDER BY y DESC)` of the rows whose y is not NULL; `min_by` likewise.
fn first_by(function: &mut Function, arguments: Vec<Expr>, descending: bool) -> Result<Option<Expr>, QueryError> {
    let Ok([value, by]) = <[Expr; 2]>::try_from(arguments) else {
        let message = "max_by and min_by take a value and what it is ordered by";
        return Err(QueryError::new(ErrorKind::NotSupported, message));
    };
    rename(function, "first_value");
    let is_known = Expr::IsNotNull(Box::new(Expr::Nested(Box::new(by.clone()))));
    let filter = match function.filter.take() {
        None => is_known,
        Some(filter) => {
            Expr::BinaryOp { left: Box::new(Expr::Nested(filter)), op: BinaryOperator::And, right: Box::new(is_known) }
        }
    };
    function.filter = Some(Box::new(filter));
    set_arguments(function, vec![value]);
    if let FunctionArguments::List(list) = &mut function.args {
        // In parentheses, because a bare number in ORDER BY is the position of a column.
        let order = order_by(Expr::Nested(Box::new(by)), !descending);
        list.clauses.push(FunctionArgumentClause::OrderBy(vec![order]));
    }
    Ok(None)
}

fn order_by(expr: Expr, ascending: bool) -> OrderByExpr {
    OrderByExpr { expr, options: OrderByOptions { asc: Some(ascending), nulls_first: Some(false) }, with_fill: None }
}

/// Rewrites `approx_percentile(x [, weight], ARRAY[...])` to an array with one call per percentage.
fn percentile(function: &mut Function, mut arguments: Vec<Expr>) -> Option<Expr> {
    let Some(Expr::Array(mut percentages)) = arguments.pop() else {
        return None;
    };
    let one = |percentage: Expr| {
        let mut call = function.clone();
        let mut arguments = arguments.clone();
        arguments.push(percentage);
        set_arguments(&mut call, arguments);
        Expr::Function(call)
    };
    percentages.elem = percentages.elem.into_iter().map(one).collect();
    Some(Expr::Array(percentages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_an_expression() {
        for (name, arguments) in [("if", 3), ("mod", 2), ("slice", 3), ("is_finite", 1), ("now", 0)] {
            let Some(FunctionMapping::Macro(template)) = mapping(name, arguments) else {
                panic!("{name} has no template");
            };
            expand(template, &vec![Expr::value(number("1")); arguments]).unwrap();
        }
    }
}
