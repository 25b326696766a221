//! The parser of statements that write the rows of a query: CREATE TABLE AS, INSERT INTO and UNLOAD.

use std::sync::Arc;

use datafusion::sql::sqlparser::tokenizer::Token;

use super::ddl::{QualifiedName, folder, table_name};
use super::position::syntax;
use super::select::Select;
use super::tokens::{Cursor, Tokens};
use crate::error::QueryError;

/// A statement that writes the rows of a query to objects.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) target: WriteTarget,
    pub(crate) select: Select,
}

/// Where the rows go.
#[derive(Debug, Clone)]
pub(crate) enum WriteTarget {
    /// A new table. Without data it has no rows.
    NewTable { name: QualifiedName, if_not_exists: bool, with_data: bool, options: WriteOptions },
    /// A table that exists; its columns in the order of the query's, if the statement names them.
    Table { name: QualifiedName, columns: Option<Vec<String>> },
    /// Objects without a table.
    Objects { location: String, options: WriteOptions },
}

/// The format of written objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteFormat {
    Parquet,
    Json,
    /// Lines of fields.
    Text {
        delimiter: char,
    },
}

/// How the content of written objects is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Snappy,
    Zstd,
}

/// The properties of WITH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WriteOptions {
    pub(crate) format: WriteFormat,
    pub(crate) compression: Compression,
    pub(crate) location: Option<String>,
    pub(crate) partitioned_by: Vec<String>,
}

/// Parses CREATE TABLE AS after its first two words.
pub(super) fn create_table_as(cursor: &mut Cursor<'_>) -> Result<Write, QueryError> {
    let if_not_exists = cursor.take_all(&["IF", "NOT", "EXISTS"]);
    let name = table_name(cursor)?;
    let options = options(cursor, false)?;
    cursor.expect("AS")?;
    let (select, with_data) = select_with_data(cursor)?;
    Ok(Write { target: WriteTarget::NewTable { name, if_not_exists, with_data, options }, select })
}

/// Parses INSERT after its first word.
pub(super) fn insert(cursor: &mut Cursor<'_>) -> Result<Write, QueryError> {
    cursor.expect("INTO")?;
    let name = table_name(cursor)?;
    let begins_list = cursor.rest().get(1).is_some_and(|next| !matches!(&next.token, Token::Word(word) if word.quote_style.is_none() && ["SELECT", "WITH", "VALUES"].iter().any(|w| word.value.eq_ignore_ascii_case(w))));
    let mut columns = None;
    let mut ahead = cursor.clone();
    if ahead.take_mark(&Token::LParen) && begins_list {
        let mut names = vec![ahead.identifier()?];
        while ahead.take_mark(&Token::Comma) {
            names.push(ahead.identifier()?);
        }
        ahead.expect_mark(&Token::RParen)?;
        columns = Some(names);
        *cursor = ahead;
    }
    Ok(Write { target: WriteTarget::Table { name, columns }, select: Select::parse(cursor)? })
}

/// Parses UNLOAD after its first word.
pub(super) fn unload(cursor: &mut Cursor<'_>) -> Result<Write, QueryError> {
    let rest = cursor.rest();
    if rest.first().is_none_or(|first| first.token != Token::LParen) {
        return Err(cursor.unexpected("'('"));
    }
    let end = closing(rest).ok_or_else(|| cursor.unexpected("a query in parentheses"))?;
    let inner = Tokens { text: cursor.text().to_owned(), list: rest[1..end].to_vec() };
    let select = Select::parse(&inner.cursor())?;
    cursor.skip(end + 1);
    cursor.expect("TO")?;
    let position = cursor.position();
    let location = folder(&cursor.string()?).map_err(|message| syntax(position, message))?;
    let options = options(cursor, true)?;
    cursor.expect_end()?;
    Ok(Write { target: WriteTarget::Objects { location, options }, select })
}

/// Returns the index of the parenthesis that closes the first one.
fn closing(list: &[datafusion::sql::sqlparser::tokenizer::TokenWithSpan]) -> Option<usize> {
    let mut depth = 0_usize;
    list.iter().position(|t| {
        match t.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })
}

