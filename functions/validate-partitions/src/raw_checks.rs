//! Checks of raw files: whether their records are published, whether the files are complete and of their day, and whether
//! they still hold what was published before.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use lake::added_columns::{self, AddedColumns};
use lake::config::{Quality, Share};
use lake::quality::{Check, Records, Unit};
use market::snapshot::{Feed, SnapshotName, SnapshotTime};
use market::table::TableName;
use serde_json::Value;

use crate::checks::{Content, EXAMPLES, Evidence, strict};
use crate::previous::{Previous, Snapshot};
use crate::raw_file_scan::ScannedFile;

/// The limit of dropped records as a multiple of that of rejected records: sources repeat the header, and write lines without
/// a ticker between sections, far more often than they write a ragged record.
const DROPPED: u32 = 10;

impl Evidence {
    /// Runs all checks of the raw files of a feed.
    pub(crate) fn checks_of_raw_files(&self, feed: Feed, limits: &Quality) -> Vec<Check> {
        let records = self.records_by_day(feed.into());
        let share = |name: &str, limit: Share, failing: fn(&Records) -> u64| {
            let days = records.iter().map(|(date, records)| (*date, (records.records, failing(records))));
            // One broken line per day is normal in every source, however small the day.
            Check::by_day_above(1, name, Unit::Records, days, limit, Vec::new())
        };
        let mut checks = vec![
            share("rejected_records", limits.max_reject_share, |records| records.ragged),
            share("dropped_records", limits.max_reject_share.times(DROPPED), |records| {
                records.blank_ticker + records.header_repeat
            }),
            self.empty_days(feed),
        ];
        checks.extend(self.losses(feed, limits));
        checks.push(self.unterminated_files(feed, limits));
        checks.push(self.other_day_files(feed, limits));
        checks.push(self.added_columns(feed));
        checks.push(self.repeated_files(feed));
        checks.push(self.short_files(feed));
        checks
    }

    /// Check: a day that has records has rows, and a day that has rows keeps some. No configured limit disables it.
    fn empty_days(&self, feed: Feed) -> Check {
        let mut rows_before: BTreeMap<NaiveDate, u64> = BTreeMap::new();
        for (time, snapshot) in self.previous(feed).map(|previous| &previous.snapshots).into_iter().flatten() {
            *rows_before.entry(time.date()).or_default() += snapshot.rows;
        }
        let records = self.records_by_day(feed.into());
        let empty = records.iter().filter(|(_, records)| records.published == 0).filter_map(|(date, records)| {
            match (records.records, rows_before.get(date)) {
                (0, None) => None,
                (0, Some(rows)) => Some((*date, format!("{date}: no record, and {rows} rows are published"))),
                (all, _) => Some((*date, format!("{date}: none of its {all} records would be published"))),
            }
        });
        strict("empty_days", records.len(), empty.collect())
    }

    /// Checks: each published snapshot keeps its number of rows, unless its raw file was replaced by a shorter one.
    /// The run does not change days without any raw file.
    fn losses(&self, feed: Feed, limits: &Quality) -> [Check; 2] {
        let touched: BTreeSet<NaiveDate> = self.files.iter().map(|file| file.name().time.date()).collect();
        let files: BTreeMap<SnapshotTime, &ScannedFile> =
            self.files_of(feed.into()).map(|file| (file.name().time, file)).collect();
        let mut lost: BTreeMap<NaiveDate, (u64, u64)> = BTreeMap::new();
        let mut shorter: BTreeMap<NaiveDate, (u64, u64)> = BTreeMap::new();
        let (mut losses, mut replaced) = (Vec::new(), Vec::new());
        let published = self.previous(feed).map(|previous| &previous.snapshots).into_iter().flatten();
        for (time, snapshot) in published.filter(|(time, _)| touched.contains(&time.date())) {
            let of_day = lost.entry(time.date()).or_default();
            let files_of_day = shorter.entry(time.date()).or_default();
            of_day.0 += snapshot.rows;
            files_of_day.0 += 1;
            match Loss::new(snapshot, files.get(time).copied()) {
                Loss::None => {}
                Loss::Shorter { name, before, now } => {
                    files_of_day.1 += 1;
                    replaced.push(format!("{name} was replaced by a shorter file: {before} records before, {now} now"));
                }
                Loss::Gone => {
                    of_day.1 += snapshot.rows;
                    let name = SnapshotName { time: *time, feed, gzip: false };
                    losses.push(format!(
                        "{name} is no longer among the raw files, and {} rows of it are published",
                        snapshot.rows
                    ));
                }
                Loss::Rows { name, unexplained, records } => {
                    of_day.1 += unexplained;
                    losses.push(format!(
                        "{name}: {} rows are published, and {} of its {} records would be",
                        snapshot.rows, records.published, records.records
                    ));
                }
            }
        }
        let unreadable = self.previous(feed).map(|previous| &previous.unreadable).into_iter().flatten();
        losses.extend(
            unreadable
                .map(|(date, why)| format!("{date} was not compared: what is published of it cannot be read: {why}")),
        );
        let limit = if limits.accept_lost_rows { Share::ALL } else { Share::NONE };
        [
            Check::by_day("lost_rows", Unit::Rows, lost, limit, to_examples(losses)),
            Check::by_day("shorter_files", Unit::Files, shorter, Share::ALL, to_examples(replaced)),
        ]
    }

