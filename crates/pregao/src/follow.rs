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
    let mut watched = Watched::new(arn, String::new());
    let mut pause = SHORTEST_LOOK;
    loop {
        let news = watched.look(lake, progress).await?;
        if watched.ended {
            break;
        }
        live.0.set_message(watched.at_work().join(", "));
        pause = if news { SHORTEST_LOOK } else { (pause * 3 / 2).min(LONGEST_LOOK) };
        tokio::time::sleep(pause).await;
    }
    match watched.timeline.failure {
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

/// One execution that is watched, and those that it started.
struct Watched {
    /// What its lines start with.
    indent: String,
    timeline: Timeline,
    /// Work whose line is still to be printed.
    open: Vec<Work>,
    /// When the wait before the next work began.
    waiting_since: Option<i64>,
    nested: Vec<Watched>,
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
        let timeline = Timeline::of(arn);
        Watched { indent, timeline, open: Vec::new(), waiting_since: None, nested: Vec::new(), ended: false }
    }

    /// Prints the lines that are due. Gives whether anything has happened.
    ///
    /// The history is fetched before those of nested executions and printed behind them: so whatever the history says
    /// that they did, they have told before.
    async fn look(&mut self, lake: &Lake, progress: &Progress) -> Result<bool, Error> {
        let changes = self.timeline.update(lake).await?;
        let mut news = !changes.is_empty();
        for nested in &mut self.nested {
            news |= Box::pin(nested.look(lake, progress)).await?;
        }
        self.nested.retain(|nested| !nested.ended);
        for change in changes {
            match change {
                Change::Entered(at) => self.enter(at, progress),
                Change::Left => {}
                Change::Nested { visit, arn } => {
                    let indent = format!("{}{} / ", self.indent, self.timeline.visits[visit].state);
                    let mut nested = Watched::new(&arn, indent);
                    Box::pin(nested.look(lake, progress)).await?;
                    self.nested.push(nested);
                }
                Change::Ended => {
                    self.print(true, progress);
                    self.ended = true;
                }
            }
        }
        Ok(news)
    }

    fn enter(&mut self, at: usize, progress: &Progress) {
        let visit = &self.timeline.visits[at];
        match visit.kind {
            Kind::Turn => {}
            Kind::Wait => self.waiting_since = self.waiting_since.or(Some(visit.entered)),
            Kind::Work => {
                let since = self.waiting_since.take().unwrap_or(visit.entered);
                if let Some(again) = self.open.iter_mut().find(|work| work.state == visit.state) {
                    again.visits.push(at);
                    return;
                }
                let work = Work { state: visit.state.clone(), since, visits: vec![at] };
                self.print(false, progress);
                self.open.push(work);
            }
        }
    }

    /// Prints the work that has been left, or all of it at the end, in the order in which it was left.
    fn print(&mut self, all: bool, progress: &Progress) {
        let (timeline, indent) = (&self.timeline, &self.indent);
        let mut due = Vec::new();
        self.open.retain(|work| {
            let visits = || work.visits.iter().map(|at| &timeline.visits[*at]);
            let Some(last) = visits().next_back().filter(|last| all || last.left.is_some()) else { return true };
            let left = last.left.unwrap_or(timeline.last_time);
            let failed = last.failed || last.left.is_none();
            let failures = visits().map(|visit| visit.failures.len()).sum();
            let name = format!("{indent}{}", work.state);
            due.push((left, line(&name, between(work.since, left), failed, work.visits.len(), failures)));
            false
        });
        // What was entered first is left last: a Parallel after its branches.
        due.reverse();
        due.sort_by_key(|(left, _)| *left);
        for (_, line) in due {
            progress.line(&line);
        }
    }

    /// What it does just now, and what the executions do that it started.
    fn at_work(&self) -> Vec<String> {
        if !self.nested.is_empty() {
            return self.nested.iter().flat_map(Watched::at_work).collect();
        }
        let visit = self.timeline.visits.iter().rev().find(|visit| visit.left.is_none());
        visit.map(|visit| format!("{}{}", self.indent, visit.state)).into_iter().collect()
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
