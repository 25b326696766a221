//! Checksums of closed databases, so that a bit that flips on the disk never changes a result in silence.
//!
//! A database that was closed has a *seal*, the file `NAME.db.sum`: the size of the database and its CRC-64, which detects
//! every single flipped bit and every burst of up to 64 bits. The next start compares it, and removes it durably (unlink and
//! fsync of the folder) before SQLite may write. So a killed process leaves no seal. Then SQLite's `integrity_check` is used,
//! which finds damage of the structure and not of every value; frames of the write-ahead log have SQLite's own checksums.
//!
//! The seal is written without fsync: it has a checksum of itself, so one that a power failure truncated counts as missing.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use etl::durable::sync_one;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use s3s::crypto::{Checksum as _, Crc64Nvme};

/// A database of a home that differs from what was closed, or that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {found}; {}", file.display(), advice(file))]
pub struct Damaged {
    /// The database.
    pub file: PathBuf,
    /// A description of the damage, as the predicate of a sentence whose subject is the file.
    pub found: String,
}

impl Damaged {
    pub(crate) fn unreadable(file: &Path, reason: &dyn std::fmt::Display) -> Damaged {
        Damaged { file: file.to_owned(), found: format!("cannot be read: {reason}") }
    }
}

/// Returns what the user can do about a damaged database.
fn advice(file: &Path) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let home = file.parent().unwrap_or(Path::new("."));
    match name(file).as_str() {
        "catalog.db" => format!(
            "restore a copy of it, or move it away and publish the days again with `pregao run --from DATE --to DATE`. If you \
             changed it yourself, remove {}.sum",
            file.display()
        ),
        _ => format!(
            "restore a copy of it. Without one, move {home} away, and `pregao upload` the raw files that are below its folder s3, then \
             `pregao run` the days. If you changed it yourself, remove {file}.sum",
            home = home.display(),
            file = file.display()
        ),
    }
}

/// Size and CRC-64 of a database, the content of a seal.
#[derive(Debug, PartialEq, Eq)]
struct Checksum64 {
    size: u64,
    crc: u64,
}

