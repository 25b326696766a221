//! Progress of long operations: on a terminal a spinner or a bar, in a pipe plain lines.
//!
//! It goes to stderr, so that results can be piped. With `--quiet` only warnings are printed.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

static QUIET: AtomicBool = AtomicBool::new(false);
static PLAIN: AtomicBool = AtomicBool::new(false);

/// Disables progress and notes.
pub(crate) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether notes are printed: what to do next, how long something took.
pub(crate) fn notes_are_wanted() -> bool {
    !QUIET.load(Ordering::Relaxed)
}

/// Switches to plain lines, also on a terminal.
pub(crate) fn without_live_lines() {
    PLAIN.store(true, Ordering::Relaxed);
}

/// Prints progress.
#[derive(Clone)]
pub(crate) struct Progress {
    live: MultiProgress,
    terminal: bool,
}

impl Progress {
    /// Creates the progress output on stderr.
    pub(crate) fn new() -> Progress {
        let terminal = std::io::stderr().is_terminal() && notes_are_wanted() && !PLAIN.load(Ordering::Relaxed);
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Progress { live: MultiProgress::with_draw_target(target), terminal }
    }

    /// Prints a permanent line above spinners and bars: the state of the work, or what the user may do next.
    pub(crate) fn line(&self, text: &str) {
        if notes_are_wanted() {
            self.warning(text);
        }
    }

    /// [`Progress::line`], also with `--quiet`.
    pub(crate) fn warning(&self, text: &str) {
        // Errors are ignored: the work continues even if progress cannot be written.
        let _ = if self.terminal { self.live.println(text) } else { writeln!(std::io::stderr(), "{text}") };
    }

    /// Creates a spinner, for work of unknown length.
    pub(crate) fn spinner(&self) -> ProgressBar {
        let style = ProgressStyle::with_template("  {spinner} {msg}  {elapsed}").expect("the template is fixed");
        let spinner = self.live.add(ProgressBar::new_spinner().with_style(style));
        spinner.enable_steady_tick(Duration::from_millis(120));
        spinner
    }

    /// Creates a progress bar of `total` bytes.
    pub(crate) fn bytes(&self, what: &'static str, total: u64) -> ProgressBar {
        self.bar("  {msg}  {bar:30}  {bytes} of {total_bytes}  {bytes_per_sec}", what, total)
    }

    /// Creates a progress bar of `total` items.
    pub(crate) fn things(&self, what: &'static str, total: u64) -> ProgressBar {
        self.bar("  {msg}  {bar:30}  {pos} of {len}", what, total)
    }

    fn bar(&self, template: &str, what: &'static str, total: u64) -> ProgressBar {
        let style = ProgressStyle::with_template(template).expect("the template is fixed").progress_chars("━╸─");
        self.live.add(ProgressBar::new(total).with_style(style).with_message(what))
    }
}
