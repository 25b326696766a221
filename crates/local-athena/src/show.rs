//! Executes the statements that read the catalog: SHOW and DESCRIBE.

use regex::RegexBuilder;

use crate::catalog::{Catalog, Partition, Snapshot, Table, TableKind};
use crate::error::{ErrorKind, QueryError};
use crate::partition_name;
use crate::resolve::{no_table, partition_values};
use crate::result_set::{MaterializedResult, Row, text_column};
use crate::sql::{PartitionSpec, QualifiedName, Show};

/// Executes one of the statements on a snapshot of the catalog.
pub(crate) fn run(catalog: &Catalog, what: &Show, database: &str) -> Result<MaterializedResult, QueryError> {
    let snapshot = catalog.snapshot()?;
    match what {
        Show::Databases { pattern } => {
            let names = snapshot.databases()?.into_iter().map(|d| d.name);
            names_like("database_name", names, pattern.as_deref())
        }
        Show::Tables { database: named, pattern } => {
            let tables = tables_of(&snapshot, named.as_deref().unwrap_or(database))?;
            let names = tables.into_iter().map(|t| t.name);
            names_like("tab_name", names, pattern.as_deref())
        }
        Show::Views { database: named, pattern } => {
            let tables = tables_of(&snapshot, named.as_deref().unwrap_or(database))?;
            let views = tables.into_iter().filter(is_view).map(|t| t.name);
            names_like("views", views, pattern.as_deref())
        }
        Show::Partitions { table } => partitions(&snapshot, table, database),
        Show::Columns { table } => {
            let table = find(&snapshot, table, database)?;
            let names = table.all_columns().map(|c| c.name.clone());
            Ok(listing("field", names))
        }
        Show::Properties { table, property } => {
            let table = find(&snapshot, table, database)?;
            Ok(properties(&table, property.as_deref()))
        }
        Show::CreateTable { table } => create_table(&find(&snapshot, table, database)?),
        Show::CreateView { view } => create_view(&find(&snapshot, view, database)?),
        Show::Describe { table, formatted, partition } => {
            let table = find(&snapshot, table, database)?;
            describe(&snapshot, &table, *formatted, partition.as_ref())
        }
    }
}

fn is_view(table: &Table) -> bool {
    matches!(table.kind, TableKind::View { .. })
}

fn find(snapshot: &Snapshot, name: &QualifiedName, database: &str) -> Result<Table, QueryError> {
    let database = name.database.as_deref().unwrap_or(database);
    let found = snapshot.table(database, &name.table)?;
    found.ok_or_else(|| no_table(name))
}

fn tables_of(snapshot: &Snapshot, database: &str) -> Result<Vec<Table>, QueryError> {
    if snapshot.database(database)?.is_none() {
        let message = format!("SemanticException [Error 10072]: Database does not exist: {database}");
        return Err(QueryError::ddl(ErrorKind::SchemaNotFound, message));
    }
    snapshot.tables(database)
}

/// Returns a result of one column of text.
fn listing(name: &str, values: impl IntoIterator<Item = String>) -> MaterializedResult {
    let rows = values.into_iter().map(|value| vec![Some(value)]);
    (vec![text_column(name, "string")], rows.collect())
}

fn names_like(
    column: &str,
    names: impl Iterator<Item = String>,
    pattern: Option<&str>,
) -> Result<MaterializedResult, QueryError> {
    let Some(pattern) = pattern else {
        return Ok(listing(column, names));
    };
    let regex = RegexBuilder::new(&hive_pattern(pattern)).case_insensitive(true).build();
    let regex = regex.map_err(|_| {
        let message = format!("SemanticException '{pattern}' is no pattern: use '*' and '|'");
        QueryError::ddl(ErrorKind::Ddl, message)
    })?;
    Ok(listing(column, names.filter(|name| regex.is_match(name))))
}

/// Translates Hive's pattern to a regular expression for the whole name. `*` matches any text, and so does `.*`.
fn hive_pattern(pattern: &str) -> String {
    let any = pattern.replace(".*", "*").replace('*', ".*");
    format!("^(?:{any})$")
}

