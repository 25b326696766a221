//! The parser of DDL, SHOW and DESCRIBE: a recursive-descent parser for Hive's grammar, which Athena uses.
//!
//! Not `sqlparser`'s DDL parser: that accepts clauses of many engines, and a clause that has no effect here must be
//! refused at its position and never ignored.

use std::sync::Arc;

use datafusion::sql::sqlparser::tokenizer::Token;

use super::position::{Position, syntax};
use super::row_format::{refuse_columns, refuse_properties, row_format};
use super::select::Select;
use super::tokens::Cursor;
use crate::catalog::{CATALOG_NAME, TableColumn, TableKind};
use crate::error::{ErrorKind, QueryError};

/// The name of a table or view, with its database if the statement states one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QualifiedName {
    pub(crate) database: Option<String>,
    pub(crate) table: String,
}

/// `year = 2020, month = 4`, in the order of the statement.
pub(crate) type PartitionSpec = Vec<(String, String)>;

/// A comparison operator of `DROP PARTITION`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A condition of `DROP PARTITION`: `year >= 2020`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionPredicate {
    pub(crate) key: String,
    pub(crate) comparison: Comparison,
    pub(crate) value: String,
}

/// A statement that changes the catalog.
#[derive(Debug, Clone)]
pub(crate) enum Ddl {
    CreateDatabase {
        name: String,
        if_not_exists: bool,
        comment: Option<String>,
        location: Option<String>,
    },
    DropDatabase {
        name: String,
        if_exists: bool,
        cascade: bool,
    },
    CreateTable {
        name: QualifiedName,
        if_not_exists: bool,
        columns: Vec<TableColumn>,
        partition_keys: Vec<TableColumn>,
        comment: Option<String>,
        kind: TableKind,
        properties: Vec<(String, String)>,
    },
    DropTable {
        name: QualifiedName,
        if_exists: bool,
    },
    AddColumns {
        table: QualifiedName,
        columns: Vec<TableColumn>,
    },
    AddPartitions {
        table: QualifiedName,
        if_not_exists: bool,
        partitions: Vec<(PartitionSpec, Option<String>)>,
    },
    MovePartition {
        table: QualifiedName,
        spec: PartitionSpec,
        location: String,
    },
    SetProperties {
        table: QualifiedName,
        properties: Vec<(String, String)>,
    },
    DropPartitions {
        table: QualifiedName,
        if_exists: bool,
        partitions: Vec<Vec<PartitionPredicate>>,
    },
    RepairTable {
        table: QualifiedName,
    },
    CreateView(Arc<View>),
    DropView {
        name: QualifiedName,
        if_exists: bool,
    },
}

/// CREATE VIEW.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) name: QualifiedName,
    pub(crate) replace: bool,
    pub(crate) comment: Option<String>,
    pub(crate) select: Select,
}

/// A statement that reads the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Show {
    Databases { pattern: Option<String> },
    Tables { database: Option<String>, pattern: Option<String> },
    Views { database: Option<String>, pattern: Option<String> },
    Partitions { table: QualifiedName },
    Columns { table: QualifiedName },
    Properties { table: QualifiedName, property: Option<String> },
    CreateTable { table: QualifiedName },
    CreateView { view: QualifiedName },
    Describe { table: QualifiedName, formatted: bool, partition: Option<PartitionSpec> },
}

/// Parses `CREATE ...` after its first word.
pub(super) fn create(cursor: &mut Cursor<'_>) -> Result<Ddl, QueryError> {
    if cursor.take("DATABASE") || cursor.take("SCHEMA") {
        return create_database(cursor);
    }
    if cursor.take("EXTERNAL") {
        cursor.expect("TABLE")?;
        return create_table(cursor);
    }
    let position = cursor.position();
    if cursor.take("TABLE") {
        return Err(only_external(position));
    }
    let replace = cursor.take_all(&["OR", "REPLACE"]);
    if cursor.take("VIEW") {
        return create_view(cursor, replace);
    }
    for word in ["PROTECTED", "FUNCTION", "ROLE", "CATALOG"] {
        if cursor.is(word) {
            return Err(QueryError::not_supported(&format!("CREATE {word}")));
        }
    }
    Err(cursor.unexpected("'DATABASE', 'SCHEMA', 'EXTERNAL', 'OR', 'VIEW'"))
}

fn only_external(position: Position) -> QueryError {
    QueryError::new(ErrorKind::NotSupported, format_args!("{position}: only CREATE EXTERNAL TABLE is supported"))
}

