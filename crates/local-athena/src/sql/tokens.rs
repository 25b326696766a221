//! A statement's tokens, and a cursor over them for the statements that are read by hand.

use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::depth;
use super::dialect::{self, AthenaDialect};
use super::place::Place;
use crate::error::{ErrorKind, QueryError};

/// Athena's limit on the length of a statement, in bytes.
const LONGEST: usize = 262_144;

/// The tokens of one statement, without white space, comments and a last semicolon.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    /// The text that the places of the tokens refer to.
    pub(super) text: String,
    pub(super) list: Vec<TokenWithSpan>,
}

impl Tokens {
    /// Reads the text and puts the parameters where `?` stands.
    pub(super) fn read(text: &str, parameters: &[String]) -> Result<Self, QueryError> {
        if text.len() > LONGEST {
            let message = format!("the statement has {} bytes, more than {LONGEST}", text.len());
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

    /// A cursor at the first token.
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
        let place = Place::at(error.location).unwrap_or(Place::end_of(text));
        syntax(place, error.message)
    })?;
    tokens.retain(|t| !matches!(t.token, Token::Whitespace(_)));
    Ok(tokens)
}

/// A parameter's tokens, all at the place of its `?`: one expression and nothing else.
fn expression(text: &str, place: &TokenWithSpan) -> Result<Vec<TokenWithSpan>, QueryError> {
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
    let at = |token| TokenWithSpan::new(token, place.span);
    if tokens.len() == 1 {
        return Ok(vec![at(tokens.remove(0).token)]);
    }
    let inner = tokens.into_iter().map(|t| t.token);
    Ok(std::iter::once(Token::LParen).chain(inner).chain([Token::RParen]).map(at).collect())
}

/// A syntax error at a place.
pub(super) fn syntax(place: Place, message: impl std::fmt::Display) -> QueryError {
    QueryError::new(ErrorKind::Syntax, format_args!("{place}: {message}"))
}

/// `sqlparser`'s error in Athena's words.
pub(super) fn parser_error(error: &ParserError, text: &str) -> QueryError {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            return depth::too_large();
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    let (message, place) = split_place(message);
    let place = place.unwrap_or(Place::end_of(text));
    let parts = message.strip_prefix("Expected: ").and_then(|rest| rest.rsplit_once(", found: "));
    if let Some((expected, found)) = parts {
        return mismatched(place, found, expected);
    }
    // The parser tells the place behind the token when it tells it in this form.
    match message.strip_prefix("Expected an expression, found: ") {
        Some(found) => mismatched(last_before(text, found, place), found, "an expression"),
        None => syntax(place, message),
    }
}

/// Where the text stands last before a place.
fn last_before(text: &str, found: &str, place: Place) -> Place {
    let before = &text[..place.offset_in(text)];
    before.rfind(found).map_or(place, |at| Place::end_of(&before[..at]))
}

/// Splits `... at Line: 1, Column: 8` into the message and the place.
fn split_place(message: &str) -> (&str, Option<Place>) {
    let Some((before, place)) = message.rsplit_once(" at Line: ") else {
        return (message, None);
    };
    let numbers = place.split_once(", Column: ");
    let place =
        numbers.and_then(|(line, column)| Some(Place { line: line.parse().ok()?, column: column.parse().ok()? }));
    (before, place)
}

fn mismatched(place: Place, found: &str, expected: &str) -> QueryError {
    let found = if found == "EOF" { "<EOF>" } else { found };
    syntax(place, format_args!("mismatched input '{found}'. Expecting: {expected}"))
}

/// Reads tokens one after the other.
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

    /// Where the next token stands.
    pub(super) fn place(&self) -> Place {
        self.peek().and_then(|t| Place::start(t.span)).unwrap_or(Place::end_of(&self.tokens.text))
    }

    /// The text from the next token on, without a last semicolon.
    pub(super) fn rest_of_text(&self) -> &'a str {
        let rest = &self.tokens.text[self.place().offset_in(&self.tokens.text)..];
        rest.trim_end().trim_end_matches(';').trim_end()
    }

    /// The tokens from the next on.
    pub(super) fn rest(&self) -> &'a [TokenWithSpan] {
        &self.tokens.list[self.at..]
    }

    /// The next token is not one of those that may stand here.
    pub(super) fn unexpected(&self, expected: &str) -> QueryError {
        let found = self.peek().map_or("EOF".to_owned(), |t| t.to_string());
        mismatched(self.place(), &found, expected)
    }

    /// Is the next token this word, in any case of its letters?
    pub(super) fn is(&self, word: &str) -> bool {
        self.peek().is_some_and(|t| is_word(&t.token, word))
    }

    /// Passes over the word if it is next.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let is_next = self.is(word);
        self.at += usize::from(is_next);
        is_next
    }

    /// Passes over all the words if they are next in this order.
    pub(super) fn take_all(&mut self, words: &[&str]) -> bool {
        let next = self.rest().iter().zip(words);
        let are_next = self.rest().len() >= words.len() && next.into_iter().all(|(t, word)| is_word(&t.token, word));
        self.at += if are_next { words.len() } else { 0 };
        are_next
    }

    /// Passes over the word, which must be next.
    pub(super) fn expect(&mut self, word: &str) -> Result<(), QueryError> {
        if self.take(word) { Ok(()) } else { Err(self.unexpected(&format!("'{word}'"))) }
    }

    /// Passes over the mark if it is next.
    pub(super) fn take_mark(&mut self, mark: &Token) -> bool {
        let is_next = self.peek().is_some_and(|t| t.token == *mark);
        self.at += usize::from(is_next);
        is_next
    }

    /// Passes over the mark, which must be next.
    pub(super) fn expect_mark(&mut self, mark: &Token) -> Result<(), QueryError> {
        if self.take_mark(mark) { Ok(()) } else { Err(self.unexpected(&format!("'{mark}'"))) }
    }

    /// Passes over the end of the statement, which must be next.
    pub(super) fn expect_end(&self) -> Result<(), QueryError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("<EOF>")),
        }
    }

    /// A name, in lower case; any word may be one, as in Hive.
    pub(super) fn identifier(&mut self) -> Result<String, QueryError> {
        match self.peek().map(|t| &t.token) {
            Some(Token::Word(word)) if !word.value.is_empty() => {
                self.at += 1;
                Ok(word.value.to_lowercase())
            }
            _ => Err(self.unexpected("an identifier")),
        }
    }

    /// Text in quotes of either kind.
    pub(super) fn string(&mut self) -> Result<String, QueryError> {
        let text = match self.peek().map(|t| &t.token) {
            Some(Token::SingleQuotedString(text)) => text.clone(),
            Some(Token::Word(word)) if word.quote_style == Some('"') => word.value.clone(),
            _ => return Err(self.unexpected("a string")),
        };
        self.at += 1;
        Ok(text)
    }

    /// A value of a partition key: text in quotes or a whole number.
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

    /// A column's type as it is written, up to the comma, bracket or word that ends it.
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
