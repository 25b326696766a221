//! Watches an execution to its end: prints a line for each state when it is exited, also for those of nested executions.
//!
//! A polling loop (Wait and Task) is one line with the number of polls: of a Spark step, users want to know how long it took.

use std::time::{Duration, Instant};

use anyhow::Context;
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::ExecutionStatus;
use console::style;
use indicatif::ProgressBar;
use lake::{Error, Lake, backoff};
use serde_json::Value;

use crate::format;
use crate::interrupt::{Listener, Signal};
use crate::progress::Progress;
use lake_client::execution_history::{Change, ExecutionFailure, HistorySource, Kind, Timeline, between};

/// How an execution ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It succeeded with this output.
    Succeeded(Value),
    /// It failed, timed out, or was aborted by somebody else.
    Failed(ExecutionFailure),
    /// The user interrupted the command, which stopped the execution.
    Stopped(Signal),
}

/// Watches the execution `arn` until it ends. An interrupt stops the execution.
pub(crate) async fn watch(lake: &Lake, arn: &str, progress: &Progress) -> anyhow::Result<Ending> {
    let listener = Listener::new();
    tokio::select! {
        ending = poll_to_end(lake, arn, progress) => ending,
        signal = listener.signal() => {
            progress.line("interrupted: stopping the execution");
            stop(lake, arn).await?;
            Ok(Ending::Stopped(signal))
        }
    }
}

/// Stops an execution and waits until it has ended.
async fn stop(lake: &Lake, arn: &str) -> anyhow::Result<()> {
    let request = lake.sfn.stop_execution().execution_arn(arn).error("Interrupted").cause("stopped by the user");
    request.send().await.map_err(Error::aws("stopping the execution"))?;
    let mut timeline = Timeline::new(arn);
    while !timeline.update(lake).await?.contains(&Change::Ended) {
        tokio::time::sleep(MIN_DELAY).await;
    }
    Ok(())
}

/// Bounds of the delay between two polls of an execution.
const MIN_DELAY: Duration = Duration::from_millis(15);
const MAX_DELAY: Duration = Duration::from_millis(500);

async fn poll_to_end(lake: &Lake, arn: &str, progress: &Progress) -> anyhow::Result<Ending> {
    let spinner = Spinner(progress.spinner());
    let mut watched = WatchedExecution::new(arn, String::new());
    let mut last_news = Instant::now();
    loop {
        let news = watched.update(lake, &mut |line| progress.line(line)).await?;
        if watched.ended {
            break;
        }
        spinner.0.set_message(watched.running_states().join(", "));
        if news {
            last_news = Instant::now();
        }
        tokio::time::sleep(backoff::delay(last_news.elapsed(), MIN_DELAY, MAX_DELAY)).await;
    }
    match watched.timeline.failure {
        Some(failure) => Ok(Ending::Failed(failure)),
        None => {
            let describe = async || {
                let described = lake.sfn.describe_execution().execution_arn(arn).send().await;
                described.map_err(Error::aws("asking for the execution's output"))
            };
            Ok(Ending::Succeeded(output(describe, OUTPUT_WITHIN).await?))
        }
    }
}

/// How long `DescribeExecution` may lag behind the history of the execution.
const OUTPUT_WITHIN: Duration = Duration::from_mins(1);

/// Returns the output of an execution whose history says that it succeeded. `DescribeExecution` is eventually consistent: its
/// status may be RUNNING for a while, without an output.
async fn output(
    describe: impl AsyncFn() -> Result<DescribeExecutionOutput, Error>,
    bound: Duration,
) -> anyhow::Result<Value> {
    let ended = backoff::poll_until(bound, || async {
        let described = describe().await?;
        Ok::<_, Error>((described.status != ExecutionStatus::Running).then_some(described))
    });
    let Some(ended) = ended.await? else {
        anyhow::bail!(
            "the history says that the execution succeeded, but {} later its status is still RUNNING, without an output: \
             what it published stays published, and pregao runs shows the status",
            format::duration(bound)
        )
    };
    let output = ended.output.with_context(|| format!("the execution is {} without an output", ended.status))?;
    Ok(serde_json::from_str(&output)?)
}

