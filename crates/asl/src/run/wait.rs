//! Running a Wait state.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::fault::Fault;
use super::visit::{Exit, Visit};
use crate::data::{Data, Path, referenced};
use crate::model::{Wait, WaitUntil};
use crate::syntax::parse_timestamp;

/// The longest wait on AWS, in seconds (24,855 days). Recorded there with `TimestampPath`.
const MAX_WAIT: u64 = i32::MAX as u64;

const TOO_LONG: &str = "Wait state delay is too long.";

impl Wait {
    pub(super) async fn run(&self, raw: Value, visit: &Visit<'_>) -> Result<Exit, Fault> {
        let context = visit.context(None);
        let filtered = visit.evaluate(&raw, &context, |data| self.filters.input(data))?;
        visit.note("afterInputPath", &filtered);
        let clock = visit.scope.environment.clock;
        let now = clock.now();
        let duration = visit.evaluate(&filtered, &context, |data| self.until.duration(now, data))?;
        clock.sleep(duration).await;
        let assigned = visit.assign(self.assign.as_ref(), &filtered, &context)?;
        let output = visit.evaluate(&filtered, &context, |data| self.filters.output(data))?;
        Ok(Exit { transition: self.transition, output, assigned })
    }
}

impl WaitUntil {
    /// Returns the duration of a wait that starts at `now`.
    ///
    /// # Errors
    /// Returns a message if a path selects no valid value, or the wait is too long.
    fn duration(&self, now: DateTime<Utc>, data: &Data<'_>) -> Result<Duration, String> {
        let duration = match self {
            Self::Seconds(seconds) => Duration::from_secs(*seconds),
            Self::SecondsPath(path) => seconds(path, data)?,
            Self::Timestamp(time) => time_until(*time, now),
            Self::TimestampPath(path) => time_until(timestamp(path, data)?, now),
        };
        match duration.as_secs() {
            ..=MAX_WAIT => Ok(duration),
            _ => Err(TOO_LONG.to_owned()),
        }
    }
}

/// Returns the time from `now` until `time`; zero if it has passed.
fn time_until(time: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (time - now).to_std().unwrap_or_default()
}

fn seconds(path: &Path, data: &Data<'_>) -> Result<Duration, String> {
    let value = referenced(path, "SecondsPath", data)?;
    match (value.as_u64(), value.as_i64()) {
        (Some(seconds), _) => Ok(Duration::from_secs(seconds)),
        (None, Some(_)) => Err(format!("The SecondsPath parameter references a negative value: {path} == {value}")),
        (None, None) => Err(format!("The SecondsPath parameter cannot be parsed as a long value: {path} == {value}")),
    }
}

fn timestamp(path: &Path, data: &Data<'_>) -> Result<DateTime<Utc>, String> {
    let value = referenced(path, "TimestampPath", data)?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    parse_timestamp(&text).ok_or_else(|| {
        format!(
            "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: {path} == {text}"
        )
    })
}
