//! The audit's checks as pure functions over the collected evidence, and the report of a table. No I/O, so that each check can
//! be tested by itself.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate};
use lake::config::{Config, Share};
use lake::quality::{Check, Day, Duplicates, Figures, Records, RejectCount, Report, Unit};
use lake::raw_files::Coverage;
use market::partition::DateRange;
use market::run::RunId;
use market::session::Session;
use market::snapshot::{Feed, SnapshotTime};
use market::table::{Kind, Source, TableName};
use serde_json::Value;

use crate::files::DayFiles;
use crate::previous::Previous;
use crate::raw_file_scan::ScannedFile;

/// All facts about a run that the checks use.
pub(crate) struct Evidence {
    pub run: RunId,
    pub range: DateRange,
    /// The raw files of the range, with their record counts.
    pub files: Vec<ScannedFile>,
    /// The published rows of these days, which the run is to replace.
    pub previous: BTreeMap<TableName, Previous>,
    /// The files that the run wrote, by table and day.
    pub written: BTreeMap<TableName, BTreeMap<NaiveDate, DayFiles>>,
    /// The results of queries. `None` if nothing was queried.
    pub content: Option<Content>,
    /// The days that were not queried, because a file of them in any table is not one of the table.
    pub unqueried: BTreeSet<NaiveDate>,
}

/// The results of queries of the rows that a run wrote.
#[derive(Default)]
pub(crate) struct Content {
    pub figures: BTreeMap<TableName, BTreeMap<NaiveDate, Figures>>,
    pub rejects: Vec<(NaiveDate, RejectCount)>,
    pub domain: BTreeMap<TableName, Vec<Check>>,
    pub duplicates: BTreeMap<TableName, Duplicates>,
    /// The snapshots in which no row has a number other than zero.
    pub empty: BTreeMap<TableName, Vec<SnapshotTime>>,
}

/// The maximum number of examples of a check.
pub(crate) const EXAMPLES: usize = 5;

impl Evidence {
    /// Returns the days with faults in the files of any table.
    pub(crate) fn days_with_faults(&self) -> BTreeSet<NaiveDate> {
        let days = self.written.values().flatten();
        days.filter(|(_, files)| !files.faults.is_empty()).map(|(date, _)| *date).collect()
    }

    /// Returns the files that the run wrote for `table` on the days that can be queried.
    pub(crate) fn sound(&self, table: TableName) -> BTreeMap<NaiveDate, DayFiles> {
        let sound = self.written(table).iter().filter(|(date, _)| !self.unqueried.contains(date));
        sound.map(|(date, files)| (*date, files.clone())).collect()
    }

    /// Returns the files that the run wrote for `table`, by day.
    pub(crate) fn written(&self, table: TableName) -> &BTreeMap<NaiveDate, DayFiles> {
        static NOTHING: BTreeMap<NaiveDate, DayFiles> = BTreeMap::new();
        self.written.get(&table).unwrap_or(&NOTHING)
    }

    /// Runs the checks of `table`, and returns its report.
    pub(crate) fn report(&self, config: &Config, table: TableName) -> Report {
        let mut checks = vec![self.partitions(table), self.schema(table)];
        checks.extend(table.feed().into_iter().flat_map(|feed| self.checks_of_raw_files(feed, &config.quality)));
        checks.extend(self.content_unknown());
        match &self.content {
            None => {}
            Some(content) => {
                checks.push(self.row_counts(content, table));
                match table.feed() {
                    None => checks.push(self.ragged_records(content)),
                    Some(_) => {
                        checks.push(self.rejected_cells(content, table, config.quality.max_reject_share));
                        checks.push(self.empty_snapshots(content, table, &config.quality));
                    }
                }
                checks.extend(content.domain.get(&table).into_iter().flatten().cloned());
            }
        }
        checks.extend(table.feed().map(|feed| {
            let limit = if config.quality.fail_on_missing_snapshots { Share::NONE } else { Share::ALL };
            self.missing_snapshots(&config.session, feed, limit)
        }));
        let feeds = feeds_of(table);
        let present = self.files_of(table).map(ScannedFile::name);
        Report {
            run: self.run.clone(),
            table,
            range: self.range,
            passed: checks.iter().all(|check| check.passed),
            failed_days: self.range.days().filter(|day| checks.iter().any(|check| check.fails_on(*day))).collect(),
            rows: self.written(table).values().map(|day| day.rows).sum(),
            records: self.files_of(table).map(ScannedFile::records).sum(),
            checks,
            days: self.days(table),
            files: match table.feed() {
                Some(_) => self.files_of(table).map(|file| file.counted.clone()).collect(),
                None => Vec::new(),
            },
            unterminated_files: match table.feed() {
                Some(_) => {
                    self.files_of(table).filter(|file| file.unterminated).map(|f| f.name().to_string()).collect()
                }
                None => Vec::new(),
            },
            rejects: self.reject_counts(table),
            duplicates: self.content.as_ref().and_then(|c| c.duplicates.get(&table).copied()).unwrap_or_default(),
            coverage: Coverage::new(&config.session, self.range, feeds, present),
        }
    }

