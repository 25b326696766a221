//! Timestamps as the services store and return them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Number, Value};

/// The current time in milliseconds since the Unix epoch, the unit of all stored timestamps.
pub(crate) fn now_millis() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A timestamp of the JSON protocols: seconds since the Unix epoch, with a fraction.
pub(crate) fn epoch_seconds(millis: i64) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of any real date are exact in a double")]
    Number::from_f64(millis as f64 / 1000.0).map_or(Value::Null, Value::Number)
}

/// Converts milliseconds since the Unix epoch. Earlier instants become the epoch.
pub(crate) fn system_time(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
