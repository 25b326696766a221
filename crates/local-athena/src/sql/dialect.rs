//! What of SQL Athena reads: the switches of `sqlparser`, and the bound of its work.
//!
//! `sqlparser` tries one reading of a construct after the other, and so twice as many with each level that the construct
//! is nested. The depth of a statement alone does not bound that; the number of expressions and queries begun does. A
//! parser asks its dialect at each of them.

use std::any::TypeId;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::TokenWithSpan;

/// The calls of `sqlparser` within one another. What nests that deep is refused before: this is for chains that it reads
/// by recursion.
const DEEPEST_CALL: usize = 400;

/// The expressions and queries that may be begun: this many for each token, and some more for a short statement.
const BEGUN_PER_TOKEN: u64 = 8;
const BEGUN_AT_LEAST: u64 = 10_000;

/// Parses tokens, in time that their number bounds. `parse` need not read all of them.
///
/// # Errors
/// Those of `parse`; [`ParserError::RecursionLimitExceeded`] when it needs too much stack or time.
pub(crate) fn parse<T>(
    tokens: Vec<TokenWithSpan>,
    parse: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
) -> Result<T, ParserError> {
    let most = BEGUN_PER_TOKEN.saturating_mul(tokens.len() as u64).saturating_add(BEGUN_AT_LEAST);
    let dialect = AthenaDialect { left: Cell::new(Some(most)) };
    let mut parser = Parser::new(&dialect).with_recursion_limit(DEEPEST_CALL).with_tokens_with_locations(tokens);
    match catch_unwind(AssertUnwindSafe(|| parse(&mut parser))) {
        Ok(parsed) => parsed,
        Err(panic) if panic.is::<Spent>() => Err(ParserError::RecursionLimitExceeded),
        Err(panic) => resume_unwind(panic),
    }
}

/// What ends a parser that has begun too much: an error would only make it try the next reading.
struct Spent;

/// Athena's SELECT. Back quotes are read as quotes too, because DDL uses them; a SELECT refuses them later.
#[derive(Debug, Default)]
pub(crate) struct AthenaDialect {
    /// How much may still be begun; no bound for what is no user's text.
    left: Cell<Option<u64>>,
}

impl AthenaDialect {
    fn begin(&self) {
        match self.left.get() {
            Some(0) => resume_unwind(Box::new(Spent)),
            left => self.left.set(left.map(|left| left - 1)),
        }
    }
}

impl Dialect for AthenaDialect {
    /// UNNEST and some others are read for a list of dialects by name, which has the generic one in it.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    /// Asked where an expression begins.
    fn parse_prefix(&self, _parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        self.begin();
        None
    }

    /// Asked where a query, or a whole expression, begins.
    fn prec_unknown(&self) -> u8 {
        self.begin();
        0
    }

    fn is_delimited_identifier_start(&self, c: char) -> bool {
        matches!(c, '"' | '`')
    }

    fn is_identifier_start(&self, c: char) -> bool {
        c.is_alphabetic() || c == '_'
    }

    fn is_identifier_part(&self, c: char) -> bool {
        c.is_alphanumeric() || c == '_'
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_lambda_functions(&self) -> bool {
        true
    }

    fn supports_within_after_array_aggregation(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn require_interval_qualifier(&self) -> bool {
        true
    }
}