/// Parses `DROP ...` after its first word.
pub(super) fn drop(cursor: &mut Cursor<'_>) -> Result<Ddl, QueryError> {
    if cursor.take("DATABASE") || cursor.take("SCHEMA") {
        let if_exists = cursor.take_all(&["IF", "EXISTS"]);
        let name = database_name(cursor)?;
        let cascade = cursor.take("CASCADE");
        if !cascade {
            cursor.take("RESTRICT");
        }
        return Ok(Ddl::DropDatabase { name, if_exists, cascade });
    }
    if cursor.take("TABLE") {
        let if_exists = cursor.take_all(&["IF", "EXISTS"]);
        let name = table_name(cursor)?;
        return Ok(Ddl::DropTable { name, if_exists });
    }
    if cursor.take("VIEW") {
        let if_exists = cursor.take_all(&["IF", "EXISTS"]);
        let name = table_name(cursor)?;
        return Ok(Ddl::DropView { name, if_exists });
    }
    Err(cursor.unexpected("'DATABASE', 'SCHEMA', 'TABLE', 'VIEW'"))
}

/// Parses `ALTER ...` after its first word.
pub(super) fn alter(cursor: &mut Cursor<'_>) -> Result<Ddl, QueryError> {
    if !cursor.take("TABLE") {
        return Err(QueryError::not_supported("ALTER of anything but a TABLE"));
    }
    let table = table_name(cursor)?;
    if cursor.take("ADD") {
        if cursor.take("COLUMNS") {
            let columns = columns(cursor)?;
            return Ok(Ddl::AddColumns { table, columns });
        }
        return add_partitions(cursor, table);
    }
    if cursor.take("DROP") {
        return drop_partitions(cursor, table);
    }
    if cursor.is("PARTITION") {
        let spec = partition_spec(cursor)?;
        if cursor.take("RENAME") {
            return Err(QueryError::not_supported("ALTER TABLE RENAME PARTITION"));
        }
        if cursor.take("ADD") {
            return Err(QueryError::not_supported("ALTER TABLE PARTITION ADD COLUMNS"));
        }
        cursor.expect("SET")?;
        cursor.expect("LOCATION")?;
        let location = location(cursor)?;
        return Ok(Ddl::MovePartition { table, spec, location });
    }
    if cursor.take_all(&["SET", "TBLPROPERTIES"]) {
        let properties = cursor.properties()?;
        return Ok(Ddl::SetProperties { table, properties });
    }
    for word in ["SET", "REPLACE", "CHANGE", "RENAME"] {
        if cursor.is(word) {
            return Err(QueryError::not_supported(&format!("ALTER TABLE ... {word}")));
        }
    }
    Err(cursor.unexpected("'ADD', 'DROP', 'PARTITION'"))
}

/// Parses `MSCK ...` after its first word.
pub(super) fn repair(cursor: &mut Cursor<'_>) -> Result<Ddl, QueryError> {
    cursor.expect("REPAIR")?;
    cursor.expect("TABLE")?;
    let table = table_name(cursor)?;
    Ok(Ddl::RepairTable { table })
}

fn create_database(cursor: &mut Cursor<'_>) -> Result<Ddl, QueryError> {
    let if_not_exists = cursor.take_all(&["IF", "NOT", "EXISTS"]);
    let name = database_name(cursor)?;
    let comment = optional_comment(cursor)?;
    let location = optional_location(cursor)?;
    if cursor.take_all(&["WITH", "DBPROPERTIES"]) {
        return Err(QueryError::not_supported("WITH DBPROPERTIES"));
    }
    Ok(Ddl::CreateDatabase { name, if_not_exists, comment, location })
}

fn create_table(cursor: &mut Cursor<'_>) -> Result<Ddl, QueryError> {
    let if_not_exists = cursor.take_all(&["IF", "NOT", "EXISTS"]);
    let name = table_name(cursor)?;
    let columns = columns(cursor)?;
    let comment = optional_comment(cursor)?;
    let partition_keys = if cursor.take_all(&["PARTITIONED", "BY"]) { self::columns(cursor)? } else { Vec::new() };
    if cursor.is("CLUSTERED") {
        return Err(QueryError::not_supported("CLUSTERED BY"));
    }
    let format = row_format(cursor)?;
    refuse_columns(format, &columns)?;
    let position = cursor.position();
    let location = optional_location(cursor)?
        .ok_or_else(|| syntax(position, "missing LOCATION 's3://bucket/folder/' of the table"))?;
    let properties = if cursor.take("TBLPROPERTIES") { cursor.properties()? } else { Vec::new() };
    refuse_properties(format, &properties)?;
    let kind = TableKind::External { location, format };
    Ok(Ddl::CreateTable { name, if_not_exists, columns, partition_keys, comment, kind, properties })
}

