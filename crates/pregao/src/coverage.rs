//! What is missing among the raw files, in words.

use lake::excerpt::Excerpt;
use lake::raw::{Coverage, Missing};

use crate::human;

/// A line for each gap and each day with missing snapshots; none where nothing is missing.
pub fn lines(coverage: &Coverage) -> Vec<String> {
    let Coverage { gaps, missing_snapshots } = coverage;
    let mut lines = Vec::new();
    if !gaps.is_empty() {
        lines.push(format!("without any file: {}", listed(gaps, ToString::to_string, "business day")));
    }
    for Missing { date, feed, times } in &missing_snapshots.first {
        lines.push(format!("{date} {feed}: missing {}", listed(times, Clone::clone, "snapshot")));
    }
    if missing_snapshots.more() > 0 {
        lines.push(format!("and more on {} other days", human::count(missing_snapshots.more() as u64)));
    }
    lines
}

/// `3 snapshots (10:00, 10:10, 11:20)`, the first few of them.
fn listed<T>(items: &Excerpt<T>, text: impl Fn(&T) -> String, thing: &str) -> String {
    const NAMED: usize = 8;
    let mut named: Vec<String> = items.first.iter().take(NAMED).map(text).collect();
    if items.count > named.len() {
        named.push("...".to_owned());
    }
    format!("{} ({})", human::counted(items.count as u64, thing), named.join(", "))
}

#[cfg(test)]
mod tests {
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
}
