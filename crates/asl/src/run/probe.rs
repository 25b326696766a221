//! What a test of a single state does otherwise than an execution, and what it notes on the way.

use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::retries::Retries;
use crate::model::Frame;
use crate::syntax::Failure;

/// The conditions of a test, and its notes.
#[derive(Default)]
pub(super) struct Probe {
    /// What the work of the state results in, instead of doing it.
    pub(super) mock: Option<Result<Value, Failure>>,
    /// The context object, instead of that of the execution.
    pub(super) context: Option<Map<String, Value>>,
    /// How often the retrier that applies has retried already.
    pub(super) retries: u64,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// By the names of `inspectionData`.
    data: Map<String, Value>,
    handled: Option<Handled>,
}

/// How a failure of the work was handled.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Handled {
    /// By another attempt, which the test does not make.
    Retried,
    /// By a catcher.
    Caught(Failure),
}

impl Probe {
    fn with<T>(&self, change: impl FnOnce(&mut Notes) -> T) -> T {
        change(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn note(&self, name: &str, value: impl Into<Value>) {
        self.with(|notes| notes.data.insert(name.to_owned(), value.into()));
    }

    /// Notes what the first retrier that matches says of a failure. Returns whether it would retry.
    pub(super) fn retry(&self, frame: &Frame, failure: &Failure, in_branch: bool) -> bool {
        let Some((index, delay)) = Retries::decision(&frame.retry, self.retries, failure, in_branch) else {
            return false;
        };
        let mut details = json!({ "retryIndex": index });
        if let Some(delay) = delay {
            details["retryBackoffIntervalSeconds"] = delay.into();
            self.with(|notes| notes.handled = Some(Handled::Retried));
        }
        self.note("errorDetails", details);
        delay.is_some()
    }

    /// Notes that a catcher handles a failure.
    pub(super) fn caught(&self, index: usize, failure: &Failure) {
        self.with(|notes| {
            notes.handled = Some(Handled::Caught(failure.clone()));
            let details = notes.data.entry("errorDetails").or_insert_with(|| json!({}));
            details["catchIndex"] = index.into();
        });
    }

    pub(super) fn into_notes(self) -> (Map<String, Value>, Option<Handled>) {
        let notes = self.notes.into_inner().unwrap_or_else(PoisonError::into_inner);
        (notes.data, notes.handled)
    }
}
