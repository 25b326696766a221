//! A SELECT's text, its tree, and the names that its columns will have.

use std::collections::HashMap;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, SelectItem, SetExpr};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::depth::too_large;
use super::dialect;
use super::place::Place;
use super::tokens::{Cursor, parser_error, syntax};
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
        let list = cursor.rest().to_vec();
        check(&list)?;
        let mut list = with_rows_in_parentheses(list);
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
        let place = Place::start(token.span).unwrap_or(Place { line: 1, column: 1 });
        return Err(syntax(place, "backquoted identifiers are not supported; use double quotes to quote identifiers"));
    }
    let operators = list.iter().filter(|t| is_operator(&t.token));
    if operators.count() > MOST_OPERATORS {
        return Err(too_large());
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

/// `VALUES 1, 2` as `VALUES (1), (2)`: on Athena a row of one column needs no parentheses, for `sqlparser` it does.
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

/// The tokens that begin, and those that end, a row of VALUES without parentheses of its own.
fn bare_rows(list: &[TokenWithSpan]) -> (Vec<bool>, Vec<bool>) {
    let (mut opening, mut closing) = (vec![false; list.len()], vec![false; list.len()]);
    // For each bracket that is open where it stands, and where the row began within it, if there is one; the
    // first entry is the statement.
    let mut open: Vec<(usize, Option<usize>)> = vec![(0, None)];
    // Where the bracket ends that begins here.
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
            token if is_one_of(token, &BEHIND_ROWS) => end_row(row.take(), at, &ends),
            token if is_one_of(token, &["VALUES"]) && may_be_a_query(list, at) => *row = Some(at + 1),
            _ => {}
        }
    }
    while let Some((_, row)) = open.pop() {
        end_row(row, list.len(), &ends);
    }
    (opening, closing)
}

/// Does a query begin at this place? Its parentheses are those of a value, and none of a row.
fn begins_query(list: &[TokenWithSpan], at: usize) -> bool {
    list.get(at).is_some_and(|token| is_one_of(&token.token, &["SELECT", "WITH", "VALUES", "TABLE"]))
}

/// What may stand behind the rows of VALUES.
const BEHIND_ROWS: [&str; 7] = ["UNION", "EXCEPT", "INTERSECT", "ORDER", "LIMIT", "OFFSET", "FETCH"];

/// May a query begin with the token at this place?
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
