//! The tables of `information_schema`, computed from a catalog snapshot: `schemata`, `tables`, `columns` and `views`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};
use datafusion::arrow::record_batch::RecordBatch;

use crate::catalog::{CATALOG_NAME, Snapshot, Table, TableKind};
use crate::error::{ErrorKind, QueryError};

/// The name of the schema.
pub(super) const NAME: &str = "information_schema";

/// The names of its tables.
pub(super) const TABLES: [&str; 4] = ["schemata", "tables", "columns", "views"];

/// Returns the rows of one of the tables, or `None` when there is no table of this name.
pub(super) fn rows(snapshot: &Snapshot, name: &str) -> Result<Option<RecordBatch>, QueryError> {
    let columns = match name {
        "schemata" => schemata(snapshot)?,
        "tables" => tables(&all_tables(snapshot)?),
        "columns" => columns(&all_tables(snapshot)?),
        "views" => views(&all_tables(snapshot)?),
        _ => return Ok(None),
    };
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, values)| (name, values, true)));
    batch.map(Some).map_err(|error| QueryError::new(ErrorKind::Internal, error))
}

type Columns = Vec<(&'static str, ArrayRef)>;

fn all_tables(snapshot: &Snapshot) -> Result<Vec<Table>, QueryError> {
    let mut all = Vec::new();
    for database in snapshot.databases()? {
        all.extend(snapshot.tables(&database.name)?);
    }
    Ok(all)
}

fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn catalog_name(rows: usize) -> ArrayRef {
    texts(vec![CATALOG_NAME; rows])
}

fn schemata(snapshot: &Snapshot) -> Result<Columns, QueryError> {
    let databases = snapshot.databases()?;
    let mut names: Vec<_> = databases.iter().map(|d| d.name.as_str()).collect();
    names.push(NAME);
    names.sort_unstable();
    Ok(vec![("catalog_name", catalog_name(names.len())), ("schema_name", texts(names))])
}

fn tables(all: &[Table]) -> Columns {
    let kind = |table: &Table| match table.kind {
        TableKind::External { .. } => "BASE TABLE",
        TableKind::View { .. } => "VIEW",
    };
    vec![
        ("table_catalog", catalog_name(all.len())),
        ("table_schema", texts(all.iter().map(|t| t.database.as_str()))),
        ("table_name", texts(all.iter().map(|t| t.name.as_str()))),
        ("table_type", texts(all.iter().map(kind))),
    ]
}

fn columns(all: &[Table]) -> Columns {
    let rows: Vec<_> = all
        .iter()
        .flat_map(|table| {
            let keys_from = table.columns.len();
            let numbered = table.all_columns().enumerate();
            numbered.map(move |(at, column)| (table, at, column, at >= keys_from))
        })
        .collect();
    let types: Vec<_> = rows.iter().map(|(_, _, c, _)| c.ty.trino()).collect();
    let positions = rows.iter().map(|(_, at, _, _)| *at as i64 + 1);
    let comments = rows.iter().map(|(_, _, c, _)| c.comment.as_deref());
    let extra = rows.iter().map(|(_, _, _, key)| key.then_some("partition key"));
    vec![
        ("table_catalog", catalog_name(rows.len())),
        ("table_schema", texts(rows.iter().map(|(t, ..)| t.database.as_str()))),
        ("table_name", texts(rows.iter().map(|(t, ..)| t.name.as_str()))),
        ("column_name", texts(rows.iter().map(|(_, _, c, _)| c.name.as_str()))),
        ("ordinal_position", Arc::new(Int64Array::from_iter_values(positions))),
        ("column_default", Arc::new(StringArray::new_null(rows.len()))),
        ("is_nullable", texts(vec!["YES"; rows.len()])),
        ("data_type", texts(types.iter().map(String::as_str))),
        ("comment", Arc::new(comments.collect::<StringArray>())),
        ("extra_info", Arc::new(extra.collect::<StringArray>())),
    ]
}

fn views(all: &[Table]) -> Columns {
    let views: Vec<_> = all
        .iter()
        .filter_map(|table| match &table.kind {
            TableKind::View { sql, .. } => Some((table, sql.as_str())),
            TableKind::External { .. } => None,
        })
        .collect();
    vec![
        ("table_catalog", catalog_name(views.len())),
        ("table_schema", texts(views.iter().map(|(t, _)| t.database.as_str()))),
        ("table_name", texts(views.iter().map(|(t, _)| t.name.as_str()))),
        ("view_definition", texts(views.iter().map(|(_, sql)| *sql))),
    ]
}
