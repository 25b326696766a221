//! The tokens of a statement, and a cursor over them for the DDL parser.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::depth;
use super::dialect::{self, AthenaDialect};
use super::position::{Position, syntax};
use crate::error::{ErrorKind, QueryError};

/// Maximum length of a statement in bytes, as on Athena.
const MAX_STATEMENT_BYTES: usize = 262_144;

/// The tokens of one statement, without white space, comments and a trailing semicolon.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    /// The text that the positions of the tokens refer to.
    pub(super) text: String,
    pub(super) list: Vec<TokenWithSpan>,
}

impl Tokens {
    /// Tokenizes the text and substitutes the parameters for `?`.
    pub(super) fn read(text: &str, parameters: &[String]) -> Result<Self, QueryError> {
        if text.len() > MAX_STATEMENT_BYTES {
            let message = format!("the statement has {} bytes, more than {MAX_STATEMENT_BYTES}", text.len());
            return Err(QueryError::new(ErrorKind::Syntax, message));
        }
        let mut list = plain(text)?;
        if list.last().is_some_and(|last| last.token == Token::SemiColon) {
            list.pop();
        }
        let mut tokens = Self { text: text.to_owned(), list };
        tokens.refuse_a_second_statement()?;
        depth::check(&tokens.list)?;
        tokens.fill_in(parameters)?;
        depth::check(&tokens.list)?;
        Ok(tokens)
    }

    fn refuse_a_second_statement(&self) -> Result<(), QueryError> {
        match self.list.iter().find(|t| t.token == Token::SemiColon) {
            None => Ok(()),
            Some(_) => Err(QueryError::new(
                ErrorKind::Syntax,
                format_args!("Only one sql statement is allowed. Got: {}", self.text),
            )),
        }
    }

    fn fill_in(&mut self, parameters: &[String]) -> Result<(), QueryError> {
        let wanted = self.list.iter().filter(|t| is_parameter(t)).count();
        if wanted != parameters.len() {
            let given = parameters.len();
            return Err(QueryError::new(
                ErrorKind::Syntax,
                format_args!("Incorrect number of parameters: expected {wanted} but found {given}"),
            ));
        }
        let mut parameters = parameters.iter();
        let mut filled = Vec::with_capacity(self.list.len());
        for token in std::mem::take(&mut self.list) {
            match parameters.as_slice().first().filter(|_| is_parameter(&token)) {
                Some(parameter) => {
                    parameters.next();
                    filled.extend(expression(parameter, &token)?);
                }
                None => filled.push(token),
            }
        }
        self.list = filled;
        Ok(())
    }

    /// Returns a cursor at the first token.
    pub(super) fn cursor(&self) -> Cursor<'_> {
        Cursor { tokens: self, at: 0 }
    }
}

fn is_parameter(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Placeholder(text) if text == "?")
}

fn plain(text: &str) -> Result<Vec<TokenWithSpan>, QueryError> {
    let tokens = Tokenizer::new(&AthenaDialect::default(), text).tokenize_with_location();
    let mut tokens = tokens.map_err(|error| {
        let position = Position::at(error.location).unwrap_or(Position::end_of(text));
        syntax(position, error.message)
    })?;
    tokens.retain(|t| !matches!(t.token, Token::Whitespace(_)));
    Ok(tokens)
}

/// Parses a text that is one expression.
///
/// # Errors
/// [`ErrorKind::Syntax`] if it is not, or nests too deeply.
pub(crate) fn parse_expression(text: &str) -> Result<Expr, QueryError> {
    let tokens = plain(text)?;
    depth::check(&tokens)?;
    let parsed = dialect::parse(tokens, |parser| {
        let expression = parser.parse_expr()?;
        parser.expect_token(&Token::EOF)?;
        Ok(expression)
    });
    parsed.map_err(|error| parser_error(&error, text))
}

