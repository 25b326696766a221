//! Describes missing raw files as text.

use lake::raw_files::{Coverage, Missing};
use lake::truncated_list::TruncatedList;

use crate::format;

/// Maximum number of days that get a line of their own.
const DAYS: usize = 5;

/// Returns lines about gaps and about days with missing snapshots, truncated; empty if nothing is missing.
pub(crate) fn lines(coverage: &Coverage) -> Vec<String> {
    let Coverage { gaps, missing_snapshots, .. } = coverage;
    let mut lines = Vec::new();
    if !gaps.is_empty() {
        lines.push(format!("without any file: {}", listed(gaps, ToString::to_string, "business day")));
    }
    for Missing { date, feed, times } in missing_snapshots.first.iter().take(DAYS) {
        lines.push(format!("{date} {feed}: missing {}", listed(times, Clone::clone, "snapshot")));
    }
    let more = missing_snapshots.count.saturating_sub(DAYS.min(missing_snapshots.first.len()));
    if more > 0 {
        let days = if more == 1 { "day" } else { "days" };
        lines.push(format!("and so on: {} more {days} of a feed with missing snapshots", format::count(more as u64)));
    }
    lines
}

/// Returns `3 snapshots (10:00, 10:10, 11:20)`, truncated.
fn listed<T>(items: &TruncatedList<T>, text: impl Fn(&T) -> String, thing: &str) -> String {
    const NAMED: usize = 8;
    let mut named: Vec<String> = items.first.iter().take(NAMED).map(text).collect();
    if items.count > named.len() {
        named.push("...".to_owned());
    }
    format!("{} ({})", format::counted(items.count as u64, thing), named.join(", "))
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use market::snapshot::Feed;

    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let date = "2020-04-01".parse().expect("a day");
        let coverage = Coverage {
            gaps: [date].into_iter().collect(),
            missing_snapshots: [Missing {
                date,
                feed: Feed::Options,
                times: (0..12).map(|n| format!("10:{n:02}")).collect(),
            }]
            .into_iter()
            .collect(),
            missing_count: 12,
        };
        assert_eq!(
            lines(&coverage),
            [
                "without any file: 1 business day (2020-04-01)",
                "2020-04-01 options: missing 12 snapshots \
                 (10:00, 10:01, 10:02, 10:03, 10:04, 10:05, 10:06, 10:07, ...)",
            ]
        );
        assert!(lines(&Coverage::default()).is_empty());
    }

    #[test]
    fn many_days_are_counted_and_the_first_are_named() {
        let day = |n: u32| NaiveDate::from_ymd_opt(2020, 4, n).expect("a day");
        let missing =
            |n| Missing { date: day(n), feed: Feed::Quotes, times: ["10:00".to_owned()].into_iter().collect() };
        let lines_of = |days: u32| {
            lines(&Coverage { missing_snapshots: (1..=days).map(missing).collect(), ..Coverage::default() })
        };
        assert_eq!(lines_of(5).len(), 5);
        for (days, last) in [(6, "and so on: 1 more day of a feed"), (30, "and so on: 25 more days of a feed")] {
            let lines = lines_of(days);
            assert_eq!(lines.len(), 6, "{lines:?}");
            assert_eq!(lines[0], "2020-04-01 quotes: missing 1 snapshot (10:00)");
            assert_eq!(lines[5], format!("{last} with missing snapshots"));
        }
    }
}