fn columns(cursor: &mut Cursor<'_>) -> Result<Vec<TableColumn>, QueryError> {
    let mut columns = Vec::new();
    cursor.expect_mark(&Token::LParen)?;
    loop {
        let name = cursor.identifier()?;
        let position = cursor.position();
        let ty = cursor.type_text()?;
        columns.push(TableColumn {
            name,
            ty: ty.parse().map_err(|error| syntax(position, error))?,
            comment: optional_comment(cursor)?,
        });
        if cursor.take_mark(&Token::RParen) {
            return Ok(columns);
        }
        cursor.expect_mark(&Token::Comma)?;
    }
}

fn add_partitions(cursor: &mut Cursor<'_>, table: QualifiedName) -> Result<Ddl, QueryError> {
    let if_not_exists = cursor.take_all(&["IF", "NOT", "EXISTS"]);
    let mut partitions = Vec::new();
    while cursor.is("PARTITION") || partitions.is_empty() {
        let spec = partition_spec(cursor)?;
        partitions.push((spec, optional_location(cursor)?));
    }
    Ok(Ddl::AddPartitions { table, if_not_exists, partitions })
}

fn drop_partitions(cursor: &mut Cursor<'_>, table: QualifiedName) -> Result<Ddl, QueryError> {
    let if_exists = cursor.take_all(&["IF", "EXISTS"]);
    let mut partitions = vec![partition_predicates(cursor)?];
    while cursor.take_mark(&Token::Comma) {
        partitions.push(partition_predicates(cursor)?);
    }
    Ok(Ddl::DropPartitions { table, if_exists, partitions })
}

fn partition_predicates(cursor: &mut Cursor<'_>) -> Result<Vec<PartitionPredicate>, QueryError> {
    const COMPARISONS: [(Token, Comparison); 6] = [
        (Token::Eq, Comparison::Equal),
        (Token::Neq, Comparison::NotEqual),
        (Token::Lt, Comparison::Less),
        (Token::LtEq, Comparison::LessOrEqual),
        (Token::Gt, Comparison::Greater),
        (Token::GtEq, Comparison::GreaterOrEqual),
    ];
    let mut predicates = Vec::new();
    cursor.expect("PARTITION")?;
    cursor.expect_mark(&Token::LParen)?;
    loop {
        let key = cursor.identifier()?;
        let (_, comparison) = COMPARISONS
            .into_iter()
            .find(|(mark, _)| cursor.take_mark(mark))
            .ok_or_else(|| cursor.unexpected("'=', '<>', '<', '<=', '>', '>='"))?;
        let value = cursor.literal()?;
        predicates.push(PartitionPredicate { key, comparison, value });
        if cursor.take_mark(&Token::RParen) {
            return Ok(predicates);
        }
        cursor.expect_mark(&Token::Comma)?;
    }
}

fn partition_spec(cursor: &mut Cursor<'_>) -> Result<PartitionSpec, QueryError> {
    let position = cursor.position();
    let predicates = partition_predicates(cursor)?;
    if predicates.iter().any(|predicate| predicate.comparison != Comparison::Equal) {
        return Err(syntax(position, "a partition is named with '=' only"));
    }
    Ok(predicates.into_iter().map(|p| (p.key, p.value)).collect())
}

fn create_view(cursor: &mut Cursor<'_>, replace: bool) -> Result<Ddl, QueryError> {
    let name = table_name(cursor)?;
    let comment = optional_comment(cursor)?;
    cursor.expect("AS")?;
    let select = Select::parse(cursor)?;
    Ok(Ddl::CreateView(Arc::new(View { name, replace, comment, select })))
}

/// Parses `SHOW ...` after its first word.
pub(super) fn show(cursor: &mut Cursor<'_>) -> Result<Show, QueryError> {
    if cursor.take("DATABASES") || cursor.take("SCHEMAS") {
        let pattern = optional_pattern(cursor)?;
        return Ok(Show::Databases { pattern });
    }
    if cursor.take("TABLES") {
        let (database, pattern) = (optional_database(cursor)?, optional_pattern(cursor)?);
        return Ok(Show::Tables { database, pattern });
    }
    if cursor.take("VIEWS") {
        let (database, pattern) = (optional_database(cursor)?, optional_pattern(cursor)?);
        return Ok(Show::Views { database, pattern });
    }
    if cursor.take("PARTITIONS") {
        let table = table_name(cursor)?;
        return Ok(Show::Partitions { table });
    }
    if cursor.take("COLUMNS") {
        if !cursor.take("FROM") {
            cursor.expect("IN")?;
        }
        return show_columns(cursor);
    }
    if cursor.take("TBLPROPERTIES") {
        let table = table_name(cursor)?;
        let property = match cursor.take_mark(&Token::LParen) {
            true => Some(cursor.string()?),
            false => None,
        };
        if property.is_some() {
            cursor.expect_mark(&Token::RParen)?;
        }
        return Ok(Show::Properties { table, property });
    }
    if cursor.take("CREATE") {
        if cursor.take("VIEW") {
            let view = table_name(cursor)?;
            return Ok(Show::CreateView { view });
        }
        cursor.expect("TABLE")?;
        let table = table_name(cursor)?;
        return Ok(Show::CreateTable { table });
    }
    Err(cursor
        .unexpected("'COLUMNS', 'CREATE', 'DATABASES', 'PARTITIONS', 'SCHEMAS', 'TABLES', 'TBLPROPERTIES', 'VIEWS'"))
}

