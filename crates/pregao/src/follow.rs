//! Watching an execution to its end: a line for each state as it is left, those of nested executions below it.
//!
//! A loop that waits and looks again is one line, with how often it looked: what a person wants to know of a Spark step is how
//! long it took.

use std::process::ExitCode;
use std::time::Duration;

use indicatif::ProgressBar;
use lake::{Error, Lake};
use serde_json::Value;

use crate::history::{Change, Failure, Kind, Timeline, between};
use crate::human;
use crate::progress::Progress;

/// How an execution ended.
#[derive(Debug)]
pub enum Ending {
    /// With this output.
    Succeeded(Value),
    Failed(Failure),
    /// The user interrupted, and the execution was stopped.
    Stopped,
}

/// The exit code of a command that the user interrupted.
pub fn interrupted() -> ExitCode {
    ExitCode::from(130)
}

/// Follows the execution `arn` until it ends. An interrupt stops it.
pub async fn follow(lake: &Lake, arn: &str, progress: &Progress) -> anyhow::Result<Ending> {
    tokio::select! {
        ending = watch(lake, arn, progress) => ending,
        interrupt = interrupt() => {
            interrupt?;
            progress.line("interrupted: stopping the execution");
            stop(lake, arn).await?;
            Ok(Ending::Stopped)
        }
    }
}

/// Waits for Ctrl-C, or for a request to terminate.
pub async fn interrupt() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt,
        _ = terminate.recv() => Ok(()),
    }
}

/// Stops an execution and waits until it has ended.
async fn stop(lake: &Lake, arn: &str) -> anyhow::Result<()> {
    let request = lake.sfn.stop_execution().execution_arn(arn).error("Interrupted").cause("stopped by the user");
    request.send().await.map_err(Error::aws("stopping the execution"))?;
    let mut timeline = Timeline::of(arn);
    while !timeline.update(lake).await?.contains(&Change::Ended) {
        tokio::time::sleep(SHORTEST_LOOK).await;
    }
    Ok(())
}

/// Looks come fast at first, for what takes no time, and then at leisure.
const SHORTEST_LOOK: Duration = Duration::from_millis(60);
const LONGEST_LOOK: Duration = Duration::from_millis(500);

async fn watch(lake: &Lake, arn: &str, progress: &Progress) -> anyhow::Result<Ending> {
    let live = Live(progress.spinner());
    let mut watched = vec![Watched::new(arn, String::new())];
    let mut pause = SHORTEST_LOOK;
    loop {
        let mut changed = false;
        let mut at = 0;
        while at < watched.len() {
            let changes = watched[at].timeline.update(lake).await?;
            changed |= !changes.is_empty();
            for change in changes {
                if let Some(nested) = watched[at].apply(change, progress) {
                    watched.push(nested);
                }
            }
            at += 1;
        }
        // A nested execution that has ended will tell nothing more; the first one is the one we wait for.
        if watched[0].ended {
            break;
        }
        let mut first = true;
        watched.retain(|watched| std::mem::take(&mut first) || !watched.ended);
        live.0.set_message(watched.iter().filter_map(Watched::at_work).collect::<Vec<_>>().join(", "));
        pause = if changed { SHORTEST_LOOK } else { (pause * 3 / 2).min(LONGEST_LOOK) };
        tokio::time::sleep(pause).await;
    }
    match watched.swap_remove(0).timeline.failure {
        Some(failure) => Ok(Ending::Failed(failure)),
        None => Ok(Ending::Succeeded(output(lake, arn).await?)),
    }
}

async fn output(lake: &Lake, arn: &str) -> anyhow::Result<Value> {
    let described = lake.sfn.describe_execution().execution_arn(arn).send().await;
    let output = described.map_err(Error::aws("asking for the execution's output"))?.output;
    Ok(serde_json::from_str(output.as_deref().unwrap_or("null"))?)
}

/// A live line that goes away, however the watching ends.
struct Live(ProgressBar);

impl Drop for Live {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// One execution that is watched.
struct Watched {
    /// What its lines start with.
    indent: String,
    timeline: Timeline,
    /// Work whose line is still to be printed.
    open: Vec<Work>,
    /// When the wait before the next work began.
    waiting_since: Option<i64>,
    ended: bool,
}

/// Visits to one working state that make one line.
struct Work {
    state: String,
    since: i64,
    visits: Vec<usize>,
}

impl Watched {
    fn new(arn: &str, indent: String) -> Watched {
        Watched { indent, timeline: Timeline::of(arn), open: Vec::new(), waiting_since: None, ended: false }
    }

    /// Takes in a change, prints the lines that are due, and gives a nested execution to watch as well.
    fn apply(&mut self, change: Change, progress: &Progress) -> Option<Watched> {
        match change {
            Change::Entered(at) => self.enter(at, progress),
            Change::Left => {}
            Change::Nested { visit, arn } => {
                let indent = format!("{}{} / ", self.indent, self.timeline.visits[visit].state);
                return Some(Watched::new(&arn, indent));
            }
            Change::Ended => {
                self.print(true, progress);
                self.ended = true;
            }
        }
        None
    }

    fn enter(&mut self, at: usize, progress: &Progress) {
        let visit = &self.timeline.visits[at];
        match visit.kind {
            Kind::Turn => {}
            Kind::Wait => self.waiting_since = self.waiting_since.or(Some(visit.entered)),
            Kind::Work => {
                if let Some(again) = self.open.iter_mut().find(|work| work.state == visit.state) {
                    again.visits.push(at);
                    return;
                }
                let work = Work {
                    state: visit.state.clone(),
                    since: self.waiting_since.take().unwrap_or(visit.entered),
                    visits: vec![at],
                };
                self.print(false, progress);
                self.open.push(work);
            }
        }
    }

    /// Prints the work that has been left, or all of it at the end.
    fn print(&mut self, all: bool, progress: &Progress) {
        let timeline = &self.timeline;
        let indent = &self.indent;
        self.open.retain(|work| {
            let visits = || work.visits.iter().map(|at| &timeline.visits[*at]);
            let Some(last) = visits().next_back() else { return false };
            if last.left.is_none() && !all {
                return true;
            }
            let took = between(work.since, last.left.unwrap_or(timeline.last_time));
            let failed = last.failed || last.left.is_none();
            let failures = visits().map(|visit| visit.failures.len()).sum::<usize>();
            progress.line(&line(&format!("{indent}{}", work.state), took, failed, work.visits.len(), failures));
            false
        });
    }

    /// What it does just now.
    fn at_work(&self) -> Option<String> {
        let visit = self.timeline.visits.iter().rev().find(|visit| visit.left.is_none())?;
        Some(format!("{}{}", self.indent, visit.state))
    }
}

/// The line of a piece of work: `  ✓ PollStep    12.4s  13 looks`.
fn line(name: &str, took: Duration, failed: bool, visits: usize, failures: usize) -> String {
    let mark = if failed { "✗" } else { "✓" };
    let mut line = format!("  {mark} {name:<40} {:>7}", human::duration(took));
    if visits > 1 {
        line += &format!("  {visits} looks");
    }
    if failures > usize::from(failed) {
        line += &format!("  {} failed attempts before", failures - usize::from(failed));
    }
    line
}
