//! The endpoint's memory: one SQLite file for all services.
//!
//! Write-ahead logging with `synchronous = NORMAL` makes a commit cost microseconds and still survives
//! the death of the process at any instant (not, for the last commits, the death of the machine).

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::types::Type;
use rusqlite::{Connection, Row, Transaction, TransactionBehavior};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The layout of the tables. A file with a higher number was made by a newer version of the program.
const VERSION: i64 = 1;

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
}

/// A shared handle on the state.
#[derive(Debug)]
pub(crate) struct State {
    connection: Mutex<Connection>,
}

impl State {
    /// Opens the file, making the tables of `schemas` where they are missing.
    pub(crate) fn open(path: &Path, schemas: &[&str]) -> Result<State, StateError> {
        let failed = |source| StateError::Sqlite { path: path.to_owned(), source };
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
        Ok(State { connection: Mutex::new(connection) })
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
}

/// Ends the process, because what it does can no longer be kept: to go on would be to wait for ever for a step or an
/// execution that nobody can end. The next start ends them, as after any other death.
pub(crate) fn cannot_be_kept(what: &str, error: impl std::fmt::Display) -> ! {
    eprintln!("error: {what} could not be kept: {error}; see to the disk that holds the home, and run it again");
    std::process::exit(1)
}

/// A column that holds JSON.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
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

    #[test]
    fn a_newer_layout_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let refused = State::open(&path, &[]).unwrap_err().to_string();
        assert!(refused.contains("newer version (layout 99"), "{refused}");
    }
}
