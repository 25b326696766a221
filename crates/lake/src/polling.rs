//! How long to wait before asking again whether something is over.

use std::time::Duration;

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

    #[test]
    fn a_moment_is_as_a_wait_state_takes_it() {
        let moment = moment_after(LONGEST);
        let read = chrono::NaiveDateTime::parse_from_str(&moment, "%Y-%m-%dT%H:%M:%S%.3fZ").expect(&moment).and_utc();
        let until = (read - Utc::now()).num_milliseconds();
        assert!((0..=500).contains(&until), "{moment} is {until} ms away");
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
