//! The events of executions, each kept before the next step begins, so that a killed process leaves a true history.

use std::sync::Arc;

use asl::{Event, EventKind, Failure, History};
use rusqlite::{Connection, params};
use serde::Deserialize;
use serde_json::Value;

use super::{StepFunctions, invalid};
use crate::aws_json::{Answer, AwsError};
use crate::paging::Page;
use crate::state::{State, to_json};

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS execution_events (
    execution TEXT NOT NULL,
    id INTEGER NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (execution, id)
) STRICT, WITHOUT ROWID;
";

/// Keeps one execution's events.
pub(super) struct Recorder {
    state: Arc<State>,
    execution: String,
}

impl Recorder {
    pub(super) fn new(state: &Arc<State>, execution: &str) -> Recorder {
        Recorder { state: Arc::clone(state), execution: execution.to_owned() }
    }
}

impl History for Recorder {
    fn record(&self, event: Event) {
        let written = write(&self.state.lock(), &self.execution, &event);
        if let Err(error) = written {
            self.state.give_up("an event of an execution", error);
        }
    }
}

fn write(rows: &Connection, execution: &str, event: &Event) -> rusqlite::Result<()> {
    rows.execute(
        "INSERT OR REPLACE INTO execution_events (execution, id, event) VALUES (?1, ?2, ?3)",
        params![execution, event.id.cast_signed(), to_json(event)?],
    )
    .map(|_| ())
}

/// Ends the history of an execution whose process died.
pub(super) fn append_abort(rows: &Connection, execution: &str, failure: &Failure) -> rusqlite::Result<()> {
    let last: i64 =
        rows.query_row("SELECT coalesce(max(id), 0) FROM execution_events WHERE execution = ?1", [execution], |row| {
            row.get(0)
        })?;
    let event = Event {
        id: last.cast_unsigned() + 1,
        previous_event_id: last.cast_unsigned(),
        timestamp: chrono::Utc::now(),
        kind: EventKind::ExecutionAborted(failure.clone()),
    };
    write(rows, execution, &event)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GetHistory {
    execution_arn: String,
    max_results: Option<u32>,
    next_token: Option<String>,
    #[serde(default)]
    reverse_order: bool,
    include_execution_data: Option<bool>,
}

impl StepFunctions {
    pub(super) fn history(&self, get: &GetHistory) -> Answer {
        self.execution(&get.execution_arn)?;
        let page = Page::new(get.max_results, 100, 1000, get.next_token.as_deref()).map_err(invalid)?;
        let order = if get.reverse_order { "DESC" } else { "ASC" };
        let rows = self.state.lock();
        let sql =
            format!("SELECT event FROM execution_events WHERE execution = ?1 ORDER BY id {order} LIMIT ?2 OFFSET ?3");
        let mut statement = rows.prepare(&sql)?;
        let texts = statement
            .query_map(params![get.execution_arn, page.limit() + 1, page.offset()], |row| row.get::<_, String>(0))?;
        let mut events = Vec::new();
        for text in texts {
            let mut event: Value = serde_json::from_str(&text?).map_err(AwsError::internal)?;
            if get.include_execution_data == Some(false) {
                forget_data(&mut event);
            }
            events.push(event);
        }
        Ok(page.answer("events", "nextToken", events))
    }
}

/// Takes inputs and outputs out of an event's details.
fn forget_data(event: &mut Value) {
    let details = event.as_object_mut().into_iter().flatten().filter_map(|(_, value)| value.as_object_mut());
    for details in details {
        for data in ["input", "output", "parameters"] {
            details.remove(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn data_can_be_left_out() {
        let mut event =
            json!({"id": 1, "type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "A", "input": "{}"}});
        forget_data(&mut event);
        assert_eq!(event, json!({"id": 1, "type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "A"}}));
    }

    #[test]
    fn a_lost_execution_ends_with_an_abort() {
        let rows = Connection::open_in_memory().unwrap();
        rows.execute_batch(SCHEMA).unwrap();
        for _ in 0..2 {
            append_abort(&rows, "e", &Failure::new("Lost", "the process ended")).unwrap();
        }
        let ids: Vec<i64> = rows
            .prepare("SELECT id FROM execution_events ORDER BY id")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(ids, [1, 2]);
    }
}
