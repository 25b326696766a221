//! SIGINT (Ctrl-C) and SIGTERM.
//!
//! One thread waits for both signals while the program runs. The first signal goes to the listeners, which stop what the
//! command has started; without a listener it ends the program. A second signal always ends the program immediately, in the
//! signal handler, so that it does not depend on a thread of the program.

use std::fmt;
use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// A signal that ends the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    /// Returns the exit code of a command that the signal ended: 128 plus the number of the signal, as shells report it.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Signal::Interrupt => 130,
            Signal::Terminate => 143,
        }
    }
}

/// The error of a command that a signal ended. It is not printed, because the user caused it.
#[derive(Debug)]
pub(crate) struct Interrupted(pub Signal);

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// The first signal that arrived.
static FIRST: OnceLock<watch::Receiver<Option<Signal>>> = OnceLock::new();

/// Poll interval, after a signal, for a listener within the command.
const LOOK: Duration = Duration::from_millis(20);

/// The number of listeners, and of those within a command.
static LISTENERS: AtomicUsize = AtomicUsize::new(0);
static WITHIN: AtomicUsize = AtomicUsize::new(0);

/// Starts the thread. Must be called once, before other threads are started.
pub(crate) fn start() -> io::Result<()> {
    end_at_the_second()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let (sender, first) = watch::channel(None);
    FIRST.get_or_init(|| first);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            loop {
                let signal = tokio::select! {
                    _ = interrupt.recv() => Signal::Interrupt,
                    _ = terminate.recv() => Signal::Terminate,
                };
                let is_first = sender.borrow().is_none();
                if is_first && LISTENERS.load(Ordering::SeqCst) > 0 {
                    sender.send_replace(Some(signal));
                } else {
                    process::exit(signal.exit_code().into());
                }
            }
        });
    })?;
    Ok(())
}

/// Installs signal handlers that end the program at the second signal.
fn end_at_the_second() -> io::Result<()> {
    let arrived = Arc::new(AtomicBool::new(false));
    for (number, signal) in [(SIGINT, Signal::Interrupt), (SIGTERM, Signal::Terminate)] {
        // Order matters: at the first signal the flag is unset when the first action checks it, and the second sets it.
        flag::register_conditional_shutdown(number, signal.exit_code().into(), Arc::clone(&arrived))?;
        flag::register(number, Arc::clone(&arrived))?;
    }
    Ok(())
}

/// Receives the first signal. While one exists, the first signal does not end the program.
pub(crate) struct Listener {
    within: bool,
}

impl Listener {
    /// Creates a listener within a command. It takes precedence over the one around the command.
    pub(crate) fn new() -> Listener {
        Self::counted(true)
    }

    /// Creates the listener around a command. It receives the signal while the command has no listener of its own.
    pub(crate) fn around() -> Listener {
        Self::counted(false)
    }

    fn counted(within: bool) -> Listener {
        LISTENERS.fetch_add(1, Ordering::SeqCst);
        WITHIN.fetch_add(usize::from(within), Ordering::SeqCst);
        Listener { within }
    }

    /// Waits for the first signal.
    pub(crate) async fn signal(&self) -> Signal {
        let Some(first) = FIRST.get() else { return std::future::pending().await };
        let mut first = first.clone();
        let Some(signal) = first.wait_for(Option::is_some).await.ok().and_then(|signal| *signal) else {
            return std::future::pending().await;
        };
        // A listener within the command usually ends the command. If the command's work ended at the same time, the signal is
        // handled here.
        while !self.within && WITHIN.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(LOOK).await;
        }
        signal
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        LISTENERS.fetch_sub(1, Ordering::SeqCst);
        WITHIN.fetch_sub(usize::from(self.within), Ordering::SeqCst);
    }
}
