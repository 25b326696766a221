//! The report of the audit of one table of one run: what the audit writes, publication asks for, and a person reads.

use std::collections::BTreeMap;
use std::fmt;

use chrono::NaiveDate;
use market::partition::DateRange;
use market::run::RunId;
use market::snapshot::SnapshotName;
use market::table::TableName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Share;
use crate::error::Error;
use crate::raw_files::Coverage;
use crate::truncated_list::TruncatedList;
use crate::{Lake, keys, objects};

/// What is known of one table of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// The table.
    pub table: TableName,
    /// The days that the run was asked for.
    #[serde(flatten)]
    pub range: DateRange,
    /// Whether all checks passed, so that the table may be published.
    pub passed: bool,
    /// The rows of all days.
    pub rows: u64,
    /// What became of the records of all raw files, counted from the files and not by the engine.
    pub records: Records,
    /// Every check, whether it passed or not.
    pub checks: Vec<Check>,
    /// Each day that has a partition.
    pub days: Vec<Day>,
    /// Each raw file that the table is made from; none for `rejects`, which is made from those of both feeds.
    pub files: Vec<RawFileRecords>,
    /// The raw files whose last record has no line end, so that what stands last in it may have been cut off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unterminated_files: Vec<String>,
    /// The cells that could not be read, by column and reason, and the records (which have no column).
    pub rejects: Vec<RejectCount>,
    /// Rows that share their time and ticker with another. They are kept.
    pub duplicates: Duplicates,
    /// The snapshots that are missing.
    #[serde(flatten)]
    pub coverage: Coverage,
}

/// What became of records: `records = published + blank_ticker + header_repeat + ragged`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// Lines behind the header that have any byte.
    pub records: u64,
    /// Rows of the feed's table.
    pub published: u64,
    /// Dropped: there is nothing that they could be a quote of.
    pub blank_ticker: u64,
    /// Dropped: the header once more.
    pub header_repeat: u64,
    /// Rows of `rejects`.
    pub ragged: u64,
}

impl std::iter::Sum for Records {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            records: sum.records + one.records,
            published: sum.published + one.published,
            blank_ticker: sum.blank_ticker + one.blank_ticker,
            header_repeat: sum.header_repeat + one.header_repeat,
            ragged: sum.ragged + one.ragged,
        })
    }
}

/// The records of one raw file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawFileRecords {
    /// The file's name.
    #[serde(with = "as_text")]
    pub name: SnapshotName,
    /// What became of them.
    #[serde(flatten)]
    pub records: Records,
}

/// One partition as it was audited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// The day.
    pub date: NaiveDate,
    /// Its Parquet files.
    pub parquet_files: u64,
    /// Their bytes.
    pub parquet_bytes: u64,
    /// What a query says of it.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What a query says of a day, so that two can be compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Rows.
    pub rows: u64,
    /// Different tickers.
    pub tickers: u64,
    /// The first `intdate`; none where there are no rows.
    pub first: Option<i64>,
    /// The last `intdate`.
    pub last: Option<i64>,
}

/// Cells of one column, or whole records, that were rejected for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectCount {
    /// The table in which they are missing.
    pub table_name: String,
    /// The raw name of the column; empty for whole records.
    pub column_name: String,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// Rows that share their time and ticker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicates {
    /// Pairs of time and ticker that stand more than once.
    pub keys: u64,
    /// The rows that have them.
    pub rows: u64,
}

/// What a check counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Rows of the table.
    Rows,
    /// Records of raw files.
    Records,
    /// Cells that ought to be numbers.
    Cells,
    /// Files: Parquet, or raw.
    Files,
    /// Days of the range.
    Days,
    /// Snapshots that the session expects.
    Snapshots,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Unit::Rows => "rows",
            Unit::Records => "records",
            Unit::Cells => "cells",
            Unit::Files => "files",
            Unit::Days => "days",
            Unit::Snapshots => "snapshots",
        })
    }
}

