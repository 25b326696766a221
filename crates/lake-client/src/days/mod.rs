//! The state of each day of the lake: published, stale, failed, missing, ..., and what to do about it.
//!
//! [`Facts::read`] reads the facts, and [`judge`] derives the states from them without any I/O. [`is_to_do`] decides whether
//! a run processes a day, here and for the plan of a run.

mod facts;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::America::Sao_Paulo;
use lake::Config;
use lake::plan::is_to_do;
use lake::record::view::{Differences, differences};
use lake::record::{Decision, RawFileVersion};
use lake::truncated_list::TruncatedList;
use market::partition::DateRange;
use market::run::RunId;
use market::session::is_business_day;
use market::snapshot::{Feed, SnapshotName, SnapshotTime};
use market::table::TableName;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

pub use facts::{Facts, quarantined};

/// The state of a day. The variants are in order of urgency, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum State {
    /// The newest audit failed, with the same raw files that exist now.
    Failed,
    /// The published data was made from other raw files than those that exist now.
    Stale,
    /// It has raw files, and nothing is published.
    Unpublished,
    /// A business day without raw files.
    Missing,
    /// It is published and has fewer snapshots of a feed than `quality.min_snapshots`.
    Incomplete,
    /// A rollback holds it: no run replaces what is published.
    Held,
    /// A business day without raw files, which an operator has accepted.
    Accepted,
    /// A business day that is not over, without raw files.
    Open,
    /// It is published, from the raw files that exist now.
    Published,
}

impl State {
    /// Returns its name in JSON documents and text tables.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A day of the lake.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Day {
    /// The day.
    pub day: NaiveDate,
    /// Whether the exchange is open on it.
    pub business_day: bool,
    /// Its state.
    pub state: State,
    /// Whether it needs attention: it is over, and failed, stale, unpublished, missing or incomplete.
    pub attention: bool,
    /// Raw files of the trading panel.
    pub quotes: Snapshots,
    /// Raw files of the option chains.
    pub options: Snapshots,
    /// Number of files in quarantine.
    pub quarantined: usize,
    /// Number of uploaded files that are not ingested.
    pub landing: usize,
    /// How the raw files differ from those that the published data was made from.
    pub stale: Option<Stale>,
    /// What is published.
    pub published: Option<Published>,
    /// The rollback that holds it.
    pub held: Option<Decision>,
    /// The decision to accept that raw files are missing.
    pub accepted: Option<Decision>,
    /// The newest failed audit, unless something was published after it.
    pub failed: Option<Failed>,
    /// What to do next.
    pub next: Option<Next>,
}

/// The raw files of a feed on a day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Snapshots {
    /// Number of files.
    pub files: usize,
    /// Number of snapshots of the session that have a file.
    pub present: usize,
    /// Number of snapshots that the session expects.
    pub expected: usize,
    /// Times of the missing snapshots, `HH:MM` in Sao Paulo.
    pub missing: TruncatedList<String>,
}

/// How the raw files of a day differ from those that were published, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// Files that arrived after publication.
    pub late: TruncatedList<String>,
    /// Files whose bytes have changed.
    pub replaced: TruncatedList<String>,
    /// Files that no longer exist.
    pub removed: TruncatedList<String>,
}

impl From<&Differences> for Stale {
    fn from(differences: &Differences) -> Self {
        let names = |names: &[SnapshotName]| names.iter().map(SnapshotName::to_string).collect();
        Self {
            late: names(&differences.added),
            replaced: names(&differences.replaced),
            removed: names(&differences.removed),
        }
    }
}

impl std::fmt::Display for Stale {
    /// Formats as `late 202004011000_flashpanel.csv; 3 removed: 202004011010_flashpanel.csv, ...`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        for (what, names) in [("late", &self.late), ("replaced", &self.replaced), ("removed", &self.removed)] {
            match (names.count, names.first.first()) {
                (1, Some(only)) => parts.push(format!("{what} {only}")),
                (count, Some(first)) => parts.push(format!("{count} {what}: {first}, ...")),
                (_, None) => {}
            }
        }
        f.write_str(&parts.join("; "))
    }
}

