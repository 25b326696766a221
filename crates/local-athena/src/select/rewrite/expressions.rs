//! Rewrites expressions from Athena's SQL to DataFusion's: functions, LIKE, casts and special forms such as EXTRACT.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, DateTimeField, DuplicateTreatment, ExactNumberInfo, Expr, Function,
    FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    OrderByExpr, OrderByOptions, Spanned, TimezoneInfo, TrimWhereField, TypedString, UnaryOperator, Value,
    ValueWithSpan, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::written;
use crate::error::{ErrorKind, QueryError};
use crate::functions::names::{Call, FunctionMapping, is_aggregate, mapping};
use crate::functions::zones::Moment;
use crate::functions::{
    AT_TIMEZONE, CAST_VARCHAR, DISTINCT_KEY, FROM_LARGE_TEXT, NAMED, ORDER_KEY, TRY_CAST_VARCHAR, json_literal,
};
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
            let Some(from) = substring_from else {
                let message = "Unexpected parameters (varchar) for function substring";
                return Err(QueryError::new(ErrorKind::TypeMismatch, message));
            };
            let mut arguments = vec![take(expr), take(from)];
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
        Expr::AtTimeZone { timestamp, time_zone } => {
            Ok(Some(call(AT_TIMEZONE, vec![take(timestamp), take(time_zone)])))
        }
        Expr::Cast { expr, data_type: DataType::Varchar(length), kind, .. } => {
            let Some(length) = length.take() else { return Ok(None) };
            let length = Expr::value(number(&length.to_string()));
            let name = if *kind == CastKind::TryCast { TRY_CAST_VARCHAR } else { CAST_VARCHAR };
            Ok(Some(call(name, vec![take(expr), length])))
        }
        Expr::TypedString(TypedString { data_type, value, .. }) => match &value.value {
            Value::SingleQuotedString(text) => literal(data_type, text),
            _ => Ok(None),
        },
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

/// Returns the value of a literal of a type, such as `DECIMAL '1.50'`, which is a decimal(3,2); `None` to keep it.
fn literal(ty: &DataType, text: &str) -> Result<Option<Expr>, QueryError> {
    let invalid =
        |what: &str| QueryError::new(ErrorKind::InvalidLiteral, format_args!("'{text}' is not a valid {what} literal"));
    let text_value = || Expr::value(Value::SingleQuotedString(text.to_owned()));
    match ty {
        DataType::Decimal(ExactNumberInfo::None) | DataType::Numeric(ExactNumberInfo::None) => {
            let (precision, scale) = decimal_digits(text).ok_or_else(|| invalid("decimal"))?;
            let info = ExactNumberInfo::PrecisionAndScale(precision, scale);
            Ok(Some(cast_to(text_value(), DataType::Decimal(info))))
        }
        DataType::JSON => {
            json_literal(text).ok_or_else(|| invalid("JSON"))?;
            Ok(Some(call("json_parse", vec![text_value()])))
        }
        DataType::Timestamp(..) => {
            let moment = Moment::parse(text).ok_or_else(|| invalid("timestamp"))?;
            if moment.precision > 3 {
                let message =
                    format!("a timestamp of {} digits behind the second (it has 3 here: '{text}')", moment.precision);
                return Err(QueryError::not_supported(&message));
            }
            let zone = if moment.zone.is_some() { TimezoneInfo::WithTimeZone } else { TimezoneInfo::None };
            Ok(Some(cast_to(text_value(), DataType::Timestamp(None, zone))))
        }
        DataType::Time(..) if text.split_once('.').is_some_and(|(_, fraction)| fraction.trim().len() > 3) => {
            Err(QueryError::not_supported(&format!("a time of more than 3 digits behind the second ('{text}')")))
        }
        _ => Ok(None),
    }
}