    /// Check: the last record of a file without a final line end is complete, as far as the record itself shows.
    fn unterminated_files(&self, feed: Feed, limits: &Quality) -> Check {
        let accepted = limits.accept_unterminated_files || limits.max_domain_share == Share::ALL;
        let limit = if accepted { Share::ALL } else { Share::NONE };
        let cut_off = |file: &ScannedFile| {
            let why = file.cut_off.as_ref()?;
            Some(format!("{} does not end with a line feed, and its last record looks cut off: {why}", file.name()))
        };
        let whole = self.files_of(feed.into()).filter(|file| file.unterminated && file.cut_off.is_none());
        let whole =
            whole.map(|file| format!("{} does not end with a line feed; its last record looks whole", file.name()));
        let mut check = self.by_file("unterminated_files", feed, limit, cut_off);
        check.examples.extend(whole.map(Value::from));
        check.examples.truncate(EXAMPLES);
        check
    }

    /// Check: the header of a file is of the day in its name.
    fn other_day_files(&self, feed: Feed, limits: &Quality) -> Check {
        let limit = if limits.fail_on_other_day { Share::NONE } else { Share::ALL };
        self.by_file("other_day_files", feed, limit, |file| {
            file.other_day.map(|day| format!("the header of {} is of {day}", file.name()))
        })
    }

    /// Check: the header of a file has no columns but those of the feed. Others are in no table.
    fn added_columns(&self, feed: Feed) -> Check {
        self.by_file(added_columns::CHECK, feed, Share::ALL, |file| {
            Some(AddedColumns::new(&file.name().to_string(), &file.added_columns)?.to_string())
        })
    }

    /// Check: no two files of a day hold the same records.
    fn repeated_files(&self, feed: Feed) -> Check {
        let mut first: BTreeMap<(NaiveDate, u64), SnapshotName> = BTreeMap::new();
        let mut again: BTreeMap<SnapshotName, SnapshotName> = BTreeMap::new();
        for file in self.files_of(feed.into()) {
            let (Some(digest), name) = (file.digest, file.name()) else { continue };
            let one = first.entry((name.time.date(), digest)).or_insert(name);
            if *one != name {
                again.insert(name, *one);
            }
        }
        self.by_file("repeated_files", feed, Share::ALL, |file| {
            again.get(&file.name()).map(|one| format!("{} holds the records of {one} once more", file.name()))
        })
    }

    /// Check: no file has less than half the records of the median file of its day.
    fn short_files(&self, feed: Feed) -> Check {
        let mut counts: BTreeMap<NaiveDate, Vec<u64>> = BTreeMap::new();
        for file in self.files_of(feed.into()) {
            counts.entry(file.name().time.date()).or_default().push(file.records().records);
        }
        let middle: BTreeMap<NaiveDate, u64> = counts
            .into_iter()
            .map(|(date, mut counts)| {
                counts.sort_unstable();
                (date, counts[counts.len() / 2])
            })
            .collect();
        self.by_file("short_files", feed, Share::ALL, |file| {
            let (records, middle) = (file.records().records, middle[&file.name().time.date()]);
            (2 * records < middle).then(|| {
                format!("{} has {records} records, where half the files of the day have {middle} or more", file.name())
            })
        })
    }