    /// Returns the raw files of `table`.
    pub(crate) fn files_of(&self, table: TableName) -> impl Iterator<Item = &ScannedFile> {
        self.files.iter().filter(move |file| feeds_of(table).contains(&file.name().feed))
    }

    /// Returns the record counts of each day that has raw files for `table`.
    pub(crate) fn records_by_day(&self, table: TableName) -> BTreeMap<NaiveDate, Records> {
        let mut days: BTreeMap<NaiveDate, Records> = BTreeMap::new();
        for file in self.files_of(table) {
            let day = days.entry(file.name().time.date()).or_default();
            *day = [*day, file.records()].into_iter().sum();
        }
        days
    }

    /// Returns the files that the run wrote for one day of `table`.
    pub(crate) fn day(&self, table: TableName, date: NaiveDate) -> DayFiles {
        self.written(table).get(&date).cloned().unwrap_or_default()
    }

    /// Returns the days that have a partition, with their files. A day without rows may have no files.
    pub(crate) fn days_of(&self, table: TableName) -> BTreeMap<NaiveDate, DayFiles> {
        let empty = self.records_by_day(table).into_iter().filter(|(_, records)| may_be_empty(table, records));
        let mut days: BTreeMap<NaiveDate, DayFiles> = empty.map(|(date, _)| (date, DayFiles::default())).collect();
        days.extend(self.written(table).iter().map(|(date, files)| (*date, files.clone())));
        days
    }

    /// Adds faults that were found after the files were read.
    pub(crate) fn add_faults(&mut self, table: TableName, faults: impl IntoIterator<Item = (NaiveDate, String)>) {
        let days = self.written.entry(table).or_default();
        faults.into_iter().for_each(|(date, fault)| days.entry(date).or_default().faults.push(fault));
    }

    fn days(&self, table: TableName) -> Vec<Day> {
        let figures = self.content.as_ref().and_then(|content| content.figures.get(&table));
        let day = |(date, files): (NaiveDate, DayFiles)| Day {
            date,
            parquet_files: files.files,
            parquet_bytes: files.bytes,
            figures: figures.and_then(|figures| figures.get(&date).copied()).unwrap_or_default(),
        };
        self.days_of(table).into_iter().map(day).collect()
    }

    /// Check: every day with raw files has Parquet files, and no other day has any. A day without rows may have none: Spark
    /// writes no file then, and the partition becomes an empty folder.
    fn partitions(&self, table: TableName) -> Check {
        let records = self.records_by_day(table);
        let expected: BTreeSet<NaiveDate> = records.keys().copied().collect();
        let found: BTreeSet<NaiveDate> = self.written(table).keys().copied().collect();
        let missing = expected.difference(&found).filter(|date| !may_be_empty(table, &records[date]));
        let missing = missing.map(|date| (*date, "the run wrote no files for it"));
        let surplus = found.difference(&expected).map(|date| (*date, "the run wrote files, but it has no raw files"));
        let wrong = missing.chain(surplus).map(|(date, why)| (date, format!("{date}: {why}")));
        strict("partitions", expected.union(&found).count(), wrong.collect())
    }

