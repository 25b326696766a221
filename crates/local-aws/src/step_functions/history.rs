//! The histories of executions. Each event is stored before the next step begins (write-ahead), so that the history of a killed
//! process is complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use asl::{Event, EventKind, History};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::executions::end_with;
use super::payloads;
use super::{StepFunctions, invalid};
use crate::aws_json::{AwsError, AwsResult};
use crate::paging::PageRequest;
use crate::state::{State, to_value};

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS execution_events (
    execution TEXT NOT NULL,
    id INTEGER NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (execution, id)
) STRICT, WITHOUT ROWID;
";

/// The maximum size of one history on disk, in bytes. AWS has no such limit, but its maximum of 25,000 events of 256 KiB would
/// be 6 GB of the user's disk, which a loop fills in a minute.
const MAX_HISTORY_BYTES: u64 = 512 << 20;

/// Stores the events of one execution.
pub(super) struct HistoryRecorder {
    state: Arc<State>,
    execution: String,
    /// The bytes that were stored so far.
    bytes: AtomicU64,
    largest: u64,
}

impl HistoryRecorder {
    pub(super) fn new(state: &Arc<State>, execution: &str) -> HistoryRecorder {
        let (state, execution) = (Arc::clone(state), execution.to_owned());
        HistoryRecorder { state, execution, bytes: AtomicU64::new(0), largest: MAX_HISTORY_BYTES }
    }
}

impl History for HistoryRecorder {
    fn record(&self, event: Event) {
        use EventKind::{ExecutionAborted, ExecutionFailed, ExecutionSucceeded, ExecutionTimedOut};
        let ends = matches!(
            event.kind,
            ExecutionSucceeded(_) | ExecutionFailed(_) | ExecutionTimedOut(_) | ExecutionAborted(_)
        );
        let written = self.state.write(|rows| match ends {
            true => write_end(rows, &self.execution, &event),
            false => write(rows, &self.execution, &event),
        });
        match written {
            Ok(bytes) => drop(self.bytes.fetch_add(bytes, Ordering::Relaxed)),
            // The status stays RUNNING, and the next start ends the execution.
            Err(error) => {
                self.state.report_failure(if ends { EXECUTION_END } else { "an event of an execution" }, error);
            }
        }
    }

    fn full(&self) -> Option<String> {
        let megabytes = self.largest >> 20;
        (self.bytes.load(Ordering::Relaxed) >= self.largest).then(|| {
            format!(
                "The history of the execution reached {megabytes} MB, the most that this endpoint keeps of one: pass large \
                 data as objects in S3, and their names from state to state."
            )
        })
    }
}

/// The subject of the error message if the end cannot be stored.
pub(super) const EXECUTION_END: &str = "the end of an execution";

/// Stores an event. Returns the number of bytes that were added.
fn write(rows: &Connection, execution: &str, event: &Event) -> rusqlite::Result<u64> {
    let mut event_json = to_value(event)?;
    if let EventKind::ExecutionStarted { .. } = event.kind {
        add_version(rows, execution, &mut event_json["executionStartedEventDetails"])?;
    }
    let payloads = payloads::store(rows, &mut event_json)?;
    let text = event_json.to_string();
    rows.prepare_cached("INSERT OR REPLACE INTO execution_events (execution, id, event) VALUES (?1, ?2, ?3)")?
        .execute(params![execution, event.id.cast_signed(), text])?;
    Ok(payloads + text.len() as u64)
}