fn partitions(snapshot: &Snapshot, name: &QualifiedName, database: &str) -> Result<MaterializedResult, QueryError> {
    let table = find(snapshot, name, database)?;
    if table.partition_keys.is_empty() {
        let message = format!(
            "Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. Table {} is not a partitioned table",
            table.name
        );
        return Err(QueryError::ddl(ErrorKind::Ddl, message));
    }
    let partitions = snapshot.partitions(&table)?;
    let paths = partitions.iter().map(|p| partition_name::format(&table, &p.values));
    Ok(listing("partition", paths))
}

fn properties(table: &Table, property: Option<&str>) -> MaterializedResult {
    let wanted = |(key, _): &&(String, String)| property.is_none_or(|wanted| wanted == key);
    let found = table.properties.iter().filter(wanted);
    listing(
        "prpt_name",
        found.map(|(key, value)| match property {
            Some(_) => value.clone(),
            None => format!("{key}\t{value}"),
        }),
    )
}

/// Returns the text as a string literal of DDL.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn create_table(table: &Table) -> Result<MaterializedResult, QueryError> {
    let TableKind::External { location, format } = &table.kind else {
        let message = format!("SemanticException {} is a view: use SHOW CREATE VIEW", table.name);
        return Err(QueryError::ddl(ErrorKind::Ddl, message));
    };
    let mut lines = vec![format!("CREATE EXTERNAL TABLE `{}`(", table.name)];
    let columns = |columns: &[crate::catalog::TableColumn]| {
        let last = columns.len().saturating_sub(1);
        let lines = columns.iter().enumerate().map(move |(at, column)| {
            let comment = column.comment.as_ref();
            let comment = comment.map_or_else(String::new, |c| format!(" COMMENT {}", quoted(c)));
            let end = if at == last { ")" } else { "," };
            format!("  `{}` {}{comment}{end}", column.name, column.ty)
        });
        lines.collect::<Vec<_>>()
    };
    lines.extend(columns(&table.columns));
    lines.extend(table.comment.iter().map(|c| format!("COMMENT {}", quoted(c))));
    if !table.partition_keys.is_empty() {
        lines.push("PARTITIONED BY (".to_owned());
        lines.extend(columns(&table.partition_keys));
    }
    for (clause, value) in [
        ("ROW FORMAT SERDE", format.serde()),
        ("STORED AS INPUTFORMAT", format.input_format()),
        ("OUTPUTFORMAT", format.output_format()),
        ("LOCATION", location.trim_end_matches('/')),
    ] {
        lines.extend([clause.to_owned(), format!("  {}", quoted(value))]);
    }
    if !table.properties.is_empty() {
        lines.push("TBLPROPERTIES (".to_owned());
        let last = table.properties.len() - 1;
        lines.extend(table.properties.iter().enumerate().map(|(at, (key, value))| {
            let end = if at == last { ")" } else { "," };
            format!("  {}={}{end}", quoted(key), quoted(value))
        }));
    }
    Ok(listing("createtab_stmt", lines))
}

fn create_view(view: &Table) -> Result<MaterializedResult, QueryError> {
    let TableKind::View { sql, .. } = &view.kind else {
        let message = format!("SemanticException {} is a table: use SHOW CREATE TABLE", view.name);
        return Err(QueryError::ddl(ErrorKind::Ddl, message));
    };
    let head = format!("CREATE VIEW {}.{} AS", view.database, view.name);
    let lines = std::iter::once(head).chain(sql.lines().map(str::to_owned));
    Ok(listing("Create View", lines))
}

