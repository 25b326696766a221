//! A SELECT's text, its tree, and the names that its columns will have.

use std::collections::HashMap;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, SelectItem, SetExpr};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::dialect::AthenaDialect;
use super::place::Place;
use super::tokens::{Cursor, DEEPEST, parser_error, syntax};
use crate::error::QueryError;

/// How many operators a statement may have. A chain of them is a tree of that depth, which the
/// planner walks on its stack; this many is safe on the stacks that queries run on.
const MOST_OPERATORS: usize = 400;

/// What a column of the answer is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ColumnName {
    /// By a name or an alias, in the letters of the statement.
    Named(String),
    /// An expression without an alias: `_col0`, by its position.
    Unnamed,
    /// `*`: any number of columns, called as the relation calls them.
    Star,
}

/// A query that only reads: SELECT, WITH, VALUES.
#[derive(Debug, Clone)]
pub(crate) struct Select {
    /// The tree. Names in quotes are in lower case, as Athena does not tell them apart by case.
    pub(crate) query: Box<Query>,
    /// The query's text.
    pub(crate) text: String,
    /// The names of the answer's columns.
    pub(crate) names: Vec<ColumnName>,
}

impl Select {
    /// Reads the query from the cursor's place to the end of the statement.
    pub(super) fn parse(cursor: &Cursor<'_>) -> Result<Self, QueryError> {
        let text = &cursor.tokens.text;
        let mut list = cursor.rest().to_vec();
        check(&list)?;
        let as_written = lower_quoted(&mut list);
        let mut parser = Parser::new(&AthenaDialect).with_recursion_limit(DEEPEST).with_tokens_with_locations(list);
        let query = parser.parse_query().map_err(|error| parser_error(&error, text))?;
        let next = parser.next_token();
        if next.token != Token::EOF {
            let error = parser.expected::<()>("<EOF>", next).unwrap_err();
            return Err(parser_error(&error, text));
        }
        let names = column_names(&query.body, &as_written);
        Ok(Self { query, text: cursor.rest_of_text().to_owned(), names })
    }
}

fn check(list: &[TokenWithSpan]) -> Result<(), QueryError> {
    let quoted = |t: &&TokenWithSpan| matches!(&t.token, Token::Word(w) if w.quote_style == Some('`'));
    if let Some(token) = list.iter().find(quoted) {
        let place = Place::start(token.span).unwrap_or(Place { line: 1, column: 1 });
        return Err(syntax(place, "backquoted identifiers are not supported; use double quotes to quote identifiers"));
    }
    let operators = list.iter().filter(|t| is_operator(&t.token));
    if operators.count() > MOST_OPERATORS {
        return Err(syntax(Place { line: 1, column: 1 }, "statement is too large (stack overflow while parsing)"));
    }
    Ok(())
}

/// May this token deepen the tree? Commas do not: lists are wide.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            const WORDS: [&str; 13] = [
                "AND",
                "OR",
                "NOT",
                "IS",
                "LIKE",
                "BETWEEN",
                "IN",
                "AT",
                "UNION",
                "EXCEPT",
                "INTERSECT",
                "JOIN",
                "WHEN",
            ];
            word.quote_style.is_none() && WORDS.iter().any(|w| word.value.eq_ignore_ascii_case(w))
        }
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Comma
        | Token::LParen
        | Token::RParen
        | Token::Period => false,
        _ => true,
    }
}

/// Brings quoted words to lower case and gives back how they were written, by place.
fn lower_quoted(list: &mut [TokenWithSpan]) -> HashMap<Location, String> {
    let mut as_written = HashMap::new();
    for token in list {
        if let Token::Word(word) = &mut token.token
            && word.quote_style.is_some()
        {
            let lower = word.value.to_lowercase();
            let written = std::mem::replace(&mut word.value, lower);
            as_written.insert(token.span.start, written);
        }
    }
    as_written
}

fn column_names(body: &SetExpr, as_written: &HashMap<Location, String>) -> Vec<ColumnName> {
    let named = |ident: &Ident| {
        let written = as_written.get(&ident.span.start);
        ColumnName::Named(written.unwrap_or(&ident.value).clone())
    };
    match body {
        SetExpr::Select(select) => select
            .projection
            .iter()
            .map(|item| match item {
                SelectItem::ExprWithAlias { alias, .. } => named(alias),
                SelectItem::UnnamedExpr(Expr::Identifier(ident)) => named(ident),
                SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                    parts.last().map_or(ColumnName::Unnamed, named)
                }
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => ColumnName::Star,
                _ => ColumnName::Unnamed,
            })
            .collect(),
        SetExpr::Query(query) => column_names(&query.body, as_written),
        SetExpr::SetOperation { left, .. } => column_names(left, as_written),
        SetExpr::Values(values) => {
            let width = values.rows.first().map_or(0, |row| row.content.len());
            vec![ColumnName::Unnamed; width]
        }
        _ => vec![ColumnName::Star],
    }
}