    /// Check: every file is Parquet with the columns of the table, and does not change during the audit.
    fn schema(&self, table: TableName) -> Check {
        let checked = self.written(table).values().map(|day| day.files).sum();
        let faults = self.written(table).iter().flat_map(|(date, day)| day.faults.iter().map(|fault| (*date, fault)));
        let (days, faults): (Vec<NaiveDate>, Vec<&String>) = faults.unzip();
        let examples = faults.iter().take(EXAMPLES).map(|fault| Value::from(fault.as_str())).collect();
        Check::new("schema", Unit::Files, checked, faults.len() as u64, Share::NONE)
            .on(days.into_iter().collect::<BTreeSet<_>>(), examples)
    }

    /// Returns a failed check in place of the checks of rows, on the days whose rows could not be queried.
    fn content_unknown(&self) -> Option<Check> {
        let days: BTreeSet<NaiveDate> = match &self.content {
            None => self.range.days().collect(),
            Some(_) => self.unqueried.clone(),
        };
        let why = "the rows were not queried, because a file of the day is not one of its table";
        let (all, failing) = (self.range.days().count() as u64, days.len() as u64);
        (failing > 0).then(|| Check::new("content", Unit::Days, all, failing, Share::NONE).on(days, vec![why.into()]))
    }

    /// Check: every day has as many rows as its raw files have published records, by the footers and by a query, and all rows
    /// are of that day.
    fn row_counts(&self, content: &Content, table: TableName) -> Check {
        let none = BTreeMap::new();
        let figures = content.figures.get(&table).unwrap_or(&none);
        let records = self.records_by_day(table);
        let sound = self.sound(table);
        let wrong = sound.iter().filter_map(|(date, files)| {
            let figures = figures.get(date).copied().unwrap_or_default();
            let published = records.get(date).map(|records| records.published);
            let of_day = |intdate: i64| intdate.div_euclid(10_000) == number_of(*date);
            let what = if table.feed().is_some() && published != Some(files.rows) {
                format!("{} rows in Parquet for {} published records", files.rows, published.unwrap_or_default())
            } else if figures.rows != files.rows {
                format!("{} rows in Parquet, and a query finds {}", files.rows, figures.rows)
            } else if !figures.first.into_iter().chain(figures.last).all(of_day) {
                format!("rows of another day: intdate from {:?} to {:?}", figures.first, figures.last)
            } else {
                return None;
            };
            Some((*date, format!("{date}: {what}")))
        });
        strict("row_counts", sound.len(), wrong.collect())
    }

    /// Check: every ragged record is a row of `rejects`.
    fn ragged_records(&self, content: &Content) -> Check {
        let mut found: BTreeMap<(NaiveDate, &str), u64> = BTreeMap::new();
        for (date, reject) in content.rejects.iter().filter(|(_, reject)| reject.column_name.is_empty()) {
            *found.entry((*date, &reject.table_name)).or_default() += reject.count;
        }
        let mut wrong = Vec::new();
        for feed in Feed::ALL {
            for (date, records) in self.records_by_day(feed.into()) {
                let rows = found.remove(&(date, feed.as_str())).unwrap_or_default();
                if rows != records.ragged && !self.unqueried.contains(&date) {
                    wrong.push((date, format!("{date}: {rows} rows for {} ragged records of {feed}", records.ragged)));
                }
            }
        }
        let unexpected = found.into_iter().map(|((date, table), rows)| {
            (date, format!("{date}: {rows} rows for ragged records of {table:?}, which has no raw files"))
        });
        wrong.extend(unexpected);
        strict("ragged_records", self.records_by_day(TableName::Rejects).len(), wrong)
    }

    /// Check: the share of rejected cells among the cells of number columns is within the limit.
    fn rejected_cells(&self, content: &Content, table: TableName, limit: Share) -> Check {
        let is_number = |source| matches!(source, Source::Cell { kind, .. } if kind != Kind::Text);
        let columns = table.columns().iter().filter(|column| is_number(column.source)).count() as u64;
        let mut days: BTreeMap<NaiveDate, (u64, u64)> =
            self.written(table).iter().map(|(date, day)| (*date, (day.rows * columns, 0))).collect();
        for (date, reject) in content.rejects.iter().filter(|(_, reject)| is_cell_of(table, reject)) {
            days.entry(*date).or_default().1 += reject.count;
        }
        let mut by_column = self.reject_counts(table);
        by_column.retain(|reject| !reject.column_name.is_empty());
        by_column.sort_by_key(|reject| std::cmp::Reverse(reject.count));
        let examples = by_column.iter().take(EXAMPLES);
        let examples = examples.map(|r| format!("{} cells of {}: {}", r.count, r.column_name, r.reason).into());
        Check::by_day("rejected_cells", Unit::Cells, days, limit, examples.collect())
    }

