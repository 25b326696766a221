//! Changes through the Glue API, without a statement. Each is one transaction.
//!
//! They obey the rules of DDL: a table or partition that no statement could create is refused, so that every table in
//! the catalog can be queried.

use super::{Catalog, Changes, Database, Partition, Table, TableColumn, TableKind};
use crate::ddl::{check_columns, now};
use crate::error::QueryError;
use crate::resolve::canonical_value;
use crate::sql::{folder, refuse_columns, refuse_properties};

/// The reason why a change was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The database does not exist.
    #[error("Database {0} not found.")]
    NoDatabase(String),
    /// The table does not exist.
    #[error("Table {0} not found.")]
    NoTable(String),
    /// The table has no partition with these values.
    #[error("Cannot find partition.")]
    NoPartition,
    /// A database, table or partition of this name exists.
    #[error("{0} already exists.")]
    AlreadyExists(&'static str),
    /// The name, location, column or value is not valid.
    #[error("{0}")]
    Invalid(String),
    /// The table was changed since the caller read it.
    #[error("Update table failed due to concurrent modifications.")]
    Concurrent,
    /// The catalog file cannot be read or written.
    #[error(transparent)]
    Internal(#[from] QueryError),
}

/// A partition that a batch operation skipped, and the reason. The same as `PartitionError` of Glue's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionError {
    /// The values of the partition.
    pub values: Vec<String>,
    /// [`ChangeError::NoPartition`] or [`ChangeError::AlreadyExists`].
    pub error: ChangeError,
}

/// The replacement of a partition by another one of the same table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The values of the partition that is replaced.
    pub values: Vec<String>,
    /// The new partition, with the same values or others.
    pub by: Partition,
}

/// The change of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableUpdate {
    /// The table as it is to be. Its name and its creation time stay as they were.
    pub table: Table,
    /// The number and the description under which the table as it was is kept. `None`: it is not kept.
    pub archive: Option<(i64, String)>,
}

impl Catalog {
    /// Changes the comment and the location of a database.
    ///
    /// # Errors
    /// [`ChangeError::NoDatabase`]; [`ChangeError::Invalid`] for an invalid location.
    pub fn update_database(&self, new: Database) -> Result<(), ChangeError> {
        let location = new.location.as_deref().map(folder).transpose().map_err(ChangeError::Invalid)?;
        let new = Database { name: name(&new.name)?, location, ..new };
        self.transact(|changes| match changes.database(&new.name)? {
            Some(_) => Ok(changes.update_database(&new)?),
            None => Err(ChangeError::NoDatabase(new.name.clone())),
        })
    }

    /// Changes an external table to what `update` returns for it. The closure runs inside the transaction.
    ///
    /// # Errors
    /// [`ChangeError::NoDatabase`], [`ChangeError::NoTable`]; [`ChangeError::Invalid`] for a table that could not be queried, or
    /// whose partitions would not be partitions of it: they have its keys, its format and its first columns.
    pub fn update_table(
        &self,
        database: &str,
        table: &str,
        update: impl FnOnce(&Table) -> Result<TableUpdate, ChangeError>,
    ) -> Result<(), ChangeError> {
        self.transact(|changes| {
            let old = find(changes, database, table)?;
            let TableUpdate { table: new, archive } = update(&old)?;
            let new = checked_table(Table {
                database: old.database.clone(),
                name: old.name.clone(),
                created: old.created,
                ..new
            })?;
            check_partitions_fit(changes, &old, &new)?;
            if let Some((number, description)) = archive {
                changes.add_table_version(&old, number, &description)?;
            }
            Ok(changes.replace_table(&old, &new)?)
        })
    }

    /// Removes earlier versions of a table. Returns the numbers of which there is no version.
    ///
    /// # Errors
    /// [`ChangeError::NoDatabase`] and [`ChangeError::NoTable`].
    pub fn remove_table_versions(&self, database: &str, table: &str, all: Vec<i64>) -> Result<Vec<i64>, ChangeError> {
        self.transact(|changes| {
            let table = find(changes, database, table)?;
            let mut missing = Vec::new();
            for number in all {
                if !changes.remove_table_version(&table, number)? {
                    missing.push(number);
                }
            }
            Ok(missing)
        })
    }

