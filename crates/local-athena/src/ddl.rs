//! Executes the statements that change the catalog, each in one transaction.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::catalog::{Catalog, Changes, Database, Partition, Table, TableColumn, TableKind};
use crate::error::{ErrorKind, QueryError};
use crate::location::{key_of, list_visible};
use crate::objects::ObjectFiles;
use crate::partition_name;
use crate::resolve::{canonical_value, compare_values, no_table, partition_values};
use crate::result_set::{MaterializedResult, Row, text_column};
use crate::sql::{
    Comparison, Ddl, PartitionPredicate, PartitionSpec, QualifiedName, refuse_columns, refuse_properties,
};
use crate::types::HiveType;

pub(crate) use crate::sql::View;

/// Executes any DDL statement except CREATE VIEW: see [`create_view`], which needs the planned columns.
pub(crate) fn run(
    catalog: &Catalog,
    objects: &dyn ObjectFiles,
    ddl: Ddl,
    database: &str,
) -> Result<MaterializedResult, QueryError> {
    match ddl {
        Ddl::RepairTable { table } => return repair(catalog, objects, &table, database),
        ddl => catalog.change(|changes| change(changes, ddl, database))?,
    }
    Ok((Vec::new(), Vec::new()))
}

fn change(changes: &Changes<'_>, ddl: Ddl, database: &str) -> Result<(), QueryError> {
    match ddl {
        Ddl::CreateDatabase { name, if_not_exists, comment, location } => {
            let new = Database { name, comment, location };
            create_database(changes, &new, if_not_exists)
        }
        Ddl::DropDatabase { name, if_exists, cascade } => drop_database(changes, &name, if_exists, cascade),
        Ddl::CreateTable { name, if_not_exists, columns, partition_keys, comment, kind, properties } => {
            let new = Table {
                database: name.database.unwrap_or_else(|| database.to_owned()),
                name: name.table,
                columns,
                partition_keys,
                comment,
                properties,
                kind,
                created: now(),
                details: None,
            };
            create_table(changes, &new, if_not_exists)
        }
        Ddl::DropTable { name, if_exists } => drop_table(changes, &name, database, if_exists),
        Ddl::DropView { name, if_exists } => drop_view(changes, &name, database, if_exists),
        Ddl::AddColumns { table, columns } => {
            let table = external_table(changes, &table, database)?;
            add_columns(changes, &table, &columns)
        }
        Ddl::AddPartitions { table, if_not_exists, partitions } => {
            let table = external_table(changes, &table, database)?;
            let mut partitions = partitions.into_iter();
            partitions.try_for_each(|(spec, location)| add_partition(changes, &table, &spec, location, if_not_exists))
        }
        Ddl::MovePartition { table, spec, location } => {
            let table = external_table(changes, &table, database)?;
            let values = partition_values(&table, &spec)?;
            let partition = Partition { values, location, lacks: 0 };
            match changes.move_partition(&table, &partition)? {
                true => Ok(()),
                false => Err(no_partition(&table, &partition)),
            }
        }
        Ddl::SetProperties { table, properties } => {
            let mut table = external_table(changes, &table, database)?;
            if let TableKind::External { format, .. } = table.kind {
                refuse_properties(format, &properties)?;
            }
            for (key, value) in properties {
                match table.properties.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, old)) => *old = value,
                    None => table.properties.push((key, value)),
                }
            }
            changes.set_properties(&table)
        }
        Ddl::DropPartitions { table, if_exists, partitions } => {
            let table = external_table(changes, &table, database)?;
            let mut partitions = partitions.iter();
            partitions.try_for_each(|predicates| drop_partitions(changes, &table, predicates, if_exists))
        }
        Ddl::RepairTable { .. } | Ddl::CreateView(_) => {
            Err(QueryError::new(ErrorKind::Internal, "this statement is no plain change of the catalog"))
        }
    }
}

/// Returns the current time in seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// Hive's error for a change that the catalog refuses.
fn task_failed(kind: ErrorKind, message: impl std::fmt::Display) -> QueryError {
    QueryError::ddl(
        kind,
        format_args!("Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. {message}"),
    )
}

fn create_database(changes: &Changes<'_>, new: &Database, if_not_exists: bool) -> Result<(), QueryError> {
    match changes.database(&new.name)? {
        None => changes.add_database(new),
        Some(_) if if_not_exists => Ok(()),
        Some(_) => Err(task_failed(ErrorKind::AlreadyExists, format_args!("Database {} already exists", new.name))),
    }
}

fn drop_database(changes: &Changes<'_>, name: &str, if_exists: bool, cascade: bool) -> Result<(), QueryError> {
    if changes.database(name)?.is_none() {
        return if if_exists { Ok(()) } else { Err(no_database(name)) };
    }
    if !cascade && changes.has_tables(name)? {
        let message =
            format!("InvalidOperationException(message:Database {name} is not empty. One or more tables exist.)");
        return Err(task_failed(ErrorKind::Ddl, message));
    }
    changes.remove_database(name)
}

