//! `ROW FORMAT SERDE ... STORED AS ...`, and the columns and properties that a table of each format may have.
//!
//! Files are Parquet, or JSON as the OpenX SerDe reads it: <https://docs.aws.amazon.com/athena/latest/ug/openx-json-serde.html>.
//! A property that would change the rows of a table or their values is refused and never ignored.

use super::tokens::Cursor;
use crate::catalog::{Format, TableColumn};
use crate::error::QueryError;
use crate::types::HiveType;

/// Parses the clauses of CREATE TABLE that determine the file format.
pub(super) fn row_format(cursor: &mut Cursor<'_>) -> Result<Format, QueryError> {
    let mut format = Format::Parquet;
    if cursor.take_all(&["ROW", "FORMAT"]) {
        if !cursor.take("SERDE") {
            return Err(QueryError::not_supported("ROW FORMAT DELIMITED, only Parquet and JSON are read:"));
        }
        let serde = cursor.string()?;
        format = match serde.as_str() {
            json if json == Format::Json.serde() => Format::Json,
            parquet if parquet.to_lowercase().contains("parquet") => Format::Parquet,
            _ => return Err(QueryError::not_supported(&format!("ROW FORMAT SERDE '{serde}'"))),
        };
        if cursor.take_all(&["WITH", "SERDEPROPERTIES"]) {
            let properties = cursor.properties()?;
            if format == Format::Json {
                refuse_serde_properties(&properties)?;
            }
        }
    }
    stored_as(cursor, format)?;
    Ok(format)
}

/// Parses STORED AS. It is optional for JSON, because Hive's default is text.
fn stored_as(cursor: &mut Cursor<'_>, format: Format) -> Result<(), QueryError> {
    let (name, class) = match format {
        Format::Parquet => ("PARQUET", "parquet"),
        Format::Json => ("TEXTFILE", "textinputformat"),
    };
    if !cursor.take_all(&["STORED", "AS"]) {
        return match format {
            Format::Parquet => Err(cursor.unexpected("'STORED AS PARQUET'")),
            Format::Json => Ok(()),
        };
    }
    if cursor.take(name) {
        return Ok(());
    }
    if !cursor.take("INPUTFORMAT") {
        let other = cursor.identifier()?.to_uppercase();
        return Err(QueryError::not_supported(&format!("STORED AS {other}")));
    }
    let input = cursor.string()?;
    if !input.to_lowercase().contains(class) {
        return Err(QueryError::not_supported(&format!("INPUTFORMAT '{input}'")));
    }
    cursor.expect("OUTPUTFORMAT")?;
    cursor.string().map(|_| ())
}

/// Properties of the OpenX SerDe that are accepted with their default value only.
const ACCEPTED_PROPERTIES: [(&str, &str); 6] = [
    ("ignore.malformed.json", "false"),
    ("use.null.for.invalid.data", "false"),
    ("case.insensitive", "true"),
    ("dots.in.keys", "false"),
    ("explicit.null", "false"),
    // Glue adds it to every SerDe. It concerns delimited text only.
    ("serialization.format", "1"),
];

fn refuse_serde_properties(properties: &[(String, String)]) -> Result<(), QueryError> {
    let is_default = |(key, value): &(String, String)| {
        ACCEPTED_PROPERTIES
            .iter()
            .any(|(known, default)| key.eq_ignore_ascii_case(known) && value.eq_ignore_ascii_case(default))
    };
    match properties.iter().find(|property| !is_default(property)) {
        Some((key, value)) => Err(QueryError::not_supported(&format!("the SerDe property '{key}'='{value}'"))),
        None => Ok(()),
    }
}

/// Refuses columns with types that cannot be read from files of the format.
pub(crate) fn refuse_columns(format: Format, columns: &[TableColumn]) -> Result<(), QueryError> {
    use HiveType as T;
    let is_read = |ty: &HiveType| {
        matches!(
            ty,
            T::Boolean
                | T::TinyInt
                | T::SmallInt
                | T::Int
                | T::BigInt
                | T::Float
                | T::Double
                | T::Decimal(..)
                | T::String
                | T::Date
                | T::Timestamp
        )
    };
    match columns.iter().find(|column| format == Format::Json && !is_read(&column.ty)) {
        Some(column) => {
            let what = format!("the column {} of type {} in a table of JSON files", column.name, column.ty);
            Err(QueryError::not_supported(&what))
        }
        None => Ok(()),
    }
}

/// Refuses table properties that would change the rows of a table on Athena, and have no effect here.
pub(crate) fn refuse_properties(format: Format, properties: &[(String, String)]) -> Result<(), QueryError> {
    let changes_rows = |(key, value): &&(String, String)| {
        let key = key.to_lowercase();
        let value = value.to_lowercase();
        match key.as_str() {
            "projection.enabled" | "parquet.column.index.access" => value == "true",
            "table_type" => value == "iceberg",
            "skip.header.line.count" | "skip.footer.line.count" => format == Format::Json && value != "0",
            // A manifest has checksums of blocks of Parquet files.
            manifest::PROPERTY => format == Format::Json,
            _ => false,
        }
    };
    match properties.iter().find(changes_rows) {
        Some((key, value)) => Err(QueryError::not_supported(&format!("the table property '{key}'='{value}'"))),
        None => Ok(()),
    }
}