/// What is published of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The run.
    pub run: RunId,
    /// When it was published first.
    pub at: DateTime<Utc>,
    /// Seconds since then.
    pub age: i64,
    /// The number of the day's record.
    pub number: u64,
    /// Rows of `quotes`; `None` if the table has no partition for the day.
    pub quotes: Option<u64>,
    /// Rows of `options`.
    pub options: Option<u64>,
    /// Rows of `rejects`.
    pub rejects: Option<u64>,
}

/// A failed audit of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// The run.
    pub run: RunId,
    /// When it failed.
    pub at: DateTime<Utc>,
    /// Descriptions of the failed checks.
    pub failures: Vec<String>,
    /// Whether the raw files have changed since, so that the next run processes the day again.
    pub again: bool,
}

/// What to do next about a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Next {
    /// Start a run of stale days.
    Run {
        /// The day.
        day: NaiveDate,
    },
    /// Inspect the failed run.
    #[serde(rename = "look")]
    Inspect {
        /// The name of its execution.
        run: String,
    },
    /// Upload the files that are missing or not ingested.
    Upload,
    /// Release the hold of a rollback, so that a run processes the day again.
    Release {
        /// The day.
        day: NaiveDate,
    },
}

impl Next {
    /// Returns the arguments of `pregao` on the command line. `DIR` is a placeholder for the user's folder.
    pub fn arguments(&self) -> String {
        match self {
            Next::Run { day } => format!("run --stale --from {day} --to {day}"),
            Next::Inspect { run } => format!("runs {run}"),
            Next::Upload => "upload DIR".to_owned(),
            Next::Release { day } => format!("rollback {day} --release"),
        }
    }
}

/// Returns the days of `range` that a run of stale days processes.
pub fn to_do(range: DateRange, facts: &Facts) -> BTreeSet<NaiveDate> {
    let days = facts.files.iter().filter(|(day, _)| range.contains(**day));
    days.filter(|(day, files)| is_to_do(facts.records.get(day), facts.failed.get(day), files))
        .map(|(day, _)| *day)
        .collect()
}

/// Groups days into ranges. Days on which the exchange is closed do not split a range.
pub fn contiguous(days: &BTreeSet<NaiveDate>) -> Vec<(NaiveDate, NaiveDate)> {
    let mut ranges: Vec<(NaiveDate, NaiveDate)> = Vec::new();
    for day in days.iter().copied() {
        match ranges.last_mut() {
            Some((_, last))
                if last.iter_days().skip(1).take_while(|next| *next < day).all(|next| !is_business_day(next)) =>
            {
                *last = day;
            }
            _ => ranges.push((day, day)),
        }
    }
    ranges
}

/// Returns the current date in Sao Paulo.
pub fn today(now: DateTime<Utc>) -> NaiveDate {
    now.with_timezone(&Sao_Paulo).date_naive()
}

/// Returns the state at `now` of each day of `range` that is a business day, has raw files, or is published.
pub fn judge(config: &Config, range: DateRange, facts: &Facts, now: DateTime<Utc>) -> Vec<Day> {
    let today = today(now);
    range.days().filter_map(|day| judge_day(config, day, facts, today, now)).collect()
}

