//! The endpoint's memory: one SQLite file for all services.
//!
//! Write-ahead logging with `synchronous = NORMAL` makes a commit cost microseconds, and it survives the death of the
//! process at any instant. A power failure may take the last commits with it, all from some commit on: never one
//! without those after it. [`State::sync`] makes all commits until then durable. The object store calls it before it
//! answers, so what refers to an object (a partition of the catalog, a record) is never more durable than the object
//! is; the history of executions is as durable as the last object that was written.
//!
//! At rest the file has a checksum beside it: see [`crate::seal`].

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

/// The layout of the tables. A file with a higher number was made by a newer version of the program. In 1, events had
/// their payloads in themselves, and are still read.
const VERSION: i64 = 2;

/// Why the state could not be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// SQLite refused.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// The file is from a later version of this program.
    #[error("{} was written by a newer version (layout {found}, this program knows {VERSION}): use that version", path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The layout it has.
        found: i64,
    },
    /// The file is not what was closed.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// A shared handle on the state.
#[derive(Debug)]
pub(crate) struct State {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// The write-ahead log, which exists as long as the connection is open.
    log: File,
    was_closed: bool,
    broken: watch::Sender<Option<Broken>>,
}

/// The write-ahead log could not be made durable.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub(crate) struct SyncError {
    path: PathBuf,
    source: io::Error,
}

/// Why nothing more is done in a home: something that happened could not be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} could not be kept: {reason}; see to the disk that holds the home, and run it again")]
pub struct Broken {
    what: &'static str,
    reason: Arc<str>,
}

impl State {
    /// Opens the file, making the tables of `schemas` where they are missing.
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
        let log = File::open(seal::log_of(path)).map_err(|source| Damaged::unreadable(path, &source))?;
        Ok(State {
            path: path.to_owned(),
            connection: Mutex::new(connection),
            log,
            was_closed,
            broken: watch::Sender::new(None),
        })
    }

    /// Whether the file was closed in order by its last owner, and not by that one's death.
    pub(crate) fn was_closed(&self) -> bool {
        self.was_closed
    }

    /// Makes everything that was committed durable. It does not wait for those who commit meanwhile.
    pub(crate) fn sync(&self) -> Result<(), SyncError> {
        self.log.sync_data().map_err(|source| SyncError { path: seal::log_of(&self.path), source })
    }

    /// Closes the file with its checksum beside it. What comes later finds no tables. Where it fails, the next start
    /// checks the file as after a kill.
    pub(crate) fn close(&self) -> Result<(), Damaged> {
        let mut connection = self.lock();
        let nothing = Connection::open_in_memory().map_err(|error| Damaged::unreadable(&self.path, &error))?;
        seal::close(&self.path, std::mem::replace(&mut connection, nothing))
    }

    /// The connection, alone. What is done with it is short: rows by key, a page of a listing.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere rolled its transaction back; the connection itself is sound.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` in one transaction, which is committed when it succeeds and undone when it fails.
    pub(crate) fn write<T, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let answer = work(&transaction)?;
        transaction.commit()?;
        Ok(answer)
    }

    /// Says that something which happened could not be kept. Whoever waits for it would wait for ever, so everything
    /// stops: each request is refused with this reason, and the owner of the endpoint ends it. The next start settles
    /// what was left, as after any other death.
    pub(crate) fn give_up(&self, what: &'static str, reason: impl std::fmt::Display) {
        self.broken.send_if_modified(|broken| {
            let first = broken.is_none();
            broken.get_or_insert_with(|| Broken { what, reason: reason.to_string().into() });
            first
        });
    }

    /// Why nothing more is done, if so.
    pub(crate) fn broken(&self) -> Option<Broken> {
        self.broken.borrow().clone()
    }

    /// Completes when nothing more is done.
    pub(crate) async fn breaks(&self) -> Broken {
        let mut broken = self.broken.subscribe();
        // The sender is as old as `self`, so there is always an end to wait for.
        match broken.wait_for(Option::is_some).await.map(|broken| broken.clone()) {
            Ok(Some(broken)) => broken,
            _ => std::future::pending().await,
        }
    }
}

/// A column that holds JSON.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// JSON of something that is stored.
pub(crate) fn to_value<T: Serialize>(value: &T) -> rusqlite::Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// A value for such a column.
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
    async fn the_first_thing_that_could_not_be_kept_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state.db"), &[]).unwrap();
        assert_eq!(state.broken(), None);
        state.give_up("an event", "the disk is full");
        state.give_up("the end of an execution", "a consequence");
        let told = state.breaks().await;
        assert!(
            told.to_string().starts_with("an event could not be kept: the disk is full; see to the disk"),
            "{told}"
        );
        assert_eq!(state.broken(), Some(told));
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