/// A spinner that is cleared when it is dropped.
struct Spinner(ProgressBar);

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// An execution that is being watched, with the executions that it started.
struct WatchedExecution {
    /// Prefix of its lines.
    indent: String,
    timeline: Timeline,
    /// States whose line is not printed yet.
    open: Vec<Work>,
    /// Start of the Wait state before the next Task, in milliseconds since 1970.
    waiting_since: Option<i64>,
    nested: Vec<WatchedExecution>,
    ended: bool,
}

/// The visits of one state that are printed as one line.
struct Work {
    state: String,
    since: i64,
    visits: Vec<usize>,
}

impl WatchedExecution {
    fn new(arn: &str, indent: String) -> WatchedExecution {
        let timeline = Timeline::new(arn);
        WatchedExecution { indent, timeline, open: Vec::new(), waiting_since: None, nested: Vec::new(), ended: false }
    }

    /// Fetches new events, and passes the lines that are due to `print_line`. Returns whether there were any events.
    ///
    /// The history is fetched before those of nested executions, and processed after them, event by event: so the lines of a
    /// nested execution are printed before the event that refers to its end.
    async fn update(
        &mut self,
        histories: &impl HistorySource,
        print_line: &mut dyn FnMut(&str),
    ) -> Result<bool, Error> {
        let events = self.timeline.news(histories).await?;
        let mut news = !events.is_empty();
        for nested in &mut self.nested {
            news |= Box::pin(nested.update(histories, print_line)).await?;
        }
        for event in events {
            match self.timeline.push(&event) {
                Some(Change::Entered(at)) => self.enter(at, print_line),
                Some(Change::Nested { visit, arn }) => {
                    let indent = format!("{}{} / ", self.indent, self.timeline.visits[visit].state);
                    let mut nested = WatchedExecution::new(&arn, indent);
                    Box::pin(nested.update(histories, print_line)).await?;
                    self.nested.push(nested);
                }
                Some(Change::Ended) => {
                    self.print(true, print_line);
                    self.ended = true;
                }
                Some(Change::Left) | None => {}
            }
        }
        self.nested.retain(|nested| !nested.ended);
        Ok(news)
    }

    fn enter(&mut self, at: usize, print_line: &mut dyn FnMut(&str)) {
        let visit = &self.timeline.visits[at];
        match visit.kind {
            Kind::Control => {}
            Kind::Wait => self.waiting_since = self.waiting_since.or(Some(visit.entered)),
            Kind::Work => {
                let since = self.waiting_since.take().unwrap_or(visit.entered);
                if let Some(again) = self.open.iter_mut().find(|work| work.state == visit.state) {
                    again.visits.push(at);
                    return;
                }
                let work = Work { state: visit.state.clone(), since, visits: vec![at] };
                self.print(false, print_line);
                self.open.push(work);
            }
        }
    }

    /// Prints the states that were exited, or `all` of them at the end, in the order of their exits.
    fn print(&mut self, all: bool, print_line: &mut dyn FnMut(&str)) {
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
        // Of states with the same exit time, the one entered first is printed last: a Parallel after its branches.
        due.reverse();
        due.sort_by_key(|(left, _)| *left);
        for (_, line) in due {
            print_line(&line);
        }
    }

    /// Returns the states that are running now, in it and in the executions that it started.
    fn running_states(&self) -> Vec<String> {
        if !self.nested.is_empty() {
            return self.nested.iter().flat_map(WatchedExecution::running_states).collect();
        }
        let visit = self.timeline.visits.iter().rev().find(|visit| visit.left.is_none());
        visit.map(|visit| format!("{}{}", self.indent, visit.state)).into_iter().collect()
    }
}