    /// Check: every slot of the sessions has a snapshot.
    fn missing_snapshots(&self, session: &Session, feed: Feed, limit: Share) -> Check {
        let mut present: BTreeMap<NaiveDate, Vec<SnapshotTime>> = BTreeMap::new();
        for file in self.files_of(feed.into()) {
            present.entry(file.name().time.date()).or_default().push(file.name().time);
        }
        let (mut expected, mut missing, mut days) = (0, 0, Vec::new());
        for date in self.range.days() {
            let of_day = session.missing(date, present.get(&date).map_or(&[][..], Vec::as_slice));
            expected += session.expected(date).len() as u64;
            missing += of_day.len() as u64;
            days.extend((!of_day.is_empty()).then_some(date));
        }
        Check::new("missing_snapshots", Unit::Snapshots, expected, missing, limit).on(days, Vec::new())
    }

    /// Returns the rejects of all days by column and reason: those of `table`, or all of them for the table `rejects`.
    fn reject_counts(&self, table: TableName) -> Vec<RejectCount> {
        let mut counts: BTreeMap<[&str; 3], u64> = BTreeMap::new();
        for (_, reject) in self.content.iter().flat_map(|content| &content.rejects) {
            if table == TableName::Rejects || reject.table_name == table.as_str() {
                *counts.entry([&reject.table_name, &reject.column_name, &reject.reason]).or_default() += reject.count;
            }
        }
        let count = |([table_name, column_name, reason], count): ([&str; 3], u64)| RejectCount {
            table_name: table_name.to_owned(),
            column_name: column_name.to_owned(),
            reason: reason.to_owned(),
            count,
        };
        counts.into_iter().map(count).collect()
    }
}

/// Returns the feeds whose raw files a table is made from.
fn feeds_of(table: TableName) -> &'static [Feed] {
    match table {
        TableName::Quotes => &[Feed::Quotes],
        TableName::Options => &[Feed::Options],
        TableName::Rejects => &Feed::ALL,
    }
}

/// Returns whether a day with these records may have no rows in `table`. For `rejects` only ragged records count: rejected cells
/// are not known from the raw files.
fn may_be_empty(table: TableName, records: &Records) -> bool {
    let rows = if table.feed().is_some() { records.published } else { records.ragged };
    rows == 0
}

fn is_cell_of(table: TableName, reject: &RejectCount) -> bool {
    reject.table_name == table.as_str() && !reject.column_name.is_empty()
}

/// Returns a check of days that passes only if no day fails.
pub(crate) fn strict(name: &str, days: usize, wrong: Vec<(NaiveDate, String)>) -> Check {
    let failing: BTreeSet<NaiveDate> = wrong.iter().map(|(date, _)| *date).collect();
    let examples = wrong.into_iter().take(EXAMPLES).map(|(_, words)| words.into()).collect();
    Check::new(name, Unit::Days, days as u64, failing.len() as u64, Share::NONE).on(failing, examples)
}

