//! Reads the history of an execution as a timeline of its states: when each was entered and exited, and what failed in it.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sfn::primitives::DateTime;
use aws_sdk_sfn::types::{HistoryEvent, HistoryEventType};
use lake::{Error, Lake};
use serde_json::Value;

/// One visit of an execution to a state.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    /// The name of the state.
    pub state: String,
    /// The kind of the state.
    pub kind: Kind,
    /// When it was entered, in milliseconds since 1970.
    pub entered: i64,
    /// When it was exited, in milliseconds since 1970; `None` while it runs.
    pub left: Option<i64>,
    /// Its failed attempts, in order.
    pub failures: Vec<ExecutionFailure>,
    /// Whether it failed: no later attempt succeeded.
    pub failed: bool,
    /// The index of the visit of the Map state whose iteration it is part of.
    pub map: Option<usize>,
    /// The iterations of a Map state.
    pub iterations: Option<Iterations>,
}

/// The iterations of a Map state, by number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Iterations {
    /// The items, each of which is an iteration.
    pub total: u64,
    /// The iterations that succeeded.
    pub succeeded: u64,
}

impl Visit {
    /// Returns how long it took, if it has ended.
    pub fn duration(&self) -> Option<Duration> {
        self.left.map(|left| between(self.entered, left))
    }
}

/// Converts a time of the SDK to milliseconds since 1970. A time out of range, which AWS does not send, becomes 0.
pub fn millis(time: &DateTime) -> i64 {
    time.to_millis().unwrap_or_default()
}

/// Returns the duration between two times, which are in milliseconds since 1970.
pub fn between(from: i64, to: i64) -> Duration {
    Duration::from_millis((to - from).max(0) as u64)
}

/// Kind of a state, as far as it matters for display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Task, Parallel, Map.
    Work,
    /// Wait.
    Wait,
    /// Choice, Pass, Succeed, Fail.
    Control,
}

/// The failure of an execution or of a state: error name and cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionFailure {
    /// The name that `Retry` and `Catch` match.
    pub error: String,
    /// The message.
    pub cause: String,
}

impl ExecutionFailure {
    fn new(error: Option<&str>, cause: Option<&str>) -> ExecutionFailure {
        ExecutionFailure {
            error: error.unwrap_or("States.Runtime").to_owned(),
            cause: readable(cause.unwrap_or_default()),
        }
    }
}

/// Extracts the message from a cause. A Lambda function wraps it in JSON, and a nested execution once more.
fn readable(cause: &str) -> String {
    let Ok(Value::Object(object)) = serde_json::from_str::<Value>(cause) else {
        return cause.to_owned();
    };
    ["errorMessage", "Cause", "cause"]
        .iter()
        .find_map(|key| object.get(*key)?.as_str())
        .map_or_else(|| cause.to_owned(), readable)
}

/// The change of a [`Timeline`] by an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The visit at this index began.
    Entered(usize),
    /// A state was exited.
    Left,
    /// Another execution was started from the state of this visit.
    Nested {
        /// The index of the visit.
        visit: usize,
        /// The ARN of the other execution.
        arn: String,
    },
    /// The execution ended.
    Ended,
    /// The execution, which had ended, was redriven.
    Redriven,
}

/// A source of execution histories: Step Functions, or a test.
pub trait HistorySource {
    /// Returns the events of an execution after the one with the id `last`, in order.
    ///
    /// # Errors
    /// Whatever Step Functions refuses.
    fn events_after(&self, arn: &str, last: i64) -> impl Future<Output = Result<Vec<HistoryEvent>, Error>> + Send;
}

impl HistorySource for Lake {
    async fn events_after(&self, arn: &str, last: i64) -> Result<Vec<HistoryEvent>, Error> {
        // Reads newest first, back to the last known event: each poll fetches only new events, which matters because events
        // contain inputs and outputs. After the first read few new events are expected, so the page is small.
        let expected = if last == 0 { 200 } else { 10 };
        let request = self.sfn.get_execution_history().execution_arn(arn).reverse_order(true).max_results(expected);
        let mut pages = request.into_paginator().items().send();
        let mut news = NewEvents::after(last);
        while let Some(event) = pages.next().await {
            let event = event.map_err(Error::aws("reading the history of the execution"))?;
            if !news.take(event) {
                break;
            }
        }
        Ok(news.in_order())
    }
}