/// Returns precision and scale of a decimal literal; `None` if it is none. Leading zeros do not count.
fn decimal_digits(text: &str) -> Option<(u64, i64)> {
    const MOST: usize = 38;
    let digits = text.trim().strip_prefix(['+', '-']).unwrap_or(text.trim());
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let precision = (whole.trim_start_matches('0').len() + fraction.len()).max(1);
    let fits =
        is_number(whole) && is_number(fraction) && !(whole.is_empty() && fraction.is_empty()) && precision <= MOST;
    fits.then_some((precision as u64, fraction.len() as i64))
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

pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
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
    if is_aggregate(&name) {
        name_casts(function);
    }
    let arguments: Vec<Expr> =
        arguments(function).map(|arguments| arguments.into_iter().cloned().collect()).unwrap_or_default();
    let position = Position::start(function.name.span()).map_or_else(String::new, |position| format!("{position}: "));
    let mapping = match mapping(&name, arguments.len()) {
        Call::Mapped(mapping) => mapping,
        Call::Unknown => {
            let message = format!("{position}Function '{name}' not registered");
            return Err(QueryError::new(ErrorKind::FunctionNotFound, message));
        }
        Call::Arguments => {
            let message = format!("{position}Unexpected parameters ({} of them) for function {name}", arguments.len());
            return Err(QueryError::new(ErrorKind::FunctionNotFound, message));
        }
        Call::Absent => return Err(QueryError::not_supported(&format!("{position}the function {name}"))),
    };
    check_modifiers(function, &name, &position)?;
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
        FunctionMapping::Match { negated, inner } => {
            rename(function, "array_any_match");
            if inner
                && let FunctionArguments::List(list) = &mut function.args
                && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Lambda(lambda)))) = list.args.last_mut()
            {
                *lambda.body = not(take(&mut lambda.body));
            }
            let call = Expr::Function(function.clone());
            Ok(Some(if negated { not(call) } else { call }))
        }
        FunctionMapping::Distinct => {
            rename(function, "approx_distinct");
            let value = arguments.into_iter().next().map(|value| self::call(DISTINCT_KEY, vec![value]));
            set_arguments(function, value.into_iter().collect());
            Ok(Some(cast_to(Expr::Function(function.clone()), DataType::BigInt(None))))
        }
        FunctionMapping::Percentile => Ok(percentile(function, arguments)),
        FunctionMapping::Listagg => listagg(function, arguments),
    }
}

/// Makes the casts in the arguments of an aggregate part of the name of its column, so that `sum(x)` and `sum(CAST(x AS bigint))` have
/// different names.
fn name_casts(function: &mut Function) {
    struct Namer;
    impl VisitorMut for Namer {
        type Break = ();

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Cast { data_type, expr: inner, .. } = expr
                && !matches!(**inner, Expr::Value(_))
            {
                let target = Expr::value(Value::SingleQuotedString(data_type.to_string()));
                *expr = call(NAMED, vec![take(expr), target]);
            }
            ControlFlow::Continue(())
        }
    }
    let _ = VisitMut::visit(&mut function.args, &mut Namer);
}

/// Refuses modifiers of a call that Athena refuses.
fn check_modifiers(function: &Function, name: &str, position: &str) -> Result<(), QueryError> {
    let is_distinct = match &function.args {
        FunctionArguments::List(list) => list.duplicate_treatment == Some(DuplicateTreatment::Distinct),
        _ => false,
    };
    if is_distinct && function.over.is_some() {
        let message = format!("{position}DISTINCT in window function parameters not yet supported: {name}");
        return Err(QueryError::new(ErrorKind::NotSupported, message));
    }
    if name == "listagg" && function.within_group.is_empty() {
        return Err(QueryError::new(
            ErrorKind::Syntax,
            format!("{position}listagg has no WITHIN GROUP (ORDER BY ...)"),
        ));
    }
    Ok(())
}

fn not(expr: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(expr))) }
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
        let order = order_by(self::call(ORDER_KEY, vec![by]), !descending);
        list.clauses.push(FunctionArgumentClause::OrderBy(vec![order]));
    }
    Ok(None)
}

fn order_by(expr: Expr, ascending: bool) -> OrderByExpr {
    OrderByExpr { expr, options: OrderByOptions { asc: Some(ascending), nulls_first: Some(false) }, with_fill: None }
}

/// Rewrites `listagg(x, separator) WITHIN GROUP (ORDER BY y)` to `string_agg(x, separator ORDER BY y)`.
fn listagg(function: &mut Function, mut arguments: Vec<Expr>) -> Result<Option<Expr>, QueryError> {
    let order = std::mem::take(&mut function.within_group);
    if let FunctionArguments::List(list) = &mut function.args
        && list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OnOverflow(_)))
    {
        return Err(QueryError::not_supported("ON OVERFLOW"));
    }
    if arguments.len() == 1 {
        arguments.push(Expr::value(Value::SingleQuotedString(String::new())));
    }
    rename(function, "string_agg");
    set_arguments(function, arguments);
    if let FunctionArguments::List(list) = &mut function.args {
        list.clauses.push(FunctionArgumentClause::OrderBy(order));
    }
    Ok(Some(call(FROM_LARGE_TEXT, vec![Expr::Function(function.clone())])))
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
        for (name, arguments) in [("if", 3), ("mod", 2), ("is_finite", 1), ("now", 0)] {
            let Call::Mapped(FunctionMapping::Macro(template)) = mapping(name, arguments) else {
                panic!("{name} has no template");
            };
            expand(template, &vec![Expr::value(number("1")); arguments]).unwrap();
        }
    }
}