/// DESCRIBE: rows of name, type and comment. `formatted` appends the table's location, properties and storage.
fn describe(
    snapshot: &Snapshot,
    table: &Table,
    formatted: bool,
    partition: Option<&PartitionSpec>,
) -> Result<MaterializedResult, QueryError> {
    let mut rows: Vec<Row> = Vec::new();
    let head = |rows: &mut Vec<Row>| {
        rows.push(three("# col_name", "data_type", "comment"));
        rows.push(three("", "", ""));
    };
    let described = partition.map(|spec| find_partition(snapshot, table, spec)).transpose()?;
    let columns = described.as_ref().map_or(&table.columns[..], |partition| partition.columns(table));
    let of = |column: &crate::catalog::TableColumn| {
        let comment = column.comment.as_deref().unwrap_or_default();
        three(&column.name, &column.type_name(), comment)
    };
    if formatted {
        head(&mut rows);
        rows.extend(columns.iter().map(of));
    } else {
        rows.extend(columns.iter().chain(&table.partition_keys).map(of));
    }
    if !table.partition_keys.is_empty() {
        rows.push(three("", "", ""));
        rows.push(three("# Partition Information", "", ""));
        head(&mut rows);
        rows.extend(table.partition_keys.iter().map(of));
    }
    let location = match described {
        Some(partition) => Some(partition.location),
        None => match &table.kind {
            TableKind::External { location, .. } => Some(location.clone()),
            TableKind::View { .. } => None,
        },
    };
    if formatted {
        rows.extend(details(table, location.as_deref(), partition));
    } else if let (Some(location), true) = (&location, partition.is_some()) {
        rows.push(three("", "", ""));
        rows.push(three("Location:", location, ""));
    }
    let columns = ["col_name", "data_type", "comment"].map(|name| text_column(name, "string"));
    Ok((columns.to_vec(), rows))
}

fn three(name: &str, ty: &str, comment: &str) -> Row {
    [name, ty, comment].map(|text| Some(text.to_owned())).to_vec()
}

fn find_partition(snapshot: &Snapshot, table: &Table, spec: &PartitionSpec) -> Result<Partition, QueryError> {
    let wanted = partition_values(table, spec)?;
    let partitions = snapshot.partitions(table)?;
    let found = partitions.into_iter().find(|p| p.values == wanted);
    found.ok_or_else(|| {
        let name = partition_name::format(table, &wanted);
        QueryError::ddl(ErrorKind::Ddl, format_args!("SemanticException [Error 10006]: Partition not found ({name})"))
    })
}

fn details(table: &Table, location: Option<&str>, partition: Option<&PartitionSpec>) -> Vec<Row> {
    let created = chrono::DateTime::from_timestamp(table.created, 0);
    let created = created.map_or_else(String::new, |at| at.format("%a %b %d %H:%M:%S UTC %Y").to_string());
    let kind = if is_view(table) { "VIRTUAL_VIEW" } else { "EXTERNAL_TABLE" };
    let mut rows = vec![three("", "", "")];
    let title = if partition.is_some() { "# Detailed Partition Information" } else { "# Detailed Table Information" };
    rows.push(three(title, "", ""));
    if let Some(spec) = partition {
        let values: Vec<_> = spec.iter().map(|(_, value)| value.as_str()).collect();
        rows.push(three("Partition Value:", &format!("[{}]", values.join(", ")), ""));
    }
    rows.push(three("Database:", &table.database, ""));
    rows.push(three("Table:", &table.name, ""));
    rows.push(three("CreateTime:", &created, ""));
    if let Some(location) = location {
        rows.push(three("Location:", location.trim_end_matches('/'), ""));
    }
    rows.push(three("Table Type:", kind, ""));
    if !table.properties.is_empty() {
        rows.push(three("Table Parameters:", "", ""));
        rows.extend(table.properties.iter().map(|(key, value)| three("", key, value)));
    }
    let format = match &table.kind {
        TableKind::External { format, .. } => format,
        TableKind::View { sql, .. } => {
            rows.push(three("View Original Text:", sql, ""));
            return rows;
        }
    };
    rows.push(three("", "", ""));
    rows.push(three("# Storage Information", "", ""));
    for (name, value) in [
        ("SerDe Library:", format.serde()),
        ("InputFormat:", format.input_format()),
        ("OutputFormat:", format.output_format()),
    ] {
        rows.push(three(name, value, ""));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_hives() {
        let matches = |pattern: &str, name: &str| regex::Regex::new(&hive_pattern(pattern)).unwrap().is_match(name);
        assert!(matches("quo*", "quotes"));
        assert!(matches(".*tes", "quotes"));
        assert!(matches("quotes|options", "options"));
        assert!(!matches("quo", "quotes"));
    }
}
