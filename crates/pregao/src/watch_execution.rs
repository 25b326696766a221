//! Watches an execution to its end: prints a line for each state when it is exited, also for those of nested executions.
//!
//! A polling loop (Wait and Task) is one line with the number of polls: of a Spark step, users want to know how long it took.
//! A state in the iterations of a Map state is one line with the number of iterations. A Map state with one iteration, as most
//! have, has no line: the states in it are printed like others.

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
use lake_client::execution_history::{
    Change, ExecutionFailure, HistorySource, Iterations, Kind, Timeline, Visit, between,
};

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
pub(crate) async fn stop(lake: &Lake, arn: &str) -> anyhow::Result<()> {
    let request = lake.sfn.stop_execution().execution_arn(arn).error("Interrupted").cause("stopped by the user");
    request.send().await.map_err(Error::aws("stopping the execution"))?;
    let mut timeline = Timeline::new(arn);
    while !timeline.update(lake).await?.contains(&Change::Ended) {
        tokio::time::sleep(MIN_DELAY).await;
    }
    Ok(())
}

/// Bounds of the delay between two polls of an execution.
pub(crate) const MIN_DELAY: Duration = Duration::from_millis(15);
pub(crate) const MAX_DELAY: Duration = Duration::from_millis(500);

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
pub(crate) struct Spinner(pub ProgressBar);

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
            let Some(last) = visits().next_back() else { return true };
            let map = last.map.map(|at| &timeline.visits[at]).filter(|map| !is_single(map));
            // Between two iterations, no visit of a state may be open.
            if !all && map.unwrap_or(last).left.is_none() {
                return true;
            }
            let left = visits().map(|visit| visit.left.unwrap_or(timeline.last_time)).max().unwrap_or_default();
            let failed = |visit: &Visit| visit.failed || visit.left.is_none();
            let failed = if map.is_some() { visits().any(failed) } else { failed(last) };
            let failures = visits().map(|visit| visit.failures.len()).sum();
            if is_single(last) {
                return false;
            }
            let repeated = match map.and_then(|map| Some((map, map.iterations?))) {
                Some((map, iterations)) => progress_of(map, iterations),
                None if work.visits.len() > 1 => format!("{} looks", work.visits.len()),
                None => String::new(),
            };
            let name = format!("{indent}{}", work.state);
            due.push((left, line(&name, between(work.since, left), failed, &repeated, failures)));
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
        let visits = &self.timeline.visits;
        let open = visits.iter().rev().find(|visit| visit.left.is_none());
        // The iterations of a Map state are not listed one by one.
        let map = |visit: &Visit| visit.map.map(|map| &visits[map]).filter(|map| !is_single(map));
        let visit = open.map(|visit| map(visit).unwrap_or(visit));
        let text = |visit: &Visit| match visit.iterations {
            Some(iterations) => format!("{}{}: {}", self.indent, visit.state, progress_of(visit, iterations)),
            None => format!("{}{}", self.indent, visit.state),
        };
        visit.map(text).into_iter().collect()
    }
}

/// Whether this is a Map state with one iteration.
fn is_single(visit: &Visit) -> bool {
    visit.iterations.is_some_and(|iterations| iterations.total == 1)
}

/// Returns the progress of a Map state: `4 of 10 days`, or `10 days` at its end.
fn progress_of(map: &Visit, Iterations { total, succeeded }: Iterations) -> String {
    let item = match map.state.as_str() {
        "TransformDays" => "day",
        "RunChunks" => "chunk",
        _ => "slice",
    };
    let all = format::counted(total, item);
    if succeeded == total { all } else { format!("{succeeded} of {all}") }
}

