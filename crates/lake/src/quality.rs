//! Quality reports: the result of the audit of one table in one slice of a run. The audit writes it, and publication requires
//! it. The report of a whole run is the sum of those of its slices.

use std::collections::{BTreeMap, BTreeSet};
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

/// The quality report of one table in one slice of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// The table.
    pub table: TableName,
    /// The range of days of the slice.
    #[serde(flatten)]
    pub range: DateRange,
    /// Whether all checks passed.
    pub passed: bool,
    /// The days that fail a check. They are not published, and the others may be. Empty in the failed reports of versions that
    /// published all days of a run or none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub failed_days: BTreeSet<NaiveDate>,
    /// Total number of rows.
    pub rows: u64,
    /// What the records of all raw files became, counted from the files and not by the engine.
    pub records: Records,
    /// All checks, passed and failed.
    pub checks: Vec<Check>,
    /// Each day that has a partition.
    pub days: Vec<Day>,
    /// Each raw file that the table is made from; empty for `rejects`, which is made from both feeds.
    pub files: Vec<RawFileRecords>,
    /// Raw files whose last record has no line end, so that it may be truncated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unterminated_files: Vec<String>,
    /// Numbers of rejects: cells by column and reason, and records, which have no column.
    pub rejects: Vec<RejectCount>,
    /// Duplicates. They are kept.
    pub duplicates: Duplicates,
    /// The snapshots that are missing.
    #[serde(flatten)]
    pub coverage: Coverage,
}

/// Counts of records: `records = published + blank_ticker + header_repeat + ragged`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// Lines after the header that are not empty.
    pub records: u64,
    /// Records that became rows of the feed's table.
    pub published: u64,
    /// Dropped: records without a ticker.
    pub blank_ticker: u64,
    /// Dropped: repetitions of the header.
    pub header_repeat: u64,
    /// Ragged records, which are rows of `rejects`.
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
    /// Their counts.
    #[serde(flatten)]
    pub records: Records,
}

/// One partition as it was audited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// The day.
    pub date: NaiveDate,
    /// Number of its Parquet files.
    pub parquet_files: u64,
    /// Total size of its Parquet files in bytes.
    pub parquet_bytes: u64,
    /// The figures of a query over it.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Figures of a day that a query returned, for comparing two states of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Rows.
    pub rows: u64,
    /// Number of distinct tickers.
    pub tickers: u64,
    /// The first `intdate`; `None` without rows.
    pub first: Option<i64>,
    /// The last `intdate`.
    pub last: Option<i64>,
}

/// Number of cells of one column, or of records, that were rejected for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectCount {
    /// The table that they would belong to.
    pub table_name: String,
    /// The raw name of the column; empty for whole records.
    pub column_name: String,
    /// The reason.
    pub reason: String,
    /// Number of rejects.
    pub count: u64,
}

/// Number of rows that share time and ticker with another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicates {
    /// Number of pairs of time and ticker that occur more than once.
    pub keys: u64,
    /// Number of rows with such a pair.
    pub rows: u64,
}

/// The unit of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Unit {
    /// Rows of the table.
    Rows,
    /// Records of raw files.
    Records,
    /// Cells of number columns.
    Cells,
    /// Parquet or raw files.
    Files,
    /// Days of the range.
    Days,
    /// Snapshots that the session expects.
    Snapshots,
}

/// One check: how many items it checked, how many failed, and its limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// The unit of its counts.
    pub unit: Unit,
    /// Number of items that were checked.
    pub checked: u64,
    /// Number of items that failed.
    pub failing: u64,
    /// `failing / checked`; of the worst day if the limit applies to each day.
    pub share: f64,
    /// The largest share that passes.
    pub limit: f64,
    /// Whether it passed.
    pub passed: bool,
    /// Days with failing items. If the limit applies to each day and is exceeded: the days that exceed it, the worst first.
    pub days: TruncatedList<NaiveDate>,
    /// All of these days, while the audit runs.
    #[serde(skip)]
    all_days: BTreeSet<NaiveDate>,
    /// The worst day, if the limit applies to each day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<WorstDay>,
    /// Examples of failing items: rows as objects, others as texts.
    pub examples: Vec<Value>,
}