    /// Creates a database.
    ///
    /// # Errors
    /// [`ChangeError::AlreadyExists`]; [`ChangeError::Invalid`] for an invalid name or location.
    pub fn create_database(&self, new: Database) -> Result<(), ChangeError> {
        let location = new.location.as_deref().map(folder).transpose().map_err(ChangeError::Invalid)?;
        let new = Database { name: name(&new.name)?, location, ..new };
        self.transact(|changes| match changes.database(&new.name)? {
            None => Ok(changes.add_database(&new)?),
            Some(_) => Err(ChangeError::AlreadyExists("Database")),
        })
    }

    /// Removes a database with all its tables.
    ///
    /// # Errors
    /// [`ChangeError::NoDatabase`].
    pub fn remove_database(&self, name: &str) -> Result<(), ChangeError> {
        let name = name.to_lowercase();
        self.transact(|changes| match changes.database(&name)? {
            Some(_) => Ok(changes.remove_database(&name)?),
            None => Err(ChangeError::NoDatabase(name)),
        })
    }

    /// Creates an external table. Ignores `new.created`: the catalog sets the creation time.
    ///
    /// # Errors
    /// [`ChangeError::NoDatabase`], [`ChangeError::AlreadyExists`]; [`ChangeError::Invalid`] for a table that could not
    /// be queried, and for a view, which only CREATE VIEW creates.
    pub fn create_table(&self, new: Table) -> Result<(), ChangeError> {
        let new = checked_table(Table {
            database: new.database.to_lowercase(),
            name: name(&new.name)?,
            created: now(),
            ..new
        })?;
        self.transact(|changes| {
            if changes.database(&new.database)?.is_none() {
                return Err(ChangeError::NoDatabase(new.database.clone()));
            }
            match changes.table(&new.database, &new.name)? {
                None => Ok(changes.add_table(&new)?),
                Some(_) => Err(ChangeError::AlreadyExists("Table")),
            }
        })
    }

    /// Removes a table or a view. Its files remain.
    ///
    /// # Errors
    /// [`ChangeError::NoDatabase`] and [`ChangeError::NoTable`].
    pub fn remove_table(&self, database: &str, table: &str) -> Result<(), ChangeError> {
        self.transact(|changes| Ok(changes.remove_table(&find(changes, database, table)?)?))
    }

    /// Adds the partitions that `partitions` returns for the table. The closure runs inside the transaction, so it sees
    /// the table that is changed. Returns the partitions that exist already and were skipped.
    ///
    /// # Errors
    /// [`ChangeError::NoDatabase`], [`ChangeError::NoTable`]; [`ChangeError::Invalid`] when one partition is invalid.
    /// No partition is added after an error.
    pub fn add_partitions(
        &self,
        database: &str,
        table: &str,
        partitions: impl FnOnce(&Table) -> Result<Vec<Partition>, ChangeError>,
    ) -> Result<Vec<PartitionError>, ChangeError> {
        self.change_partitions(database, table, |changes, table| {
            let mut refused = Vec::new();
            for partition in partitions(table)? {
                let partition = checked(table, partition)?;
                if !changes.add_partition(table, &partition)? {
                    let why = ChangeError::AlreadyExists("Partition");
                    refused.push(PartitionError { values: partition.values, error: why });
                }
            }
            Ok(refused)
        })
    }

    /// Replaces partitions by others. Returns those that were skipped: they do not exist, or another partition has the
    /// new values.
    ///
    /// # Errors
    /// As [`Catalog::add_partitions`].
    pub fn replace_partitions(
        &self,
        database: &str,
        table: &str,
        replacements: impl FnOnce(&Table) -> Result<Vec<Replacement>, ChangeError>,
    ) -> Result<Vec<PartitionError>, ChangeError> {
        self.change_partitions(database, table, |changes, table| {
            let mut refused = Vec::new();
            for Replacement { values, by } in replacements(table)? {
                let by = checked(table, by)?;
                if let Some(why) = replace(changes, table, &values, by)? {
                    refused.push(PartitionError { values, error: why });
                }
            }
            Ok(refused)
        })
    }