/// The events of a history after a known one, collected from pages that list the newest event first.
///
/// The history may grow between two pages. If the token of a page is an offset and not an event, the page then repeats
/// events of the page before.
struct NewEvents {
    /// The id of the last known event.
    known: i64,
    /// The new events, newest first.
    taken: Vec<HistoryEvent>,
}

impl NewEvents {
    fn after(known: i64) -> NewEvents {
        NewEvents { known, taken: Vec::new() }
    }

    /// Adds the next event of a page unless it was added before. Returns whether there may be more.
    fn take(&mut self, event: HistoryEvent) -> bool {
        if event.id <= self.known {
            return false;
        }
        if self.taken.last().is_none_or(|last| event.id < last.id) {
            self.taken.push(event);
        }
        true
    }

    /// Returns the events, oldest first.
    fn in_order(mut self) -> Vec<HistoryEvent> {
        self.taken.reverse();
        self.taken
    }
}

/// The visits of one execution, built from its events.
#[derive(Debug, Default)]
pub struct Timeline {
    arn: String,
    /// The visits, in the order in which they began.
    pub visits: Vec<Visit>,
    /// The failure of the execution, if it failed.
    pub failure: Option<ExecutionFailure>,
    /// The visit of each event, by event id.
    visit_of: HashMap<i64, usize>,
    last_id: i64,
    /// Whether the execution has ended.
    pub ended: bool,
    /// Time of the last event, in milliseconds since 1970.
    pub last_time: i64,
}

impl Timeline {
    /// Creates an empty timeline of the execution `arn`.
    pub fn new(arn: &str) -> Timeline {
        Timeline { arn: arn.to_owned(), ..Timeline::default() }
    }

    /// Fetches the events since the last call, and adds them.
    ///
    /// # Errors
    /// Whatever Step Functions refuses.
    pub async fn update(&mut self, histories: &impl HistorySource) -> Result<Vec<Change>, Error> {
        let news = self.news(histories).await?;
        Ok(news.iter().filter_map(|event| self.push(event)).collect())
    }

    /// Fetches the events after those that were added, in order.
    ///
    /// # Errors
    /// Whatever Step Functions refuses.
    pub async fn news(&self, histories: &impl HistorySource) -> Result<Vec<HistoryEvent>, Error> {
        histories.events_after(&self.arn, self.last_id).await
    }

