//! `ROW FORMAT SERDE ... STORED AS ...`, and what tables of either format may have beside it.
//!
//! Files are Parquet, or JSON as the OpenX SerDe reads it: <https://docs.aws.amazon.com/athena/latest/ug/openx-json-serde.html>.
//! A property that would change which rows a table has, or what stands in them, is refused and never passed over.

use super::ddl::{not_supported, properties};
use super::tokens::Cursor;
use crate::catalog::{Format, TableColumn};
use crate::error::QueryError;
use crate::types::HiveType;

/// The clauses of CREATE TABLE that say how its files are read.
pub(super) fn row_format(cursor: &mut Cursor<'_>) -> Result<Format, QueryError> {
    let mut format = Format::Parquet;
    if cursor.take_all(&["ROW", "FORMAT"]) {
        if !cursor.take("SERDE") {
            return Err(not_supported("ROW FORMAT DELIMITED, only Parquet and JSON are read:"));
        }
        let serde = cursor.string()?;
        format = match serde.as_str() {
            json if json == Format::Json.serde() => Format::Json,
            parquet if parquet.to_lowercase().contains("parquet") => Format::Parquet,
            _ => return Err(not_supported(&format!("ROW FORMAT SERDE '{serde}'"))),
        };
        if cursor.take_all(&["WITH", "SERDEPROPERTIES"]) {
            let properties = properties(cursor)?;
            if format == Format::Json {
                refuse_serde_properties(&properties)?;
            }
        }
    }
    stored_as(cursor, format)?;
    Ok(format)
}

/// Files of JSON are text, which is what Hive takes for granted where the statement does not say it.
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
        return Err(not_supported(&format!("STORED AS {other}")));
    }
    let input = cursor.string()?;
    if !input.to_lowercase().contains(class) {
        return Err(not_supported(&format!("INPUTFORMAT '{input}'")));
    }
    cursor.expect("OUTPUTFORMAT")?;
    cursor.string().map(|_| ())
}

/// Properties of the OpenX SerDe that change nothing when they have this value, which is their default.
const AS_IT_IS: [(&str, &str); 6] = [
    ("ignore.malformed.json", "false"),
    ("use.null.for.invalid.data", "false"),
    ("case.insensitive", "true"),
    ("dots.in.keys", "false"),
    ("explicit.null", "false"),
    // Glue writes it beside every SerDe; it is about delimited text.
    ("serialization.format", "1"),
];

fn refuse_serde_properties(properties: &[(String, String)]) -> Result<(), QueryError> {
    let is_default = |(key, value): &(String, String)| {
        AS_IT_IS.iter().any(|(known, default)| key.eq_ignore_ascii_case(known) && value.eq_ignore_ascii_case(default))
    };
    match properties.iter().find(|property| !is_default(property)) {
        Some((key, value)) => Err(not_supported(&format!("the SerDe property '{key}'='{value}'"))),
        None => Ok(()),
    }
}

/// Columns of these types are read from JSON.
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
            Err(not_supported(&what))
        }
        None => Ok(()),
    }
}

/// Table properties that change which rows a table has must not be taken without meaning it.
pub(crate) fn refuse_properties(format: Format, properties: &[(String, String)]) -> Result<(), QueryError> {
    let changes_rows = |(key, value): &&(String, String)| {
        let key = key.to_lowercase();
        let value = value.to_lowercase();
        match key.as_str() {
            "projection.enabled" | "parquet.column.index.access" => value == "true",
            "table_type" => value == "iceberg",
            "skip.header.line.count" | "skip.footer.line.count" => format == Format::Json && value != "0",
            // Checksums of a manifest are those of parts of Parquet files.
            manifest::PROPERTY => format == Format::Json,
            _ => false,
        }
    };
    match properties.iter().find(changes_rows) {
        Some((key, value)) => Err(not_supported(&format!("the table property '{key}'='{value}'"))),
        None => Ok(()),
    }
}