/// Adds the version and the alias that an execution was started of, if it was.
fn add_version(rows: &Connection, execution: &str, details: &mut Value) -> rusqlite::Result<()> {
    let sql = "SELECT version, alias FROM execution_versions WHERE execution = ?1";
    let found = rows.query_row(sql, [execution], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (version, alias): (Option<String>, Option<String>) = found.unwrap_or_default();
    for (name, arn) in [("stateMachineVersionArn", version), ("stateMachineAliasArn", alias)] {
        if let Some(arn) = arn {
            details[name] = arn.into();
        }
    }
    Ok(())
}

/// Stores the last event of an execution and the status that follows from it.
fn write_end(rows: &Connection, execution: &str, event: &Event) -> rusqlite::Result<u64> {
    let bytes = write(rows, execution, event)?;
    end_with(rows, execution, event)?;
    Ok(bytes)
}

/// Ends an execution: appends `kind` to its history and sets its status.
pub(super) fn append_end(rows: &Connection, execution: &str, kind: EventKind) -> rusqlite::Result<()> {
    let last: i64 =
        rows.query_row("SELECT coalesce(max(id), 0) FROM execution_events WHERE execution = ?1", [execution], |row| {
            row.get(0)
        })?;
    let last = last.cast_unsigned();
    let event = Event { id: last + 1, previous_event_id: last, timestamp: chrono::Utc::now(), kind };
    write_end(rows, execution, &event).map(drop)
}

/// The last state of its machine that an execution entered.
pub(super) struct EnteredState {
    pub(super) name: String,
    pub(super) input: Value,
    /// The id of the event.
    pub(super) id: u64,
    /// The id of the last event of the history.
    pub(super) last_event: u64,
    /// The variables that the states before it assigned.
    pub(super) variables: Map<String, Value>,
}

/// Returns the last entered state for which `is_own` holds.
pub(super) fn last_state(
    rows: &Connection,
    execution: &str,
    is_own: impl Fn(&str) -> bool,
) -> Result<Option<EnteredState>, AwsError> {
    let mut statement = rows.prepare("SELECT id, event FROM execution_events WHERE execution = ?1 ORDER BY id DESC")?;
    let mut events = statement.query([execution])?;
    let (mut last_event, mut found) = (0, None);
    let mut variables = Map::new();
    while let Some(row) = events.next()? {
        let id = row.get::<_, i64>(0)?.cast_unsigned();
        last_event = last_event.max(id);
        let mut event: Value = serde_json::from_str(&row.get::<_, String>(1)?).map_err(AwsError::internal)?;
        let name_in = |details: &str| event[details]["name"].as_str().filter(|name| is_own(name)).map(str::to_owned);
        if name_in("stateExitedEventDetails").is_some() {
            add_older(&mut variables, &event["stateExitedEventDetails"]["assignedVariables"])?;
        } else if let (None, Some(name)) = (&found, name_in("stateEnteredEventDetails")) {
            payloads::restore(rows, &mut event)?;
            let input = event["stateEnteredEventDetails"]["input"].as_str().unwrap_or("{}");
            found = Some((name, serde_json::from_str(input).map_err(AwsError::internal)?, id));
        }
    }
    Ok(found.map(|(name, input, id)| EnteredState { name, input, id, last_event, variables }))
}

/// Adds the variables of an event, which are JSON texts, unless a later event has them too.
fn add_older(variables: &mut Map<String, Value>, assigned: &Value) -> Result<(), AwsError> {
    for (name, text) in assigned.as_object().into_iter().flatten() {
        if !variables.contains_key(name) {
            let value = serde_json::from_str(text.as_str().unwrap_or("null")).map_err(AwsError::internal)?;
            variables.insert(name.clone(), value);
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GetExecutionHistory {
    execution_arn: String,
    max_results: Option<u32>,
    next_token: Option<String>,
    #[serde(default)]
    reverse_order: bool,
    include_execution_data: Option<bool>,
}

impl StepFunctions {
    pub(super) fn history(&self, get: &GetExecutionHistory) -> AwsResult {
        self.execution(&get.execution_arn)?;
        page(&self.state.lock(), get)
    }
}

fn page(rows: &Connection, get: &GetExecutionHistory) -> AwsResult {
    let page = PageRequest::new(get.max_results, 100, 1000, get.next_token.as_deref()).map_err(invalid)?;
    let sql = if get.reverse_order {
        "SELECT id, event FROM execution_events WHERE execution = ?1 AND id < coalesce(?2, 9223372036854775807)
         ORDER BY id DESC LIMIT ?3"
    } else {
        "SELECT id, event FROM execution_events WHERE execution = ?1 AND id > coalesce(?2, 0) ORDER BY id LIMIT ?3"
    };
    let mut statement = rows.prepare(sql)?;
    let found = statement.query_map(params![get.execution_arn, page.after(), page.query_limit()], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    })?;
    let mut events = Vec::new();
    for row in found {
        let (id, text) = row?;
        let mut event: Value = serde_json::from_str(&text).map_err(AwsError::internal)?;
        if get.include_execution_data == Some(false) {
            remove_data(&mut event);
        }
        payloads::restore(rows, &mut event)?;
        events.push((id, event));
    }
    Ok(page.into_output("events", "nextToken", events))
}

/// Removes inputs, outputs and variables from an event's details.
fn remove_data(event: &mut Value) {
    let details = event.as_object_mut().into_iter().flatten().filter_map(|(_, value)| value.as_object_mut());
    for details in details {
        for data in ["input", "output", "parameters", "assignedVariables"] {
            details.remove(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use asl::Failure;
    use serde_json::json;

    #[test]
    fn data_can_be_left_out() {
        let mut event =
            json!({"id": 1, "type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "A", "input": "{}"}});
        remove_data(&mut event);
        assert_eq!(event, json!({"id": 1, "type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "A"}}));
    }

    /// The tables of executions, with a running one.
    fn tables() -> Connection {
        let rows = Connection::open_in_memory().unwrap();
        for schema in [SCHEMA, payloads::SCHEMA, super::super::executions::SCHEMA] {
            rows.execute_batch(schema).unwrap();
        }
        insert(&rows);
        rows
    }

    fn insert(rows: &Connection) {
        let insert = "INSERT INTO executions (arn, name, machine, definition, role, input, status, started)
            VALUES ('e', 'e', 'm', '{}', 'r', '{}', 'RUNNING', 1)";
        rows.execute_batch(insert).unwrap();
    }

    fn status(rows: &Connection) -> (String, Option<String>, Option<String>, Option<i64>) {
        let sql = "SELECT status, output, error, stopped FROM executions";
        rows.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap()
    }

    fn event(id: u64, kind: EventKind) -> Event {
        let timestamp = chrono::DateTime::from_timestamp_millis(1_585_735_200_000 + id.cast_signed()).unwrap();
        Event { id, previous_event_id: id - 1, timestamp, kind }
    }

    fn ids(answer: &Value) -> Vec<i64> {
        answer["events"].as_array().unwrap().iter().map(|event| event["id"].as_i64().unwrap()).collect()
    }

    #[test]
    fn a_lost_execution_ends_with_an_abort() {
        let rows = tables();
        write(&rows, "e", &event(1, EventKind::MapStateStarted(1))).unwrap();
        append_end(&rows, "e", EventKind::ExecutionAborted(Failure::new("Lost", "the process ended"))).unwrap();
        let get = serde_json::from_value(json!({ "executionArn": "e" })).unwrap();
        assert_eq!(ids(&page(&rows, &get).unwrap()), [1, 2]);
        let (status, _, error, stopped) = status(&rows);
        assert_eq!((status.as_str(), error.as_deref()), ("ABORTED", Some("Lost")));
        assert!(stopped.is_some());
    }

    #[test]
    fn the_last_event_and_what_the_execution_is_by_it_are_kept_at_once() {
        let failure = || Failure::new("X", "y");
        for (kind, expected, output, error) in [
            (EventKind::ExecutionSucceeded(json!({"a": 1})), "SUCCEEDED", Some(r#"{"a":1}"#), None),
            (EventKind::ExecutionFailed(failure()), "FAILED", None, Some("X")),
            (EventKind::ExecutionTimedOut(failure()), "TIMED_OUT", None, Some("X")),
            (EventKind::ExecutionAborted(failure()), "ABORTED", None, Some("X")),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let schemas = [SCHEMA, payloads::SCHEMA, super::super::executions::SCHEMA];
            let state = Arc::new(State::open(&folder.path().join("state.db"), &schemas).unwrap());
            insert(&state.lock());
            let recorder = HistoryRecorder::new(&state, "e");
            recorder.record(event(1, EventKind::MapStateStarted(1)));
            assert_eq!(status(&state.lock()).0, "RUNNING");
            recorder.record(event(2, kind));
            let at = Some(1_585_735_200_002);
            assert_eq!(
                status(&state.lock()),
                (expected.to_owned(), output.map(str::to_owned), error.map(str::to_owned), at)
            );
            assert_eq!(state.storage_failure(), None);
        }
    }

    fn entered(id: u64, input: &Value) -> Event {
        let state = asl::StateType::Pass;
        event(id, EventKind::StateEntered { state, name: "A".to_owned(), input: input.clone() })
    }

    fn all(rows: &Connection, with_data: bool) -> Vec<Value> {
        let get = json!({ "executionArn": "e", "maxResults": 1000, "includeExecutionData": with_data });
        let answer = page(rows, &serde_json::from_value(get).unwrap()).unwrap();
        answer["events"].as_array().unwrap().clone()
    }

    #[test]
    fn a_large_payload_is_stored_once_and_read_whole() {
        let rows = tables();
        let large = |fill: &str| json!({ "text": fill.repeat(10_000), "\"quoted\"": "é" });
        let inputs = [large("x"), large("x"), json!({"small": 1}), large("y"), large("x")];
        let added: Vec<u64> =
            inputs.iter().zip(1..).map(|(input, id)| write(&rows, "e", &entered(id, input)).unwrap()).collect();
        assert!(added[0] > 10_000 && added[1] < 1000 && added[2] < 1000 && added[3] > 10_000 && added[4] < 1000);
        let stored: i64 = rows.query_row("SELECT count(*) FROM payloads", [], |row| row.get(0)).unwrap();
        assert_eq!(stored, 2);
        for (input, (event, id)) in inputs.iter().zip(all(&rows, true).iter().zip(1..)) {
            assert_eq!(*event, serde_json::to_value(entered(id, input)).unwrap());
        }
        for event in all(&rows, false) {
            let details = event["stateEnteredEventDetails"].as_object().unwrap();
            assert_eq!((details["name"].as_str(), details.get("input")), (Some("A"), None));
        }
    }

    #[test]
    fn events_of_homes_of_before_are_read_as_they_are() {
        let rows = tables();
        let event = entered(1, &json!({ "text": "x".repeat(10_000) }));
        let text = serde_json::to_string(&event).unwrap();
        rows.execute("INSERT INTO execution_events VALUES ('e', 1, ?1)", [text]).unwrap();
        assert_eq!(all(&rows, true), [serde_json::to_value(&event).unwrap()]);
    }

    #[test]
    fn a_history_that_is_full_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let schemas = [SCHEMA, payloads::SCHEMA, super::super::executions::SCHEMA];
        let state = Arc::new(State::open(&folder.path().join("state.db"), &schemas).unwrap());
        let recorder = HistoryRecorder { largest: 1 << 20, ..HistoryRecorder::new(&state, "e") };
        for id in 1..50 {
            recorder.record(entered(id, &json!("x".repeat(100_000))));
        }
        assert_eq!(recorder.full(), None, "equal payloads are stored once");
        for id in 50..70 {
            recorder.record(entered(id, &json!(format!("{id}{}", "x".repeat(100_000)))));
        }
        assert!(recorder.full().unwrap().starts_with("The history of the execution reached 1 MB"));
    }

    #[test]
    fn pages_of_a_history_that_grows_give_each_event_once_and_in_order() {
        // Every way of adding none, one, two or three events before each of five pages of two, newest first or last.
        for ways in 0..4_u32.pow(5) * 2 {
            let (reverse, mut dice) = (ways % 2 == 1, ways / 2);
            let rows = tables();
            let (mut last, mut seen, mut token) = (3, Vec::new(), Value::Null);
            let add = |id: u64| assert!(write(&rows, "e", &event(id, EventKind::MapStateStarted(1))).unwrap() > 0);
            (1..=last).for_each(add);
            let mut when_asked_first = 0;
            for page_number in 0.. {
                if page_number < 5 {
                    (last + 1..=last + u64::from(dice % 4)).for_each(add);
                    (last, dice) = (last + u64::from(dice % 4), dice / 4);
                }
                if page_number == 0 {
                    when_asked_first = last;
                }
                let get = json!({ "executionArn": "e", "maxResults": 2, "reverseOrder": reverse, "nextToken": token });
                let answer = page(&rows, &serde_json::from_value(get).unwrap()).unwrap();
                seen.extend(ids(&answer));
                token = answer["nextToken"].clone();
                if token.is_null() {
                    break;
                }
            }
            let all = |last: u64| 1..=last.cast_signed();
            let expected: Vec<i64> = if reverse { all(when_asked_first).rev().collect() } else { all(last).collect() };
            assert_eq!(seen, expected, "{ways}");
        }
    }
}