    /// Adds the next event.
    pub fn push(&mut self, event: &HistoryEvent) -> Option<Change> {
        self.last_id = event.id;
        let time = millis(&event.timestamp);
        self.last_time = time;
        let within = self.visit_of.get(&event.previous_event_id).copied();

        if let Some(entered) = &event.state_entered_event_details {
            let at = self.visits.len();
            let map = within.and_then(|at| match &self.visits[at] {
                visit if visit.iterations.is_some() && visit.left.is_none() => Some(at),
                visit => visit.map,
            });
            self.visits.push(Visit {
                state: entered.name.clone(),
                kind: kind(&event.r#type),
                entered: time,
                left: None,
                failures: Vec::new(),
                failed: false,
                map,
                iterations: (event.r#type == HistoryEventType::MapStateEntered).then(Iterations::default),
            });
            self.visit_of.insert(event.id, at);
            return Some(Change::Entered(at));
        }
        if let Some(left) = &event.state_exited_event_details {
            // The exit of a Parallel follows an event of its last branch, so the visit is found by name.
            let open = |visit: &Visit| visit.state == left.name && visit.left.is_none();
            let at = within.filter(|at| open(&self.visits[*at])).or_else(|| self.visits.iter().rposition(open));
            if let Some(at) = at {
                self.visits[at].left = Some(time);
                self.visit_of.insert(event.id, at);
            }
            return Some(Change::Left);
        }

        if event.r#type == HistoryEventType::ExecutionRedriven {
            self.ended = false;
            self.failure = None;
            // The state that had not succeeded is not entered again: what follows belongs to its visit.
            if let Some(at) = self.visits.iter().rposition(|visit| visit.left.is_none()) {
                self.visits[at].failed = false;
                self.visit_of.insert(event.id, at);
            }
            return Some(Change::Redriven);
        }

        // An event of a Map state may follow an event of a state in an iteration.
        let within = within.map(|at| if is_of_map(&event.r#type) { self.visits[at].map.unwrap_or(at) } else { at });
        if let Some(at) = within {
            self.visit_of.insert(event.id, at);
            let visit = &mut self.visits[at];
            match event.r#type {
                HistoryEventType::TaskSucceeded => visit.failed = false,
                HistoryEventType::ParallelStateFailed | HistoryEventType::MapStateFailed => visit.failed = true,
                _ => {}
            }
            if let Some(iterations) = &mut visit.iterations {
                match &event.map_state_started_event_details {
                    Some(started) => iterations.total = started.length as u64,
                    None if event.r#type == HistoryEventType::MapIterationSucceeded => iterations.succeeded += 1,
                    None => {}
                }
            }
            if let Some(failure) = task_failure(event) {
                visit.failures.push(failure);
                visit.failed = true;
            }
            if let Some(submitted) = &event.task_submitted_event_details
                && let Some(arn) = nested_execution(submitted.output.as_deref().unwrap_or_default())
            {
                return Some(Change::Nested { visit: at, arn });
            }
        }
        match event.r#type {
            HistoryEventType::ExecutionSucceeded => {
                self.ended = true;
                Some(Change::Ended)
            }
            HistoryEventType::ExecutionFailed
            | HistoryEventType::ExecutionTimedOut
            | HistoryEventType::ExecutionAborted => {
                self.ended = true;
                self.failure = Some(execution_failure(event));
                Some(Change::Ended)
            }
            _ => None,
        }
    }
}

fn kind(event: &HistoryEventType) -> Kind {
    match event {
        HistoryEventType::WaitStateEntered => Kind::Wait,
        HistoryEventType::TaskStateEntered
        | HistoryEventType::ParallelStateEntered
        | HistoryEventType::MapStateEntered => Kind::Work,
        _ => Kind::Control,
    }
}

fn is_of_map(event: &HistoryEventType) -> bool {
    matches!(
        event,
        HistoryEventType::MapStateSucceeded
            | HistoryEventType::MapStateFailed
            | HistoryEventType::MapIterationStarted
            | HistoryEventType::MapIterationSucceeded
            | HistoryEventType::MapIterationFailed
            | HistoryEventType::MapIterationAborted
    )
}

fn nested_execution(output: &str) -> Option<String> {
    let output: Value = serde_json::from_str(output).ok()?;
    Some(output.get("ExecutionArn")?.as_str()?.to_owned())
}

fn task_failure(event: &HistoryEvent) -> Option<ExecutionFailure> {
    let failed = event.task_failed_event_details.as_ref().map(|d| (&d.error, &d.cause));
    let submit = event.task_submit_failed_event_details.as_ref().map(|d| (&d.error, &d.cause));
    let start = event.task_start_failed_event_details.as_ref().map(|d| (&d.error, &d.cause));
    let timeout = event.task_timed_out_event_details.as_ref().map(|d| (&d.error, &d.cause));
    let (error, cause) = failed.or(submit).or(start).or(timeout)?;
    Some(ExecutionFailure::new(error.as_deref(), cause.as_deref()))
}

fn execution_failure(event: &HistoryEvent) -> ExecutionFailure {
    let failed = event.execution_failed_event_details.as_ref().map(|d| (&d.error, &d.cause));
    let timeout = event.execution_timed_out_event_details.as_ref().map(|d| (&d.error, &d.cause));
    let aborted = event.execution_aborted_event_details.as_ref().map(|d| (&d.error, &d.cause));
    let (error, cause) = failed.or(timeout).or(aborted).unwrap_or((&None, &None));
    let fallback = match event.r#type {
        HistoryEventType::ExecutionAborted => "States.Aborted",
        HistoryEventType::ExecutionTimedOut => "States.Timeout",
        _ => "States.Runtime",
    };
    ExecutionFailure::new(error.as_deref().or(Some(fallback)), cause.as_deref())
}

#[cfg(test)]
mod tests {
    use aws_sdk_sfn::types::{StateEnteredEventDetails, StateExitedEventDetails, TaskFailedEventDetails};

    use super::*;

    /// The start of a page of a history.
    #[derive(Debug, Clone, Copy)]
    enum Token {
        /// An offset in the list, the newest event being at 0: new events shift it.
        Place(usize),
        /// The event before this one.
        Below(i64),
    }

    /// A history that grows while it is read, by a random number of events.
    struct Growing {
        events: i64,
        most: i64,
        dice: u64,
    }

    impl Growing {
        fn throw(&mut self, sides: u64) -> u64 {
            self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.dice >> 33) % sides
        }