/// The day of a check with the largest failing share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorstDay {
    /// The day.
    pub date: NaiveDate,
    /// Number of items that were checked on that day.
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
    /// Creates a check whose limit applies to each day, from the numbers of checked and failing items by day: good days do not
    /// dilute a bad one.
    pub fn by_day(
        name: &str,
        unit: Unit,
        days: impl IntoIterator<Item = (NaiveDate, (u64, u64))>,
        limit: Share,
        examples: Vec<Value>,
    ) -> Self {
        Self::by_day_above(0, name, unit, days, limit, examples)
    }

    /// [`Check::by_day`] with a number of items that may fail on every day: with few items, a share is meaningless.
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

    /// Creates a check of `checked` items of which `failing` failed and a share of `limit` may.
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
            all_days: BTreeSet::new(),
            worst: None,
            examples: Vec::new(),
        }
    }

    /// Returns the check with days and examples.
    pub fn on(self, days: impl IntoIterator<Item = NaiveDate>, examples: Vec<Value>) -> Self {
        let days: Vec<NaiveDate> = days.into_iter().collect();
        Self { all_days: days.iter().copied().collect(), days: days.into_iter().collect(), examples, ..self }
    }

    /// Adds the same check of other days. The limit applied to each part.
    fn add(&mut self, other: Self) {
        self.checked += other.checked;
        self.failing += other.failing;
        self.worst = match (self.worst, other.worst) {
            (Some(one), Some(other)) => Some(if other.share() > one.share() { other } else { one }),
            (one, other) => one.or(other),
        };
        self.share = self.worst.map_or_else(|| share_of(self.failing, self.checked), |worst| worst.share());
        match (self.passed, other.passed) {
            // The days of a failed check are those that exceed its limit.
            (true, false) => (self.days, self.examples) = (other.days, other.examples),
            (false, true) => {}
            (true, true) | (false, false) => {
                self.days.append(other.days);
                self.examples.extend(other.examples);
            }
        }
        self.passed &= other.passed;
    }

    /// Returns whether `day` fails this check, while the audit runs. A failed check without days concerns every day.
    pub fn fails_on(&self, day: NaiveDate) -> bool {
        !self.passed && (self.all_days.is_empty() || self.all_days.contains(&day))
    }
}

/// Maximum number of days in the text of a check.
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

/// Formats a share as a percentage: `1%`, `0.25%`.
fn percent(share: f64) -> String {
    let rounded = (share * 10_000.0).round() / 100.0;
    if rounded == 0.0 && share > 0.0 { "under 0.01%".to_owned() } else { format!("{rounded}%") }
}

