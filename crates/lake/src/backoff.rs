//! Proportional backoff: the delay before the next poll is a fraction of the time that has elapsed.

use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serializer;

/// The delay is the elapsed time divided by this.
const ELAPSED_PER_DELAY: u32 = 8;

/// Returns the delay before the next poll of something that has taken `elapsed` so far: an eighth of that, at least `min`
/// and at most `max`.
///
/// Short operations are polled often, long ones rarely. The poll that finds an operation finished is late by at most
/// an eighth of the operation's duration, or by `min`, and never by more than `max`.
///
/// ```
/// use std::time::Duration;
/// let (min, max) = (Duration::from_millis(10), Duration::from_secs(2));
/// let delay = |elapsed| lake::backoff::delay(elapsed, min, max);
/// assert_eq!(delay(Duration::ZERO), min);
/// assert_eq!(delay(Duration::from_secs(8)), Duration::from_secs(1));
/// assert_eq!(delay(Duration::from_secs(3_600)), max);
/// ```
///
/// # Panics
/// If `min` is longer than `max`.
pub fn delay(elapsed: Duration, min: Duration, max: Duration) -> Duration {
    (elapsed / ELAPSED_PER_DELAY).clamp(min, max)
}

/// Calls `poll` until it returns a value, with growing delays ([`delay`]). Returns the value, or `None` if there is none
/// after `timeout`. Polls at least once.
///
/// For APIs of AWS that are eventually consistent: a description may lag behind what another call has already returned.
///
/// # Errors
/// The first error of `poll`.
pub async fn poll_until<T, E, F>(timeout: Duration, mut poll: impl FnMut() -> F) -> Result<Option<T>, E>
where
    F: Future<Output = Result<Option<T>, E>>,
{
    let started = Instant::now();
    loop {
        if let Some(value) = poll().await? {
            return Ok(Some(value));
        }
        let elapsed = started.elapsed();
        if elapsed >= timeout {
            return Ok(None);
        }
        tokio::time::sleep(delay(elapsed, MIN_DELAY, MAX_DELAY).min(timeout.saturating_sub(elapsed))).await;
    }
}

const MIN_DELAY: Duration = Duration::from_millis(15);
const MAX_DELAY: Duration = Duration::from_secs(2);

/// Returns the time `delay` from now, for a Wait state.
pub fn timestamp_after(delay: Duration) -> DateTime<Utc> {
    let time = TimeDelta::from_std(delay).ok().and_then(|delay| Utc::now().checked_add_signed(delay));
    time.unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Serializes a time in the format that the `TimestampPath` of a Wait state reads: RFC 3339 in UTC with milliseconds,
/// `2020-04-01T10:00:00.250Z`. Wait states with `Seconds` or `SecondsPath` cannot wait for less than a second.
///
/// # Errors
/// Those of `serializer`.
pub fn serialize_timestamp<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: Duration = Duration::from_millis(15);
    const LONGEST: Duration = Duration::from_millis(500);

    #[test]
    fn a_pause_is_an_eighth_of_what_has_passed_within_its_bounds() {
        for (passed, expected) in
            [(0, 15), (60, 15), (120, 15), (128, 16), (800, 100), (2_000, 250), (4_000, 500), (60_000, 500)]
        {
            let delay = delay(Duration::from_millis(passed), SHORTEST, LONGEST);
            assert_eq!(delay.as_millis(), expected, "after {passed} ms");
        }
    }

    #[tokio::test]
    async fn an_answer_is_waited_for_within_bounds() {
        let mut asked = 0;
        let answers = move || {
            asked += 1;
            let answer = (asked == 4).then_some(asked);
            async move { Ok::<_, ()>(answer) }
        };
        assert_eq!(poll_until(Duration::from_hours(1), answers).await, Ok(Some(4)));

        let mut asked = 0;
        let nothing = poll_until(Duration::from_millis(500), || {
            asked += 1;
            async { Ok::<Option<()>, ()>(None) }
        });
        assert_eq!(nothing.await, Ok(None));
        assert!(asked > 1, "it asked {asked} times");

        let mut asked = 0;
        let once = poll_until(Duration::ZERO, || {
            asked += 1;
            async { Ok::<Option<()>, ()>(None) }
        });
        assert_eq!((once.await, asked), (Ok(None), 1));
        assert_eq!(poll_until(Duration::MAX, || async { Err::<Option<()>, _>("refused") }).await, Err("refused"));
    }

    #[test]
    fn a_moment_is_as_a_wait_state_takes_it() {
        let (before, moment, after) = (Utc::now(), timestamp_after(LONGEST), Utc::now());
        let delay = TimeDelta::from_std(LONGEST).expect("a short one");
        assert!(before + delay <= moment && moment <= after + delay, "{moment} from {before}");
        assert_eq!(timestamp_after(Duration::MAX), DateTime::<Utc>::MAX_UTC, "as late as there is a moment");

        #[derive(serde::Serialize)]
        struct Waiting(#[serde(serialize_with = "serialize_timestamp")] DateTime<Utc>);
        for (time, text) in [
            ("2020-04-01T10:00:00.25Z", "2020-04-01T10:00:00.250Z"),
            ("2020-04-01T10:00:00Z", "2020-04-01T10:00:00.000Z"),
            // Digits after the milliseconds are cut off.
            ("2020-04-01T10:00:00.123999999Z", "2020-04-01T10:00:00.123Z"),
            ("2020-04-01T07:00:00.5-03:00", "2020-04-01T10:00:00.500Z"),
        ] {
            let time = DateTime::parse_from_rfc3339(time).expect(time).to_utc();
            assert_eq!(serde_json::to_value(Waiting(time)).expect("JSON"), text);
        }
    }

    #[test]
    fn a_minute_is_not_looked_at_often() {
        let (mut passed, mut looks) = (Duration::ZERO, 0);
        while passed < Duration::from_mins(1) {
            passed += delay(passed, SHORTEST, Duration::MAX);
            looks += 1;
        }
        assert!(looks < 64, "{looks} looks");
        assert!(passed < Duration::from_mins(1) * 9 / 8, "it was found over after {passed:?}");
    }
}