/// One check: how much it looked at, how much of that failed, and how much may.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What it counts.
    pub unit: Unit,
    /// How many it applies to.
    pub checked: u64,
    /// How many of these failed.
    pub failing: u64,
    /// `failing / checked`; of the worst day, where each day is held against the limit.
    pub share: f64,
    /// The largest share that passes.
    pub limit: f64,
    /// Whether it passed.
    pub passed: bool,
    /// The days on which some failed; those over the limit, the worst first, where each day is held against it and one
    /// is over it.
    pub days: TruncatedList<NaiveDate>,
    /// The worst day, where each day is held against the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<WorstDay>,
    /// A few that failed: rows as objects, anything else in words.
    pub examples: Vec<Value>,
}

/// The day of a check on which the largest share failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorstDay {
    /// The day.
    pub date: NaiveDate,
    /// How many the check applies to on that day.
    pub checked: u64,
    /// How many of these failed.
    pub failing: u64,
}

impl WorstDay {
    fn share(&self) -> f64 {
        share_of(self.failing, self.checked)
    }
}

fn share_of(failing: u64, checked: u64) -> f64 {
    if checked == 0 { 0.0 } else { failing as f64 / checked as f64 }
}

impl Check {
    /// A check that holds each day against the limit, by how many it applies to on that day and how many of these failed:
    /// a bad day among many good ones is as bad as it is alone.
    pub fn by_day(
        name: &str,
        unit: Unit,
        days: impl IntoIterator<Item = (NaiveDate, (u64, u64))>,
        limit: Share,
        examples: Vec<Value>,
    ) -> Self {
        Self::by_day_above(0, name, unit, days, limit, examples)
    }

    /// The same, where so many may fail on every day: one of a few is no share.
    pub fn by_day_above(
        free: u64,
        name: &str,
        unit: Unit,
        days: impl IntoIterator<Item = (NaiveDate, (u64, u64))>,
        limit: Share,
        examples: Vec<Value>,
    ) -> Self {
        let days: BTreeMap<NaiveDate, (u64, u64)> = days.into_iter().collect();
        let counted = |(date, (checked, failing)): (&NaiveDate, &(u64, u64))| WorstDay {
            date: *date,
            checked: *checked,
            failing: *failing,
        };
        let mut bad: Vec<WorstDay> = days.iter().map(counted).filter(|day| day.failing > 0).collect();
        let over = |day: &WorstDay| day.failing > free && !limit.allows(day.failing, day.checked);
        let passed = !bad.iter().any(over);
        if !passed {
            bad.retain(over);
            bad.sort_by(|one, other| other.share().total_cmp(&one.share()));
        }
        let worst = bad.iter().copied().reduce(|worst, day| if day.share() > worst.share() { day } else { worst });
        let (checked, failing) = days.values().fold((0, 0), |(all, failing), day| (all + day.0, failing + day.1));
        Self {
            share: worst.map_or(0.0, |day| day.share()),
            passed,
            worst,
            ..Self::new(name, unit, checked, failing, limit).on(bad.iter().map(|day| day.date), examples)
        }
    }

    /// A check of `checked` things of which `failing` failed and a share of `limit` may.
    pub fn new(name: &str, unit: Unit, checked: u64, failing: u64, limit: Share) -> Self {
        Self {
            name: name.to_owned(),
            unit,
            checked,
            failing,
            share: share_of(failing, checked),
            limit: limit.get(),
            passed: limit.allows(failing, checked),
            days: TruncatedList::default(),
            worst: None,
            examples: Vec::new(),
        }
    }

    /// The same, on these days, with these examples.
    pub fn on(self, days: impl IntoIterator<Item = NaiveDate>, examples: Vec<Value>) -> Self {
        Self { days: days.into_iter().collect(), examples, ..self }
    }
}

