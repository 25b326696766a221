use std::collections::BTreeMap;

use super::*;
use lake::failed::FailedAudit;
use lake::record::{Cause, Publication, PublishedTable, Record};

/// A Wednesday.
const DAY: &str = "2020-04-01";

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a day")
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

/// A file of both feeds at this time of the day.
fn files(times: &[(&str, &str)]) -> Vec<RawFileVersion> {
    let of = |feed: Feed, time: &str, etag: &str| RawFileVersion {
        name: format!("20200401{time}_{}.csv", feed.file_stem()).parse().expect("a name"),
        bytes: 7,
        etag: Some(etag.to_owned()),
        last_modified: None,
    };
    Feed::ALL.into_iter().flat_map(|feed| times.iter().map(move |(time, etag)| of(feed, time, etag))).collect()
}

fn published(raw_files: Vec<RawFileVersion>) -> Record {
    let mut record = Record::following(None, day(DAY), Cause::Published, "run r");
    record.written_at = at("2020-04-02T10:00:00Z");
    let table = PublishedTable { location: String::new(), report: String::new(), rows: 9, bytes: 1, files: Vec::new() };
    let tables = BTreeMap::from([(TableName::Quotes, table.clone()), (TableName::Rejects, table)]);
    let run = "r".parse().expect("a run");
    record.published = Some(Publication { run, published_at: record.written_at, tables, raw_files });
    record
}

fn failed(raw_files: Vec<RawFileVersion>, failed_at: &str) -> FailedAudit {
    let run = "f.2".parse().expect("a run");
    FailedAudit { run, failed_at: at(failed_at), raw_files, failures: vec!["3 of 4 rows".to_owned()] }
}

/// A configuration that wants one snapshot of each feed.
fn config() -> Config {
    let mut config = Config::default();
    config.set("quality.min_snapshots", "1").expect("a key");
    config
}

/// What there is of the day in one case.
#[derive(Default)]
struct Case {
    files: Vec<RawFileVersion>,
    record: Option<Record>,
    failed: Option<FailedAudit>,
    landing: usize,
}

impl Case {
    fn facts(self) -> Facts {
        fn of<T>(value: Option<T>) -> BTreeMap<NaiveDate, T> {
            value.into_iter().map(|value| (day(DAY), value)).collect()
        }
        Facts {
            files: of(Some(self.files).filter(|files| !files.is_empty())),
            records: of(self.record),
            failed: of(self.failed),
            quarantined: BTreeMap::new(),
            landing: of(Some(self.landing)),
        }
    }
}

fn judged(config: &Config, date: &str, facts: &Facts, now: &str) -> Option<Day> {
    judge(config, DateRange::day(day(date)).expect("a day"), facts, at(now)).pop()
}

const LATER: &str = "2020-04-03T12:00:00Z";