impl Report {
    /// Returns the failed checks.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.passed)
    }

    /// Returns the days of the report in `range`.
    pub fn days_in(&self, range: DateRange) -> impl Iterator<Item = &Day> {
        self.days.iter().filter(move |day| range.contains(day.date))
    }

    /// Writes the report of a slice to its object. Returns its URI.
    ///
    /// # Errors
    /// [`Error::Aws`] if S3 does not perform the request.
    pub async fn write(&self, lake: &Lake, slice: u32) -> Result<String, Error> {
        let bucket = &lake.config.buckets.lake;
        let key = keys::quality_report(&self.run, slice, self.table);
        objects::put_json(lake, bucket, &key, self).await?;
        Ok(keys::uri(bucket, &key))
    }

    /// Returns whether `day` passed all checks.
    pub fn day_passed(&self, day: NaiveDate) -> bool {
        self.passed || (!self.failed_days.is_empty() && !self.failed_days.contains(&day))
    }

    /// Reads the report at this URI, which a record or an outcome states. Returns `None` if there is none.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the object is not a report; whatever S3 refuses.
    pub async fn find(lake: &Lake, uri: &str) -> Result<Option<Self>, Error> {
        let bucket = &lake.config.buckets.lake;
        let Some(key) = uri.strip_prefix(&keys::uri(bucket, "")) else { return Ok(None) };
        objects::get_json(lake, bucket, key).await
    }

    /// Reads the report at this URI, in which all of `days` must have passed.
    ///
    /// # Errors
    /// [`Error::Quality`] if there is no report, or a day failed the audit.
    pub async fn passed(lake: &Lake, uri: &str, days: impl IntoIterator<Item = NaiveDate>) -> Result<Self, Error> {
        let Some(report) = Self::find(lake, uri).await? else {
            return Err(Error::Quality(format!(
                "there is no {uri}: what it reported on was not audited, and is not published; start create_datalake"
            )));
        };
        let Some(day) = days.into_iter().find(|day| !report.day_passed(*day)) else { return Ok(report) };
        let Self { run, table, .. } = report;
        Err(Error::Quality(format!("{table} of run {run} failed its audit for {day} and is not published: {uri}")))
    }

    /// Reads the reports on `table` of all slices of `run`, and adds them up. Returns `None` if there is none.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if an object is not a report; whatever S3 refuses.
    pub async fn of_run(lake: &Lake, run: &RunId, table: TableName) -> Result<Option<Self>, Error> {
        let bucket = &lake.config.buckets.lake;
        let name = format!("{table}.json");
        let mut slices: Vec<Self> = Vec::new();
        for object in objects::list(lake, bucket, &keys::quality_reports(run)).await? {
            if keys::file_name(&object.key) == name {
                slices.extend(objects::get_json::<Self>(lake, bucket, &object.key).await?);
            }
        }
        slices.sort_by_key(|slice| slice.range.from());
        Ok(slices.into_iter().reduce(Self::with))
    }

    /// Adds the report of the next slice.
    fn with(mut self, next: Self) -> Self {
        if let Ok(range) = DateRange::new(self.range.from(), next.range.to()) {
            self.range = range;
        }
        self.passed &= next.passed;
        self.failed_days.extend(next.failed_days);
        self.rows += next.rows;
        self.records = [self.records, next.records].into_iter().sum();
        for check in next.checks {
            match self.checks.iter_mut().find(|found| found.name == check.name) {
                Some(found) => found.add(check),
                None => self.checks.push(check),
            }
        }
        self.days.extend(next.days);
        self.files.extend(next.files);
        self.unterminated_files.extend(next.unterminated_files);
        for reject in next.rejects {
            let of = |count: &RejectCount| (count.table_name.clone(), count.column_name.clone(), count.reason.clone());
            match self.rejects.iter_mut().find(|found| of(found) == of(&reject)) {
                Some(found) => found.count += reject.count,
                None => self.rejects.push(reject),
            }
        }
        self.duplicates.keys += next.duplicates.keys;
        self.duplicates.rows += next.duplicates.rows;
        self.coverage.append(next.coverage);
        self
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

/// Lists all audited runs, the latest first.
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

/// Serializes names of files as texts.
pub(crate) mod as_text {
    use super::SnapshotName;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(name: &SnapshotName, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(name)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SnapshotName, D::Error> {
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

    #[test]
    fn the_reports_of_slices_are_added_up() {
        let none = || Check::by_day("cells", Unit::Cells, [], share(0.01), Vec::new());
        let of = |date: u32, failing: u64| {
            let days = [(day(date), (100, failing))];
            Check::by_day("cells", Unit::Cells, days, share(0.01), vec![json!(date)])
        };
        let sum = |checks: [Check; 3]| {
            checks.into_iter().reduce(|mut sum, next| {
                sum.add(next);
                sum
            })
        };
        let check = sum([of(1, 1), of(2, 7), of(3, 50)]).expect("a check");
        assert_eq!((check.checked, check.failing, check.share, check.passed), (300, 58, 0.5, false));
        assert_eq!(check.days.first, [day(2), day(3)], "those that exceed the limit");
        assert_eq!(check.examples, [json!(2), json!(3)]);
        let check = sum([of(1, 1), none(), of(3, 0)]).expect("a check");
        assert!(check.passed && check.days.first == [day(1)] && check.share == 0.01);

        let slice = |first: u32, last: u32, checks: Vec<Check>| Report {
            range: DateRange::new(day(first), day(last)).expect("a range"),
            passed: checks.iter().all(|check| check.passed),
            failed_days: checks.iter().filter(|check| !check.passed).map(|_| day(last)).collect(),
            checks,
            ..report()
        };
        let other = Check::new("rows", Unit::Rows, 1, 0, share(0.0));
        let sum = slice(1, 2, vec![of(2, 0)]).with(slice(3, 4, vec![of(4, 9), other.clone()]));
        assert_eq!((sum.range.from(), sum.range.to(), sum.passed, sum.rows), (day(1), day(4), false, 2));
        assert_eq!((sum.records.records, sum.days.len(), sum.files.len()), (4, 2, 2));
        assert_eq!((sum.rejects.len(), sum.rejects[0].count, sum.duplicates.rows), (1, 10, 4));
        assert!(sum.day_passed(day(1)) && !sum.day_passed(day(4)));
        assert_eq!(sum.checks.iter().map(|check| check.checked).collect::<Vec<_>>(), [200, 1]);
    }

    fn two_of_two() -> [(NaiveDate, (u64, u64)); 1] {
        [(day(1), (2, 2))]
    }

    fn report() -> Report {
        Report {
            run: "nightly-7".parse().expect("a run"),
            table: TableName::Quotes,
            range: DateRange::new(day(1), day(2)).expect("a range"),
            passed: true,
            failed_days: BTreeSet::new(),
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
            rejects: vec![RejectCount {
                table_name: "quotes".to_owned(),
                column_name: "Ult".to_owned(),
                reason: "not a number".to_owned(),
                count: 5,
            }],
            duplicates: Duplicates { keys: 1, rows: 2 },
            coverage: Coverage::default(),
        }
    }

    #[test]
    fn a_report_reads_back() {
        let report = report();
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