    /// Removes the partitions with these values. Returns the values that no partition has.
    ///
    /// # Errors
    /// [`ChangeError::NoDatabase`], [`ChangeError::NoTable`]; [`ChangeError::Invalid`] for a view.
    pub fn remove_partitions(
        &self,
        database: &str,
        table: &str,
        all: Vec<Vec<String>>,
    ) -> Result<Vec<PartitionError>, ChangeError> {
        self.change_partitions(database, table, |changes, table| {
            let mut refused = Vec::new();
            for values in all {
                let partition = Partition { values, location: String::new(), lacks: 0 };
                if !changes.remove_partition(table, &partition)? {
                    refused.push(PartitionError { values: partition.values, error: ChangeError::NoPartition });
                }
            }
            Ok(refused)
        })
    }

    fn change_partitions<T>(
        &self,
        database: &str,
        table: &str,
        work: impl FnOnce(&Changes<'_>, &Table) -> Result<T, ChangeError>,
    ) -> Result<T, ChangeError> {
        self.transact(|changes| {
            let table = find(changes, database, table)?;
            if table.partition_keys.is_empty() {
                return Err(ChangeError::Invalid(format!("{} is not a partitioned table", table.name)));
            }
            work(changes, &table)
        })
    }
}

/// Checks a table, and returns it with a normalized location. Refuses one that could not be queried.
fn checked_table(new: Table) -> Result<Table, ChangeError> {
    let TableKind::External { location, format } = &new.kind else {
        return Err(ChangeError::Invalid("a view is made by the statement CREATE VIEW".to_owned()));
    };
    let format = *format;
    let kind = TableKind::External { location: folder(location).map_err(ChangeError::Invalid)?, format };
    let new = Table { kind, ..new };
    let invalid = |error: QueryError| ChangeError::Invalid(error.message);
    if new.columns.is_empty() {
        return Err(ChangeError::Invalid("a table has at least one column beside its partition keys".to_owned()));
    }
    check_columns(&new).map_err(invalid)?;
    refuse_columns(format, &new.columns).map_err(invalid)?;
    refuse_properties(format, &new.properties).map_err(invalid)?;
    Ok(new)
}

/// Refuses a change of a table after which its partitions would not be those of the table.
fn check_partitions_fit(changes: &Changes<'_>, old: &Table, new: &Table) -> Result<(), ChangeError> {
    let TableKind::External { format: old_format, .. } = &old.kind else {
        return Err(ChangeError::Invalid("a view is changed by the statement CREATE OR REPLACE VIEW".to_owned()));
    };
    let TableKind::External { format, .. } = &new.kind else { return Ok(()) };
    let is_same = |(one, other): (&TableColumn, &TableColumn)| (&one.name, &one.ty) == (&other.name, &other.ty);
    let has_same_keys = old.partition_keys.len() == new.partition_keys.len()
        && old.partition_keys.iter().zip(&new.partition_keys).all(is_same);
    if !has_same_keys {
        return Err(ChangeError::Invalid("the partition keys of a table cannot be changed".to_owned()));
    }
    let keeps_columns = old.columns.len() <= new.columns.len() && old.columns.iter().zip(&new.columns).all(is_same);
    if (keeps_columns && old_format == format) || changes.partitions(old)?.is_empty() {
        return Ok(());
    }
    Err(ChangeError::Invalid(format!(
        "the table {} has partitions, which have its format and its first columns: columns can only be appended, and the \
         format stays",
        old.name
    )))
}

/// Checks the name of a database or a table, and returns it in lower case.
fn name(text: &str) -> Result<String, ChangeError> {
    if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
        return Err(ChangeError::Invalid(format!("{text:?} is no name of a database or a table")));
    }
    Ok(text.to_lowercase())
}

fn find(changes: &Changes<'_>, database: &str, table: &str) -> Result<Table, ChangeError> {
    let (database, table) = (database.to_lowercase(), table.to_lowercase());
    if changes.database(&database)?.is_none() {
        return Err(ChangeError::NoDatabase(database));
    }
    changes.table(&database, &table)?.ok_or(ChangeError::NoTable(table))
}