/// Tokenizes a parameter, and checks that it is exactly one expression. All tokens get the position of the `?`.
fn expression(text: &str, position: &TokenWithSpan) -> Result<Vec<TokenWithSpan>, QueryError> {
    let mut tokens = plain(text)?;
    depth::check(&tokens)?;
    let whole = dialect::parse(tokens.clone(), |parser| {
        parser.parse_expr()?;
        Ok(parser.peek_token_ref().token == Token::EOF)
    });
    if matches!(whole, Err(ParserError::RecursionLimitExceeded)) {
        return Err(depth::too_large());
    }
    if !whole.unwrap_or(false) {
        let message = format!("the parameter {text} is no expression: quote text, as in 'PETR4'");
        return Err(QueryError::new(ErrorKind::Syntax, message));
    }
    let at = |token| TokenWithSpan::new(token, position.span);
    if tokens.len() == 1 {
        return Ok(vec![at(tokens.remove(0).token)]);
    }
    let inner = tokens.into_iter().map(|t| t.token);
    Ok(std::iter::once(Token::LParen).chain(inner).chain([Token::RParen]).map(at).collect())
}

/// Translates an error of `sqlparser` to Athena's message.
pub(super) fn parser_error(error: &ParserError, text: &str) -> QueryError {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            return depth::too_large();
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    let (message, position) = split_position(message);
    let position = position.unwrap_or(Position::end_of(text));
    let parts = message.strip_prefix("Expected: ").and_then(|rest| rest.rsplit_once(", found: "));
    if let Some((expected, found)) = parts {
        return mismatched(position, found, expected);
    }
    // In this message the position is that after the token.
    match message.strip_prefix("Expected an expression, found: ") {
        Some(found) => mismatched(last_before(text, found, position), found, "an expression"),
        None => syntax(position, message),
    }
}

/// Returns the position of the last occurrence of a text before a position.
fn last_before(text: &str, found: &str, position: Position) -> Position {
    let before = &text[..position.offset_in(text)];
    before.rfind(found).map_or(position, |at| Position::end_of(&before[..at]))
}

/// Splits `... at Line: 1, Column: 8` into the message and the position.
fn split_position(message: &str) -> (&str, Option<Position>) {
    let Some((before, position)) = message.rsplit_once(" at Line: ") else {
        return (message, None);
    };
    let numbers = position.split_once(", Column: ");
    let position =
        numbers.and_then(|(line, column)| Some(Position { line: line.parse().ok()?, column: column.parse().ok()? }));
    (before, position)
}

fn mismatched(position: Position, found: &str, expected: &str) -> QueryError {
    let found = if found == "EOF" { "<EOF>" } else { found };
    syntax(position, format_args!("mismatched input '{found}'. Expecting: {expected}"))
}