        fn page(&mut self, token: Token, size: usize) -> (Vec<i64>, Option<Token>) {
            self.events = (self.events + self.throw(8) as i64).min(self.most);
            let rest: Vec<i64> = match token {
                Token::Place(place) => (1..=self.events).rev().skip(place).collect(),
                Token::Below(id) => (1..id.min(self.events + 1)).rev().collect(),
            };
            let page: Vec<i64> = rest.iter().copied().take(size).collect();
            let next = (rest.len() > size).then(|| match token {
                Token::Place(place) => Token::Place(place + size),
                Token::Below(_) => Token::Below(page[size - 1]),
            });
            (page, next)
        }

        /// The algorithm of [`HistorySource::events_after`].
        fn events_after(&mut self, known: i64, first: Token) -> Vec<HistoryEvent> {
            let size = 1 + self.throw(6) as usize;
            let (mut news, mut token) = (NewEvents::after(known), Some(first));
            while let Some(at) = token {
                let (page, next) = self.page(at, size);
                if !page.into_iter().all(|id| news.take(entered(id))) {
                    break;
                }
                token = next;
            }
            news.in_order()
        }
    }

    fn entered(id: i64) -> HistoryEvent {
        let name = StateEnteredEventDetails::builder().name(format!("state {id}")).build().expect("a name");
        let event = HistoryEvent::builder().timestamp(DateTime::from_secs(id)).id(id).state_entered_event_details(name);
        event.r#type(HistoryEventType::PassStateEntered).build().expect("all that has to be there")
    }

    #[test]
    fn each_event_of_a_history_that_grows_comes_once_and_in_its_order() {
        for dice in 0..4_000 {
            let first = if dice % 2 == 0 { Token::Place(0) } else { Token::Below(i64::MAX) };
            let mut history = Growing { events: 0, most: 60, dice };
            let mut timeline = Timeline::new("an execution");
            let mut ids = Vec::new();
            while timeline.last_id < history.most {
                for event in history.events_after(timeline.last_id, first) {
                    ids.push(event.id);
                    timeline.push(&event);
                }
            }
            assert_eq!(ids, (1..=history.most).collect::<Vec<_>>(), "{first:?} with the dice {dice}");
            assert_eq!(timeline.visits.len(), ids.len(), "a visit for each");
        }
    }

    #[test]
    fn a_redriven_execution_goes_on_in_the_visit_that_was_open() {
        let event = |id: i64, before: i64, ty: HistoryEventType| {
            HistoryEvent::builder().timestamp(DateTime::from_secs(id)).id(id).previous_event_id(before).r#type(ty)
        };
        let name = StateEnteredEventDetails::builder().name("Task").build().expect("a name");
        let left = StateExitedEventDetails::builder().name("Task").build().expect("a name");
        let failed = TaskFailedEventDetails::builder().resource_type("lambda").resource("invoke").error("E");
        let failed = failed.build().expect("details");
        let events = vec![
            event(1, 0, HistoryEventType::TaskStateEntered).state_entered_event_details(name),
            event(2, 1, HistoryEventType::TaskFailed).task_failed_event_details(failed),
            event(3, 2, HistoryEventType::ExecutionFailed),
            event(4, 3, HistoryEventType::ExecutionRedriven),
            event(5, 4, HistoryEventType::TaskScheduled),
            event(6, 5, HistoryEventType::TaskSucceeded),
            event(7, 6, HistoryEventType::TaskStateExited).state_exited_event_details(left),
            event(8, 7, HistoryEventType::ExecutionSucceeded),
        ];
        let mut timeline = Timeline::new("an execution");
        let mut changes = Vec::new();
        for (at, event) in events.into_iter().enumerate() {
            changes.extend(timeline.push(&event.build().expect("all that has to be there")));
            match at {
                2 => assert!(timeline.ended && timeline.failure.is_some() && timeline.visits[0].failed),
                3 => assert!(!timeline.ended && timeline.failure.is_none()),
                _ => {}
            }
        }
        assert_eq!(
            changes,
            [Change::Entered(0), Change::Ended, Change::Redriven, Change::Left, Change::Ended],
            "the state is not entered again"
        );
        assert!(timeline.ended && timeline.failure.is_none());
        let [visit] = &timeline.visits[..] else { panic!("{:?}", timeline.visits) };
        assert_eq!((visit.left, visit.failed, visit.failures.len()), (Some(7_000), false, 1));
    }

    #[test]
    fn times_are_in_milliseconds() {
        for (time, expected) in [
            (DateTime::from_millis(1_585_742_400_123), 1_585_742_400_123),
            (DateTime::from_secs_and_nanos(1, 999_999_999), 1_999),
            (DateTime::from_secs(i64::MAX), 0),
        ] {
            assert_eq!(millis(&time), expected, "{time:?}");
        }
    }
}
