//! What the input of a workflow asks for.
//!
//! The same workflow is started by a person, a schedule, an upload, or another workflow, and each sends something else.
//! The first function of a workflow resolves it here, once, to days or to an object; behind it there are only those.

use chrono::{DateTime, Utc};
use market::partition::DateRange;
use serde_json::Value;

use crate::error::Error;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// All that concerns these days.
    Days(DateRange),
    /// One object that has just been created.
    Object {
        /// Its bucket.
        bucket: String,
        /// Its key, as it is and not URL-encoded.
        key: String,
    },
}

/// Resolves the input of a workflow that was started at `now`.
///
/// | input | means |
/// |---|---|
/// | `{}` | the day before `now` in Sao Paulo |
/// | `{"date": "2020-04-01"}` | that day |
/// | `{"from": "2020-04-01", "to": "2020-04-09"}` | those days, both ends in it |
/// | a scheduled event of EventBridge or its Scheduler | the day before its `time` in Sao Paulo |
/// | an `Object Created` event of S3 | that object |
///
/// # Errors
/// [`Error::InvalidInput`] for anything else, saying what is wrong with it and what is accepted.
pub fn resolve(input: &Value, now: DateTime<Utc>) -> Result<Request, Error> {
    let _ = (input, now);
    Err(Error::InvalidInput(String::new()))
}