#[test]
fn a_day_is_what_its_files_its_record_and_its_audit_say_together() {
    let (a, b) = (files(&[("1000", "a")]), files(&[("1000", "a"), ("1010", "b")]));
    let corrected = files(&[("1000", "c")]);
    let held = |mut record: Record| {
        record.held = Some(Decision::now("ana"));
        record
    };
    let accepted = |record: Option<Record>| {
        let mut record = Record::following(record.as_ref(), day(DAY), Cause::MissingAccepted, "ana");
        record.missing_accepted = Some(Decision::now("ana"));
        record
    };
    let (early, late) = ("2020-04-02T09:00:00Z", "2020-04-02T11:00:00Z");
    let run = Some("run --stale --from 2020-04-01 --to 2020-04-01");
    let release = Some("rollback 2020-04-01 --release");
    let (look, upload) = (Some("runs f"), Some("upload DIR"));
    let case = |files: &[RawFileVersion], record: Option<Record>, failed: Option<FailedAudit>| Case {
        files: files.to_vec(),
        record,
        failed,
        landing: 0,
    };
    for (name, case, state, attention, next) in [
        ("nothing", Case::default(), State::Missing, true, upload),
        ("accepted", case(&[], Some(accepted(None)), None), State::Accepted, false, None),
        ("arrived", case(&a, None, None), State::Unpublished, true, run),
        ("arrived after all", case(&a, Some(accepted(None)), None), State::Unpublished, true, run),
        ("waits in landing", Case { landing: 1, ..case(&a, None, None) }, State::Unpublished, true, upload),
        ("published", case(&a, Some(published(a.clone())), None), State::Published, false, None),
        ("late", case(&b, Some(published(a.clone())), None), State::Stale, true, run),
        ("replaced", case(&corrected, Some(published(a.clone())), None), State::Stale, true, run),
        ("removed", case(&a, Some(published(b.clone())), None), State::Stale, true, run),
        // No run publishes a day without files.
        ("all removed", case(&[], Some(published(a.clone())), None), State::Stale, true, upload),
        ("held", case(&b, Some(held(published(a.clone()))), None), State::Held, false, release),
        ("held as it was", case(&a, Some(held(published(a.clone()))), None), State::Held, false, None),
        ("failed first", case(&a, None, Some(failed(a.clone(), late))), State::Failed, true, look),
        ("corrected since", case(&corrected, None, Some(failed(a.clone(), late))), State::Unpublished, true, run),
        (
            "failed with a late file",
            case(&b, Some(published(a.clone())), Some(failed(b.clone(), late))),
            State::Failed,
            true,
            look,
        ),
        (
            "failed, published since",
            case(&a, Some(published(a.clone())), Some(failed(a.clone(), early))),
            State::Published,
            false,
            None,
        ),
        (
            "failed once more",
            case(&a, Some(published(a.clone())), Some(failed(a.clone(), late))),
            State::Failed,
            true,
            look,
        ),
        // As a plan decides: the same files failed, whenever that was.
        (
            "failed before",
            case(&b, Some(published(a.clone())), Some(failed(b.clone(), early))),
            State::Failed,
            true,
            look,
        ),
    ] {
        let is_planned = run == next || name == "waits in landing";
        let facts = case.facts();
        let judged = judged(&config(), DAY, &facts, LATER).expect(name);
        assert_eq!((judged.state, judged.attention), (state, attention), "{name}");
        assert_eq!(judged.next.as_ref().map(Next::arguments).as_deref(), next, "{name}");
        let planned = to_do(DateRange::day(day(DAY)).expect("a day"), &facts);
        assert_eq!(planned.contains(&day(DAY)), is_planned, "{name}: status and plan agree");
    }
}

#[test]
fn what_is_stale_is_named() {
    let record = published(files(&[("1000", "a"), ("1010", "b")]));
    let now = files(&[("1000", "c"), ("1020", "d")]);
    let facts = Case { files: now, record: Some(record), ..Case::default() }.facts();
    let found = judged(&config(), DAY, &facts, LATER).expect("a day");
    assert_eq!(
        found.stale.expect("stale").to_string(),
        "2 late: 202004011020_flashpanel.csv, ...; 2 replaced: 202004011000_flashpanel.csv, ...; \
         2 removed: 202004011010_flashpanel.csv, ..."
    );
    let published = found.published.expect("published");
    assert_eq!((published.quotes, published.options, published.rejects), (Some(9), None, Some(9)));
    assert_eq!((published.run.to_string().as_str(), published.age), ("r", 26 * 3600));
}

#[test]
fn few_snapshots_are_incomplete_unless_accepted() {
    let one = files(&[("1000", "a")]);
    let mut config = config();
    let state = |config: &Config, record: &Record, now: &str| {
        let facts = Case { files: one.clone(), record: Some(record.clone()), ..Case::default() }.facts();
        let found = judged(config, DAY, &facts, now).expect("a day");
        (found.state, found.attention)
    };
    let mut record = published(one.clone());
    config.set("quality.min_snapshots", "2").expect("a key");
    assert_eq!(state(&config, &record, LATER), (State::Incomplete, true));
    assert_eq!(state(&config, &record, "2020-04-01T15:00:00Z"), (State::Published, false), "the day is not over");
    config.set("quality.min_snapshots", "0").expect("a key");
    assert_eq!(state(&config, &record, LATER), (State::Published, false));
    config.set("quality.min_snapshots", "2").expect("a key");
    record.missing_accepted = Some(Decision::now("ana"));
    assert_eq!(state(&config, &record, LATER), (State::Published, false));
}

