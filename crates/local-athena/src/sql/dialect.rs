//! Athena's SELECT dialect for `sqlparser`, and a budget for the parser's work.
//!
//! `sqlparser` backtracks: it tries one production after the other, which takes exponential time when certain
//! constructs nest. A limit on depth alone does not bound that; a limit on the number of expressions and queries that
//! it begins to parse does. The parser calls its dialect at each of them, so the dialect counts.

use std::any::TypeId;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// Maximum recursion of `sqlparser`. The nesting of a statement has a lower limit: this one is for chains of operators,
/// which `sqlparser` parses recursively too.
const MAX_RECURSION: usize = 400;

/// The budget of expressions and queries: so many per token, and a minimum for short statements.
const BEGUN_PER_TOKEN: u64 = 8;
const BEGUN_AT_LEAST: u64 = 10_000;

/// Parses tokens in time linear in their number. `parse` need not read all of them.
///
/// # Errors
/// Those of `parse`; [`ParserError::RecursionLimitExceeded`] when it needs too much stack or time.
pub(crate) fn parse<T>(
    tokens: Vec<TokenWithSpan>,
    parse: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
) -> Result<T, ParserError> {
    let most = BEGUN_PER_TOKEN.saturating_mul(tokens.len() as u64).saturating_add(BEGUN_AT_LEAST);
    let dialect = AthenaDialect { left: Cell::new(Some(most)), ..AthenaDialect::default() };
    let mut parser = Parser::new(&dialect).with_recursion_limit(MAX_RECURSION).with_tokens_with_locations(tokens);
    match catch_unwind(AssertUnwindSafe(|| parse(&mut parser))) {
        Ok(parsed) => parsed,
        Err(panic) if panic.is::<BudgetExhausted>() => Err(ParserError::RecursionLimitExceeded),
        Err(panic) => resume_unwind(panic),
    }
}

/// The panic payload that aborts a parser without budget. An error would not do: the parser would catch it and
/// backtrack.
struct BudgetExhausted;

/// The dialect of Athena's SELECT. It accepts backquoted identifiers, because DDL has them; a SELECT refuses them
/// later.
#[derive(Debug, Default)]
pub(crate) struct AthenaDialect {
    /// The remaining budget; `None` is no limit, for text that is not the user's.
    left: Cell<Option<u64>>,
    /// Whether the next expression is the right operand of IS DISTINCT FROM.
    operand_next: Cell<bool>,
}

impl AthenaDialect {
    fn begin(&self) {
        match self.left.get() {
            Some(0) => resume_unwind(Box::new(BudgetExhausted)),
            left => self.left.set(left.map(|left| left - 1)),
        }
    }
}

impl Dialect for AthenaDialect {
    /// Pretends to be the generic dialect: `sqlparser` parses UNNEST and others only for dialects in fixed lists, which
    /// contain it.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    /// Called at the start of an expression.
    fn parse_prefix(&self, _parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        self.begin();
        None
    }

    /// Called before each infix operator. It notes that an operand of IS DISTINCT FROM comes next: `sqlparser` parses that
    /// as a whole condition, so that `a IS DISTINCT FROM b AND c` would compare `a` with `b AND c`.
    fn parse_infix(&self, parser: &mut Parser<'_>, _left: &Expr, _precedence: u8) -> Option<Result<Expr, ParserError>> {
        self.operand_next.set(is_distinct_from(parser));
        None
    }

    /// Called at the start of a query or of a top-level expression. Returns the precedence that an operator has to exceed to
    /// belong to the expression.
    fn prec_unknown(&self) -> u8 {
        self.begin();
        if self.operand_next.take() { self.prec_value(Precedence::Eq) } else { 0 }
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

/// Returns whether the next tokens are `IS [NOT] DISTINCT FROM`.
fn is_distinct_from(parser: &Parser<'_>) -> bool {
    let is = |at, keyword| matches!(&parser.peek_nth_token_ref(at).token, Token::Word(word) if word.keyword == keyword);
    let after_not = if is(1, Keyword::NOT) { 2 } else { 1 };
    is(0, Keyword::IS) && is(after_not, Keyword::DISTINCT) && is(after_not + 1, Keyword::FROM)
}
