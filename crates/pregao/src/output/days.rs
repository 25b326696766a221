//! The documents of the commands that show days and process those that are out of date.

use lake_client::days;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;

use super::{Days, Problem, Run, Timestamp, TruncatedList};

documents! {
    /// A day of the lake. With `--check`, the exit code is 3 when `attention` is true of any.
    pub struct Day {
        /// The day.
        pub day: String,
        /// Whether the exchange is open on it.
        pub business_day: bool,
        /// What it is.
        pub state: DayState,
        /// Whether somebody has to do something about it: it is over in Sao Paulo, and failed, stale, unpublished, missing or
        /// incomplete. Days without enough snapshots count unless `quality.min_snapshots` is 0.
        pub attention: bool,
        /// How the raw files differ from those that were published; null when they do not, or nothing is published.
        pub stale: Option<Stale>,
        /// The raw files.
        pub raw_files: RawFiles,
        /// The snapshots that the session expects and that have no raw file.
        pub missing: MissingSnapshots,
        /// The run that is published; null when nothing is.
        pub run: Option<String>,
        /// The rows that are published; null when nothing is.
        pub rows: Option<Rows>,
        /// When the run was published first.
        pub published_at: Option<Timestamp>,
        /// Seconds since then.
        pub age: Option<i64>,
        /// The rollback that holds the day; null when none does.
        pub held: Option<Decision>,
        /// The newest failed audit; null when there is none, or when something was published after it.
        pub failed: Option<FailedAudit>,
        /// The command to run next; null when there is nothing to do. `DIR` stands for the folder of the raw files.
        pub next: Option<String>,
    }

    /// The raw files of a day.
    pub struct RawFiles {
        /// Those of the feed quotes.
        pub quotes: FeedFiles,
        /// Those of the feed options.
        pub options: FeedFiles,
        /// Files in `quarantine/`: refused, or replaced by others of the same name.
        pub quarantined: usize,
        /// Files in `landing/`: uploaded, and not taken in.
        pub landing: usize,
    }

    /// The accepted raw files of a feed on a day.
    pub struct FeedFiles {
        /// Files.
        pub files: usize,
        /// Snapshots of the session that have a file.
        pub present: usize,
        /// Snapshots that the session expects.
        pub expected: usize,
    }

    /// How the raw files of a day differ from those that were published, by name.
    pub struct Stale {
        /// Those that came after publication.
        pub late: TruncatedList<String>,
        /// Those that have other bytes now.
        pub replaced: TruncatedList<String>,
        /// Those that are gone.
        pub removed: TruncatedList<String>,
    }

    /// The snapshots that have no raw file: their times, `HH:MM` in Sao Paulo.
    pub struct MissingSnapshots {
        /// Those of the feed quotes.
        pub quotes: TruncatedList<String>,
        /// Those of the feed options.
        pub options: TruncatedList<String>,
        /// Who has accepted that raw files are missing; null when nobody has.
        pub accepted: Option<Decision>,
    }

    /// The published rows of a day by table; null for a table without a partition.
    pub struct Rows {
        /// Those of `quotes`.
        pub quotes: Option<u64>,
        /// Those of `options`.
        pub options: Option<u64>,
        /// Those of `rejects`.
        pub rejects: Option<u64>,
    }

    /// What somebody decided.
    pub struct Decision {
        /// When.
        pub at: Timestamp,
        /// Who.
        pub by: String,
    }

    /// A failed audit.
    pub struct FailedAudit {
        /// The run.
        pub run: String,
        /// When.
        pub at: Timestamp,
        /// The checks that failed, in words.
        pub failures: Vec<String>,
        /// Whether the raw files have changed since, so that a run of stale days tries the day again.
        pub again: bool,
    }

    /// What the runs of stale days published.
    pub struct StaleRuns {
        /// The days that were stale or unpublished, as ranges without business days between them.
        pub ranges: Vec<Days>,
        /// What was published of each range. One that failed is not among them.
        pub runs: Vec<Run>,
        /// Why the exit code is 1, when it is: the first range that failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub error: Option<Problem>,
    }

    /// A day whose missing raw files are accepted.
    pub struct Accepted {
        /// The day.
        pub day: String,
        /// Who has accepted it.
        pub by: String,
        /// When.
        pub at: Timestamp,
        /// The number of the day's record.
        pub record: u64,
    }
}

/// What a day is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum DayState {
    /// The newest audit failed, with the raw files that are there now. No schedule tries them again.
    Failed,
    /// What is published was made from other raw files than those that are there.
    Stale,
    /// There are raw files, and nothing is published.
    Unpublished,
    /// A business day without raw files.
    Missing,
    /// It is published, and has fewer snapshots of a feed than `quality.min_snapshots`.
    Incomplete,
    /// A rollback holds it: no run replaces what is published.
    Held,
    /// A business day without raw files, which somebody has accepted.
    Accepted,
    /// A business day that is not over, without raw files.
    Open,
    /// It is published, from the raw files that are there.
    Published,
}

impl From<days::State> for DayState {
    fn from(state: days::State) -> DayState {
        match state {
            days::State::Failed => DayState::Failed,
            days::State::Stale => DayState::Stale,
            days::State::Unpublished => DayState::Unpublished,
            days::State::Missing => DayState::Missing,
            days::State::Incomplete => DayState::Incomplete,
            days::State::Held => DayState::Held,
            days::State::Accepted => DayState::Accepted,
            days::State::Open => DayState::Open,
            days::State::Published => DayState::Published,
        }
    }
}

impl Day {
    /// Creates the document of a day. `program` is the beginning of a command on the same lake.
    pub(crate) fn new(day: &days::Day, program: &str) -> Day {
        let files = |of: &days::Snapshots| FeedFiles { files: of.files, present: of.present, expected: of.expected };
        let names = |names| TruncatedList::new(names, String::clone);
        let published = day.published.as_ref();
        Day {
            day: day.day.to_string(),
            business_day: day.business_day,
            state: day.state.into(),
            attention: day.attention,
            stale: day.stale.as_ref().map(|stale| Stale {
                late: names(&stale.late),
                replaced: names(&stale.replaced),
                removed: names(&stale.removed),
            }),
            raw_files: RawFiles {
                quotes: files(&day.quotes),
                options: files(&day.options),
                quarantined: day.quarantined,
                landing: day.landing,
            },
            missing: MissingSnapshots {
                quotes: names(&day.quotes.missing),
                options: names(&day.options.missing),
                accepted: day.accepted.as_ref().map(Decision::new),
            },
            run: published.map(|published| published.run.to_string()),
            rows: published.map(|published| Rows {
                quotes: published.quotes,
                options: published.options,
                rejects: published.rejects,
            }),
            published_at: published.map(|published| published.at.into()),
            age: published.map(|published| published.age),
            held: day.held.as_ref().map(Decision::new),
            failed: day.failed.as_ref().map(|failed| FailedAudit {
                run: failed.run.to_string(),
                at: failed.at.into(),
                failures: failed.failures.clone(),
                again: failed.again,
            }),
            next: day.next.as_ref().map(|next| format!("{program} {}", next.arguments())),
        }
    }
}

impl Accepted {
    /// Creates the document of an acceptance.
    pub(crate) fn new(record: &lake::record::Record, decision: &lake::record::Decision) -> Accepted {
        Accepted { day: record.day.to_string(), by: decision.by.clone(), at: decision.at.into(), record: record.number }
    }
}

impl Decision {
    fn new(decision: &lake::record::Decision) -> Decision {
        Decision { at: decision.at.into(), by: decision.by.clone() }
    }
}
