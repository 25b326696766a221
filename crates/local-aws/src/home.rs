//! The folder that holds everything the endpoint knows, and the rule that one process owns it.
//!
//! Ownership is an advisory lock on `HOME/lock`, which the system releases however the owner dies; so a
//! lock that can be taken means that nobody lives there, and whatever a dead owner left half done is
//! ours to clean up. `HOME/endpoint.json` says where the living owner listens, for other processes.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use etl::durable::sync_one;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::private;

/// Why a home could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Another living process owns the home.
    #[error(
        "{} is in use by another process{}: use that one, end it, or choose another folder with --home",
        home.display(), owner.as_ref().map(|owner| format!(" (pid {}, {})", owner.pid, owner.url())).unwrap_or_default()
    )]
    InUse {
        /// The folder.
        home: PathBuf,
        /// Who has it, where that is known.
        owner: Option<Owner>,
    },
    /// The disk of the home is full.
    #[error("no space left on the disk that holds {}: not even {} kB can be written; free some and try again", home.display(), ROOM / 1024)]
    DiskFull {
        /// The folder.
        home: PathBuf,
    },
    /// The home is on a disk, or has permissions, that let nothing be written.
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
    /// A file or folder of the home could not be made, read or locked.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a gerund: `creating`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The least that has to be free to open a home. Of a full disk SQLite says no more than "disk I/O error".
const ROOM: usize = 1 << 20;

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HomeError {
    move |source| HomeError::Io { doing, path: path.to_owned(), source }
}

impl HomeError {
    /// The error of a file in `home` that was to be opened for writing.
    pub fn of_writing(home: &Path, path: &Path, source: io::Error) -> HomeError {
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                HomeError::ReadOnly { home: home.to_owned(), source }
            }
            _ => HomeError::Io { doing: "opening", path: path.to_owned(), source },
        }
    }
}

/// The living owner of a home, as another process sees it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Owner {
    address: SocketAddr,
    pid: u32,
}

/// How long, and how far apart, to look again while an owner starts.
const PATIENCE: Duration = Duration::from_secs(3);
const BETWEEN_LOOKS: Duration = Duration::from_millis(30);

impl Owner {
    /// The process that owns `home` now, or `None` when nobody does. Waits for up to three seconds
    /// for an owner that is just starting to listen; it blocks, so call it before the async runtime has work to do.
    ///
    /// # Errors
    /// [`HomeError::InUse`] when the home is owned by a process that does not answer, [`HomeError::Io`]
    /// when the lock cannot be read.
    pub fn find(home: &Path) -> Result<Option<Owner>, HomeError> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if !is_locked(home)? {
                return Ok(None);
            }
            if let Some(owner) = Owner::read(home)
                && TcpStream::connect_timeout(&owner.address, Duration::from_secs(1)).is_ok()
            {
                return Ok(Some(owner));
            }
            sleep(BETWEEN_LOOKS);
        }
        Err(HomeError::InUse { home: home.to_owned(), owner: Owner::read(home) })
    }

    /// Where the owner answers, as in `http://127.0.0.1:4566`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it answers a request in this time. A process that is stopped takes connections and says nothing.
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

/// An owned home. The lock is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Home {
    root: PathBuf,
    _lock: File,
}

impl Home {
    /// Makes the folder where it is missing, and becomes its owner. No other user of the machine can look into it.
    pub(crate) fn own(root: &Path) -> Result<Home, HomeError> {
        private::create(root).map_err(failed("creating", root))?;
        let root = root.canonicalize().map_err(failed("resolving", root))?;
        let lock = lock_exclusively(&root)?;
        // A dead owner's address must not be read as ours before we listen.
        remove_if_there(&root.join("endpoint.json"))?;
        let home = Home { root, _lock: lock };
        let temporary = home.temporary();
        fs::create_dir_all(&temporary).map_err(|error| HomeError::of_writing(&home.root, &temporary, error))?;
        home.probe()?;
        // What is durable in the home is so only with its own name.
        if let Some(above) = home.root.parent().filter(|_| !home.state().exists()) {
            // A folder above that may not be read was there before.
            let _ = sync_one(above);
        }
        Ok(home)
    }

    /// Tells a full disk by what writing does, which also knows of quotas. What was written is of whom this process
    /// is: so the folder is closed to others if it is theirs.
    fn probe(&self) -> Result<(), HomeError> {
        let probe = self.temporary().join("room");
        let written = fs::write(&probe, vec![0; ROOM]);
        let narrowed = fs::metadata(&probe).and_then(|ours| private::narrow(&self.root, &ours));
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

    /// The folder itself, absolute.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Half-written files, on the same file system as the objects so that a rename moves them.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// The endpoint's own state.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state.db")
    }

    /// The Hive catalog of the query engine.
    pub(crate) fn catalog(&self) -> PathBuf {
        self.root.join("catalog.db")
    }

    /// Removes what a dead owner was writing. Only after the object store has settled what was renamed.
    pub(crate) fn clear_temporary(&self) -> Result<(), HomeError> {
        let folder = self.temporary();
        fs::remove_dir_all(&folder).map_err(failed("emptying", &folder))?;
        fs::create_dir_all(&folder).map_err(failed("creating", &folder))
    }

    /// Tells other processes where this one answers.
    pub(crate) fn announce(&self, address: SocketAddr) -> Result<(), HomeError> {
        let owner = Owner { address, pid: std::process::id() };
        let path = self.root.join("endpoint.json");
        let half = self.temporary().join("endpoint.json");
        let text = serde_json::json!({ "address": owner.address, "pid": owner.pid, "url": owner.url() }).to_string();
        fs::write(&half, text).map_err(failed("writing", &half))?;
        fs::rename(&half, &path).map_err(failed("writing", &path))
    }

    /// Takes the announcement back, before the lock goes.
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
    let lock = lock.map_err(|error| HomeError::of_writing(root, &path, error))?;
    // `Owner::find` of another process holds a shared lock for an instant: that is no owner.
    for _ in 0..10 {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => sleep(BETWEEN_LOOKS),
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