/// A cursor over tokens. `take...` methods advance if they match, `expect...` methods fail if they do not.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    pub(super) tokens: &'a Tokens,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<&'a TokenWithSpan> {
        self.tokens.list.get(self.at)
    }

    fn advance(&mut self) -> Option<&'a TokenWithSpan> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    /// Returns the position of the next token.
    pub(super) fn position(&self) -> Position {
        self.peek().and_then(|t| Position::start(t.span)).unwrap_or(Position::end_of(&self.tokens.text))
    }

    /// Returns the text from the next token on, without a trailing semicolon.
    pub(super) fn rest_of_text(&self) -> &'a str {
        let rest = &self.tokens.text[self.position().offset_in(&self.tokens.text)..];
        rest.trim_end().trim_end_matches(';').trim_end()
    }

    /// Returns the text of the whole statement.
    pub(super) fn text(&self) -> &'a str {
        &self.tokens.text
    }

    /// Passes over some tokens.
    pub(super) fn skip(&mut self, count: usize) {
        self.at = (self.at + count).min(self.tokens.list.len());
    }

    /// Returns the remaining tokens.
    pub(super) fn rest(&self) -> &'a [TokenWithSpan] {
        &self.tokens.list[self.at..]
    }

    /// Returns the error for a next token that is not one of those expected.
    pub(super) fn unexpected(&self, expected: &str) -> QueryError {
        let found = self.peek().map_or("EOF".to_owned(), |t| t.to_string());
        mismatched(self.position(), &found, expected)
    }

    /// Returns whether the next token is this word, compared without case.
    pub(super) fn is(&self, word: &str) -> bool {
        self.peek().is_some_and(|t| is_word(&t.token, word))
    }

    /// Takes the word if it is next.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let is_next = self.is(word);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes all the words if they are next, in this order.
    pub(super) fn take_all(&mut self, words: &[&str]) -> bool {
        let next = self.rest().iter().zip(words);
        let are_next = self.rest().len() >= words.len() && next.into_iter().all(|(t, word)| is_word(&t.token, word));
        self.at += if are_next { words.len() } else { 0 };
        are_next
    }

    /// Takes the word, or fails.
    pub(super) fn expect(&mut self, word: &str) -> Result<(), QueryError> {
        if self.take(word) { Ok(()) } else { Err(self.unexpected(&format!("'{word}'"))) }
    }

    /// Takes the punctuation mark if it is next.
    pub(super) fn take_mark(&mut self, mark: &Token) -> bool {
        let is_next = self.peek().is_some_and(|t| t.token == *mark);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes the punctuation mark, or fails.
    pub(super) fn expect_mark(&mut self, mark: &Token) -> Result<(), QueryError> {
        if self.take_mark(mark) { Ok(()) } else { Err(self.unexpected(&format!("'{mark}'"))) }
    }

    /// Fails unless the statement ends here.
    pub(super) fn expect_end(&self) -> Result<(), QueryError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("<EOF>")),
        }
    }

    /// Takes a name and returns it in lower case. Any word is a name, as in Hive.
    pub(super) fn identifier(&mut self) -> Result<String, QueryError> {
        match self.peek().map(|t| &t.token) {
            Some(Token::Word(word)) if !word.value.is_empty() => {
                self.at += 1;
                Ok(word.value.to_lowercase())
            }
            _ => Err(self.unexpected("an identifier")),
        }
    }

    /// Takes a string in single or double quotes.
    pub(super) fn string(&mut self) -> Result<String, QueryError> {
        let text = match self.peek().map(|t| &t.token) {
            Some(Token::SingleQuotedString(text)) => text.clone(),
            Some(Token::Word(word)) if word.quote_style == Some('"') => word.value.clone(),
            _ => return Err(self.unexpected("a string")),
        };
        self.at += 1;
        Ok(text)
    }

    /// Takes the value of a partition key: a string or a number.
    pub(super) fn literal(&mut self) -> Result<String, QueryError> {
        let negative = self.take_mark(&Token::Minus);
        if let Some(Token::Number(number, _)) = self.peek().map(|t| &t.token) {
            self.at += 1;
            return Ok(format!("{}{number}", if negative { "-" } else { "" }));
        }
        if negative {
            return Err(self.unexpected("a number"));
        }
        self.string()
    }

    /// Takes properties in parentheses: `('key'='value', ...)`.
    pub(super) fn properties(&mut self) -> Result<Vec<(String, String)>, QueryError> {
        let mut found = Vec::new();
        self.expect_mark(&Token::LParen)?;
        loop {
            let key = self.string()?;
            self.expect_mark(&Token::Eq)?;
            found.push((key, self.string()?));
            if self.take_mark(&Token::RParen) {
                return Ok(found);
            }
            self.expect_mark(&Token::Comma)?;
        }
    }

    /// Takes the text of a column's type, up to the comma, bracket or word that ends it.
    pub(super) fn type_text(&mut self) -> Result<String, QueryError> {
        let (mut text, mut depth) = (String::new(), 0_i32);
        while let Some(token) = self.peek() {
            match &token.token {
                Token::Comma | Token::RParen if depth == 0 => break,
                Token::Word(word) if depth == 0 && !text.is_empty() && word.value != "precision" => {
                    break;
                }
                Token::Lt | Token::LParen => depth += 1,
                Token::Gt | Token::RParen => depth -= 1,
                Token::ShiftRight => depth -= 2,
                _ => {}
            }
            text.push_str(&token.token.to_string());
            self.advance();
        }
        if text.is_empty() {
            return Err(self.unexpected("a type"));
        }
        Ok(text)
    }
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}