impl Checksum64 {
    fn from_file(file: &Path) -> io::Result<Checksum64> {
        let (mut file, mut crc, mut size) = (File::open(file)?, Crc64Nvme::new(), 0);
        let mut piece = vec![0; 1 << 20];
        loop {
            match file.read(&mut piece) {
                Ok(0) => return Ok(Checksum64 { size, crc: u64::from_be_bytes(crc.finalize()) }),
                Ok(read) => {
                    crc.update(&piece[..read]);
                    size += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The text of the seal: one line with size and CRC-64, and one with the CRC-64 of the first.
    fn seal(&self) -> String {
        let line = self.to_string();
        let own = u64::from_be_bytes(Crc64Nvme::checksum(line.as_bytes()));
        format!("{line}\n{own:016x}\n")
    }

    fn parse(text: &str) -> Option<Checksum64> {
        let (size, crc) = text.lines().next()?.split_once(" bytes, CRC-64/NVME ")?;
        let sum = Checksum64 { size: size.parse().ok()?, crc: u64::from_str_radix(crc, 16).ok()? };
        (sum.seal() == text).then_some(sum)
    }
}

impl std::fmt::Display for Checksum64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes, CRC-64/NVME {:016x}", self.size, self.crc)
    }
}

/// The path of the seal of a database.
fn seal_path(database: &Path) -> PathBuf {
    with_suffix(database, ".sum")
}

/// The path of the write-ahead log of a database.
pub(crate) fn log_path(database: &Path) -> PathBuf {
    with_suffix(database, "-wal")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Reads the seal of a database. `None` if the database is open, was not closed, or its seal is damaged.
fn sealed(database: &Path) -> Option<Checksum64> {
    Checksum64::parse(&fs::read_to_string(seal_path(database)).ok()?)
}

/// Compares a database that is not open with its seal, or runs SQLite's check if there is none. Does not change the database.
/// One that does not exist is not damaged.
pub(crate) fn check(database: &Path) -> Result<(), Damaged> {
    match (sealed(database), database.try_exists()) {
        (None, Ok(false)) => Ok(()),
        (None, _) => check_structure(database),
        (Some(_), Ok(false)) => {
            Err(Damaged { file: database.to_owned(), found: "is gone, though its checksum is there".to_owned() })
        }
        (Some(sealed), _) => {
            let found = Checksum64::from_file(database).map_err(|error| Damaged::unreadable(database, &error))?;
            if found == sealed {
                return Ok(());
            }
            let found = format!("was changed or damaged since it was closed: it had {sealed}, and has {found}");
            Err(Damaged { file: database.to_owned(), found })
        }
    }
}

/// Runs SQLite's check of the structure. Includes what a killed process left in the write-ahead log, without a checkpoint of it.
fn check_structure(database: &Path) -> Result<(), Damaged> {
    let failed = |error: rusqlite::Error| Damaged::unreadable(database, &error);
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if found == "ok" {
        return Ok(());
    }
    Err(Damaged { file: database.to_owned(), found: format!("is damaged: {}", found.trim_start_matches("*** ")) })
}

/// Checks the database and removes the seal, so that it may be written to. Returns whether it was closed, and not left by a
/// crash.
pub(crate) fn open(database: &Path) -> Result<bool, Damaged> {
    check(database)?;
    let was_closed = sealed(database).is_some();
    break_seal(database)?;
    Ok(was_closed)
}

/// Removes the seal, durably.
pub(crate) fn break_seal(database: &Path) -> Result<(), Damaged> {
    let seal = seal_path(database);
    match fs::remove_file(&seal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_folder_of(&seal)).map_err(|error| Damaged::unreadable(&seal, &error)),
    }
}

/// Checkpoints the write-ahead log, closes the database, and writes its seal.
pub(crate) fn close(database: &Path, connection: Connection) -> Result<(), Damaged> {
    let failed = |error: rusqlite::Error| Damaged::unreadable(database, &error);
    if sealed(database).is_some() {
        // The seal was never removed, so nothing was written.
        return connection.close().map_err(|(_, error)| failed(error));
    }
    // Does not wait for readers.
    connection.busy_timeout(Duration::ZERO).map_err(failed)?;
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(failed)?;
    connection.close().map_err(|(_, error)| failed(error))?;
    if busy {
        return Err(Damaged { file: database.to_owned(), found: "is still being read".to_owned() });
    }
    seal(database).map_err(|error| Damaged::unreadable(database, &error))
}

fn seal(database: &Path) -> io::Result<()> {
    sync_one(database)?;
    fs::write(seal_path(database), Checksum64::from_file(database)?.seal())
}

fn sync_folder_of(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), sync_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sealed database with a row in it.
    fn database(folder: &Path) -> PathBuf {
        let path = folder.join("catalog.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x TEXT); INSERT INTO t VALUES ('a location')")
            .unwrap();
        close(&path, connection).unwrap();
        path
    }

    #[test]
    fn no_flipped_bit_passes() {
        let folder = tempfile::tempdir().unwrap();
        let path = database(folder.path());
        assert_eq!(check(&path), Ok(()));
        let bytes = fs::read(&path).unwrap();
        for bit in (0..bytes.len() * 8).step_by(97) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, flipped).unwrap();
            let damaged = check(&path).expect_err("a bit is another").to_string();
            assert!(damaged.contains("changed or damaged since it was closed"), "{damaged}");
        }
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(check(&path).is_err());
        fs::remove_file(&path).unwrap();
        let damaged = open(&path).expect_err("it is gone").to_string();
        assert!(damaged.contains("is gone") && damaged.contains("pregao run"), "{damaged}");
    }

    #[test]
    fn a_damaged_seal_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = database(folder.path());
        let seal = seal_path(&path);
        let bytes = fs::read(&seal).unwrap();
        assert!(sealed(&path).is_some());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&seal, flipped).unwrap();
            assert_eq!(sealed(&path), None, "bit {bit}");
        }
        for length in 0..bytes.len() {
            fs::write(&seal, &bytes[..length]).unwrap();
            assert_eq!(sealed(&path), None, "{length} bytes of it");
        }
        assert_eq!(check(&path), Ok(()));
    }

    #[test]
    fn a_seal_is_broken_before_the_first_write_and_damage_is_found_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = database(folder.path());
        assert_eq!(open(&path), Ok(true));
        assert!(!seal_path(&path).exists());
        assert_eq!(open(&path), Ok(false), "as after a kill");
        let mut bytes = fs::read(&path).unwrap();
        let root = bytes.len() - 4096;
        bytes[root..root + 8].fill(0xff);
        fs::write(&path, bytes).unwrap();
        assert!(open(&path).is_err());
        assert_eq!(open(&folder.path().join("none.db")), Ok(false));
    }

    #[test]
    fn a_database_that_is_still_read_is_not_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
        connection.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        assert!(close(&path, connection).is_err());
        assert!(!seal_path(&path).exists());
    }
}
