//! Ctrl-C and requests to terminate.
//!
//! One thread waits for both signals from the beginning of the program to its end. The first signal is told to whoever
//! listens, who ends what was begun; where nobody listens, the program ends. The second signal ends the program.

use std::fmt;
use std::io;
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// A signal that ends the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    /// The exit code of a command that the signal ended: 128 and the number of the signal, as shells report it.
    pub fn exit_code(self) -> u8 {
        match self {
            Signal::Interrupt => 130,
            Signal::Terminate => 143,
        }
    }
}

/// The error of a command that a signal ended. It is no failure to explain: the user knows.
#[derive(Debug)]
pub struct Interrupted(pub Signal);

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// The first signal, once it has come.
static FIRST: OnceLock<watch::Receiver<Option<Signal>>> = OnceLock::new();

/// How many listen at all, and how many of them do so within a command.
static LISTENERS: AtomicUsize = AtomicUsize::new(0);
static WITHIN: AtomicUsize = AtomicUsize::new(0);

/// Starts to wait for signals. To be called once, at the beginning of the program.
pub fn start() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let (tell, first) = watch::channel(None);
    FIRST.get_or_init(|| first);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            loop {
                let signal = tokio::select! {
                    _ = interrupt.recv() => Signal::Interrupt,
                    _ = terminate.recv() => Signal::Terminate,
                };
                let is_first = tell.borrow().is_none();
                if is_first && LISTENERS.load(Ordering::SeqCst) > 0 {
                    tell.send_replace(Some(signal));
                } else {
                    process::exit(signal.exit_code().into());
                }
            }
        });
    })?;
    Ok(())
}

/// Somebody who listens, until it is dropped.
pub struct Listener {
    within: bool,
}

impl Listener {
    /// Listens within a command: the signal is this listener's, and the command goes on as it decides.
    pub fn new() -> Listener {
        Self::counted(true)
    }

    /// Listens around a command: the signal is this listener's where nobody within the command listens.
    pub fn around() -> Listener {
        Self::counted(false)
    }

    fn counted(within: bool) -> Listener {
        LISTENERS.fetch_add(1, Ordering::SeqCst);
        WITHIN.fetch_add(usize::from(within), Ordering::SeqCst);
        Listener { within }
    }

    /// Waits for the first signal.
    pub async fn signal(&self) -> Signal {
        let Some(first) = FIRST.get() else { return std::future::pending().await };
        let mut first = first.clone();
        let Some(signal) = first.wait_for(Option::is_some).await.ok().and_then(|signal| *signal) else {
            return std::future::pending().await;
        };
        if !self.within && WITHIN.load(Ordering::SeqCst) > 0 {
            return std::future::pending().await;
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