fn no_database(name: &str) -> QueryError {
    QueryError::ddl(
        ErrorKind::SchemaNotFound,
        format_args!("SemanticException [Error 10072]: Database does not exist: {name}"),
    )
}

fn create_table(changes: &Changes<'_>, new: &Table, if_not_exists: bool) -> Result<(), QueryError> {
    check_columns(new)?;
    if changes.database(&new.database)?.is_none() {
        return Err(no_database(&new.database));
    }
    match changes.table(&new.database, &new.name)? {
        None => changes.add_table(new),
        Some(_) if if_not_exists => Ok(()),
        Some(_) => Err(task_failed(
            ErrorKind::AlreadyExists,
            format_args!("AlreadyExistsException(message:Table {} already exists.)", new.name),
        )),
    }
}

/// Checks that columns and partition keys have distinct names, and that the keys have types that Hive allows.
pub(crate) fn check_columns(table: &Table) -> Result<(), QueryError> {
    let mut taken = HashSet::new();
    for column in &table.columns {
        if !taken.insert(&column.name) {
            let message = format!("SemanticException [Error 10036]: Duplicate column name: {}", column.name);
            return Err(QueryError::ddl(ErrorKind::Ddl, message));
        }
    }
    for key in &table.partition_keys {
        if !taken.insert(&key.name) {
            let message = "SemanticException [Error 10035]: Column repeated in partitioning columns";
            return Err(QueryError::ddl(ErrorKind::Ddl, message));
        }
        if !key.ty.is_partition_key() {
            let message = format!("SemanticException a partition key cannot have the type {}", key.ty);
            return Err(QueryError::ddl(ErrorKind::NotSupported, message));
        }
    }
    Ok(())
}

fn drop_table(changes: &Changes<'_>, name: &QualifiedName, database: &str, if_exists: bool) -> Result<(), QueryError> {
    match find(changes, name, database)? {
        None if if_exists => Ok(()),
        None => Err(no_table(name)),
        Some(table) if matches!(table.kind, TableKind::View { .. }) => {
            Err(QueryError::ddl(ErrorKind::Ddl, "SemanticException [Error 10217]: Cannot drop a view with DROP TABLE"))
        }
        Some(table) => changes.remove_table(&table),
    }
}

fn drop_view(changes: &Changes<'_>, name: &QualifiedName, database: &str, if_exists: bool) -> Result<(), QueryError> {
    match find(changes, name, database)? {
        None if if_exists => Ok(()),
        None => Err(no_table(name)),
        Some(table) if matches!(table.kind, TableKind::External { .. }) => Err(QueryError::ddl(
            ErrorKind::Ddl,
            "SemanticException [Error 10218]: Cannot drop a base table with DROP VIEW",
        )),
        Some(table) => changes.remove_table(&table),
    }
}

fn find(changes: &Changes<'_>, name: &QualifiedName, database: &str) -> Result<Option<Table>, QueryError> {
    let database = name.database.as_deref().unwrap_or(database);
    changes.table(database, &name.table)
}

fn external_table(changes: &Changes<'_>, name: &QualifiedName, database: &str) -> Result<Table, QueryError> {
    let table = find(changes, name, database)?.ok_or_else(|| no_table(name))?;
    match table.kind {
        TableKind::External { .. } => Ok(table),
        TableKind::View { .. } => Err(QueryError::ddl(
            ErrorKind::Ddl,
            "SemanticException [Error 10131]: To alter a view you need to use CREATE OR REPLACE VIEW",
        )),
    }
}

/// ADD COLUMNS: appends columns after those of the files, before the partition keys. Existing partitions keep the columns that
/// they have: <https://docs.aws.amazon.com/athena/latest/ug/updates-and-partitions.html>.
fn add_columns(changes: &Changes<'_>, table: &Table, new: &[TableColumn]) -> Result<(), QueryError> {
    let mut taken: HashSet<&str> = table.all_columns().map(|column| column.name.as_str()).collect();
    for column in new {
        if !taken.insert(&column.name) {
            return Err(task_failed(ErrorKind::Ddl, format_args!("Duplicate column name: {}", column.name)));
        }
        // <https://docs.aws.amazon.com/athena/latest/ug/alter-table-add-columns.html>, notes.
        if column.ty == HiveType::Date {
            let message = "ALTER TABLE ADD COLUMNS does not work for columns with the date datatype: use timestamp";
            return Err(task_failed(ErrorKind::NotSupported, message));
        }
    }
    if let TableKind::External { format, .. } = table.kind {
        refuse_columns(format, new)?;
    }
    changes.add_columns(table, new)
}

fn add_partition(
    changes: &Changes<'_>,
    table: &Table,
    spec: &PartitionSpec,
    location: Option<String>,
    if_not_exists: bool,
) -> Result<(), QueryError> {
    let values = partition_values(table, spec)?;
    let location = match (location, &table.kind) {
        (Some(location), _) => location,
        (None, TableKind::External { location, .. }) => {
            format!("{location}{}/", partition_name::format(table, &values))
        }
        (None, TableKind::View { .. }) => return Err(no_partition_of_view()),
    };
    let added = changes.add_partition(table, &Partition { values, location, lacks: 0 })?;
    if added || if_not_exists {
        return Ok(());
    }
    let message = "AlreadyExistsException(message:Partition already exists.)";
    Err(task_failed(ErrorKind::AlreadyExists, message))
}