/// Parses `SHOW COLUMNS IN table [IN database]` after the first IN.
fn show_columns(cursor: &mut Cursor<'_>) -> Result<Show, QueryError> {
    let mut table = table_name(cursor)?;
    if let Some(database) = optional_database(cursor)? {
        table.database = Some(database);
    }
    Ok(Show::Columns { table })
}

/// Parses `DESCRIBE ...` after its first word.
pub(super) fn describe(cursor: &mut Cursor<'_>) -> Result<Show, QueryError> {
    let formatted = cursor.take("FORMATTED");
    if !formatted && cursor.is("EXTENDED") && cursor.rest().len() > 1 {
        return Err(QueryError::not_supported("DESCRIBE EXTENDED (use DESCRIBE FORMATTED)"));
    }
    let table = table_name(cursor)?;
    let partition = match cursor.is("PARTITION") {
        true => Some(partition_spec(cursor)?),
        false => None,
    };
    Ok(Show::Describe { table, formatted, partition })
}

fn database_name(cursor: &mut Cursor<'_>) -> Result<String, QueryError> {
    let name = cursor.identifier()?;
    if name == CATALOG_NAME && cursor.take_mark(&Token::Period) {
        return cursor.identifier();
    }
    Ok(name)
}

pub(super) fn table_name(cursor: &mut Cursor<'_>) -> Result<QualifiedName, QueryError> {
    let position = cursor.position();
    let mut parts = vec![cursor.identifier()?];
    while cursor.take_mark(&Token::Period) {
        parts.push(cursor.identifier()?);
    }
    if parts.len() == 3 && parts[0] == CATALOG_NAME {
        parts.remove(0);
    }
    match <[String; 2]>::try_from(parts) {
        Ok([database, table]) => Ok(QualifiedName { database: Some(database), table }),
        Err(mut parts) if parts.len() == 1 => Ok(QualifiedName { database: None, table: parts.remove(0) }),
        Err(parts) => Err(syntax(position, format_args!("'{}' is no name of a table", parts.join(".")))),
    }
}

fn optional_database(cursor: &mut Cursor<'_>) -> Result<Option<String>, QueryError> {
    if cursor.take("IN") || cursor.take("FROM") { database_name(cursor).map(Some) } else { Ok(None) }
}

fn optional_pattern(cursor: &mut Cursor<'_>) -> Result<Option<String>, QueryError> {
    if cursor.take("LIKE") || !cursor.rest().is_empty() { cursor.string().map(Some) } else { Ok(None) }
}

fn optional_comment(cursor: &mut Cursor<'_>) -> Result<Option<String>, QueryError> {
    if cursor.take("COMMENT") { cursor.string().map(Some) } else { Ok(None) }
}

fn optional_location(cursor: &mut Cursor<'_>) -> Result<Option<String>, QueryError> {
    if cursor.take("LOCATION") { location(cursor).map(Some) } else { Ok(None) }
}

fn location(cursor: &mut Cursor<'_>) -> Result<String, QueryError> {
    let position = cursor.position();
    let text = cursor.string()?;
    folder(&text).map_err(|message| syntax(position, message))
}

/// Normalizes a location `s3://bucket/folder` to end with one slash, so that the prefix `day=1` does not match
/// `day=10`.
///
/// # Errors
/// A message when the text is no S3 location.
pub(crate) fn folder(text: &str) -> Result<String, String> {
    let bucket = text.strip_prefix("s3://").and_then(|rest| rest.split('/').next()).filter(|bucket| !bucket.is_empty());
    match bucket {
        Some(_) => Ok(format!("{}/", text.trim_end_matches('/'))),
        None => Err(format!("'{text}' is no location: give 's3://bucket/folder/'")),
    }
}
