//! The SQLite schema of the catalog, and one function per query and change.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Database, Format, Partition, Table, TableColumn, TableKind};
use crate::error::{ErrorKind, QueryError};

/// The version of the schema below, stored in SQLite's `user_version`.
pub(super) const VERSION: i64 = 4;

/// The first version with the table `formats`.
const WITH_FORMATS: i64 = 2;

/// The first version with the table `shorter_partitions`.
const WITH_SHORTER_PARTITIONS: i64 = 3;

/// The first version with the tables `details` and `table_versions`.
const WITH_DETAILS: i64 = 4;

const TABLES: &str = "
    CREATE TABLE databases (
        name TEXT PRIMARY KEY,
        comment TEXT,
        location TEXT
    ) STRICT;
    CREATE TABLE tables (
        id INTEGER PRIMARY KEY,
        database TEXT NOT NULL REFERENCES databases (name) ON DELETE CASCADE,
        name TEXT NOT NULL,
        comment TEXT,
        created INTEGER NOT NULL,
        location TEXT,
        view_sql TEXT,
        view_database TEXT,
        UNIQUE (database, name),
        CHECK ((location IS NULL) <> (view_sql IS NULL)),
        CHECK ((view_database IS NULL) = (view_sql IS NULL))
    ) STRICT;
    CREATE TABLE columns (
        table_id INTEGER NOT NULL REFERENCES tables (id) ON DELETE CASCADE,
        is_key INTEGER NOT NULL,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        type TEXT NOT NULL,
        comment TEXT,
        PRIMARY KEY (table_id, is_key, position),
        UNIQUE (table_id, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE properties (
        table_id INTEGER NOT NULL REFERENCES tables (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (table_id, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE partitions (
        table_id INTEGER NOT NULL REFERENCES tables (id) ON DELETE CASCADE,
        partition_values TEXT NOT NULL,
        location TEXT NOT NULL,
        PRIMARY KEY (table_id, partition_values)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO databases (name) VALUES ('default');
";

/// The migration to version 2. A table without a row in `formats` has Parquet files.
const FORMATS: &str = "
    CREATE TABLE formats (
        table_id INTEGER PRIMARY KEY REFERENCES tables (id) ON DELETE CASCADE,
        format TEXT NOT NULL CHECK (format = 'json')
    ) STRICT;
    PRAGMA user_version = 2;
";

/// The migration to version 3. A partition without a row in `shorter_partitions` has all columns of its table.
const SHORTER_PARTITIONS: &str = "
    CREATE TABLE shorter_partitions (
        table_id INTEGER NOT NULL,
        partition_values TEXT NOT NULL,
        lacks INTEGER NOT NULL CHECK (lacks > 0),
        PRIMARY KEY (table_id, partition_values),
        FOREIGN KEY (table_id, partition_values)
            REFERENCES partitions (table_id, partition_values) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 3;
";

/// The migration to version 4. Both tables hold JSON texts of the Glue API, which this crate does not read.
const DETAILS: &str = "
    CREATE TABLE details (
        table_id INTEGER PRIMARY KEY REFERENCES tables (id) ON DELETE CASCADE,
        details TEXT NOT NULL
    ) STRICT;
    CREATE TABLE table_versions (
        table_id INTEGER NOT NULL REFERENCES tables (id) ON DELETE CASCADE,
        version INTEGER NOT NULL,
        description TEXT NOT NULL,
        PRIMARY KEY (table_id, version)
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 4;
";

/// Migrates the schema to this version.
fn upgrade(connection: &Connection, to: i64) -> rusqlite::Result<()> {
    let migrations = [(WITH_FORMATS, FORMATS), (WITH_SHORTER_PARTITIONS, SHORTER_PARTITIONS), (WITH_DETAILS, DETAILS)];
    for (version_after, migration) in migrations {
        if version(connection)? < version_after && version_after <= to {
            connection.execute_batch(migration)?;
        }
    }
    Ok(())
}

pub(super) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(30))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // With `normal`, a power failure could roll back the last commits in write-ahead mode, and unpublish a partition.
    connection.pragma_update(None, "synchronous", "full")
}

/// Creates the tables in a new file, and returns the version of the file. A file of an earlier version is migrated
/// lazily, by the first change that needs it, because opening a catalog must not write to it.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<i64> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    if found == 0 {
        transaction.execute_batch(TABLES)?;
        upgrade(&transaction, VERSION)?;
        transaction.commit()?;
        return Ok(VERSION);
    }
    Ok(found)
}

/// Begins a read transaction. SQLite takes the snapshot at the first read, not at BEGIN, so this reads something.
pub(super) fn hold(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN; SELECT count(*) FROM databases;")
}

pub(super) fn databases(connection: &Connection) -> Result<Vec<Database>, QueryError> {
    let mut statement = connection.prepare("SELECT name, comment, location FROM databases ORDER BY name")?;
    let rows = statement.query_map([], read_database)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn database(connection: &Connection, name: &str) -> Result<Option<Database>, QueryError> {
    Ok(connection
        .prepare("SELECT name, comment, location FROM databases WHERE name = ?")?
        .query_row([name], read_database)
        .optional()?)
}

fn read_database(row: &Row<'_>) -> rusqlite::Result<Database> {
    Ok(Database { name: row.get(0)?, comment: row.get(1)?, location: row.get(2)? })
}

pub(super) fn tables(connection: &Connection, database: &str) -> Result<Vec<Table>, QueryError> {
    let mut statement = connection.prepare("SELECT name FROM tables WHERE database = ? ORDER BY name")?;
    let names = statement.query_map([database], |row| row.get::<_, String>(0))?;
    let mut found = Vec::new();
    for name in names {
        found.extend(table(connection, database, &name?)?);
    }
    Ok(found)
}

pub(super) fn has_tables(connection: &Connection, database: &str) -> Result<bool, QueryError> {
    Ok(connection
        .prepare("SELECT EXISTS (SELECT 1 FROM tables WHERE database = ?)")?
        .query_row([database], |row| row.get(0))?)
}

pub(super) fn table(connection: &Connection, database: &str, name: &str) -> Result<Option<Table>, QueryError> {
    let found = connection
        .prepare(
            "SELECT id, comment, created, location, view_sql, view_database
             FROM tables WHERE database = ? AND name = ?",
        )?
        .query_row([database, name], |row| {
            let kind = match row.get::<_, Option<String>>(3)? {
                Some(location) => TableKind::External { location, format: format(connection, row.get(0)?)? },
                None => TableKind::View { sql: row.get(4)?, database: row.get(5)? },
            };
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, kind))
        })
        .optional()?;
    let Some((id, comment, created, kind)) = found else {
        return Ok(None);
    };
    Ok(Some(Table {
        database: database.to_owned(),
        name: name.to_owned(),
        columns: columns(connection, id, false)?,
        partition_keys: columns(connection, id, true)?,
        comment,
        properties: properties(connection, id)?,
        kind,
        created,
        details: details(connection, id)?,
    }))
}

fn details(connection: &Connection, id: i64) -> rusqlite::Result<Option<String>> {
    if version(connection)? < WITH_DETAILS {
        return Ok(None);
    }
    let mut statement = connection.prepare("SELECT details FROM details WHERE table_id = ?")?;
    statement.query_row([id], |row| row.get(0)).optional()
}

fn set_details(connection: &Connection, id: i64, table: &Table) -> Result<(), QueryError> {
    if let Some(details) = &table.details {
        upgrade(connection, WITH_DETAILS)?;
        connection.execute("INSERT OR REPLACE INTO details (table_id, details) VALUES (?, ?)", params![id, details])?;
    }
    Ok(())
}

/// Returns the earlier versions of a table, with their numbers, in order.
pub(super) fn table_versions(connection: &Connection, table: &Table) -> Result<Vec<(i64, String)>, QueryError> {
    if version(connection)? < WITH_DETAILS {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT version, description FROM table_versions WHERE table_id = {TABLE_ID} ORDER BY version");
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([&table.database, &table.name], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn add_table_version(
    connection: &Connection,
    table: &Table,
    number: i64,
    description: &str,
) -> Result<(), QueryError> {
    upgrade(connection, WITH_DETAILS)?;
    let sql =
        format!("INSERT OR REPLACE INTO table_versions (table_id, version, description) VALUES ({TABLE_ID}, ?3, ?4)");
    connection.execute(&sql, params![table.database, table.name, number, description])?;
    Ok(())
}

/// Removes an earlier version of a table. Returns false when there is none of this number.
pub(super) fn remove_table_version(connection: &Connection, table: &Table, number: i64) -> Result<bool, QueryError> {
    if version(connection)? < WITH_DETAILS {
        return Ok(false);
    }
    let sql = format!("DELETE FROM table_versions WHERE table_id = {TABLE_ID} AND version = ?3");
    Ok(connection.execute(&sql, params![table.database, table.name, number])? > 0)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn format(connection: &Connection, id: i64) -> rusqlite::Result<Format> {
    if version(connection)? < WITH_FORMATS {
        return Ok(Format::Parquet);
    }
    let is_json = connection
        .prepare("SELECT EXISTS (SELECT 1 FROM formats WHERE table_id = ?)")?
        .query_row([id], |row| row.get::<_, bool>(0))?;
    Ok(if is_json { Format::Json } else { Format::Parquet })
}

fn columns(connection: &Connection, id: i64, keys: bool) -> Result<Vec<TableColumn>, QueryError> {
    let mut statement = connection.prepare(
        "SELECT name, type, comment FROM columns
         WHERE table_id = ? AND is_key = ? ORDER BY position",
    )?;
    let mut rows = statement.query(params![id, keys])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let ty: String = row.get(1)?;
        found.push(TableColumn {
            name: row.get(0)?,
            ty: ty.parse().map_err(|error| QueryError::new(ErrorKind::Internal, error))?,
            comment: row.get(2)?,
        });
    }
    Ok(found)
}

fn properties(connection: &Connection, id: i64) -> Result<Vec<(String, String)>, QueryError> {
    let mut statement = connection.prepare("SELECT key, value FROM properties WHERE table_id = ? ORDER BY position")?;
    let rows = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Returns the partitions ordered by their values: integers numerically, other types as text.
pub(super) fn partitions(connection: &Connection, table: &Table) -> Result<Vec<Partition>, QueryError> {
    let lacks = match version(connection)? {
        ..WITH_SHORTER_PARTITIONS => "0",
        _ => {
            "ifnull((SELECT lacks FROM shorter_partitions AS shorter WHERE shorter.table_id = partitions.table_id
             AND shorter.partition_values = partitions.partition_values), 0)"
        }
    };
    let mut statement = connection.prepare(&format!(
        "SELECT partition_values, partitions.location, {lacks} FROM partitions
         JOIN tables ON id = table_id WHERE database = ? AND name = ?"
    ))?;
    let mut rows = statement.query([&table.database, &table.name])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let values = decode(&row.get::<_, String>(0)?)?;
        found.push(Partition { values, location: row.get(1)?, lacks: row.get::<_, u32>(2)? as usize });
    }
    found.sort_by_cached_key(|partition| {
        let keys = table.partition_keys.iter().zip(&partition.values);
        keys.map(|(key, value)| {
            let number = value.parse::<i64>().ok().filter(|_| key.ty.is_integer());
            (number, value.clone())
        })
        .collect::<Vec<_>>()
    });
    Ok(found)
}

pub(super) fn add_database(connection: &Connection, database: &Database) -> Result<(), QueryError> {
    connection.execute(
        "INSERT INTO databases (name, comment, location) VALUES (?, ?, ?)",
        params![database.name, database.comment, database.location],
    )?;
    Ok(())
}

pub(super) fn remove_database(connection: &Connection, name: &str) -> Result<(), QueryError> {
    connection.execute("DELETE FROM databases WHERE name = ?", [name])?;
    Ok(())
}

pub(super) fn update_database(connection: &Connection, database: &Database) -> Result<(), QueryError> {
    connection.execute(
        "UPDATE databases SET comment = ?2, location = ?3 WHERE name = ?1",
        params![database.name, database.comment, database.location],
    )?;
    Ok(())
}

pub(super) fn add_table(connection: &Connection, table: &Table) -> Result<(), QueryError> {
    let (location, view) = match &table.kind {
        TableKind::External { location, .. } => (Some(location), None),
        TableKind::View { sql, database } => (None, Some((sql, database))),
    };
    connection.execute(
        "INSERT INTO tables (database, name, comment, created, location, view_sql, view_database)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        params![
            table.database,
            table.name,
            table.comment,
            table.created,
            location,
            view.map(|(sql, _)| sql),
            view.map(|(_, database)| database),
        ],
    )?;
    let id = connection.last_insert_rowid();
    if let TableKind::External { format: Format::Json, .. } = table.kind {
        upgrade(connection, WITH_FORMATS)?;
        connection.execute("INSERT INTO formats (table_id, format) VALUES (?, 'json')", [id])?;
    }
    add_columns(connection, id, false, 0, &table.columns)?;
    add_columns(connection, id, true, 0, &table.partition_keys)?;
    set_details(connection, id, table)?;
    set_properties(connection, table)
}

/// Replaces the external table `old` by one of the same name, which has at least its columns. The partitions remain, and lack
/// the columns that are new.
pub(super) fn replace_table(connection: &Connection, old: &Table, new: &Table) -> Result<(), QueryError> {
    let id: i64 = connection.query_row(&format!("SELECT {TABLE_ID}"), [&old.database, &old.name], |row| row.get(0))?;
    let TableKind::External { location, format } = &new.kind else { return Ok(()) };
    connection
        .execute("UPDATE tables SET comment = ?2, location = ?3 WHERE id = ?1", params![id, new.comment, location])?;
    upgrade(connection, WITH_SHORTER_PARTITIONS)?;
    connection.execute("DELETE FROM formats WHERE table_id = ?", [id])?;
    if *format == Format::Json {
        connection.execute("INSERT INTO formats (table_id, format) VALUES (?, 'json')", [id])?;
    }
    add_lacks(connection, id, new.columns.len().saturating_sub(old.columns.len()))?;
    connection.execute("DELETE FROM columns WHERE table_id = ?", [id])?;
    add_columns(connection, id, false, 0, &new.columns)?;
    add_columns(connection, id, true, 0, &new.partition_keys)?;
    set_details(connection, id, new)?;
    set_properties(connection, new)
}

/// Stores that all partitions of a table lack this many columns more.
fn add_lacks(connection: &Connection, id: i64, number: usize) -> Result<(), QueryError> {
    if number > 0 {
        connection.execute(
            "INSERT INTO shorter_partitions (table_id, partition_values, lacks)
             SELECT table_id, partition_values, ?2 FROM partitions WHERE table_id = ?1
             ON CONFLICT DO UPDATE SET lacks = lacks + excluded.lacks",
            params![id, number as i64],
        )?;
    }
    Ok(())
}

/// Appends columns to a table. Its partitions lack them.
pub(super) fn append_columns(connection: &Connection, table: &Table, new: &[TableColumn]) -> Result<(), QueryError> {
    upgrade(connection, WITH_SHORTER_PARTITIONS)?;
    let names = [&table.database, &table.name];
    let id = connection.query_row(&format!("SELECT {TABLE_ID}"), names, |row| row.get(0))?;
    add_lacks(connection, id, new.len())?;
    add_columns(connection, id, false, table.columns.len(), new)
}

pub(super) fn set_properties(connection: &Connection, table: &Table) -> Result<(), QueryError> {
    connection
        .execute(&format!("DELETE FROM properties WHERE table_id = {TABLE_ID}"), [&table.database, &table.name])?;
    for (position, (key, value)) in table.properties.iter().enumerate() {
        connection.execute(
            &format!("INSERT INTO properties (table_id, position, key, value) VALUES ({TABLE_ID}, ?3, ?4, ?5)"),
            params![table.database, table.name, position as i64, key, value],
        )?;
    }
    Ok(())
}

/// Stores columns or keys of a table, the first of them at the position `first`.
fn add_columns(
    connection: &Connection,
    id: i64,
    keys: bool,
    first: usize,
    columns: &[TableColumn],
) -> Result<(), QueryError> {
    for (position, column) in (first..).zip(columns) {
        connection.execute(
            "INSERT INTO columns (table_id, is_key, position, name, type, comment)
             VALUES (?, ?, ?, ?, ?, ?)",
            params![id, keys, position as i64, column.name, column.type_name(), column.comment],
        )?;
    }
    Ok(())
}

pub(super) fn remove_table(connection: &Connection, table: &Table) -> Result<(), QueryError> {
    connection.execute("DELETE FROM tables WHERE database = ? AND name = ?", [&table.database, &table.name])?;
    Ok(())
}

const TABLE_ID: &str = "(SELECT id FROM tables WHERE database = ?1 AND name = ?2)";

pub(super) fn add_partition(connection: &Connection, table: &Table, partition: &Partition) -> Result<bool, QueryError> {
    let sql = format!(
        "INSERT INTO partitions (table_id, partition_values, location)
         VALUES ({TABLE_ID}, ?3, ?4) ON CONFLICT DO NOTHING"
    );
    Ok(run_on_partition(connection, &sql, table, partition)? && set_lacks(connection, table, partition)?)
}

/// Replaces the location and the columns of a partition.
pub(super) fn replace_partition(
    connection: &Connection,
    table: &Table,
    partition: &Partition,
) -> Result<bool, QueryError> {
    Ok(move_partition(connection, table, partition)? && set_lacks(connection, table, partition)?)
}

/// Stores how many columns an existing partition lacks. Returns true.
fn set_lacks(connection: &Connection, table: &Table, partition: &Partition) -> Result<bool, QueryError> {
    if partition.lacks > 0 {
        upgrade(connection, WITH_SHORTER_PARTITIONS)?;
    }
    if version(connection)? >= WITH_SHORTER_PARTITIONS {
        let values = encode(&partition.values);
        connection
            .prepare_cached(&format!(
                "DELETE FROM shorter_partitions WHERE table_id = {TABLE_ID} AND partition_values = ?3"
            ))?
            .execute([&table.database, &table.name, &values])?;
        if partition.lacks > 0 {
            let sql = format!(
                "INSERT INTO shorter_partitions (table_id, partition_values, lacks) VALUES ({TABLE_ID}, ?3, ?4)"
            );
            connection.execute(&sql, params![table.database, table.name, values, partition.lacks as i64])?;
        }
    }
    Ok(true)
}

pub(super) fn move_partition(
    connection: &Connection,
    table: &Table,
    partition: &Partition,
) -> Result<bool, QueryError> {
    let sql = format!(
        "UPDATE partitions SET location = ?4
         WHERE table_id = {TABLE_ID} AND partition_values = ?3"
    );
    run_on_partition(connection, &sql, table, partition)
}

fn run_on_partition(
    connection: &Connection,
    sql: &str,
    table: &Table,
    partition: &Partition,
) -> Result<bool, QueryError> {
    let changed = connection.prepare_cached(sql)?.execute([
        &table.database,
        &table.name,
        &encode(&partition.values),
        &partition.location,
    ])?;
    Ok(changed > 0)
}

pub(super) fn remove_partition(
    connection: &Connection,
    table: &Table,
    partition: &Partition,
) -> Result<bool, QueryError> {
    let removed = connection
        .prepare_cached(&format!("DELETE FROM partitions WHERE table_id = {TABLE_ID} AND partition_values = ?3"))?
        .execute([&table.database, &table.name, &encode(&partition.values)])?;
    Ok(removed > 0)
}

fn encode(values: &[String]) -> String {
    serde_json::Value::from(values.to_vec()).to_string()
}

fn decode(text: &str) -> Result<Vec<String>, QueryError> {
    serde_json::from_str(text).map_err(|error| {
        QueryError::new(
            ErrorKind::Internal,
            format_args!("the catalog holds '{text}', which are no partition values: {error}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::Catalog;
    use super::*;

    fn table(name: &str, format: Format) -> Table {
        Table {
            database: "default".to_owned(),
            name: name.to_owned(),
            columns: Vec::new(),
            partition_keys: Vec::new(),
            comment: None,
            properties: Vec::new(),
            kind: TableKind::External { location: format!("s3://lake/{name}/"), format },
            created: 0,
            details: None,
        }
    }

    /// Opening writes nothing: a file that was sealed when it was closed must not change before its first write.
    #[test]
    fn a_catalog_of_the_first_version_changes_when_it_needs_to() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("catalog.db");
        let old = Connection::open(&path).expect("a file");
        configure(&old).expect("settings");
        old.execute_batch(TABLES).expect("tables");
        old.pragma_update(None, "user_version", 1).expect("a version");
        let parquet = table("quotes", Format::Parquet);
        add_table(&old, &parquet).expect("a table");
        drop(old);

        let of_file = || version(&Connection::open(&path).expect("a file")).expect("a version");
        let catalog = Catalog::open(&path).expect("a catalog");
        assert_eq!(catalog.table("default", "quotes").expect("read"), Some(parquet.clone()));
        catalog.change(|changes| changes.add_table(&table("options", Format::Parquet))).expect("a table");
        assert_eq!(of_file(), 1);

        let json = table("published", Format::Json);
        catalog.change(|changes| changes.add_table(&json)).expect("a table");
        assert_eq!(of_file(), WITH_FORMATS);
        drop(catalog);
        let catalog = Catalog::open(&path).expect("a catalog");
        let formats = |catalog: &Catalog| {
            let tables = catalog.tables("default").expect("tables").into_iter();
            tables.map(|table| (table.name, table.kind)).collect::<Vec<_>>()
        };
        let expected = [table("options", Format::Parquet), json.clone(), parquet];
        assert_eq!(formats(&catalog), expected.map(|table| (table.name, table.kind)));
        catalog.change(|changes| changes.remove_table(&json)).expect("removed");
        let parquet_now = table("published", Format::Parquet);
        catalog.change(|changes| changes.add_table(&parquet_now)).expect("a table");
        assert_eq!(catalog.table("default", "published").expect("read"), Some(parquet_now));
    }

    #[test]
    fn a_catalog_of_the_first_version_gets_partitions_with_fewer_columns() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("catalog.db");
        let old = Connection::open(&path).expect("a file");
        configure(&old).expect("settings");
        old.execute_batch(TABLES).expect("tables");
        old.pragma_update(None, "user_version", 1).expect("a version");
        let column = |name: &str| TableColumn::new(name, "int", None).expect("a column");
        let quotes = Table {
            columns: vec![column("last")],
            partition_keys: vec![column("day")],
            ..table("quotes", Format::Parquet)
        };
        add_table(&old, &quotes).expect("a table");
        let partition = |day: &str, lacks: usize| Partition {
            values: vec![day.to_owned()],
            location: format!("s3://lake/{day}/"),
            lacks,
        };
        add_partition(&old, &quotes, &partition("1", 0)).expect("a partition");
        drop(old);

        let catalog = Catalog::open(&path).expect("a catalog");
        assert_eq!(catalog.partitions("default", "quotes"), Ok(vec![partition("1", 0)]));
        catalog.change(|changes| changes.add_columns(&quotes, &[column("bid"), column("ask")])).expect("columns");
        let quotes = catalog.table("default", "quotes").expect("read").expect("a table");
        assert_eq!(quotes.columns, [column("last"), column("bid"), column("ask")]);
        assert_eq!(partition("1", 2).columns(&quotes), [column("last")]);
        catalog.change(|changes| changes.add_partition(&quotes, &partition("2", 1))).expect("a partition");
        assert_eq!(catalog.partitions("default", "quotes"), Ok(vec![partition("1", 2), partition("2", 1)]));
        catalog.change(|changes| changes.replace_partition(&quotes, &partition("1", 0))).expect("replaced");
        catalog.change(|changes| changes.remove_partition(&quotes, &partition("2", 0))).expect("removed");
        assert_eq!(catalog.partitions("default", "quotes"), Ok(vec![partition("1", 0)]));
        let of_file = || version(&Connection::open(&path).expect("a file")).expect("a version");
        assert_eq!(of_file(), WITH_SHORTER_PARTITIONS);
        let detailed = Table { details: Some("{}".to_owned()), ..table("detailed", Format::Parquet) };
        catalog.change(|changes| changes.add_table(&detailed)).expect("a table");
        assert_eq!((of_file(), catalog.table("default", "detailed")), (VERSION, Ok(Some(detailed))));
        assert_eq!(catalog.table("default", "quotes"), Ok(Some(quotes)));
    }
}