fn no_partition_of_view() -> QueryError {
    QueryError::ddl(ErrorKind::Ddl, "SemanticException a view has no partitions")
}

fn no_partition(table: &Table, partition: &Partition) -> QueryError {
    let name = partition_name::format(table, &partition.values);
    QueryError::ddl(ErrorKind::Ddl, format_args!("SemanticException [Error 10006]: Partition not found ({name})"))
}

fn drop_partitions(
    changes: &Changes<'_>,
    table: &Table,
    predicates: &[PartitionPredicate],
    if_exists: bool,
) -> Result<(), QueryError> {
    let mut found = changes.partitions(table)?;
    for predicate in predicates {
        let at = table.partition_keys.iter().position(|key| key.name == predicate.key);
        let Some((at, key)) = at.and_then(|at| Some((at, table.partition_keys.get(at)?))) else {
            let message = format!("SemanticException [Error 10098]: {} is no partition column", predicate.key);
            return Err(QueryError::ddl(ErrorKind::Ddl, message));
        };
        let value = canonical_value(key, &predicate.value)?;
        found.retain(|partition| {
            let own = partition.values.get(at).map_or("", String::as_str);
            predicate.comparison.holds(compare_values(key, own, &value))
        });
    }
    if found.is_empty() && !if_exists {
        let predicates: Vec<_> = predicates.iter().map(|p| format!("{} {}", p.key, p.value)).collect();
        let message = format!("SemanticException [Error 10006]: Partition not found ({})", predicates.join(", "));
        return Err(QueryError::ddl(ErrorKind::Ddl, message));
    }
    found.iter().try_for_each(|partition| changes.remove_partition(table, partition).map(drop))
}

impl Comparison {
    /// Whether two values that have this order satisfy the comparison.
    pub(crate) fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// MSCK REPAIR TABLE: adds the partitions that have a folder below the table's location and are not in the catalog.
fn repair(
    catalog: &Catalog,
    objects: &dyn ObjectFiles,
    name: &QualifiedName,
    database: &str,
) -> Result<MaterializedResult, QueryError> {
    let database = name.database.as_deref().unwrap_or(database);
    let table = catalog.table(database, &name.table)?.ok_or_else(|| no_table(name))?;
    let TableKind::External { location, .. } = &table.kind else {
        return Err(no_partition_of_view());
    };
    // Listing objects can take long, so it happens before the transaction, which then skips partitions that exist.
    let mut folders: Vec<(Vec<String>, String)> = Vec::new();
    for object in list_visible(objects, location)? {
        let rest = object.key.get(key_of(location).len()..).unwrap_or_default();
        if let Some((values, folder)) = partition_name::parse(&table, rest)
            && !folders.iter().any(|(known, _)| *known == values)
        {
            folders.push((values, format!("{location}{folder}/")));
        }
    }
    folders.sort();
    let added = catalog.change(|changes| {
        let mut added = Vec::new();
        for (values, location) in folders {
            let path = partition_name::format(&table, &values);
            if changes.add_partition(&table, &Partition { values, location, lacks: 0 })? {
                added.push(format!("{}:{path}", table.name));
            }
        }
        Ok(added)
    })?;
    let mut rows: Vec<Row> = Vec::new();
    if !added.is_empty() {
        let all = format!("Partitions not in metastore:\t{}", added.join("\t"));
        rows.push(vec![Some(all)]);
    }
    rows.extend(added.iter().map(|one| vec![Some(format!("Repair: Added partition to metastore {one}"))]));
    Ok((vec![text_column("result", "string")], rows))
}

/// Stores a view. `columns` are those of its planned SELECT.
pub(crate) fn create_view(
    catalog: &Catalog,
    view: &View,
    columns: Vec<TableColumn>,
    database: &str,
) -> Result<MaterializedResult, QueryError> {
    let new = Table {
        database: view.name.database.clone().unwrap_or_else(|| database.to_owned()),
        name: view.name.table.clone(),
        columns,
        partition_keys: Vec::new(),
        comment: view.comment.clone(),
        properties: Vec::new(),
        kind: TableKind::View { sql: view.select.text.clone(), database: database.to_owned() },
        created: now(),
        details: None,
    };
    catalog.change(|changes| {
        if changes.database(&new.database)?.is_none() {
            let message = format!("Schema '{}' does not exist", new.database);
            return Err(QueryError::new(ErrorKind::SchemaNotFound, message));
        }
        match changes.table(&new.database, &new.name)? {
            None => {}
            Some(old) if view.replace && matches!(old.kind, TableKind::View { .. }) => {
                changes.remove_table(&old)?;
            }
            Some(_) => {
                let message = format!("View already exists: '{}.{}'", new.database, new.name);
                return Err(QueryError::new(ErrorKind::AlreadyExists, message));
            }
        }
        changes.add_table(&new)
    })?;
    Ok((Vec::new(), Vec::new()))
}