    /// Check: every snapshot that has rows has a number other than zero. A feed that has lost its source writes rows without.
    pub(crate) fn empty_snapshots(&self, content: &Content, table: TableName, limits: &Quality) -> Check {
        let limit = if limits.max_domain_share == Share::ALL { Share::ALL } else { Share::NONE };
        let empty: BTreeSet<SnapshotTime> = content.empty.get(&table).into_iter().flatten().copied().collect();
        let mut days: BTreeMap<NaiveDate, (u64, u64)> = BTreeMap::new();
        for file in self.files_of(table).filter(|file| file.records().published > 0) {
            days.entry(file.name().time.date()).or_default().0 += 1;
        }
        for time in &empty {
            days.entry(time.date()).or_default().1 += 1;
        }
        let examples = empty.iter().map(|time| format!("{time}: no row has a number other than zero"));
        Check::by_day("empty_snapshots", Unit::Snapshots, days, limit, to_examples(examples.collect()))
    }

    fn previous(&self, feed: Feed) -> Option<&Previous> {
        self.previous.get(&feed.into())
    }

    /// Returns a check of each raw file. `why` returns the fault of a file, if it has one.
    fn by_file(&self, name: &str, feed: Feed, limit: Share, why: impl Fn(&ScannedFile) -> Option<String>) -> Check {
        let mut days: BTreeMap<NaiveDate, (u64, u64)> = BTreeMap::new();
        let mut wrong = Vec::new();
        for file in self.files_of(feed.into()) {
            let day = days.entry(file.name().time.date()).or_default();
            day.0 += 1;
            if let Some(why) = why(file) {
                day.1 += 1;
                wrong.push(why);
            }
        }
        Check::by_day(name, Unit::Files, days, limit, to_examples(wrong))
    }
}

/// What a published snapshot would lose.
enum Loss {
    /// Nothing.
    None,
    /// Rows, because its raw file was replaced by one that has at least so many records less.
    Shorter { name: SnapshotName, before: u64, now: u64 },
    /// All rows, because its raw file is gone.
    Gone,
    /// Rows, of which a shorter file does not explain `unexplained`.
    Rows { name: SnapshotName, unexplained: u64, records: Records },
}

impl Loss {
    fn new(previous: &Snapshot, file: Option<&ScannedFile>) -> Self {
        let Some(file) = file else { return if previous.rows == 0 { Self::None } else { Self::Gone } };
        let (name, records) = (file.name(), file.records());
        let lost = previous.rows.saturating_sub(records.published);
        if lost == 0 {
            return Self::None;
        }
        // Without a report it is only known that the former file had a record for each row.
        let records_before = previous.records.map_or(previous.rows, |records| records.records);
        let unexplained = lost.saturating_sub(records_before.saturating_sub(records.records));
        match unexplained {
            0 => Self::Shorter { name, before: records_before, now: records.records },
            unexplained => Self::Rows { name, unexplained, records },
        }
    }
}

fn to_examples(texts: Vec<String>) -> Vec<Value> {
    texts.into_iter().take(EXAMPLES).map(Value::from).collect()
}