fn judge_day(config: &Config, day: NaiveDate, facts: &Facts, today: NaiveDate, now: DateTime<Utc>) -> Option<Day> {
    let business_day = is_business_day(day);
    let files = facts.files.get(&day).map_or(&[][..], Vec::as_slice);
    let record = facts.records.get(&day);
    let publication = record.and_then(|record| record.published.as_ref());
    if !business_day && files.is_empty() && publication.is_none() {
        return None;
    }
    let is_over = day < today;
    let changes = publication.map(|published| differences(&published.raw_files, files));
    let is_stale = changes.as_ref().is_some_and(|changes| !changes.is_empty());
    let accepted = record.and_then(|record| record.missing_accepted.clone());
    let held = record.and_then(|record| record.held.clone());
    let (quotes, options) = (snapshots(config, day, Feed::Quotes, files), snapshots(config, day, Feed::Options, files));
    let least = config.least_snapshots(day);
    let is_short = [&quotes, &options].into_iter().any(|of_feed| of_feed.files < least);
    let newest = facts.failed.get(&day);
    let is_after = newest.is_some_and(|failed| {
        publication.is_none() || record.is_some_and(|record| failed.failed_at > record.written_at)
    });
    let is_same = newest.is_some_and(|failed| differences(&failed.raw_files, files).is_empty());
    let is_failed = is_same && (is_after || is_stale);
    let state = match (files.is_empty(), publication.is_some()) {
        _ if held.is_some() => State::Held,
        (true, false) if accepted.is_some() => State::Accepted,
        (true, false) if !is_over => State::Open,
        (true, false) => State::Missing,
        (false, _) if is_failed => State::Failed,
        (false, false) => State::Unpublished,
        _ if is_stale => State::Stale,
        _ if is_over && is_short && accepted.is_none() => State::Incomplete,
        _ => State::Published,
    };
    let landing = facts.landing.get(&day).copied().unwrap_or_default();
    let failed = newest.filter(|_| is_after || is_failed).map(|failed| Failed {
        run: failed.run.clone(),
        at: failed.failed_at,
        failures: failed.failures.clone(),
        again: !is_same,
    });
    let next = match state {
        State::Held if is_stale && !files.is_empty() => Some(Next::Release { day }),
        State::Held | State::Accepted | State::Open => None,
        _ if landing > 0 => Some(Next::Upload),
        State::Failed => failed.as_ref().map(|failed| Next::Inspect { run: failed.run.execution().to_owned() }),
        State::Stale | State::Unpublished if !files.is_empty() => Some(Next::Run { day }),
        State::Published => None,
        State::Stale | State::Unpublished | State::Missing | State::Incomplete => Some(Next::Upload),
    };
    let attention = is_over
        && match state {
            State::Failed | State::Stale | State::Unpublished => true,
            // 0 switches the check off.
            State::Missing | State::Incomplete => least > 0,
            State::Held | State::Accepted | State::Open | State::Published => false,
        };
    let rows = |table: TableName| record.and_then(|record| record.table(table)).map(|table| table.rows);
    let published = publication.zip(record).map(|(published, record)| Published {
        run: published.run.clone(),
        at: published.published_at,
        age: now.signed_duration_since(published.published_at).num_seconds().max(0),
        number: record.number,
        quotes: rows(TableName::Quotes),
        options: rows(TableName::Options),
        rejects: rows(TableName::Rejects),
    });
    let quarantined = facts.quarantined.get(&day).copied().unwrap_or_default();
    let stale = changes.as_ref().filter(|changes| !changes.is_empty()).map(Stale::from);
    Some(Day {
        day,
        business_day,
        state,
        attention,
        quotes,
        options,
        quarantined,
        landing,
        stale,
        published,
        held,
        accepted,
        failed,
        next,
    })
}

fn snapshots(config: &Config, day: NaiveDate, feed: Feed, files: &[RawFileVersion]) -> Snapshots {
    let times: Vec<SnapshotTime> =
        files.iter().map(|file| file.name).filter(|name| name.feed == feed).map(|name| name.time).collect();
    let expected = config.session.expected(day);
    let missing = if times.is_empty() { expected.clone() } else { config.session.missing(day, &times) };
    Snapshots {
        files: times.len(),
        present: expected.len() - missing.len(),
        expected: expected.len(),
        missing: missing.iter().map(|time| time.time().format("%H:%M").to_string()).collect(),
    }
}