/// Returns the line of a state: `  ✓ PollStep    12.4s  13 looks`.
fn line(name: &str, took: Duration, failed: bool, visits: usize, failures: usize) -> String {
    let mark = if failed { style("✗").red() } else { style("✓").green() };
    let mark = mark.for_stderr();
    let mut line = format!("  {mark} {name:<40} {:>7}", format::duration(took));
    if visits > 1 {
        line += &format!("  {visits} looks");
    }
    if failures > usize::from(failed) {
        line += &format!("  {} before", format::counted((failures - usize::from(failed)) as u64, "failed attempt"));
    }
    line
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Mutex;

    use aws_sdk_sfn::primitives::DateTime;
    use aws_sdk_sfn::types::{
        HistoryEvent, HistoryEventType as Type, StateEnteredEventDetails, StateExitedEventDetails,
        TaskSubmittedEventDetails,
    };
    use serde_json::json;

    use super::*;

    /// What happened, in its order: executions, each with the number of an event, of the one before it, and the event.
    struct Script {
        events: Vec<(&'static str, HistoryEvent)>,
        /// How many of them have happened, and what decides how many more happen before the next question is answered.
        now: Mutex<(usize, u64)>,
    }

    impl HistorySource for Script {
        async fn events_after(&self, arn: &str, last: i64) -> Result<Vec<HistoryEvent>, Error> {
            let mut state = self.now.lock().expect("nobody panics with it");
            let dice = state.1.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *state = ((state.0 + (dice >> 33) as usize % 7).min(self.events.len()), dice);
            let happened = self.events[..state.0].iter();
            Ok(happened.filter(|(of, event)| *of == arn && event.id > last).map(|(_, event)| event.clone()).collect())
        }
    }

    enum Event {
        Entered(Type, &'static str),
        Left(Type, &'static str),
        Started(&'static str),
        Other(Type),
    }

    fn event(time: i64, id: i64, before: i64, event: Event) -> HistoryEvent {
        let new = HistoryEvent::builder().timestamp(DateTime::from_millis(time)).id(id).previous_event_id(before);
        let new = match event {
            Event::Entered(ty, name) => new
                .r#type(ty)
                .state_entered_event_details(StateEnteredEventDetails::builder().name(name).build().expect("a name")),
            Event::Left(ty, name) => new
                .r#type(ty)
                .state_exited_event_details(StateExitedEventDetails::builder().name(name).build().expect("a name")),
            Event::Started(arn) => new.r#type(Type::TaskSubmitted).task_submitted_event_details(
                TaskSubmittedEventDetails::builder()
                    .resource_type("states")
                    .resource("startExecution.sync:2")
                    .output(format!("{{\"ExecutionArn\": \"{arn}\"}}"))
                    .build()
                    .expect("all that has to be there"),
            ),
            Event::Other(ty) => new.r#type(ty),
        };
        new.build().expect("all that has to be there")
    }

    /// A Parallel of two branches that each start an execution of two tasks, and a task behind it.
    fn script(seed: u64) -> Script {
        use Event::{Entered, Left, Other, Started};
        const TASK: (Type, Type) = (Type::TaskStateEntered, Type::TaskStateExited);
        let mut events = Vec::new();
        let mut add = |arn: &'static str, id: i64, before: i64, what: Event| {
            // Two events fall into one millisecond now and then.
            let time = events.len() as i64 / 2;
            events.push((arn, event(time, id, before, what)));
        };
        add("top", 1, 0, Other(Type::ExecutionStarted));
        add("top", 2, 1, Entered(Type::ParallelStateEntered, "Publish"));
        add("top", 3, 2, Other(Type::ParallelStateStarted));
        add("top", 4, 3, Entered(TASK.0, "quotes"));
        add("top", 5, 4, Started("q"));
        for (arn, starts) in [("q", true), ("o", false)] {
            add(arn, 1, 0, Other(Type::ExecutionStarted));
            add(arn, 2, 1, Entered(TASK.0, "Create"));
            if starts {
                add("top", 6, 3, Entered(TASK.0, "options"));
                add("top", 7, 6, Started("o"));
            }
            add(arn, 3, 2, Left(TASK.1, "Create"));
            add(arn, 4, 3, Entered(TASK.0, "Validate"));
            add(arn, 5, 4, Left(TASK.1, "Validate"));
            add(arn, 6, 5, Other(Type::ExecutionSucceeded));
            let (done, before) = if starts { (8, 5) } else { (10, 7) };
            add("top", done, before, Other(Type::TaskSucceeded));
            add("top", done + 1, done, Left(TASK.1, if starts { "quotes" } else { "options" }));
        }
        add("top", 12, 11, Other(Type::ParallelStateSucceeded));
        add("top", 13, 12, Left(Type::ParallelStateExited, "Publish"));
        add("top", 14, 13, Entered(TASK.0, "Report"));
        add("top", 15, 14, Left(TASK.1, "Report"));
        add("top", 16, 15, Other(Type::ExecutionSucceeded));
        Script { events, now: Mutex::new((0, seed)) }
    }

    #[test]
    fn nested_executions_are_printed_before_their_parent() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        for seed in 0..5_000 {
            let script = script(seed);
            let mut watched = WatchedExecution::new("top", String::new());
            let mut told: Vec<String> = Vec::new();
            while !watched.ended {
                let mut print_line = |line: &str| told.push(line.to_owned());
                runtime.block_on(watched.update(&script, &mut print_line)).expect("a script");
            }
            // Without how long it took.
            let told: Vec<&str> = told.iter().map(|line| line.rsplit_once(' ').expect("a duration").0.trim()).collect();
            let at = |name: &str| {
                let found: Vec<_> = (0..told.len()).filter(|at| told[*at] == format!("✓ {name}")).collect();
                assert_eq!(found.len(), 1, "{name} in {told:?} of {seed}");
                found[0]
            };
            for pair in [
                ["quotes / Create", "quotes / Validate"],
                ["options / Create", "options / Validate"],
                ["quotes / Validate", "quotes"],
                ["options / Validate", "options"],
                ["quotes", "options"],
                ["options", "Publish"],
                ["Publish", "Report"],
            ] {
                assert!(at(pair[0]) < at(pair[1]), "{pair:?} in {told:?} of {seed}");
            }
            assert_eq!(told.len(), 8, "{told:?} of {seed}");
        }
    }

    fn described(status: ExecutionStatus, output: Option<&str>) -> DescribeExecutionOutput {
        DescribeExecutionOutput::builder()
            .execution_arn("e")
            .state_machine_arn("m")
            .status(status)
            .start_date(DateTime::from_millis(1))
            .set_output(output.map(str::to_owned))
            .build()
            .expect("all that has to be there")
    }

    #[tokio::test]
    async fn an_output_that_is_not_recorded_yet_is_waited_for() {
        let asked = Cell::new(0);
        let late = async || {
            asked.set(asked.get() + 1);
            Ok(match asked.get() {
                1..=4 => described(ExecutionStatus::Running, None),
                _ => described(ExecutionStatus::Succeeded, Some(r#"{"rows": 3}"#)),
            })
        };
        let output = output(late, OUTPUT_WITHIN).await.expect("it comes");
        assert_eq!((output, asked.get()), (json!({"rows": 3}), 5));
    }

    #[tokio::test]
    async fn an_output_that_never_comes_is_an_error() {
        let never = async || Ok(described(ExecutionStatus::Running, None));
        let said = output(never, Duration::from_millis(30)).await.expect_err("there is none").to_string();
        for words in ["says that the execution succeeded", "still RUNNING", "pregao runs"] {
            assert!(said.contains(words), "{said}");
        }
        let without = async || Ok(described(ExecutionStatus::Aborted, None));
        let said = output(without, OUTPUT_WITHIN).await.expect_err("there is none").to_string();
        assert!(said.contains("ABORTED without an output"), "{said}");
        // An output that is null is one.
        let null = async || Ok(described(ExecutionStatus::Succeeded, Some("null")));
        assert_eq!(output(null, OUTPUT_WITHIN).await.expect("an output"), Value::Null);
        // A refusal is reported at once.
        let refused = async || Err(Error::invalid_input("no such thing".to_owned()));
        assert!(output(refused, OUTPUT_WITHIN).await.is_err());
    }
}