/// Returns a day as the first eight digits of `intdate`.
fn number_of(date: NaiveDate) -> i64 {
    (i64::from(date.year()) * 100 + i64::from(date.month())) * 100 + i64::from(date.day())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2020, 4, day).expect("a day")
    }

    fn raw_file(name: &str, published: u64, ragged: u64) -> ScannedFile {
        let records = Records { records: published + ragged + 2, published, blank_ticker: 2, header_repeat: 0, ragged };
        ScannedFile::with_records(name.parse().expect(name), records)
    }

    fn reject(date: NaiveDate, table: &str, column: &str, count: u64) -> (NaiveDate, RejectCount) {
        let reason = if column.is_empty() { "field_count" } else { "not_a_number" };
        let [table_name, column_name, reason] = [table, column, reason].map(str::to_owned);
        (date, RejectCount { table_name, column_name, reason, count })
    }

    fn figures(rows: u64, intdate: i64) -> Figures {
        Figures { rows, tickers: rows, first: Some(intdate), last: Some(intdate) }
    }

    /// Returns the evidence of a run that passes all checks: two days, the second without options.
    fn fine() -> Evidence {
        let files = |rows| DayFiles { files: 1, bytes: 100, rows, ..DayFiles::default() };
        Evidence {
            run: "r".parse().expect("a run"),
            range: DateRange::new(day(1), day(2)).expect("a range"),
            previous: BTreeMap::new(),
            files: vec![
                raw_file("202004011000_flashpanel.csv", 60, 1),
                raw_file("202004011010_flashpanel.csv", 40, 0),
                raw_file("202004021000_flashpanel.csv", 100, 0),
                raw_file("202004011000_options.csv", 500, 2),
            ],
            written: BTreeMap::from([
                (TableName::Quotes, BTreeMap::from([(day(1), files(100)), (day(2), files(100))])),
                (TableName::Options, BTreeMap::from([(day(1), files(500))])),
                (TableName::Rejects, BTreeMap::from([(day(1), files(15)), (day(2), files(0))])),
            ]),
            content: Some(Content {
                figures: BTreeMap::from([
                    (
                        TableName::Quotes,
                        BTreeMap::from([(day(1), figures(100, 202004011010)), (day(2), figures(100, 202004021000))]),
                    ),
                    (TableName::Options, BTreeMap::from([(day(1), figures(500, 202004011000))])),
                    (TableName::Rejects, BTreeMap::from([(day(1), figures(15, 202004011000))])),
                ]),
                rejects: vec![
                    reject(day(1), "quotes", "", 1),
                    reject(day(1), "options", "", 2),
                    reject(day(1), "quotes", "Ult", 12),
                ],
                ..Content::default()
            }),
            unqueried: BTreeSet::new(),
        }
    }

    fn content(evidence: &mut Evidence) -> &mut Content {
        evidence.content.as_mut().expect("content")
    }

    /// Returns the failing checks of all reports.
    fn failures(evidence: &Evidence) -> Vec<String> {
        let config = Config::default();
        let reports = TableName::ALL.map(|table| evidence.report(&config, table));
        let found = reports.iter().flat_map(|r| r.failures().map(move |check| format!("{}: {check}", r.table)));
        found.collect()
    }

    #[test]
    fn a_run_that_is_fine_passes() {
        let evidence = fine();
        assert_eq!(failures(&evidence), [""; 0]);
        let report = evidence.report(&Config::default(), TableName::Quotes);
        assert!(report.passed);
        assert_eq!((report.rows, report.records.published, report.records.ragged), (200, 200, 1));
        assert_eq!(report.files.len(), 3);
        assert_eq!(report.days[0].figures, figures(100, 202004011010));
        assert_eq!(report.rejects.len(), 2);
        let cells = report.checks.iter().find(|check| check.name == "rejected_cells").expect("the check");
        assert_eq!((cells.checked, cells.failing), (200 * 12, 12));
        assert_eq!(evidence.report(&Config::default(), TableName::Rejects).rejects.len(), 3);
    }

    #[test]
    fn a_partition_too_many_or_too_few_is_seen() {
        let mut evidence = fine();
        evidence.written.get_mut(&TableName::Quotes).expect("quotes").remove(&day(2));
        evidence.written.get_mut(&TableName::Options).expect("options").insert(day(2), DayFiles::default());
        evidence.written.remove(&TableName::Rejects);
        let found = failures(&evidence).join("\n");
        for expected in [
            "quotes: partitions: 1 of 2 days fail (50%, at most 0%) on 2020-04-02; 2020-04-02: the run wrote no files",
            "options: partitions: 1 of 2 days fail (50%, at most 0%) on 2020-04-02; 2020-04-02: the run wrote files, but",
            "rejects: partitions: 1 of 2 days fail (50%, at most 0%) on 2020-04-01; 2020-04-01: the run wrote no files",
        ] {
            assert!(found.contains(expected), "{expected}\n{found}");
        }
    }

    #[test]
    fn a_day_without_rows_may_have_no_files_and_is_published_all_the_same() {
        let mut evidence = fine();
        evidence.written.get_mut(&TableName::Rejects).expect("rejects").remove(&day(2));
        assert_eq!(failures(&evidence), [""; 0]);
        let report = evidence.report(&Config::default(), TableName::Rejects);
        let days: Vec<_> = report.days.iter().map(|day| (day.date, day.parquet_files, day.figures.rows)).collect();
        assert_eq!(days, [(day(1), 1, 15), (day(2), 0, 0)], "what was there of the second day has to go");
    }

    #[test]
    fn a_foreign_file_is_seen() {
        let mut evidence = fine();
        let options = evidence.written.get_mut(&TableName::Options).expect("options");
        options.get_mut(&day(1)).expect("the day").faults.push("options/x.csv: it is not a .parquet file".to_owned());
        evidence.unqueried = evidence.days_with_faults();
        let found = failures(&evidence);
        let unknown = "content: 1 of 2 days fail (50%, at most 0%) on 2020-04-01; the rows were not queried, because a file \
                       of the day is not one of its table";
        assert_eq!(
            found,
            [
                format!("quotes: {unknown}"),
                "options: schema: 1 of 1 files fail (100%, at most 0%) on 2020-04-01; options/x.csv: it is not a .parquet file"
                    .to_owned(),
                format!("options: {unknown}"),
                format!("rejects: {unknown}"),
            ]
        );
        let report = evidence.report(&Config::default(), TableName::Quotes);
        assert_eq!([1, 2].map(|number| report.day_passed(day(number))), [false, true], "the other day is published");
    }

    #[test]
    fn a_file_that_changed_during_the_audit_fails_it() {
        let mut evidence = fine();
        evidence.add_faults(
            TableName::Quotes,
            [(day(1), "quotes/x.parquet: it changed during the audit: x.parquet is missing".to_owned())],
        );
        let found = failures(&evidence);
        assert_eq!(
            found,
            ["quotes: schema: 1 of 2 files fail (50%, at most 0%) on 2020-04-01; \
                 quotes/x.parquet: it changed during the audit: x.parquet is missing"]
        );
    }

    #[test]
    fn a_row_lost_or_doubled_is_seen_wherever_it_happens() {
        type Harm = fn(&mut Evidence);
        let harms: [(Harm, &str); 6] = [
            (
                |e| e.files[0].counted.records.published += 1,
                "quotes: row_counts: 1 of 2 days fail (50%, at most 0%) on 2020-04-01; 2020-04-01: 100 rows in Parquet for 101 published records",
            ),
            (
                |e| e.files[3].counted.records.ragged += 1,
                "rejects: ragged_records: 1 of 2 days fail (50%, at most 0%) on 2020-04-01; 2020-04-01: 2 rows for 3 ragged records of options",
            ),
            (|e| content(e).rejects.push(reject(day(2), "options", "", 4)), "which has no raw files"),
            (
                |e| *content(e).figures.get_mut(&TableName::Rejects).expect("rejects") = BTreeMap::new(),
                "rejects: row_counts: 1 of 2 days fail (50%, at most 0%) on 2020-04-01; 2020-04-01: 15 rows in Parquet, and a query finds 0",
            ),
            (
                |e| {
                    let quotes = content(e).figures.get_mut(&TableName::Quotes).expect("quotes");
                    quotes.insert(day(2), figures(100, 202004031000));
                },
                "rows of another day",
            ),
            (
                |e| content(e).rejects.push(reject(day(2), "quotes", "Fec", 20)),
                "quotes: rejected_cells: 20 of 1200 cells fail (1.67%, at most 1%) on 2020-04-02; 20 cells of Fec: not_a_number",
            ),
        ];
        for (harm, expected) in harms {
            let mut evidence = fine();
            harm(&mut evidence);
            let found = failures(&evidence);
            assert!(found.len() == 1 && found[0].contains(expected), "{expected}\n{found:?}");
        }
    }

    #[test]
    fn missing_snapshots_fail_only_where_that_is_asked() {
        let mut config = Config::default();
        let evidence = fine();
        let report = evidence.report(&config, TableName::Quotes);
        assert_eq!(report.coverage.missing_snapshots.count, 2);
        config.quality.fail_on_missing_snapshots = true;
        let report = evidence.report(&config, TableName::Quotes);
        assert!(!report.passed);
        let found: Vec<String> = report.failures().map(Check::to_string).collect();
        assert_eq!(
            found,
            ["missing_snapshots: 81 of 84 snapshots fail (96.43%, at most 0%) on 2020-04-01, 2020-04-02"]
        );
    }
}