/// Returns the line of a state: `  ✓ PollStep    12.4s  13 looks`. `repeated` says how often it was entered.
fn line(name: &str, took: Duration, failed: bool, repeated: &str, failures: usize) -> String {
    let mark = if failed { style("✗").red() } else { style("✓").green() };
    let mark = mark.for_stderr();
    let mut line = format!("  {mark} {name:<40} {:>7}", format::duration(took));
    if !repeated.is_empty() {
        line += &format!("  {repeated}");
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
        HistoryEvent, HistoryEventType as Type, MapStateStartedEventDetails, StateEnteredEventDetails,
        StateExitedEventDetails, TaskSubmittedEventDetails,
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

    #[derive(Clone)]
    enum Event {
        Entered(Type, &'static str),
        Left(Type, &'static str),
        Started(&'static str),
        Items(i32),
        Other(Type),
    }

    fn event_at(time: i64, id: i64, before: i64, event: &Event) -> HistoryEvent {
        let new = HistoryEvent::builder().timestamp(DateTime::from_millis(time)).id(id).previous_event_id(before);
        let new = match event.clone() {
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
            Event::Items(length) => new
                .r#type(Type::MapStateStarted)
                .map_state_started_event_details(MapStateStartedEventDetails::builder().length(length).build()),
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
            events.push((arn, event_at(time, id, before, &what)));
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

    /// A Map of three items with a concurrency of two. Returns the lines after each event, and the running states.
    fn watch_map(last: &[Event]) -> Vec<(Vec<String>, Vec<String>)> {
        use Event::{Entered, Items, Left, Other};
        let task = || Entered(Type::TaskStateEntered, "Transform");
        let done = || Left(Type::TaskStateExited, "Transform");
        let events = [
            (0, Other(Type::ExecutionStarted)),
            (1, Entered(Type::MapStateEntered, "TransformDays")),
            (2, Items(3)),
            (3, Other(Type::MapIterationStarted)),
            (4, task()),
            (3, Other(Type::MapIterationStarted)),
            (6, task()),
            (5, done()),
            (8, Other(Type::MapIterationSucceeded)),
            (9, Other(Type::MapIterationStarted)),
            (10, task()),
            (7, done()),
            (12, Other(Type::MapIterationSucceeded)),
        ];
        let last =
            last.iter().enumerate().map(|(at, event)| (if at == 0 { 11 } else { 13 + at as i64 }, event.clone()));
        watch_events(&events.into_iter().chain(last).collect::<Vec<_>>())
    }

    /// Watches events, each with the number of the event before it. Returns the lines after each event, and the running states.
    fn watch_events(events: &[(i64, Event)]) -> Vec<(Vec<String>, Vec<String>)> {
        let events: Vec<_> =
            (1..).zip(events).map(|(id, (before, event))| ("top", event_at(0, id, *before, event))).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut watched = WatchedExecution::new("top", String::new());
        let mut lines: Vec<String> = Vec::new();
        (1..=events.len())
            .map(|count| {
                let script = Script { events: events[..count].to_vec(), now: Mutex::new((count, 0)) };
                let mut print_line = |line: &str| {
                    lines.push(line.split_whitespace().filter(|word| *word != "0ms").collect::<Vec<_>>().join(" "));
                };
                runtime.block_on(watched.update(&script, &mut print_line)).expect("a script");
                (lines.clone(), watched.running_states())
            })
            .collect()
    }

    #[test]
    fn the_iterations_of_a_map_are_counted_in_days() {
        use Event::{Entered, Left, Other};
        let seen = watch_map(&[
            Left(Type::TaskStateExited, "Transform"),
            Other(Type::MapIterationSucceeded),
            Other(Type::MapStateSucceeded),
            Left(Type::MapStateExited, "TransformDays"),
            Entered(Type::TaskStateEntered, "ValidateStaged"),
        ]);
        let running: Vec<&str> = seen.iter().flat_map(|(_, running)| running).map(String::as_str).collect();
        assert_eq!(running[3], "TransformDays: 0 of 3 days", "{running:?}");
        assert_eq!(running[11], "TransformDays: 2 of 3 days", "{running:?}");
        assert_eq!(running.last(), Some(&"ValidateStaged"), "{running:?}");
        assert!(seen[16].0.is_empty(), "no line before the Map ends: {seen:?}");
        let took = |line: &String| line.replace(" 0.0s", "");
        let lines: Vec<String> = seen.last().expect("an event").0.iter().map(took).collect();
        assert_eq!(lines, ["✓ Transform 3 days", "✓ TransformDays"]);
    }

    #[test]
    fn a_map_that_fails_says_how_many_days_are_done() {
        use Event::Other;
        let seen = watch_map(&[Other(Type::TaskFailed), Other(Type::MapStateFailed), Other(Type::ExecutionFailed)]);
        let lines = &seen.last().expect("an event").0;
        assert!(lines[0].starts_with("✗ Transform ") && lines[0].ends_with(" 2 of 3 days"), "{lines:?}");
        assert!(lines[1].starts_with("✗ TransformDays"), "{lines:?}");
    }

    #[test]
    fn a_map_with_one_iteration_has_no_line() {
        use Event::{Entered, Items, Left, Other};
        let events = [
            (0, Other(Type::ExecutionStarted)),
            (1, Entered(Type::MapStateEntered, "AuditSlices")),
            (2, Items(1)),
            (3, Other(Type::MapIterationStarted)),
            (4, Entered(Type::TaskStateEntered, "ValidateStaged")),
            (5, Left(Type::TaskStateExited, "ValidateStaged")),
            (6, Entered(Type::TaskStateEntered, "PublishRecords")),
            (7, Left(Type::TaskStateExited, "PublishRecords")),
            (8, Other(Type::MapIterationSucceeded)),
            (9, Other(Type::MapStateSucceeded)),
            (10, Left(Type::MapStateExited, "AuditSlices")),
            (11, Entered(Type::TaskStateEntered, "Outcome")),
        ];
        let seen = watch_events(&events);
        let running: Vec<&str> = seen.iter().flat_map(|(_, running)| running).map(String::as_str).collect();
        assert!(running.contains(&"ValidateStaged") && running.contains(&"PublishRecords"), "{running:?}");
        assert!(seen[5].0.is_empty() && seen[6].0.len() == 1, "a line when the next state is entered: {seen:?}");
        let took = |line: &String| line.replace(" 0.0s", "");
        let lines: Vec<String> = seen.last().expect("an event").0.iter().map(took).collect();
        assert_eq!(lines, ["✓ ValidateStaged", "✓ PublishRecords"]);
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
