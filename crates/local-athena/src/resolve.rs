//! Resolves the names and partition values of a DDL or SHOW statement against the catalog.

use std::cmp::Ordering;

use crate::catalog::{Table, TableColumn};
use crate::error::{ErrorKind, QueryError};
use crate::sql::{PartitionSpec, QualifiedName};
use crate::types::HiveType;

/// Hive's error for a table that does not exist.
pub(crate) fn no_table(name: &QualifiedName) -> QueryError {
    let database = name.database.iter().map(|database| format!("{database}."));
    let full = format!("{}{}", database.collect::<String>(), name.table);
    QueryError::ddl(ErrorKind::TableNotFound, format_args!("SemanticException [Error 10001]: Table not found {full}"))
}

/// Returns the values of a partition in the order of the table's keys.
///
/// # Errors
/// The specification does not name each key exactly once, or a value does not have the type of its key.
pub(crate) fn partition_values(table: &Table, spec: &PartitionSpec) -> Result<Vec<String>, QueryError> {
    let wrong = |why: &str| {
        let spec: Vec<_> = spec.iter().map(|(key, value)| format!("{key}={value}")).collect();
        QueryError::ddl(ErrorKind::Ddl, format_args!("SemanticException Partition spec {{{}}} {why}", spec.join(", ")))
    };
    if table.partition_keys.is_empty() {
        return Err(wrong("exists, but the table is not partitioned"));
    }
    let is_key = |name: &str| table.partition_keys.iter().any(|key| key.name == name);
    if !spec.iter().all(|(name, _)| is_key(name)) {
        return Err(wrong("contains non-partition columns"));
    }
    if spec.len() != table.partition_keys.len() {
        return Err(wrong("does not name every partition column once"));
    }
    let keys = table.partition_keys.iter();
    keys.map(|key| {
        let value = spec.iter().find(|(name, _)| *name == key.name);
        let (_, value) = value.ok_or_else(|| wrong("does not name every partition column once"))?;
        canonical_value(key, value)
    })
    .collect()
}

/// Returns the canonical form of a partition value, which the catalog stores: `04` of an integer key is `4`.
///
/// # Errors
/// The value does not have the type of the key.
pub(crate) fn canonical_value(key: &TableColumn, value: &str) -> Result<String, QueryError> {
    let wrong = || {
        QueryError::ddl(
            ErrorKind::Ddl,
            format_args!("SemanticException the value '{value}' of partition column {} is no {}", key.name, key.ty),
        )
    };
    if key.ty.is_integer() {
        return value.parse::<i64>().map(|n| n.to_string()).map_err(|_| wrong());
    }
    if key.ty == HiveType::Date {
        let date = value.parse::<chrono::NaiveDate>();
        return date.map(|date| date.to_string()).map_err(|_| wrong());
    }
    if value.is_empty() {
        return Err(wrong());
    }
    Ok(value.to_owned())
}

/// Orders two values of a partition key by its type.
pub(crate) fn compare_values(key: &TableColumn, left: &str, right: &str) -> Ordering {
    match (left.parse::<i64>(), right.parse::<i64>()) {
        (Ok(left), Ok(right)) if key.ty.is_integer() => left.cmp(&right),
        _ => left.cmp(right),
    }
}