#[test]
fn a_day_is_over_when_it_is_in_sao_paulo() {
    let nothing = Facts::default();
    let state = |date, now| judged(&config(), date, &nothing, now).map(|found| (found.state, found.attention));
    // Three hours behind.
    assert_eq!(state(DAY, "2020-04-02T02:59:59Z"), Some((State::Open, false)));
    assert_eq!(state(DAY, "2020-04-02T03:00:00Z"), Some((State::Missing, true)));
    assert_eq!(state("2020-04-04", LATER), None, "a Saturday without anything");
    let mut off = config();
    off.set("quality.min_snapshots", "0").expect("a key");
    let found = judged(&off, DAY, &nothing, LATER).expect("a day");
    assert_eq!((found.state, found.attention), (State::Missing, false), "0 switches the check off");
    assert_eq!((found.quotes.expected, found.quotes.present, found.quotes.missing.count), (42, 0, 42));
}

#[test]
fn days_between_which_the_exchange_is_closed_are_one_range() {
    let ranges = |days: &[&str]| {
        let days = days.iter().map(|text| day(text)).collect();
        let texts = contiguous(&days).into_iter().map(|(from, to)| format!("{from}..{to}"));
        texts.collect::<Vec<_>>()
    };
    assert_eq!(ranges(&[]), [""; 0]);
    // A Thursday, Good Friday, a weekend.
    assert_eq!(ranges(&["2020-04-09", "2020-04-13", "2020-04-14"]), ["2020-04-09..2020-04-14"]);
    assert_eq!(ranges(&["2020-04-01", "2020-04-03"]), ["2020-04-01..2020-04-01", "2020-04-03..2020-04-03"]);
    assert_eq!(ranges(&["2020-04-03", "2020-04-04", "2020-04-06"]), ["2020-04-03..2020-04-06"]);
}

/// 2,500 business days, each with one file of each feed and its record; every hundredth has a late one.
fn many() -> Facts {
    let mut facts = Facts::default();
    let days = day("2010-01-04").iter_days().filter(|day| is_business_day(*day)).take(2_500);
    for (at, day) in days.enumerate() {
        let file = |time: &str, feed: Feed| RawFileVersion {
            name: format!("{}{time}_{}.csv", day.format("%Y%m%d"), feed.file_stem()).parse().expect("a name"),
            bytes: 7,
            etag: Some(format!("{day}{time}")),
            last_modified: None,
        };
        let mut raw_files: Vec<RawFileVersion> = Feed::ALL.into_iter().map(|feed| file("1300", feed)).collect();
        let record = Record { day, ..published(raw_files.clone()) };
        if at % 100 == 0 {
            raw_files.push(file("1310", Feed::Quotes));
        }
        facts.records.insert(day, record);
        facts.files.insert(day, raw_files);
    }
    facts
}

#[test]
fn each_of_2500_days_is_judged() {
    let facts = many();
    let found = judge(&config(), facts.span().expect("days"), &facts, at("2026-01-01T00:00:00Z"));
    assert_eq!(found.len(), 2_500);
    let stale: Vec<_> = found.iter().filter(|day| day.state == State::Stale).collect();
    assert_eq!(stale.len(), 25);
    assert!(found.iter().all(|day| matches!(day.state, State::Stale | State::Published)));
    assert_eq!(to_do(facts.span().expect("days"), &facts).len(), 25);
    assert!(stale.iter().all(|day| day.stale.as_ref().is_some_and(|stale| stale.late.count == 1)));
}
