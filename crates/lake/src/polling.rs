//! How long to wait before asking again whether something is over.

use std::time::{Duration, Instant};

use chrono::{SecondsFormat, TimeDelta, Utc};

/// The part of what has passed that is waited.
const PART: u32 = 8;

/// How long to wait for something that has taken `passed` already: an eighth of that, but at least `shortest` and at
/// most `longest`.
///
/// So looks come fast at first, for what takes no time, and then at leisure: the one that finds it over comes late by no
/// more than an eighth of what it waited for, or by `shortest`, and however long it takes, never by more than `longest`.
///
/// ```
/// use std::time::Duration;
/// let (shortest, longest) = (Duration::from_millis(10), Duration::from_secs(2));
/// let pause = |passed| lake::polling::pause(passed, shortest, longest);
/// assert_eq!(pause(Duration::ZERO), shortest);
/// assert_eq!(pause(Duration::from_secs(8)), Duration::from_secs(1));
/// assert_eq!(pause(Duration::from_secs(3_600)), longest);
/// ```
///
/// # Panics
/// When `shortest` is longer than `longest`.
pub fn pause(passed: Duration, shortest: Duration, longest: Duration) -> Duration {
    (passed / PART).clamp(shortest, longest)
}

/// Asks until there is an answer, with pauses that grow ([`pause`]). Returns the answer, or `None` when there is none after
/// `bound`. Asks at least once.
///
/// For eventually consistent answers of AWS: a description may lag behind what another call has already returned.
///
/// # Errors
/// The first error of a question.
pub async fn until<T, E, F>(bound: Duration, mut ask: impl FnMut() -> F) -> Result<Option<T>, E>
where
    F: Future<Output = Result<Option<T>, E>>,
{
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(Some(answer));
        }
        let passed = begun.elapsed();
        if passed >= bound {
            return Ok(None);
        }
        tokio::time::sleep(pause(passed, SHORTEST_PAUSE, LONGEST_PAUSE).min(bound - passed)).await;
    }
}

const SHORTEST_PAUSE: Duration = Duration::from_millis(15);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The moment `pause` from now, as a Wait state takes it: `2020-04-01T10:00:00.250Z`. A wait of seconds could be no shorter
/// than one.
pub fn moment_after(pause: Duration) -> String {
    let moment = TimeDelta::from_std(pause).ok().and_then(|pause| Utc::now().checked_add_signed(pause));
    moment.unwrap_or(chrono::DateTime::<Utc>::MAX_UTC).to_rfc3339_opts(SecondsFormat::Millis, true)
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
            let pause = pause(Duration::from_millis(passed), SHORTEST, LONGEST);
            assert_eq!(pause.as_millis(), expected, "after {passed} ms");
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
        assert_eq!(until(Duration::from_secs(3_600), answers).await, Ok(Some(4)));

        let mut asked = 0;
        let nothing = until(Duration::from_millis(500), || {
            asked += 1;
            async { Ok::<Option<()>, ()>(None) }
        });
        assert_eq!(nothing.await, Ok(None));
        assert!(asked > 1, "it asked {asked} times");

        let mut asked = 0;
        let once = until(Duration::ZERO, || {
            asked += 1;
            async { Ok::<Option<()>, ()>(None) }
        });
        assert_eq!((once.await, asked), (Ok(None), 1));
        assert_eq!(until(Duration::MAX, || async { Err::<Option<()>, _>("refused") }).await, Err("refused"));
    }

    #[test]
    fn a_moment_is_as_a_wait_state_takes_it() {
        let (before, moment, after) = (Utc::now(), moment_after(LONGEST), Utc::now());
        let read = chrono::NaiveDateTime::parse_from_str(&moment, "%Y-%m-%dT%H:%M:%S%.3fZ").expect(&moment).and_utc();
        // Its milliseconds are cut off.
        let pause = TimeDelta::from_std(LONGEST).expect("a short one");
        assert!(read + TimeDelta::milliseconds(1) > before + pause && read <= after + pause, "{moment} from {before}");
        assert!(moment_after(Duration::MAX).ends_with('Z'), "as late as there is a moment");
    }

    #[test]
    fn a_minute_is_not_looked_at_often() {
        let (mut passed, mut looks) = (Duration::ZERO, 0);
        while passed < Duration::from_secs(60) {
            passed += pause(passed, SHORTEST, Duration::MAX);
            looks += 1;
        }
        assert!(looks < 64, "{looks} looks");
        assert!(passed < Duration::from_secs(60) * 9 / 8, "it was found over after {passed:?}");
    }
}