/// How many days the sentence about a check names.
const DAYS_NAMED: usize = 5;

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, unit, .. } = self;
        let (checked, failing) = self.worst.map_or((self.checked, self.failing), |day| (day.checked, day.failing));
        write!(
            f,
            "{name}: {failing} of {checked} {unit} fail ({}, at most {})",
            percent(self.share),
            percent(self.limit)
        )?;
        let mut named: Vec<String> = self.days.first.iter().take(DAYS_NAMED).map(NaiveDate::to_string).collect();
        if self.worst.is_some() && named.len() > 1 {
            named[1].insert_str(0, "and too many on ");
        }
        if !named.is_empty() {
            write!(f, " on {}", named.join(", "))?;
        }
        if self.days.count > named.len() {
            write!(f, " and {} more days", self.days.count - named.len())?;
        }
        match self.examples.first() {
            Some(Value::String(words)) => write!(f, "; {words}"),
            Some(row) => write!(f, "; for example {row}"),
            None => Ok(()),
        }
    }
}

/// A share as people write it: `1%`, `0.25%`.
fn percent(share: f64) -> String {
    let rounded = (share * 10_000.0).round() / 100.0;
    if rounded == 0.0 && share > 0.0 { "under 0.01%".to_owned() } else { format!("{rounded}%") }
}

impl Report {
    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.passed)
    }

    /// The days of the report that lie in `range`.
    pub fn days_in(&self, range: DateRange) -> impl Iterator<Item = &Day> {
        self.days.iter().filter(move |day| range.contains(day.date))
    }

    /// Writes the report to its place.
    pub async fn write(&self, lake: &Lake) -> Result<(), Error> {
        objects::put_json(lake, &lake.config.buckets.lake, &keys::quality_report(&self.run, self.table), self).await
    }

    /// The report that lets `table` of `run` be published.
    ///
    /// # Errors
    /// [`Error::Quality`] when there is none, or it says that the table failed.
    pub async fn passed(lake: &Lake, run: &RunId, table: TableName) -> Result<Self, Error> {
        let key = keys::quality_report(run, table);
        let uri = keys::uri(&lake.config.buckets.lake, &key);
        let report: Option<Self> = objects::get_json(lake, &lake.config.buckets.lake, &key).await?;
        match report {
            Some(report) if report.passed => Ok(report),
            Some(_) => {
                Err(Error::Quality(format!("{table} of run {run} failed its audit and is not published: {uri}")))
            }
            None => Err(Error::Quality(format!(
                "{table} of run {run} was not audited and is not published: there is no {uri}; start create_datalake"
            ))),
        }
    }
}

/// A run that was audited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The run.
    pub run: RunId,
    /// When the last of its reports was written, in nanoseconds since 1970.
    pub written: i128,
}

/// All runs that were audited, the latest first.
///
/// # Errors
/// Whatever S3 refuses.
pub async fn audits(lake: &Lake) -> Result<Vec<Audit>, Error> {
    let bucket = &lake.config.buckets.lake;
    let request = lake.s3.list_objects_v2().bucket(bucket.as_str()).prefix(keys::QUALITY);
    let mut pages = request.into_paginator().send();
    let mut audits = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(Error::aws(format!("listing {}", keys::uri(bucket, keys::QUALITY))))?;
        for object in page.contents.unwrap_or_default() {
            let Some(run) = object.key().and_then(keys::audited_run) else { continue };
            audits.push(Audit { run, written: object.last_modified().map_or(0, |time| time.as_nanos()) });
        }
    }
    audits.sort_by(|one, other| (other.written, &other.run).cmp(&(one.written, &one.run)));
    Ok(audits)
}

