//! The home: the folder with all files of an endpoint, which one process owns at a time.
//!
//! Ownership is an advisory lock on `HOME/lock`. The kernel releases it however the owner dies, so a process that gets the
//! lock may clean up what an earlier owner left. `HOME/endpoint.json` has the address and the process id of the owner, for
//! other processes.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use etl::durable::sync_one;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::permissions;

/// An error of opening a home.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Another process owns the home.
    #[error(
        "{} is in use by another process{}: use that one, end it, or choose another folder with --home",
        home.display(), owner.as_ref().map(|owner| format!(" (pid {}, {})", owner.pid, owner.url())).unwrap_or_default()
    )]
    InUse {
        /// The folder.
        home: PathBuf,
        /// The owner, if it has announced itself.
        owner: Option<Owner>,
    },
    /// The disk of the home is full.
    #[error("no space left on the disk that holds {}: not even {} kB can be written; free some and try again", home.display(), MIN_FREE_BYTES / 1024)]
    DiskFull {
        /// The folder.
        home: PathBuf,
    },
    /// The home is on a read-only disk, or its permissions forbid writing.
    #[error(
        "{} cannot be written: {source}. A home has to be writable, also for questions: their answers are kept in it. Copy it to a \
         disk that can be written, and name the copy with --home",
        home.display()
    )]
    ReadOnly {
        /// The folder.
        home: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file or folder of the home could not be created, read or locked.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// The operation, as a gerund: `creating`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The free space that opening a home requires, in bytes. It is tested because SQLite reports a full disk as "disk I/O error".
const MIN_FREE_BYTES: usize = 1 << 20;

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HomeError {
    move |source| HomeError::Io { doing, path: path.to_owned(), source }
}

impl HomeError {
    /// Converts an error of opening a file in `home` for writing.
    pub fn from_write_error(home: &Path, path: &Path, source: io::Error) -> HomeError {
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                HomeError::ReadOnly { home: home.to_owned(), source }
            }
            _ => HomeError::Io { doing: "opening", path: path.to_owned(), source },
        }
    }
}

/// The process that owns a home, as other processes see it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Owner {
    address: SocketAddr,
    pid: u32,
}

/// The timeout for an owner that is starting, and the interval of the checks.
const START_TIMEOUT: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(30);

impl Owner {
    /// Returns the process that owns `home`, or `None` if there is none. Waits up to three seconds for an owner that is starting.
    /// It blocks, so call it before the async runtime has other work.
    ///
    /// # Errors
    /// [`HomeError::InUse`] if the owner does not accept connections, [`HomeError::Io`] if the lock cannot be read.
    pub fn find(home: &Path) -> Result<Option<Owner>, HomeError> {
        let started = Instant::now();
        while started.elapsed() < START_TIMEOUT {
            if !is_locked(home)? {
                return Ok(None);
            }
            if let Some(owner) = Owner::read(home)
                && TcpStream::connect_timeout(&owner.address, Duration::from_secs(1)).is_ok()
            {
                return Ok(Some(owner));
            }
            sleep(POLL_INTERVAL);
        }
        Err(HomeError::InUse { home: home.to_owned(), owner: Owner::read(home) })
    }

    /// The URL of the endpoint: `http://127.0.0.1:4566`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it responds to a request within this time. The kernel accepts connections for a stopped process, so a connection
    /// alone proves nothing.
    pub async fn answers(&self, within: Duration) -> bool {
        let ask = async {
            let mut stream = tokio::net::TcpStream::connect(self.address).await?;
            let request = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
            stream.write_all(request.as_bytes()).await?;
            stream.read(&mut [0; 1]).await
        };
        matches!(tokio::time::timeout(within, ask).await, Ok(Ok(1)))
    }

    fn read(home: &Path) -> Option<Owner> {
        serde_json::from_slice(&fs::read(home.join("endpoint.json")).ok()?).ok()
    }
}

fn is_locked(home: &Path) -> Result<bool, HomeError> {
    let path = home.join("lock");
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed("opening", &path)(error)),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(failed("locking", &path)(error)),
    }
}

/// A home that this process owns. The lock is released on drop.
#[derive(Debug)]
pub(crate) struct Home {
    root: PathBuf,
    _lock: File,
}

