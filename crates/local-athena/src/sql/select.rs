//! Parses a SELECT to a syntax tree and the names of its columns.

use std::collections::HashMap;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, SelectItem, SetExpr};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::depth::too_large;
use super::dialect;
use super::position::{Position, syntax};
use super::tokens::{Cursor, parser_error};
use crate::error::QueryError;

/// Maximum number of operators of a statement. A chain of operators is a tree of that depth, which the planner walks
/// recursively; this many fit on the [stacks](crate::deep_stack) of queries.
const MAX_OPERATORS: usize = 400;

/// The name of a result column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ColumnName {
    /// A name or an alias, in the case of the statement.
    Named(String),
    /// An expression without an alias, shown as `_col0` by its position.
    Unnamed,
    /// `*`: any number of columns, with the names of the relation.
    Star,
}

/// A query that only reads: SELECT, WITH, VALUES.
#[derive(Debug, Clone)]
pub(crate) struct Select {
    /// The syntax tree. Quoted names are in lower case, because Athena's names are not case-sensitive.
    pub(crate) query: Box<Query>,
    /// The text of the query.
    pub(crate) text: String,
    /// The names of the result columns.
    pub(crate) names: Vec<ColumnName>,
}

impl Select {
    /// Parses the query from the cursor to the end of the statement.
    pub(super) fn parse(cursor: &Cursor<'_>) -> Result<Self, QueryError> {
        let text = &cursor.tokens.text;
        let list = cursor.rest().to_vec();
        check(&list)?;
        let mut list = with_array_types(with_rows_in_parentheses(list));
        let as_written = lower_quoted(&mut list);
        let query = dialect::parse(list, |parser| {
            let query = parser.parse_query()?;
            match parser.next_token() {
                TokenWithSpan { token: Token::EOF, .. } => Ok(query),
                next => parser.expected("<EOF>", next),
            }
        });
        let query = query.map_err(|error| parser_error(&error, text))?;
        let names = column_names(&query.body, &as_written);
        Ok(Self { query, text: cursor.rest_of_text().to_owned(), names })
    }
}

fn check(list: &[TokenWithSpan]) -> Result<(), QueryError> {
    let quoted = |t: &&TokenWithSpan| matches!(&t.token, Token::Word(w) if w.quote_style == Some('`'));
    if let Some(token) = list.iter().find(quoted) {
        let position = Position::start(token.span).unwrap_or(Position { line: 1, column: 1 });
        return Err(syntax(
            position,
            "backquoted identifiers are not supported; use double quotes to quote identifiers",
        ));
    }
    let operators = list.iter().filter(|t| is_operator(&t.token));
    if operators.count() > MAX_OPERATORS {
        return Err(too_large());
    }
    Ok(())
}

/// Returns whether a token can make the tree deeper. Commas cannot: lists only make it wider.
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

/// Rewrites the type `array(bigint)` of a cast to `array<bigint>`, as `sqlparser` reads it.
fn with_array_types(mut list: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_word = |token: &Token, word: &str| matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word));
    for at in 1..list.len().saturating_sub(1) {
        let begins_type = is_word(&list[at - 1].token, "AS") || list[at - 1].token == Token::Lt;
        if !begins_type || !is_word(&list[at].token, "ARRAY") || list[at + 1].token != Token::LParen {
            continue;
        }
        let mut depth = 0_usize;
        let end = list[at + 1..].iter().position(|t| {
            match t.token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        });
        if let Some(end) = end {
            list[at + 1].token = Token::Lt;
            list[at + 1 + end].token = Token::Gt;
        }
    }
    list
}

/// Rewrites `VALUES 1, 2` to `VALUES (1), (2)`. On Athena a row of one column needs no parentheses; `sqlparser`
/// requires them.
fn with_rows_in_parentheses(list: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let (opening, closing) = bare_rows(&list);
    if !opening.contains(&true) {
        return list;
    }
    let mut out = Vec::with_capacity(list.len() * 2);
    for ((token, opens), closes) in list.into_iter().zip(opening).zip(closing) {
        let span = token.span;
        out.extend(opens.then(|| TokenWithSpan::new(Token::LParen, span)));
        out.push(token);
        out.extend(closes.then(|| TokenWithSpan::new(Token::RParen, span)));
    }
    out
}

/// Returns two flags per token: whether it begins, and whether it ends, a row of VALUES without parentheses.
fn bare_rows(list: &[TokenWithSpan]) -> (Vec<bool>, Vec<bool>) {
    let (mut opening, mut closing) = (vec![false; list.len()], vec![false; list.len()]);
    // A stack of open brackets: the index of each, and the index at which a row began inside it, if any. The first
    // entry is the statement itself.
    let mut open: Vec<(usize, Option<usize>)> = vec![(0, None)];
    // For each opening parenthesis, the index of its closing one.
    let mut ends = vec![None; list.len()];
    let mut end_row = |row: Option<usize>, end: usize, ends: &[Option<usize>]| {
        if let Some(start) = row
            && start < end
            && !(list[start].token == Token::LParen && ends[start] == Some(end - 1) && !begins_query(list, start + 1))
        {
            (opening[start], closing[end - 1]) = (true, true);
        }
    };
    for (at, TokenWithSpan { token, .. }) in list.iter().enumerate() {
        let depth = open.len();
        let Some((_, row)) = open.last_mut() else { break };
        match token {
            Token::LParen | Token::LBracket => open.push((at, None)),
            Token::RParen | Token::RBracket => {
                end_row(row.take(), at, &ends);
                if depth > 1
                    && let Some((start, _)) = open.pop()
                {
                    ends[start] = Some(at);
                }
            }
            Token::Comma => {
                end_row(*row, at, &ends);
                *row = row.map(|_| at + 1);
            }
            token if is_one_of(token, &AFTER_ROWS) => end_row(row.take(), at, &ends),
            token if is_one_of(token, &["VALUES"]) && may_be_a_query(list, at) => *row = Some(at + 1),
            _ => {}
        }
    }
    while let Some((_, row)) = open.pop() {
        end_row(row, list.len(), &ends);
    }
    (opening, closing)
}

/// Returns whether a query begins at this token. Parentheses around a query make it a value, not a row.
fn begins_query(list: &[TokenWithSpan], at: usize) -> bool {
    list.get(at).is_some_and(|token| is_one_of(&token.token, &["SELECT", "WITH", "VALUES", "TABLE"]))
}

/// The keywords that can follow the rows of VALUES.
const AFTER_ROWS: [&str; 7] = ["UNION", "EXCEPT", "INTERSECT", "ORDER", "LIMIT", "OFFSET", "FETCH"];

/// Returns whether the token at this index can be the start of a query.
fn may_be_a_query(list: &[TokenWithSpan], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| list.get(before)).map(|before| &before.token);
    before.is_none_or(|before| {
        matches!(before, Token::LParen | Token::RParen)
            || is_one_of(before, &["UNION", "EXCEPT", "INTERSECT", "ALL", "DISTINCT"])
    })
}

fn is_one_of(token: &Token, words: &[&str]) -> bool {
    let Token::Word(word) = token else { return false };
    word.quote_style.is_none() && words.iter().any(|w| word.value.eq_ignore_ascii_case(w))
}

/// Changes quoted words to lower case. Returns their original spelling by location.
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