/// Names of files as text.
pub(crate) mod as_text {
    use super::SnapshotName;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(name: &SnapshotName, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(name)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SnapshotName, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2020, 4, day).expect("a day")
    }

    fn share(value: f64) -> Share {
        Share::try_from(value).expect("a share")
    }

    #[test]
    fn a_check_says_what_failed_on_what() {
        let check = Check::new("bid_ask", Unit::Rows, 40, 20, share(0.01)).on([day(2)], vec![json!({"bid": 2.0})]);
        assert!(!check.passed);
        assert_eq!(
            check.to_string(),
            "bid_ask: 20 of 40 rows fail (50%, at most 1%) on 2020-04-02; for example {\"bid\":2.0}"
        );
        let many = Check::new("schema", Unit::Files, 700_000, 7, share(0.0)).on((1..=30).map(day), vec![json!("a: b")]);
        assert_eq!(
            many.to_string(),
            "schema: 7 of 700000 files fail (under 0.01%, at most 0%) on 2020-04-01, 2020-04-02, 2020-04-03, \
             2020-04-04, 2020-04-05 and 25 more days; a: b"
        );
        assert!(Check::new("bid_ask", Unit::Rows, 0, 0, share(0.0)).passed);
    }

    #[test]
    fn a_bad_day_is_not_diluted_by_good_ones() {
        let counts = |bad: u64| (1..=30).map(move |n| (day(n), (1000, if n == 7 { bad } else { 1 })));
        let check = Check::by_day("cells", Unit::Cells, counts(10), share(0.01), Vec::new());
        assert!(check.passed && check.days.count == 30, "ten of a thousand are the limit");
        assert_eq!((check.checked, check.failing, check.share), (30_000, 39, 0.01));
        let check = Check::by_day("cells", Unit::Cells, counts(11), share(0.01), vec![json!("a")]);
        assert!(!check.passed);
        assert_eq!(check.to_string(), "cells: 11 of 1000 cells fail (1.1%, at most 1%) on 2020-04-07; a");
        let two = counts(11).chain([(day(9), (100, 50))]);
        let check = Check::by_day("cells", Unit::Cells, two, share(0.01), Vec::new());
        assert_eq!(
            check.to_string(),
            "cells: 50 of 100 cells fail (50%, at most 1%) on 2020-04-09, and too many on 2020-04-07"
        );
        assert!(Check::by_day("cells", Unit::Cells, two_of_two(), share(1.0), Vec::new()).passed, "1 switches it off");
        assert!(Check::by_day("cells", Unit::Cells, [], share(0.0), Vec::new()).passed);
        for (failing, passed) in [(1, true), (2, false)] {
            let days = [(day(1), (50, failing))];
            let check = Check::by_day_above(1, "records", Unit::Records, days, share(0.01), Vec::new());
            assert_eq!((check.passed, check.failing), (passed, failing));
        }
    }

    fn two_of_two() -> [(NaiveDate, (u64, u64)); 1] {
        [(day(1), (2, 2))]
    }

    #[test]
    fn a_report_reads_back() {
        let report = Report {
            run: "nightly-7".parse().expect("a run"),
            table: TableName::Quotes,
            range: DateRange::new(day(1), day(2)).expect("a range"),
            passed: true,
            rows: 1,
            records: Records { records: 2, published: 1, ragged: 1, ..Records::default() },
            checks: vec![Check::new("bid_ask", Unit::Rows, 1, 0, share(0.01))],
            days: vec![Day {
                date: day(1),
                parquet_files: 1,
                parquet_bytes: 900,
                figures: Figures { rows: 1, tickers: 1, first: Some(202004011000), last: Some(202004011000) },
            }],
            files: vec![RawFileRecords {
                name: "202004011000_flashpanel.csv.gz".parse().expect("a name"),
                records: Records::default(),
            }],
            unterminated_files: vec!["202004011000_flashpanel.csv.gz".to_owned()],
            rejects: Vec::new(),
            duplicates: Duplicates::default(),
            coverage: Coverage::default(),
        };
        let text = serde_json::to_string(&report).expect("JSON");
        // As a version wrote it that did not look at line ends.
        let mut former: Value = serde_json::from_str(&text).expect("JSON");
        former.as_object_mut().expect("an object").remove("unterminated_files");
        let former: Report = serde_json::from_value(former).expect("a report");
        assert!(former.unterminated_files.is_empty() && former.files == report.files);
        assert!(text.starts_with(r#"{"run":"nightly-7","table":"quotes","from":"2020-04-01","to":"2020-04-02","#));
        assert_eq!(serde_json::from_str::<Report>(&text).expect("a report"), report);
    }
}