/// Returns what the user can do about a failed check, if its message does not say it.
pub(crate) fn advice(check: &str) -> Option<&'static str> {
    Some(match check {
        "lost_rows" => {
            "upload the named files again; to publish without these rows, \
             run once with --set quality.accept_lost_rows=true"
        }
        "empty_days" => "upload whole files of these days",
        "unterminated_files" => {
            "upload the whole file again; if it is whole, --set quality.accept_unterminated_files=true publishes it"
        }
        "rejected_records" | "dropped_records" => {
            "records have more or fewer fields than the header, or no ticker: repair the files and upload them again, or \
             raise quality.max_reject_share"
        }
        "empty_snapshots" => {
            "upload files that have numbers, or switch the checks of rows off: --set quality.max_domain_share=1"
        }
        "other_day_files" => "give the files the names of their day, and upload them again",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lake::Config;
    use market::partition::DateRange;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2020, 4, day).expect("a day")
    }

    fn counts(published: u64, blank_ticker: u64, header_repeat: u64, ragged: u64) -> Records {
        let records = published + blank_ticker + header_repeat + ragged;
        Records { records, published, blank_ticker, header_repeat, ragged }
    }

    fn quotes(time: &str, records: Records) -> ScannedFile {
        ScannedFile::with_records(format!("{time}_flashpanel.csv").parse().expect(time), records)
    }

    fn evidence(files: Vec<ScannedFile>) -> Evidence {
        Evidence {
            run: "r".parse().expect("a run"),
            range: DateRange::new(day(1), day(30)).expect("a range"),
            files,
            previous: BTreeMap::new(),
            written: BTreeMap::new(),
            content: None,
            unqueried: BTreeSet::new(),
        }
    }

    /// With these snapshots of quotes published, each with the records that its file had.
    fn published(mut evidence: Evidence, snapshots: &[(&str, u64, Option<u64>)]) -> Evidence {
        let snapshots = snapshots.iter().map(|(time, rows, records)| {
            let records = records.map(|records| Records { records, ..Records::default() });
            (time.parse().expect("a time"), Snapshot { rows: *rows, records })
        });
        evidence.previous.insert(TableName::Quotes, Previous { snapshots: snapshots.collect(), ..Previous::default() });
        evidence
    }

    fn check(evidence: &Evidence, name: &str, config: &Config) -> Check {
        let checks = evidence.checks_of_raw_files(Feed::Quotes, &config.quality);
        checks.into_iter().find(|check| check.name == name).expect(name)
    }

    fn set(settings: &[(&str, &str)]) -> Config {
        let mut config = Config::default();
        for (key, value) in settings {
            config.set(key, value).expect(key);
        }
        config
    }

    /// The failing checks in words.
    fn failures(evidence: &Evidence, settings: &[(&str, &str)]) -> Vec<String> {
        let checks = evidence.checks_of_raw_files(Feed::Quotes, &set(settings).quality);
        checks.iter().filter(|check| !check.passed).map(Check::to_string).collect()
    }

    #[test]
    fn records_that_are_not_published_have_a_limit_for_each_day() {
        let good = |n: u32| quotes(&format!("202004{n:02}1000"), counts(1000, 4, 4, 1));
        let mut files: Vec<ScannedFile> = (1..=30).map(good).collect();
        assert_eq!(failures(&evidence(files.clone()), &[]), [""; 0]);
        files[6] = quotes("202004071000", counts(980, 0, 0, 20));
        files[8] = quotes("202004091000", counts(800, 200, 0, 0));
        assert_eq!(
            failures(&evidence(files.clone()), &[]),
            [
                "rejected_records: 20 of 1000 records fail (2%, at most 1%) on 2020-04-07",
                "dropped_records: 200 of 1000 records fail (20%, at most 10%) on 2020-04-09",
            ]
        );
        assert_eq!(failures(&evidence(files.clone()), &[("quality.max_reject_share", "0.02")]), [""; 0]);
        // Every record has one field too many: no limit publishes a day of nothing.
        files[6] = quotes("202004071000", counts(0, 0, 0, 50));
        let told = failures(&evidence(files), &[("quality.max_reject_share", "1")]);
        assert_eq!(
            told,
            ["empty_days: 1 of 30 days fail (3.33%, at most 0%) on 2020-04-07; \
              2020-04-07: none of its 50 records would be published"]
        );
    }

    #[test]
    fn a_day_of_headers_alone_is_fine_unless_rows_are_published() {
        let headers = || evidence(vec![quotes("202004011000", Records::default())]);
        assert_eq!(failures(&headers(), &[]), [""; 0]);
        let told = failures(&published(headers(), &[("202004011000", 7, Some(7))]), &[]);
        assert_eq!(
            told,
            [
                "empty_days: 1 of 1 days fail (100%, at most 0%) on 2020-04-01; 2020-04-01: no record, and 7 rows are published"
            ]
        );
    }

    #[test]
    fn only_a_shorter_file_makes_a_day_shrink() {
        let before = [("202004011000", 50, Some(52)), ("202004011010", 40, Some(40)), ("202004021000", 9, Some(9))];
        let run = |first: Records, second: Option<Records>| {
            let second = second.map(|records| quotes("202004011010", records));
            published(evidence([quotes("202004011000", first)].into_iter().chain(second).collect()), &before)
        };
        let whole = Some(counts(40, 0, 0, 0));
        // The second day has no raw file, and is not touched.
        assert_eq!(failures(&run(counts(50, 1, 1, 0), whole), &[]), [""; 0]);
        // More rows, or as many of fewer records.
        for first in [counts(60, 0, 0, 0), counts(50, 0, 0, 0)] {
            assert_eq!(failures(&run(first, whole), &[]), [""; 0]);
        }
        // Shorter by twelve records and ten rows.
        let shorter = run(counts(40, 0, 0, 0), whole);
        assert_eq!(failures(&shorter, &[]), [""; 0]);
        let told = check(&shorter, "shorter_files", &Config::default());
        assert_eq!((told.checked, told.failing, told.passed), (2, 1, true));
        assert_eq!(
            told.examples,
            ["202004011000_flashpanel.csv was replaced by a shorter file: 52 records before, 40 now"]
        );
        // As many records, of which one more cannot be read.
        let told = failures(&run(counts(49, 1, 1, 1), whole), &[("quality.max_reject_share", "1")]);
        assert_eq!(
            told,
            ["lost_rows: 1 of 90 rows fail (1.11%, at most 0%) on 2020-04-01; \
              202004011000_flashpanel.csv: 50 rows are published, and 49 of its 52 records would be"]
        );
        // Shorter by one record, and by fifty rows.
        let told = failures(&run(counts(1, 50, 0, 0), whole), &[("quality.max_reject_share", "1")]);
        assert!(told.len() == 1 && told[0].starts_with("lost_rows: 48 of 90 rows fail"), "{told:?}");
        // Gone, though the day has more rows than before.
        let gone = run(counts(500, 0, 0, 0), None);
        assert_eq!(
            failures(&gone, &[]),
            ["lost_rows: 40 of 90 rows fail (44.44%, at most 0%) on 2020-04-01; \
              202004011010_flashpanel.csv is no longer among the raw files, and 40 rows of it are published"]
        );
        assert_eq!(failures(&gone, &[("quality.accept_lost_rows", "true")]), [""; 0]);
        let accepted = check(&gone, "lost_rows", &set(&[("quality.accept_lost_rows", "true")]));
        assert_eq!((accepted.failing, accepted.limit), (40, 1.0), "it is reported all the same");
    }

    #[test]
    fn a_feed_that_is_gone_from_a_day_of_the_other_feed_is_a_loss() {
        let options =
            ScannedFile::with_records("202004011000_options.csv".parse().expect("a name"), counts(5, 0, 0, 0));
        let told = failures(&published(evidence(vec![options]), &[("202004011000", 50, Some(52))]), &[]);
        assert!(told.len() == 1 && told[0].starts_with("lost_rows: 50 of 50 rows fail"), "{told:?}");
    }

    #[test]
    fn without_a_report_a_row_is_the_record_that_it_was() {
        let run = |records| published(evidence(vec![quotes("202004011000", records)]), &[("202004011000", 50, None)]);
        assert_eq!(failures(&run(counts(49, 0, 0, 0)), &[]), [""; 0]);
        assert_eq!(check(&run(counts(49, 0, 0, 0)), "shorter_files", &Config::default()).failing, 1);
        let told = failures(&run(counts(49, 1, 0, 0)), &[]);
        assert!(told.len() == 1 && told[0].starts_with("lost_rows: 1 of 50 rows fail"), "{told:?}");
    }

    #[test]
    fn a_day_that_cannot_be_read_is_named_and_may_be_replaced() {
        let mut damaged = published(evidence(vec![quotes("202004011000", counts(5, 0, 0, 0))]), &[]);
        let previous = damaged.previous.get_mut(&TableName::Quotes).expect("quotes");
        previous.unreadable.insert(day(1), "HIVE_CANNOT_OPEN_SPLIT".to_owned());
        assert_eq!(failures(&damaged, &[]), [""; 0]);
        let check = check(&damaged, "lost_rows", &Config::default());
        assert!(check.examples[0].as_str().is_some_and(|words| words.starts_with("2020-04-01 was not compared")));
    }

    #[test]
    fn a_last_record_without_a_line_end_has_to_look_whole() {
        let mut files = vec![quotes("202004011000", counts(5, 0, 0, 0)), quotes("202004011010", counts(5, 0, 0, 0))];
        files[0].unterminated = true;
        let told = check(&evidence(files.clone()), "unterminated_files", &Config::default());
        assert!(told.passed && told.failing == 0);
        assert_eq!(
            told.examples,
            ["202004011000_flashpanel.csv does not end with a line feed; its last record looks whole"]
        );
        files[1].unterminated = true;
        files[1].cut_off = Some("T299: a volume of 155".to_owned());
        let cut = evidence(files);
        assert_eq!(
            failures(&cut, &[]),
            [
                "unterminated_files: 1 of 2 files fail (50%, at most 0%) on 2020-04-01; 202004011010_flashpanel.csv does \
              not end with a line feed, and its last record looks cut off: T299: a volume of 155"
            ]
        );
        for (key, value) in [("quality.accept_unterminated_files", "true"), ("quality.max_domain_share", "1")] {
            assert_eq!(failures(&cut, &[(key, value)]), [""; 0], "{key}");
        }
    }

    #[test]
    fn odd_files_are_reported() {
        let mut files: Vec<ScannedFile> = ["202004011000", "202004011010", "202004011020", "202004011030"]
            .map(|time| quotes(time, counts(100, 0, 0, 0)))
            .to_vec();
        files[3] = quotes("202004011030", counts(49, 0, 0, 0));
        files[1].other_day = Some(day(2));
        files[0].added_columns = vec!["Vwap".to_owned(), "Lote".to_owned()];
        files[0].digest = Some(7);
        files[2].digest = Some(7);
        let odd = evidence(files);
        assert_eq!(failures(&odd, &[]), [""; 0]);
        for (name, example) in [
            ("other_day_files", "the header of 202004011010_flashpanel.csv is of 2020-04-02"),
            ("added_columns", "202004011000_flashpanel.csv has columns that are in no table: \"Vwap\", \"Lote\""),
            (
                "repeated_files",
                "202004011020_flashpanel.csv holds the records of 202004011000_flashpanel.csv once more",
            ),
            (
                "short_files",
                "202004011030_flashpanel.csv has 49 records, where half the files of the day have 100 or more",
            ),
        ] {
            let check = check(&odd, name, &Config::default());
            assert_eq!((check.checked, check.failing), (4, 1), "{name}");
            assert_eq!(check.examples, [example]);
        }
        let told = failures(&odd, &[("quality.fail_on_other_day", "true")]);
        assert!(told.len() == 1 && told[0].starts_with("other_day_files: 1 of 4 files fail"), "{told:?}");
    }

    #[test]
    fn a_snapshot_without_a_number_is_empty() {
        let run =
            evidence(vec![quotes("202004011000", counts(5, 0, 0, 0)), quotes("202004011010", counts(5, 0, 0, 0))]);
        let empty = BTreeMap::from([(TableName::Quotes, vec!["202004011010".parse().expect("a time")])]);
        let content = Content { empty, ..Content::default() };
        let check = run.empty_snapshots(&content, TableName::Quotes, &Config::default().quality);
        assert_eq!(
            check.to_string(),
            "empty_snapshots: 1 of 2 snapshots fail (50%, at most 0%) on 2020-04-01; \
             202004011010: no row has a number other than zero"
        );
        assert!(
            run.empty_snapshots(&content, TableName::Quotes, &set(&[("quality.max_domain_share", "1")]).quality).passed
        );
        assert!(run.empty_snapshots(&Content::default(), TableName::Quotes, &Config::default().quality).passed);
    }
}
