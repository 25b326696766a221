//! Translates DataFusion's errors to Athena's, with the position in the statement where it can be found.

use std::error::Error;
use std::ops::ControlFlow;

use datafusion::arrow::error::ArrowError;
use datafusion::common::{Column, DataFusionError, SchemaError};
use datafusion::sql::sqlparser::ast::{Expr, Query, Visit, Visitor};

use crate::error::{ErrorKind, QueryError};
use crate::functions::names::athena_name;
use crate::sql::Position;

/// Wraps an error so that it passes through DataFusion; [`find_query_error`] unwraps it.
pub(super) fn external(error: QueryError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Translates an error of planning. Positions are looked up in the query.
pub(super) fn from_plan_error(error: &DataFusionError, query: &Query) -> QueryError {
    if let Some(own) = find_query_error(error) {
        return own;
    }
    match error.find_root() {
        DataFusionError::SchemaError(schema, _) => from_schema_error(schema, query),
        DataFusionError::Plan(message) => from_plan_message(message, query),
        _ => from_execution_error(error),
    }
}

/// Translates an error of execution.
pub(crate) fn from_execution_error(error: &DataFusionError) -> QueryError {
    if let Some(own) = find_query_error(error) {
        return own;
    }
    match error.find_root() {
        DataFusionError::ResourcesExhausted(message) => QueryError::new(
            ErrorKind::ExhaustedResources,
            format_args!("Query exhausted resources at this scale factor: {}", first_line(message)),
        ),
        DataFusionError::NotImplemented(message) => not_implemented(message),
        DataFusionError::ArrowError(arrow, _) => from_arrow_error(arrow),
        DataFusionError::ParquetError(parquet) => malformed(parquet),
        DataFusionError::Plan(message) | DataFusionError::Execution(message) => {
            QueryError::new(ErrorKind::Semantic, first_line(message))
        }
        DataFusionError::IoError(error) => {
            QueryError::new(ErrorKind::ExhaustedResources, format_args!("the disk failed while the query ran: {error}"))
        }
        other => {
            let message = other.to_string();
            from_signature_error(&message).unwrap_or_else(|| QueryError::new(ErrorKind::Internal, first_line(&message)))
        }
    }
}

/// Returns the error for what DataFusion does not implement, without its debug text.
fn not_implemented(message: &str) -> QueryError {
    let what = match message {
        message if message.contains("Exists(") => "EXISTS here, or ANY and ALL (they are in WHERE)",
        message if message.contains("InSubquery(") || message.contains("ScalarSubquery(") => "a subquery at this place",
        message if message.contains("Lambda(") => "a lambda expression as an argument of this function",
        message if message.contains("OuterReferenceColumn") => {
            "a subquery that names a column of the outer query at this place"
        }
        message if message.contains('{') || message.contains("::") => "an expression of this statement",
        message => return QueryError::new(ErrorKind::NotSupported, first_line(message)),
    };
    QueryError::not_supported(what)
}

/// Translates DataFusion's error for arguments that match no signature of a function. DataFusion's message would name
/// types that Athena does not have.
fn from_signature_error(message: &str) -> Option<QueryError> {
    let is_signature =
        message.contains("failed to match any signature") || message.contains("No function matches the given name");
    let name = message.split('\'').nth(1).filter(|_| is_signature)?;
    let name = name.split('(').next().unwrap_or(name);
    let message = format!("Unexpected parameters for function {}", athena_name(name));
    Some(QueryError::new(ErrorKind::TypeMismatch, message))
}

fn find_query_error(error: &DataFusionError) -> Option<QueryError> {
    let mut at: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(own) = error.downcast_ref::<QueryError>() {
            return Some(own.clone());
        }
        at = match error.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::Shared(inner)) => Some(inner.as_ref()),
            Some(DataFusionError::Context(_, inner)) => Some(inner.as_ref()),
            Some(DataFusionError::Diagnostic(_, inner)) => Some(inner.as_ref()),
            Some(DataFusionError::External(inner)) => Some(inner.as_ref()),
            Some(DataFusionError::Collection(errors)) => errors.first().map(|e| e as _),
            _ => error.source(),
        };
    }
    None
}

/// Returns the first line of a message: DataFusion appends hints and backtraces on further lines.
fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or(message)
}

fn from_arrow_error(error: &ArrowError) -> QueryError {
    match error {
        ArrowError::ParquetError(message) => malformed(message),
        ArrowError::DivideByZero => QueryError::new(ErrorKind::DivisionByZero, "Division by zero"),
        ArrowError::ArithmeticOverflow(message) => QueryError::new(ErrorKind::NumericValueOutOfRange, message),
        ArrowError::CastError(message) | ArrowError::ParseError(message) => {
            QueryError::new(ErrorKind::InvalidCastArgument, cast_message(message))
        }
        ArrowError::InvalidArgumentError(message) if message.contains(" to store in a Decimal") => {
            QueryError::new(ErrorKind::NumericValueOutOfRange, first_line(message))
        }
        ArrowError::InvalidArgumentError(message) if message.contains("non-UTF-8") || message.contains("non UTF-8") => {
            QueryError::new(ErrorKind::InvalidFunctionArgument, "bytes that are no UTF-8 text were taken for text")
        }
        ArrowError::ComputeError(message) if message.contains("Overflowing on") => {
            QueryError::new(ErrorKind::NumericValueOutOfRange, first_line(message))
        }
        ArrowError::ExternalError(inner) => match inner.downcast_ref::<DataFusionError>() {
            Some(inner) => from_execution_error(inner),
            None => QueryError::new(ErrorKind::Internal, inner),
        },
        other => QueryError::new(ErrorKind::Internal, first_line(&other.to_string())),
    }
}

