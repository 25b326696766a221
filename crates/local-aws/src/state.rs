//! The persistent state of all services: one SQLite database.
//!
//! It uses a write-ahead log with `synchronous = NORMAL`: a commit costs microseconds because it does not fsync, and survives
//! a crash of the process. A power failure may lose the latest commits, always a suffix of them. [`State::sync`] makes all
//! commits so far durable. The object store calls it before it acknowledges a write, so nothing that refers to an object (a
//! partition of the catalog, a record) is more durable than the object. The history of executions is as durable as the last
//! object that was written.
//!
//! A closed database has a checksum in a file of its own: see [`crate::seal`].

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::types::Type;
use rusqlite::{Connection, Row, Transaction, TransactionBehavior};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::seal::{self, Damaged};

/// The version of the schema (`user_version`). A file with a higher one was written by a newer program. Version 1 had the
/// payloads inside of events, which is still readable.
const VERSION: i64 = 2;

/// An error of opening the state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// An error of SQLite.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// The file was written by a newer version of this program.
    #[error("{} was written by a newer version (layout {found}, this program knows {VERSION}): use that version", path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The version of its schema.
        found: i64,
    },
    /// The file differs from what was closed.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// The state. It has a single connection, behind a mutex: one writer or reader at a time.
#[derive(Debug)]
pub(crate) struct State {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// The write-ahead log, to fsync it without the connection. It exists as long as the connection is open.
    log: File,
    was_closed: bool,
    failure: watch::Sender<Option<StorageFailure>>,
}

/// The fsync of the write-ahead log failed.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub(crate) struct SyncError {
    path: PathBuf,
    source: io::Error,
}

/// A failure to store something that has happened, after which the endpoint refuses all requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} could not be kept: {reason}; see to the disk that holds the home, and run it again")]
pub struct StorageFailure {
    what: &'static str,
    reason: Arc<str>,
}

impl State {
    /// Opens the file, and creates the tables of `schemas` that are missing.
    pub(crate) fn open(path: &Path, schemas: &[&str]) -> Result<State, StateError> {
        let failed = |source| StateError::Sqlite { path: path.to_owned(), source };
        let was_closed = seal::open(path)?;
        let connection = Connection::open(path).map_err(failed)?;
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;")
            .map_err(failed)?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        if found > VERSION {
            return Err(StateError::Newer { path: path.to_owned(), found });
        }
        for schema in schemas {
            connection.execute_batch(schema).map_err(failed)?;
        }
        connection.pragma_update(None, "user_version", VERSION).map_err(failed)?;
        let log = File::open(seal::log_path(path)).map_err(|source| Damaged::unreadable(path, &source))?;
        Ok(State {
            path: path.to_owned(),
            connection: Mutex::new(connection),
            log,
            was_closed,
            failure: watch::Sender::new(None),
        })
    }

    /// Whether the last owner closed the file, and did not crash.
    pub(crate) fn was_closed(&self) -> bool {
        self.was_closed
    }

    /// Makes all commits so far durable, by fsync of the write-ahead log. It does not take the connection, so that others can
    /// commit meanwhile.
    pub(crate) fn sync(&self) -> Result<(), SyncError> {
        self.log.sync_data().map_err(|source| SyncError { path: seal::log_path(&self.path), source })
    }

    /// Closes the file and writes its checksum. Later calls find an empty database. If it fails, the next start checks the file
    /// as after a crash.
    pub(crate) fn close(&self) -> Result<(), Damaged> {
        let mut connection = self.lock();
        let empty = Connection::open_in_memory().map_err(|error| Damaged::unreadable(&self.path, &error))?;
        seal::close(&self.path, std::mem::replace(&mut connection, empty))
    }

    /// Locks the connection. Callers hold it briefly: for rows by key, or a page of a listing.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        // A poisoned lock is used: a panic rolled its transaction back, and the connection is intact.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` in one transaction, which is committed if it succeeds and rolled back if it fails.
    pub(crate) fn write<T, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    /// Reports that something which happened could not be stored. Those who poll for it would wait forever, so the endpoint
    /// fails as a whole: each request is refused with this reason, and the owner shuts it down. The next start recovers as
    /// after a crash. Only the first report counts.
    pub(crate) fn report_failure(&self, what: &'static str, reason: impl std::fmt::Display) {
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert_with(|| StorageFailure { what, reason: reason.to_string().into() });
            first
        });
    }

    /// The failure, if one was reported.
    pub(crate) fn storage_failure(&self) -> Option<StorageFailure> {
        self.failure.borrow().clone()
    }

    /// Completes when a failure is reported.
    pub(crate) async fn storage_failed(&self) -> StorageFailure {
        let mut failure = self.failure.subscribe();
        // `self` has the sender, so the channel cannot close.
        match failure.wait_for(Option::is_some).await.map(|failure| failure.clone()) {
            Ok(Some(failure)) => failure,
            _ => std::future::pending().await,
        }
    }
}

/// Reads a column of JSON.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// Converts a value that is stored to JSON.
pub(crate) fn to_value<T: Serialize>(value: &T) -> rusqlite::Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// Writes a value as the text of a JSON column.
pub(crate) fn to_json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let schema = "CREATE TABLE IF NOT EXISTS thing (name TEXT) STRICT";
        let state = State::open(&path, &[schema]).unwrap();
        let count = |state: &State| -> i64 {
            state.lock().query_row("SELECT count(*) FROM thing", [], |row| row.get(0)).unwrap()
        };
        let refused: Result<(), rusqlite::Error> = state.write(|rows| {
            rows.execute("INSERT INTO thing VALUES ('half')", [])?;
            Err(rusqlite::Error::QueryReturnedNoRows)
        });
        assert!(refused.is_err());
        assert_eq!(count(&state), 0);
        state.write(|rows| rows.execute("INSERT INTO thing VALUES ('whole')", [])).unwrap();
        drop(state);
        assert_eq!(count(&State::open(&path, &[schema]).unwrap()), 1);
    }

    #[tokio::test]
    async fn the_first_write_error_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state.db"), &[]).unwrap();
        assert_eq!(state.storage_failure(), None);
        state.report_failure("an event", "the disk is full");
        state.report_failure("the end of an execution", "a consequence");
        let told = state.storage_failed().await;
        assert!(
            told.to_string().starts_with("an event could not be kept: the disk is full; see to the disk"),
            "{told}"
        );
        assert_eq!(state.storage_failure(), Some(told));
    }

    #[test]
    fn a_newer_layout_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let refused = State::open(&path, &[]).unwrap_err().to_string();
        assert!(refused.contains("newer version (layout 99"), "{refused}");
    }
}
