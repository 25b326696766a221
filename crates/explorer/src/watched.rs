//! The executions that somebody looks at, with what is known of them: a long history is not fetched anew at each look.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lake::execution_history::{Change, Timeline};
use lake::{Error, Lake, backoff};
use serde::Serialize;
use serde_json::Value;

/// How many executions are kept in mind.
const KEPT: usize = 16;

/// One execution.
#[derive(Debug)]
pub struct Watched {
    /// The definition that it follows, which may be older than that of its state machine.
    pub definition: Value,
    /// Its states.
    pub timeline: Timeline,
    /// The executions that it started, each with the number of the visit from which.
    pub nested: Vec<(usize, String)>,
    /// What these were when they were over.
    pub ended: Vec<Brief>,
}

/// An execution in a list.
#[derive(Debug, Clone, Serialize)]
pub struct Brief {
    pub arn: String,
    pub workflow: String,
    pub name: String,
    pub status: String,
    /// Milliseconds since 1970.
    pub started: i64,
    pub stopped: Option<i64>,
}

impl Watched {
    async fn begin(lake: &Lake, arn: &str) -> Result<Watched, Error> {
        let described = lake.sfn.describe_state_machine_for_execution().execution_arn(arn).send().await;
        let definition = described.map_err(Error::aws("reading the definition of the execution"))?.definition;
        let (timeline, nested, ended) = (Timeline::new(arn), Vec::new(), Vec::new());
        Ok(Watched { definition: parsed(&definition), timeline, nested, ended })
    }

    /// Adds what happened since the last look; where the execution is `over`, to its end. Nobody looks again at one that is
    /// over, and AWS may tell of its end in the description before it does in the history.
    pub async fn update(&mut self, lake: &Lake, over: bool) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            let changes = self.timeline.update(lake).await?;
            self.nested.extend(changes.into_iter().filter_map(|change| match change {
                Change::Nested { visit, arn } => Some((visit, arn)),
                Change::Entered(_) | Change::Left | Change::Ended => None,
            }));
            let passed = begun.elapsed();
            if !over || self.timeline.ended || passed >= END_WITHIN {
                return Ok(());
            }
            tokio::time::sleep(backoff::delay(passed, SHORTEST_PAUSE, LONGEST_PAUSE)).await;
        }
    }
}

/// How long the end of a history is waited for.
const END_WITHIN: Duration = Duration::from_secs(5);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A document, or the text where it is none.
pub fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// An execution, which one question at a time looks at.
type Shared = Arc<tokio::sync::Mutex<Watched>>;

/// All that are kept in mind, those looked at last in front.
#[derive(Debug, Default)]
pub struct Executions(Mutex<VecDeque<(String, Shared)>>);

impl Executions {
    /// What is known of an execution.
    pub async fn get(&self, lake: &Lake, arn: &str) -> Result<Shared, Error> {
        if let Some(known) = self.take(arn) {
            return Ok(self.keep(arn, known));
        }
        let begun = Watched::begin(lake, arn).await?;
        // Another question may have begun with it meanwhile.
        let shared = self.take(arn).unwrap_or_else(|| Arc::new(tokio::sync::Mutex::new(begun)));
        Ok(self.keep(arn, shared))
    }

    fn take(&self, arn: &str) -> Option<Shared> {
        let mut kept = self.0.lock().expect("nobody panics with it");
        let at = kept.iter().position(|(known, _)| known == arn)?;
        kept.remove(at).map(|(_, shared)| shared)
    }

    fn keep(&self, arn: &str, shared: Shared) -> Shared {
        let mut kept = self.0.lock().expect("nobody panics with it");
        kept.push_front((arn.to_owned(), Arc::clone(&shared)));
        kept.truncate(KEPT);
        shared
    }
}
