//! Instants as the services keep and say them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Number, Value};

/// Milliseconds since 1970: what the state keeps.
pub(crate) fn now_millis() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// The JSON protocols' timestamps: seconds since 1970, with a fraction.
pub(crate) fn epoch_seconds(millis: i64) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of any real date are exact in a double")]
    Number::from_f64(millis as f64 / 1000.0).map_or(Value::Null, Value::Number)
}

/// The same instant in the system's type. Instants before 1970 are 1970.
pub(crate) fn system_time(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