/// Checks a partition, and returns it with a normalized location. Refuses values that are not in canonical form: the
/// integer `04` would be stored as `4`, and the caller would not find its partition under `04`.
fn checked(table: &Table, partition: Partition) -> Result<Partition, ChangeError> {
    let keys = &table.partition_keys;
    if partition.values.len() != keys.len() {
        let message = "The number of partition keys do not match the number of partition values";
        return Err(ChangeError::Invalid(message.to_owned()));
    }
    for (key, value) in keys.iter().zip(&partition.values) {
        let form = canonical_value(key, value).map_err(|error| ChangeError::Invalid(error.message))?;
        if form != *value {
            let message = format!("the value '{value}' of the partition key {} is written '{form}'", key.name);
            return Err(ChangeError::Invalid(message));
        }
    }
    if partition.lacks >= table.columns.len() {
        return Err(ChangeError::Invalid("a partition has at least one column of its table".to_owned()));
    }
    Ok(Partition { location: folder(&partition.location).map_err(ChangeError::Invalid)?, ..partition })
}

/// Replaces one partition. Returns the reason if it was skipped.
fn replace(
    changes: &Changes<'_>,
    table: &Table,
    values: &[String],
    by: Partition,
) -> Result<Option<ChangeError>, QueryError> {
    if by.values == values {
        return Ok((!changes.replace_partition(table, &by)?).then_some(ChangeError::NoPartition));
    }
    let all = changes.partitions(table)?;
    let is_there = |values: &[String]| all.iter().any(|partition| partition.values == values);
    if !is_there(values) {
        return Ok(Some(ChangeError::NoPartition));
    }
    if is_there(&by.values) {
        return Ok(Some(ChangeError::AlreadyExists("Partition")));
    }
    changes.remove_partition(table, &Partition { values: values.to_vec(), location: String::new(), lacks: 0 })?;
    changes.add_partition(table, &by)?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;

    fn catalog() -> (tempfile::TempDir, Catalog) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let catalog = Catalog::open(&folder.path().join("catalog.db")).expect("a catalog");
        let database = Database { name: "Market".to_owned(), comment: None, location: Some("s3://lake".to_owned()) };
        catalog.create_database(database).expect("a database");
        catalog.create_table(table("quotes")).expect("a table");
        (folder, catalog)
    }

    fn table(name: &str) -> Table {
        let column = |name: &str, ty: &str| TableColumn::new(name, ty, None).expect("a column");
        Table {
            database: "market".to_owned(),
            name: name.to_owned(),
            columns: vec![column("ticker", "string")],
            partition_keys: vec![column("year", "int"), column("feed", "string")],
            comment: None,
            properties: Vec::new(),
            kind: TableKind::External { location: "s3://lake/quotes".to_owned(), format: Format::Parquet },
            created: 0,
            details: None,
        }
    }

    fn partition(year: &str, feed: &str, location: &str) -> Partition {
        Partition { values: vec![year.to_owned(), feed.to_owned()], location: location.to_owned(), lacks: 0 }
    }

    #[test]
    fn a_table_is_changed_as_far_as_its_partitions_allow() {
        let (_folder, catalog) = catalog();
        let column = |name: &str, ty: &str| TableColumn::new(name, ty, None).expect("a column");
        let update = |change: &dyn Fn(&mut Table), archive: Option<(i64, String)>| {
            catalog.update_table("Market", "QUOTES", |old| {
                let mut table = old.clone();
                change(&mut table);
                Ok(TableUpdate { table, archive })
            })
        };
        let now = || catalog.table("market", "quotes").expect("read").expect("a table");
        let created = now().created;
        // Without partitions, the columns are free.
        update(&|table| table.columns = vec![column("price", "double")], Some((0, "zero".to_owned())))
            .expect("changed");
        update(&|table| table.columns = vec![column("ticker", "string")], Some((1, "one".to_owned())))
            .expect("changed");
        catalog.add_partitions("market", "quotes", |_| Ok(vec![partition("2020", "a", "s3://lake/1")])).expect("added");
        let appended = vec![column("ticker", "string"), column("last", "double")];
        update(
            &|table| {
                table.columns.clone_from(&appended);
                table.comment = Some("changed".to_owned());
                table.properties = vec![("classification".to_owned(), "parquet".to_owned())];
                table.details = Some("{}".to_owned());
                table.kind = TableKind::External { location: "s3://lake/moved".to_owned(), format: Format::Parquet };
                table.created = 7;
            },
            None,
        )
        .expect("changed");
        let changed = now();
        assert_eq!((&changed.columns, changed.comment.as_deref()), (&appended, Some("changed")));
        assert_eq!((changed.created, changed.details.as_deref(), changed.properties.len()), (created, Some("{}"), 1));
        let moved = TableKind::External { location: "s3://lake/moved/".to_owned(), format: Format::Parquet };
        assert_eq!(changed.kind, moved);
        let partitions = catalog.partitions("market", "quotes").expect("read");
        assert_eq!(partitions[0].columns(&changed), [column("ticker", "string")]);
        let refused: [&dyn Fn(&mut Table); 6] = [
            &|table| _ = table.columns.pop(),
            &|table| table.columns[1] = column("last", "string"),
            &|table| table.columns.insert(0, column("first", "int")),
            &|table| _ = table.partition_keys.pop(),
            &|table| table.kind = TableKind::External { location: "s3://lake/x".to_owned(), format: Format::Json },
            &|table| table.columns.clear(),
        ];
        for change in refused {
            assert!(matches!(update(change, Some((2, "two".to_owned()))), Err(ChangeError::Invalid(_))));
        }
        assert_eq!(now(), changed);
        let versions = || catalog.table_versions("market", "quotes");
        assert_eq!(versions(), Ok(vec![(0, "zero".to_owned()), (1, "one".to_owned())]));
        assert_eq!(catalog.remove_table_versions("market", "quotes", vec![0, 5]), Ok(vec![5]));
        assert_eq!(versions(), Ok(vec![(1, "one".to_owned())]));
        catalog.remove_table("market", "quotes").expect("removed");
        catalog.create_table(table("quotes")).expect("a table");
        assert_eq!(versions(), Ok(Vec::new()), "those of another table");

        let database =
            |comment: &str| Database { name: "MARKET".to_owned(), comment: Some(comment.to_owned()), location: None };
        catalog.update_database(database("new")).expect("changed");
        let found = catalog.database("market").expect("read").expect("a database");
        assert_eq!((found.comment.as_deref(), found.location), (Some("new"), None));
        let nowhere = Database { name: "nowhere".to_owned(), ..database("x") };
        assert_eq!(catalog.update_database(nowhere), Err(ChangeError::NoDatabase("nowhere".to_owned())));
    }

    #[test]
    fn partitions_that_are_there_are_passed_over_and_named() {
        let (_folder, catalog) = catalog();
        let one = partition("2020", "a", "s3://lake/1");
        let add = |partitions: Vec<Partition>| catalog.add_partitions("MARKET", "Quotes", |_| Ok(partitions));
        assert_eq!(add(vec![one.clone()]), Ok(Vec::new()));
        let two = partition("2021", "a", "s3://lake/2/");
        let refused = add(vec![partition("2020", "a", "s3://lake/other/"), two.clone()]).expect("one is added");
        assert_eq!(
            refused,
            [PartitionError { values: one.values.clone(), error: ChangeError::AlreadyExists("Partition") }]
        );
        let one = Partition { location: "s3://lake/1/".to_owned(), ..one };
        assert_eq!(catalog.partitions("market", "quotes"), Ok(vec![one, two]));
    }

    #[test]
    fn one_partition_that_cannot_be_held_stops_all() {
        let (_folder, catalog) = catalog();
        for (year, feed, location, why) in [
            ("04", "a", "s3://lake/x/", "the value '04' of the partition key year is written '4'"),
            ("x", "a", "s3://lake/x/", "'x'"),
            ("2020", "", "s3://lake/x/", "''"),
            ("2020", "a", "lake/x", "no location"),
        ] {
            let all = vec![partition("2020", "b", "s3://lake/b/"), partition(year, feed, location)];
            let refused = catalog.add_partitions("market", "quotes", |_| Ok(all)).expect_err("refused");
            assert!(matches!(&refused, ChangeError::Invalid(message) if message.contains(why)), "{refused}");
        }
        let short = Partition { values: vec!["2020".to_owned()], location: "s3://lake/x/".to_owned(), lacks: 0 };
        assert!(catalog.add_partitions("market", "quotes", |_| Ok(vec![short])).is_err());
        assert_eq!(catalog.partitions("market", "quotes"), Ok(Vec::new()));
    }

    #[test]
    fn partitions_are_moved_renamed_and_removed() {
        let (_folder, catalog) = catalog();
        let [a, b] = ["a", "b"].map(|feed| partition("2020", feed, &format!("s3://lake/{feed}/")));
        catalog.add_partitions("market", "quotes", |_| Ok(vec![a.clone(), b.clone()])).expect("partitions");
        let moved = partition("2020", "a", "s3://lake/moved/");
        let renamed = partition("2020", "c", "s3://lake/c/");
        let replacements = vec![
            Replacement { values: a.values.clone(), by: moved.clone() },
            Replacement { values: renamed.values.clone(), by: renamed.clone() },
            Replacement { values: a.values.clone(), by: b.clone() },
            Replacement { values: b.values.clone(), by: renamed.clone() },
        ];
        let refused = catalog.replace_partitions("market", "quotes", |_| Ok(replacements)).expect("replaced");
        let whys: Vec<ChangeError> = refused.into_iter().map(|refused| refused.error).collect();
        assert_eq!(whys, [ChangeError::NoPartition, ChangeError::AlreadyExists("Partition")]);
        assert_eq!(catalog.partitions("market", "quotes"), Ok(vec![moved, renamed]));
        let refused = catalog.remove_partitions("market", "quotes", vec![a.values, b.values.clone()]);
        assert_eq!(refused, Ok(vec![PartitionError { values: b.values, error: ChangeError::NoPartition }]));
        assert_eq!(catalog.partitions("market", "quotes").map(|left| left.len()), Ok(1));
    }

    #[test]
    fn what_could_not_be_queried_is_no_table() {
        let (_folder, catalog) = catalog();
        let of = |change: fn(&mut Table)| {
            let mut table = table("other");
            change(&mut table);
            catalog.create_table(table)
        };
        assert_eq!(of(|table| table.name = "Quotes".to_owned()), Err(ChangeError::AlreadyExists("Table")));
        assert_eq!(of(|table| table.database = "x".to_owned()), Err(ChangeError::NoDatabase("x".to_owned())));
        for change in [
            |table: &mut Table| table.columns.clear(),
            |table: &mut Table| table.columns.push(table.columns[0].clone()),
            |table: &mut Table| table.partition_keys.push(table.columns[0].clone()),
            |table: &mut Table| table.properties.push(("projection.enabled".to_owned(), "true".to_owned())),
            |table: &mut Table| {
                table.kind = TableKind::External { location: "here".to_owned(), format: Format::Parquet }
            },
            |table: &mut Table| {
                table.columns.push(TableColumn::new("levels", "array<double>", None).expect("a column"));
                table.kind = TableKind::External { location: "s3://lake/json/".to_owned(), format: Format::Json };
            },
            |table: &mut Table| {
                table.kind = TableKind::View { sql: "SELECT 1".to_owned(), database: "market".to_owned() }
            },
            |table: &mut Table| table.name = "\n".to_owned(),
        ] {
            assert!(matches!(of(change), Err(ChangeError::Invalid(_))));
        }
        assert_eq!(of(|_| ()), Ok(()));
        assert_eq!(catalog.remove_table("market", "other"), Ok(()));
        assert_eq!(catalog.remove_table("market", "other"), Err(ChangeError::NoTable("other".to_owned())));
        assert_eq!(catalog.remove_database("MARKET"), Ok(()));
        assert_eq!(catalog.remove_database("market"), Err(ChangeError::NoDatabase("market".to_owned())));
    }
}
