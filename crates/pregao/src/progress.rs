//! What a person sees while something takes long: on a terminal a calm live line or bar, in a pipe plain lines.
//!
//! All of it goes to the standard error, so that results can be piped on. `--quiet` leaves warnings of it.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

static QUIET: AtomicBool = AtomicBool::new(false);
static PLAIN: AtomicBool = AtomicBool::new(false);

/// Shows no progress and no notes from now on.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether notes are wanted: what to do next, how long something took.
pub fn notes_are_wanted() -> bool {
    !QUIET.load(Ordering::Relaxed)
}

/// Shows plain lines from now on, also on a terminal.
pub fn without_live_lines() {
    PLAIN.store(true, Ordering::Relaxed);
}

/// The place where progress is shown.
#[derive(Clone)]
pub struct Progress {
    live: MultiProgress,
    terminal: bool,
}

impl Progress {
    /// Progress on the standard error.
    pub fn new() -> Progress {
        let terminal = std::io::stderr().is_terminal() && notes_are_wanted() && !PLAIN.load(Ordering::Relaxed);
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Progress { live: MultiProgress::with_draw_target(target), terminal }
    }

    /// Prints a line that stays, above whatever is live: how the work goes, or what a user may do next.
    pub fn line(&self, text: &str) {
        if notes_are_wanted() {
            self.warning(text);
        }
    }

    /// [`Progress::line`], also with `--quiet`.
    pub fn warning(&self, text: &str) {
        // Progress is a courtesy: where it cannot be written, the work goes on.
        let _ = if self.terminal { self.live.println(text) } else { writeln!(std::io::stderr(), "{text}") };
    }

    /// A live line about something that has no known end.
    pub fn spinner(&self) -> ProgressBar {
        let style = ProgressStyle::with_template("  {spinner} {msg}  {elapsed}").expect("the template is fixed");
        let spinner = self.live.add(ProgressBar::new_spinner().with_style(style));
        spinner.enable_steady_tick(Duration::from_millis(120));
        spinner
    }

    /// A live bar about `total` bytes.
    pub fn bytes(&self, what: &'static str, total: u64) -> ProgressBar {
        self.bar("  {msg}  {bar:30}  {bytes} of {total_bytes}  {bytes_per_sec}", what, total)
    }

    /// A live bar about `total` things.
    pub fn things(&self, what: &'static str, total: u64) -> ProgressBar {
        self.bar("  {msg}  {bar:30}  {pos} of {len}", what, total)
    }

    fn bar(&self, template: &str, what: &'static str, total: u64) -> ProgressBar {
        let style = ProgressStyle::with_template(template).expect("the template is fixed").progress_chars("━╸─");
        self.live.add(ProgressBar::new(total).with_style(style).with_message(what))
    }
}