/// The error for a page that cannot be decoded, or whose checksum does not match.
fn malformed(error: impl std::fmt::Display) -> QueryError {
    QueryError::new(ErrorKind::BadData, format_args!("Malformed Parquet file: {}", first_line(&error.to_string())))
}

/// Translates `Cannot cast string 'x' to value of Int64 type` to `Cannot cast 'x' to bigint`.
fn cast_message(message: &str) -> String {
    let parts = message
        .strip_prefix("Cannot cast string ")
        .and_then(|rest| rest.rsplit_once(" to value of "))
        .and_then(|(value, ty)| Some((value, ty.strip_suffix(" type")?)));
    let Some((value, ty)) = parts else {
        return first_line(message).to_owned();
    };
    format!("Cannot cast {value} to {}", athena_type(ty))
}

/// Returns Athena's name of a type in an Arrow message.
fn athena_type(arrow: &str) -> &str {
    match arrow {
        "Int8" => "tinyint",
        "Int16" => "smallint",
        "Int32" => "integer",
        "Int64" => "bigint",
        "Float32" => "real",
        "Float64" => "double",
        "Date32" => "date",
        "Boolean" => "boolean",
        "Utf8" | "Utf8View" | "LargeUtf8" => "varchar",
        other => other,
    }
}

/// Returns Athena's error for a column that does not exist.
pub(super) fn column_not_found(column: &Column, query: &Query) -> QueryError {
    let name = match &column.relation {
        Some(relation) => format!("{}.{}", relation.table(), column.name),
        None => column.name.clone(),
    };
    QueryError::new(
        ErrorKind::ColumnNotFound,
        format_args!(
            "{}Column '{name}' cannot be resolved or requester is not authorized to access requested resources",
            at_column(query, &column.name)
        ),
    )
}

fn from_schema_error(error: &SchemaError, query: &Query) -> QueryError {
    match error {
        SchemaError::FieldNotFound { field, .. } => column_not_found(field, query),
        SchemaError::AmbiguousReference { field } => QueryError::new(
            ErrorKind::AmbiguousName,
            format_args!("{}Column '{}' is ambiguous", at_column(query, &field.name), field.name),
        ),
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            QueryError::new(
                ErrorKind::AmbiguousName,
                format_args!("{}Column '{name}' is there twice: give one an alias", at_column(query, name)),
            )
        }
    }
}

fn from_plan_message(message: &str, query: &Query) -> QueryError {
    if message.contains("must appear in the GROUP BY clause")
        || message.contains("must be in GROUP BY or an aggregate function")
    {
        let column = message.split('"').nth(1).unwrap_or_default();
        let column = column.rsplit('.').next().unwrap_or(column);
        return QueryError::new(
            ErrorKind::ExpressionNotAggregate,
            format_args!(
                "{}'{column}' must be an aggregate expression or appear in GROUP BY clause",
                at_column(query, column)
            ),
        );
    }
    if message.contains("decimal operation") && message.contains("overflow") {
        return QueryError::new(ErrorKind::NumericValueOutOfRange, "Decimal overflow");
    }
    if message.starts_with("Aggregate functions are not allowed in the WHERE clause") {
        let message = "WHERE clause cannot contain aggregations, window functions or grouping operations";
        return QueryError::new(ErrorKind::ExpressionNotScalar, message);
    }
    if message.starts_with("Cannot create filter with non-boolean predicate") {
        let ty = message.rsplit(' ').next().map_or("unknown", athena_type);
        let message = format!("WHERE clause must evaluate to a boolean: actual type {ty}");
        return QueryError::new(ErrorKind::TypeMismatch, message);
    }
    if let Some(error) = from_signature_error(message) {
        return error;
    }
    const ABOUT_TYPES: [&str; 6] = [
        "coerce",
        "Cannot infer common string type",
        "Cannot infer common argument type",
        "Cannot automatically convert",
        "Can not find compatible types",
        "Cannot get result type",
    ];
    let kind = if ABOUT_TYPES.iter().any(|words| message.contains(words)) {
        ErrorKind::TypeMismatch
    } else {
        ErrorKind::Semantic
    };
    QueryError::new(kind, first_line(message))
}

/// Returns `line 1:8: ` for the first column of this name, or an empty text when the query does not name it.
fn at_column(query: &Query, name: &str) -> String {
    let mut finder = Finder { name, position: None };
    let _ = query.visit(&mut finder);
    finder.position.map_or_else(String::new, |position| format!("{position}: "))
}

struct Finder<'a> {
    name: &'a str,
    position: Option<Position>,
}

impl Visitor for Finder<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let (first, last) = match expr {
            Expr::Identifier(ident) => (ident, ident),
            Expr::CompoundIdentifier(parts) => match (parts.first(), parts.last()) {
                (Some(first), Some(last)) => (first, last),
                _ => return ControlFlow::Continue(()),
            },
            _ => return ControlFlow::Continue(()),
        };
        if last.value.eq_ignore_ascii_case(self.name) {
            self.position = Position::start(first.span);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_are_reported_in_athenas_types() {
        let message = cast_message("Cannot cast string 'to value of x' to value of Int64 type");
        assert_eq!(message, "Cannot cast 'to value of x' to bigint");
    }
}
