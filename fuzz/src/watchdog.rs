//! What ends a run in which a case never ends, and what notices panics on other threads.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a case may take. Far more than any needs on a busy machine: what is looked for takes for ever.
const LONGEST_CASE: Duration = Duration::from_mins(1);

/// The case that is being checked, for the thread that watches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watchdog(Arc<Mutex<Option<Watched>>>);

#[derive(Debug)]
struct Watched {
    since: Instant,
    input: Vec<u8>,
    file: PathBuf,
    what: String,
}

impl Watchdog {
    /// Starts to watch. The thread ends with the last clone.
    pub(crate) fn start() -> Self {
        let watchdog = Self::default();
        let watched = Arc::downgrade(&watchdog.0);
        thread::spawn(move || {
            while let Some(watched) = watched.upgrade() {
                let hangs = watched.lock().unwrap_or_else(PoisonError::into_inner).take_if(|case| case.has_hung());
                if let Some(case) = hangs {
                    let _ = fs::write(&case.file, &case.input);
                    eprintln!("{} takes more than {LONGEST_CASE:?}: {}", case.what, case.file.display());
                    // Nothing can end the thread of the case.
                    std::process::exit(101);
                }
                drop(watched);
                thread::sleep(Duration::from_millis(250));
            }
        });
        watchdog
    }

    /// Runs `check` on an input under watch. `file` is where the input goes when the check does not end.
    pub(crate) fn watch<T>(&self, what: String, input: &[u8], file: PathBuf, check: impl FnOnce() -> T) -> T {
        let watched = Watched { since: Instant::now(), input: input.to_vec(), file, what };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(watched);
        let answer = check();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        answer
    }
}

impl Watched {
    fn has_hung(&self) -> bool {
        self.since.elapsed() > LONGEST_CASE
    }
}

static PANICS: AtomicU64 = AtomicU64::new(0);

/// How many panics there have been on any thread: a server catches those of its tasks, and nobody would see them.
pub(crate) fn panics() -> u64 {
    static COUNT: Once = Once::new();
    COUNT.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            before(panic);
        }));
    });
    PANICS.load(Ordering::SeqCst)
}