/// Parses the query to the end of the statement, which may be WITH DATA or WITH NO DATA.
fn select_with_data(cursor: &Cursor<'_>) -> Result<(Select, bool), QueryError> {
    let mut list = cursor.rest().to_vec();
    let ends_with = |words: &[&str], list: &[datafusion::sql::sqlparser::tokenizer::TokenWithSpan]| {
        list.len() > words.len()
            && list[list.len() - words.len()..].iter().zip(words).all(|(t, word)| {
                matches!(&t.token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
            })
    };
    let mut with_data = true;
    if ends_with(&["WITH", "NO", "DATA"], &list) {
        with_data = false;
        list.truncate(list.len() - 3);
    } else if ends_with(&["WITH", "DATA"], &list) {
        list.truncate(list.len() - 2);
    }
    let inner = Tokens { text: cursor.text().to_owned(), list };
    Ok((Select::parse(&inner.cursor())?, with_data))
}

fn refused(position: super::Position, what: &str) -> QueryError {
    QueryError::not_supported(&format!("{position}: {what}"))
}

/// Parses `WITH (key = value, ...)`. UNLOAD has other names for some of the properties, and needs a format.
fn options(cursor: &mut Cursor<'_>, is_unload: bool) -> Result<WriteOptions, QueryError> {
    let mut options = WriteOptions {
        format: WriteFormat::Parquet,
        compression: Compression::Gzip,
        location: None,
        partitioned_by: Vec::new(),
    };
    let (mut format, mut compression, mut delimiter) = (None, None, None);
    if is_unload {
        cursor.expect("WITH")?;
    } else if !cursor.take("WITH") {
        return Ok(options);
    }
    cursor.expect_mark(&Token::LParen)?;
    loop {
        let position = cursor.position();
        let key = cursor.identifier()?;
        cursor.expect_mark(&Token::Eq)?;
        match key.as_str() {
            "format" => format = Some((position, cursor.string()?.to_uppercase())),
            "compression" | "write_compression" | "parquet_compression" => {
                compression = Some((position, cursor.string()?.to_uppercase()));
            }
            "external_location" if !is_unload => {
                options.location = Some(folder(&cursor.string()?).map_err(|message| syntax(position, message))?);
            }
            "field_delimiter" => {
                let text = cursor.string()?;
                let mut characters = text.chars();
                match (characters.next(), characters.next()) {
                    (Some(only), None) => delimiter = Some(only),
                    _ => return Err(refused(position, "a delimiter of other than one character")),
                }
            }
            "partitioned_by" => options.partitioned_by = names(cursor)?,
            "is_external" if cursor.take("TRUE") => {}
            "table_type" if cursor.string()?.eq_ignore_ascii_case("HIVE") => {}
            key => return Err(refused(position, &format!("the property {key}"))),
        }
        if cursor.take_mark(&Token::RParen) {
            break;
        }
        cursor.expect_mark(&Token::Comma)?;
    }
    let (position, name) = match format {
        Some(format) => format,
        None if is_unload => {
            let message = "the property format is missing";
            return Err(syntax(cursor.position(), message));
        }
        None => (cursor.position(), "PARQUET".to_owned()),
    };
    options.format = match name.as_str() {
        "PARQUET" => WriteFormat::Parquet,
        "JSON" => WriteFormat::Json,
        "TEXTFILE" if is_unload => WriteFormat::Text { delimiter: delimiter.unwrap_or('\u{1}') },
        name => return Err(refused(position, &format!("the format {name}"))),
    };
    if let Some((position, name)) = compression {
        options.compression = match (name.as_str(), options.format) {
            ("NONE", _) => Compression::None,
            ("GZIP", _) => Compression::Gzip,
            ("SNAPPY", WriteFormat::Parquet) => Compression::Snappy,
            ("ZSTD", WriteFormat::Parquet) => Compression::Zstd,
            (name, _) => return Err(refused(position, &format!("the compression {name}"))),
        };
    }
    Ok(options)
}

/// Parses `ARRAY['a', 'b']`.
fn names(cursor: &mut Cursor<'_>) -> Result<Vec<String>, QueryError> {
    cursor.expect("ARRAY")?;
    cursor.expect_mark(&Token::LBracket)?;
    let mut names = vec![cursor.string()?.to_lowercase()];
    while cursor.take_mark(&Token::Comma) {
        names.push(cursor.string()?.to_lowercase());
    }
    cursor.expect_mark(&Token::RBracket)?;
    Ok(names)
}

impl Write {
    /// Returns Athena's `SubstatementType`.
    pub(super) fn name(&self) -> &'static str {
        match self.target {
            WriteTarget::NewTable { .. } => "CREATE_TABLE_AS_SELECT",
            WriteTarget::Table { .. } => "INSERT",
            WriteTarget::Objects { .. } => "UNLOAD",
        }
    }

    /// Shares the statement, because cloning a deep tree would recurse on the caller's stack.
    pub(super) fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}