impl Home {
    /// Creates the folder if it is missing, and takes its lock. Other users of the machine get no access.
    pub(crate) fn own(root: &Path) -> Result<Home, HomeError> {
        permissions::create(root).map_err(failed("creating", root))?;
        let root = root.canonicalize().map_err(failed("resolving", root))?;
        let lock = lock_exclusively(&root)?;
        // The address of an earlier owner must not be taken for that of this process, which does not listen yet.
        remove_if_there(&root.join("endpoint.json"))?;
        let home = Home { root, _lock: lock };
        let temporary = home.temporary();
        fs::create_dir_all(&temporary).map_err(|error| HomeError::from_write_error(&home.root, &temporary, error))?;
        home.probe()?;
        // Files in a new home are durable only if the entry of the home itself is, in the folder above.
        if let Some(above) = home.root.parent().filter(|_| !home.state().exists()) {
            // An error means that the folder above is not readable, so it was not created now.
            let _ = sync_one(above);
        }
        Ok(home)
    }

    /// Detects a full disk or an exhausted quota by writing a file. The owner of that file is this process's user, which
    /// [`permissions::restrict`] compares with the owner of the folder.
    fn probe(&self) -> Result<(), HomeError> {
        let probe = self.temporary().join("room");
        let written = fs::write(&probe, vec![0; MIN_FREE_BYTES]);
        let narrowed = fs::metadata(&probe).and_then(|ours| permissions::restrict(&self.root, &ours));
        if let Err(error) = narrowed {
            tracing::warn!(%error, home = %self.root.display(), "the home could not be closed to other users");
        }
        remove_if_there(&probe)?;
        written.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                HomeError::DiskFull { home: self.root.clone() }
            }
            _ => failed("writing", &probe)(error),
        })
    }

    /// The absolute path of the folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder for incomplete files. It is on the file system of the objects, so that a rename moves a file atomically.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// The database of the endpoint's state.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state.db")
    }

    /// The database of the query engine's catalog.
    pub(crate) fn catalog(&self) -> PathBuf {
        self.root.join("catalog.db")
    }

    /// Empties the temporary folder. Call it after the recovery of the object store, whose intents refer to files in it.
    pub(crate) fn clear_temporary(&self) -> Result<(), HomeError> {
        let folder = self.temporary();
        fs::remove_dir_all(&folder).map_err(failed("emptying", &folder))?;
        fs::create_dir_all(&folder).map_err(failed("creating", &folder))
    }

    /// Writes `endpoint.json`, atomically by a rename, so that other processes find this one.
    pub(crate) fn announce(&self, address: SocketAddr) -> Result<(), HomeError> {
        let owner = Owner { address, pid: std::process::id() };
        let path = self.root.join("endpoint.json");
        let half = self.temporary().join("endpoint.json");
        let text = serde_json::json!({ "address": owner.address, "pid": owner.pid, "url": owner.url() }).to_string();
        fs::write(&half, text).map_err(failed("writing", &half))?;
        fs::rename(&half, &path).map_err(failed("writing", &path))
    }

    /// Removes `endpoint.json`. Call it before the lock is released.
    pub(crate) fn withdraw(&self) -> Result<(), HomeError> {
        remove_if_there(&self.root.join("endpoint.json"))
    }
}

fn remove_if_there(path: &Path) -> Result<(), HomeError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("removing", path)(error)),
        _ => Ok(()),
    }
}

fn lock_exclusively(root: &Path) -> Result<File, HomeError> {
    let path = root.join("lock");
    let lock = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(|error| HomeError::from_write_error(root, &path, error))?;
    // Retries, because `Owner::find` of another process holds a shared lock for a moment without being an owner.
    for _ in 0..10 {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => sleep(POLL_INTERVAL),
            Err(TryLockError::Error(error)) => return Err(failed("locking", &path)(error)),
        }
    }
    Err(HomeError::InUse { home: root.to_owned(), owner: Owner::read(root) })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_home_has_one_owner_and_others_find_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Owner::find(folder.path()).unwrap(), None);

        let home = Home::own(folder.path()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        home.announce(listener.local_addr().unwrap()).unwrap();
        let owner = Owner::find(folder.path()).unwrap().unwrap();
        assert_eq!(owner.address, listener.local_addr().unwrap());
        let refused = Home::own(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");

        drop(home);
        assert_eq!(Owner::find(folder.path()).unwrap(), None, "a stale endpoint.json is no owner");
        Home::own(folder.path()).unwrap();
        assert!(!folder.path().join("endpoint.json").exists());
    }

    #[test]
    fn a_home_is_its_users_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let new = folder.path().join("new/.pregao");
        drop(Home::own(&new).unwrap());
        assert_eq!(mode(&new), 0o700);

        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        drop(Home::own(&new).unwrap());
        assert_eq!(mode(&new), 0o700, "one of an earlier version is narrowed");
    }
}
