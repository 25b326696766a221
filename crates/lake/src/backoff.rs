//! Proportional backoff: the delay before the next poll is a fraction of the time that has elapsed.

use std::time::{Duration, Instant};

use chrono::{SecondsFormat, TimeDelta, Utc};

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
        tokio::time::sleep(delay(elapsed, MIN_DELAY, MAX_DELAY).min(timeout - elapsed)).await;
    }
}

const MIN_DELAY: Duration = Duration::from_millis(15);
const MAX_DELAY: Duration = Duration::from_secs(2);

/// Returns the time `delay` from now, in the format of a Wait state's `TimestampPath`: `2020-04-01T10:00:00.250Z`. (`Seconds`
/// and `SecondsPath` cannot express less than a second.)
pub fn timestamp_after(delay: Duration) -> String {
    let time = TimeDelta::from_std(delay).ok().and_then(|delay| Utc::now().checked_add_signed(delay));
    time.unwrap_or(chrono::DateTime::<Utc>::MAX_UTC).to_rfc3339_opts(SecondsFormat::Millis, true)
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
        assert_eq!(poll_until(Duration::from_secs(3_600), answers).await, Ok(Some(4)));

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
        let read = chrono::NaiveDateTime::parse_from_str(&moment, "%Y-%m-%dT%H:%M:%S%.3fZ").expect(&moment).and_utc();
        // Its milliseconds are cut off.
        let delay = TimeDelta::from_std(LONGEST).expect("a short one");
        assert!(read + TimeDelta::milliseconds(1) > before + delay && read <= after + delay, "{moment} from {before}");
        assert!(timestamp_after(Duration::MAX).ends_with('Z'), "as late as there is a moment");
    }

    #[test]
    fn a_minute_is_not_looked_at_often() {
        let (mut passed, mut looks) = (Duration::ZERO, 0);
        while passed < Duration::from_secs(60) {
            passed += delay(passed, SHORTEST, Duration::MAX);
            looks += 1;
        }
        assert!(looks < 64, "{looks} looks");
        assert!(passed < Duration::from_secs(60) * 9 / 8, "it was found over after {passed:?}");
    }
}
