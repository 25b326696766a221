//! Whether a promise was kept, by what was found. Pure functions: each returns the reason why it was not.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aws_sdk_emr::types::{ClusterState, StepState};
use chrono::NaiveDate;
use lake::job_run::JobRunState;
use lake_client::days::{Day, State};
use lake_client::execution_history::ExecutionFailure;
use market::table::TableName;

use super::files::{self, MARKET, NUMBERS, PUBLISHED, QUOTES};
use super::tables::{Digests, Origins, Rows};
use crate::doctor::{Check, CheckResult};
use crate::format;

/// `Err` has the reason.
pub(super) type Kept = Result<(), String>;

/// The failed checks of `pregao doctor`.
pub(super) fn doctor(checks: &[Check]) -> Kept {
    let failed: Vec<&str> =
        checks.iter().filter(|check| check.result == CheckResult::Failed).map(|check| check.name.as_str()).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("these checks failed: {}", failed.join(", "))) }
}

/// The MD5 of files, by name.
pub(super) type Md5s = BTreeMap<String, String>;

/// Whether the raw bucket has exactly the bytes of these files.
pub(super) fn stored(sent: &Md5s, found: &Md5s) -> Kept {
    let missing: Vec<&String> = sent.keys().filter(|name| !found.contains_key(*name)).collect();
    if let Some(first) = missing.first() {
        return Err(format!("{} of {} files are not in their place, such as {first}", missing.len(), sent.len()));
    }
    if let Some((name, _)) = sent.iter().find(|(name, md5)| found.get(*name) != Some(md5)) {
        return Err(format!("{name} has other bytes than were sent"));
    }
    match found.keys().find(|name| !sent.contains_key(*name)) {
        Some(other) => Err(format!("{other} is there and was not sent")),
        None => Ok(()),
    }
}

/// Whether the rule ingested all files: `waiting` are still in landing/ after `waited`.
pub(super) fn ingested(waiting: usize, waited: Duration) -> Kept {
    if waiting == 0 {
        return Ok(());
    }
    let files = format::counted(waiting as u64, "file");
    Err(format!("{files} still in landing/ after {}: the rule did not start upload_raw_data", format::duration(waited)))
}

/// The rows that the raw files have, by their generator: (quotes, options, rejects).
pub(super) fn row_counts(expected: [u64; 3], found: &Digests) -> Kept {
    for (table, expected) in TableName::ALL.into_iter().zip(expected) {
        let rows = found.tables.get(&(MARKET, table)).map(|digest| digest.rows as u64);
        if rows != Some(expected) {
            let rows = rows.map_or("nothing".to_owned(), format::count);
            return Err(format!(
                "{table} has {rows} rows on {MARKET}, and the raw files have {}",
                format::count(expected)
            ));
        }
    }
    Ok(())
}

/// Whether two sets of tables have the same rows. `what` describes the second one.
pub(super) fn same_rows(one: &Digests, other: &Digests, what: &str) -> Kept {
    if one.tables.is_empty() || one.tables.keys().ne(other.tables.keys()) {
        return Err(format!("{what}: other tables or days"));
    }
    for ((day, table), expected) in &one.tables {
        let found = &other.tables[&(*day, *table)];
        if found != expected {
            return Err(format!(
                "{what}: {table} of {day} has other rows: {} with the digest {}, instead of {} with {}",
                found.rows,
                short(&found.digest),
                expected.rows,
                short(&expected.digest)
            ));
        }
    }
    Ok(())
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// What is published of the days: the number of the record and the run of each.
pub(super) type Records = BTreeMap<NaiveDate, (u64, String)>;

/// Whether nothing was published meanwhile.
pub(super) fn unchanged(before: (&Records, &Digests), after: (&Records, &Digests)) -> Kept {
    for (day, record) in before.0 {
        if after.0.get(day) != Some(record) {
            let now =
                after.0.get(day).map_or("no record".to_owned(), |(number, run)| format!("record {number}, run {run}"));
            return Err(format!("the record of {day} has changed from record {}, run {} to {now}", record.0, record.1));
        }
    }
    if after.0.len() != before.0.len() {
        return Err("a day has a record that it did not have before".to_owned());
    }
    same_rows(before.1, after.1, "although its record is the same")
}

/// Whether each day is published as this run wrote it.
pub(super) fn published(run: &str, days: &[NaiveDate], records: &Records) -> Kept {
    for day in days {
        match records.get(day) {
            Some((_, found)) if found == run => {}
            Some((_, found)) => return Err(format!("{day} is published as run {found} wrote it, and not run {run}")),
            None => return Err(format!("{day} has no record")),
        }
    }
    Ok(())
}

/// Where the step of an aborted run was, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stopped {
    /// A cluster of the run's own: its state, and the code of the reason for it.
    Cluster(ClusterState, Option<String>),
    /// A cluster that serves all runs: the state of the step.
    Step(StepState),
    /// An application of EMR Serverless: the state of the job run.
    JobRun(JobRunState),
}

impl fmt::Display for Stopped {
    /// Formats as `TERMINATED (USER_REQUEST)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stopped::Cluster(state, Some(code)) => write!(f, "{} ({code})", state.as_str()),
            Stopped::Cluster(state, None) => f.write_str(state.as_str()),
            Stopped::Step(state) => write!(f, "step {}", state.as_str()),
            Stopped::JobRun(state) => write!(f, "job run {}", state.as_str()),
        }
    }
}

/// Whether a cluster, the step on a standing one, or a job run was stopped because of the abort.
/// <https://docs.aws.amazon.com/emr/latest/APIReference/API_ClusterStateChangeReason.html>
pub(super) fn stopped(found: &Stopped, waited: Duration) -> Kept {
    let waited = format::duration(waited);
    match found {
        Stopped::Cluster(ClusterState::Terminating | ClusterState::Terminated, Some(code))
            if code == "USER_REQUEST" =>
        {
            Ok(())
        }
        Stopped::Cluster(
            ClusterState::Terminating | ClusterState::Terminated | ClusterState::TerminatedWithErrors,
            code,
        ) => Err(format!(
            "the cluster has ended by itself ({}), and was not terminated because its run was aborted",
            code.as_deref().unwrap_or("no reason")
        )),
        Stopped::Cluster(state, _) => {
            Err(format!("{waited} after the abort the cluster is {}, and costs money", state.as_str()))
        }
        Stopped::Step(StepState::Cancelled | StepState::CancelPending | StepState::Interrupted) => Ok(()),
        Stopped::Step(state) => Err(format!("{waited} after the abort the step is {}", state.as_str())),
        Stopped::JobRun(JobRunState::Cancelled | JobRunState::Cancelling) => Ok(()),
        Stopped::JobRun(state) => Err(format!("{waited} after the abort the job run is {}", state.as_str())),
    }
}

/// Whether two runs of a day at once have one outcome: both succeeded, one of them is published, and all rows come from its files.
pub(super) fn one_of_two(
    runs: [&str; 2],
    failures: [Option<&ExecutionFailure>; 2],
    published: &str,
    origins: &Origins,
) -> Kept {
    for (run, failure) in runs.iter().zip(failures) {
        if let Some(ExecutionFailure { error, cause }) = failure {
            return Err(format!("run {run} failed: {error}: {cause}"));
        }
    }
    if !runs.contains(&published) {
        return Err(format!("{published} is published, which is neither of the two runs"));
    }
    for (table, runs) in &origins.runs {
        if runs.iter().any(|run| run != published) {
            let runs: Vec<&str> = runs.iter().map(String::as_str).collect();
            return Err(format!("{published} is published, and {table} has rows of {}", runs.join(" and ")));
        }
    }
    Ok(())
}

/// Whether a run has failed by its audit.
pub(super) fn audit_failed(failure: Option<&ExecutionFailure>) -> Kept {
    match failure {
        Some(ExecutionFailure { error, .. }) if error == "QualityError" => Ok(()),
        Some(ExecutionFailure { error, cause }) => {
            Err(format!("the run failed by {error} and not by its audit: {cause}"))
        }
        None => Err("the run published a day whose prices cannot be read".to_owned()),
    }
}

/// Whether the rows of the first snapshot have the numbers that its raw file states.
pub(super) fn numbers(found: &Rows) -> Kept {
    let tickers: Vec<&str> = found.rows.iter().map(|(ticker, _)| ticker.as_str()).collect();
    let expected: Vec<&str> = QUOTES.iter().map(|(ticker, ..)| *ticker).collect();
    if tickers != expected {
        return Err(format!("the tickers are {tickers:?} and not {expected:?}"));
    }
    for ((ticker, numbers), (_, cells, expected)) in found.rows.iter().zip(QUOTES) {
        let numbers: &files::Numbers = numbers.as_ref().map_err(|why| format!("{ticker}: {why}"))?;
        for ((found, expected), column) in numbers.iter().zip(expected).zip(PUBLISHED) {
            // By their bits: a number that is read exactly is the nearest double.
            if found.map(f64::to_bits) != expected.map(f64::to_bits) {
                let cells = cells.join(" ");
                return Err(format!("{column} of {ticker} is {found:?} and not {expected:?}; its record is {cells}"));
            }
        }
    }
    Ok(())
}

/// Whether the days have the states that follow from what was done. `market` is the run that published the generated day, and
/// `failed` the run whose audit of the other day failed.
pub(super) fn status(found: &[Day], market: &str, failed: &str) -> Kept {
    let of = |day: NaiveDate| found.iter().find(|found| found.day == day).ok_or_else(|| format!("{day} is not listed"));
    let (first, second) = (of(MARKET)?, of(NUMBERS)?);
    let run = first.published.as_ref().map(|published| published.run.as_str());
    if first.state != State::Published || run != Some(market) {
        return Err(format!("{MARKET} is {} by {run:?}, and not published by run {market}", first.state.as_str()));
    }
    let run = second.failed.as_ref().map(|failed| failed.run.as_str());
    if second.state != State::Failed || run != Some(failed) {
        return Err(format!("{NUMBERS} is {} by {run:?}, and not failed by run {failed}", second.state.as_str()));
    }
    if !second.attention || second.published.is_none() {
        return Err(format!("{NUMBERS} has to need attention, and its earlier rows to stay published"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use lake::Config;
    use lake::failed::FailedAudit;
    use lake::record::{Cause, Publication, PublishedTable, RawFileVersion, Record};
    use lake_client::days::{Facts, judge};

    use super::super::tables::TableDigest;
    use super::*;

    fn reason(kept: Kept) -> String {
        kept.expect_err("not kept")
    }

    #[test]
    fn a_failed_check_of_the_doctor_is_named() {
        let check = |name: &str, result| Check { name: name.to_owned(), result, found: String::new(), remedy: None };
        let checks =
            [check("clock", CheckResult::Ok), check("disk", CheckResult::Warning), check("x", CheckResult::Unknown)];
        assert_eq!(doctor(&checks), Ok(()));
        assert!(reason(doctor(&[check("network", CheckResult::Failed)])).ends_with(": network"));
    }

    #[test]
    fn stored_files_are_those_that_were_sent() {
        let md5s = |files: &[(&str, &str)]| -> Md5s {
            files.iter().map(|(name, md5)| ((*name).to_owned(), (*md5).to_owned())).collect()
        };
        let sent = md5s(&[("a", "1"), ("b", "2")]);
        assert_eq!(stored(&sent, &sent), Ok(()));
        assert!(reason(stored(&sent, &md5s(&[("a", "1")]))).contains("1 of 2 files are not in their place, such as b"));
        assert!(reason(stored(&sent, &md5s(&[("a", "1"), ("b", "3")]))).contains("b has other bytes"));
        assert!(reason(stored(&sent, &md5s(&[("a", "1"), ("b", "2"), ("c", "3")]))).contains("c is there"));
    }

    #[test]
    fn files_that_stay_in_landing_were_not_ingested() {
        assert_eq!(ingested(0, Duration::from_mins(9)), Ok(()));
        assert!(reason(ingested(2, Duration::from_mins(5))).starts_with("2 files still in landing/ after 5m00s"));
    }

    /// Digests of a day and table each, as (day, table, rows, digest).
    fn digests(tables: &[(NaiveDate, TableName, usize, &str)]) -> Digests {
        let entry = |(day, table, rows, digest): &(NaiveDate, TableName, usize, &str)| {
            ((*day, *table), TableDigest { rows: *rows, digest: (*digest).to_owned() })
        };
        Digests { tables: tables.iter().map(entry).collect(), ..Digests::default() }
    }

    #[test]
    fn a_table_has_the_rows_of_its_raw_files() {
        use TableName::{Options, Quotes, Rejects};
        let found = digests(&[(MARKET, Quotes, 7, "a"), (MARKET, Options, 5, "b"), (MARKET, Rejects, 0, "c")]);
        assert_eq!(row_counts([7, 5, 0], &found), Ok(()));
        assert!(reason(row_counts([7, 5, 1], &found)).contains("rejects has 0 rows on 1990-07-02"));
        assert!(
            reason(row_counts([7, 5, 0], &digests(&[(MARKET, Quotes, 7, "a")]))).contains("options has nothing rows")
        );
    }

    #[test]
    fn rows_are_compared_by_number_and_digest_of_each_table() {
        use TableName::{Options, Quotes};
        let one = digests(&[(MARKET, Quotes, 7, "a"), (MARKET, Options, 5, "b")]);
        assert_eq!(same_rows(&one, &one, "by EMR"), Ok(()));
        for other in [
            digests(&[(MARKET, Quotes, 7, "a"), (MARKET, Options, 5, "c")]),
            digests(&[(MARKET, Quotes, 8, "a"), (MARKET, Options, 5, "b")]),
            digests(&[(MARKET, Quotes, 7, "a")]),
            digests(&[(NUMBERS, Quotes, 7, "a"), (MARKET, Options, 5, "b")]),
        ] {
            assert!(reason(same_rows(&one, &other, "by EMR")).starts_with("by EMR: "), "{other:?}");
        }
        assert!(same_rows(&digests(&[]), &digests(&[]), "nothing").is_err(), "nothing is no evidence");
    }

    #[test]
    fn a_record_or_a_row_that_changes_is_noticed() {
        let rows = |digest| digests(&[(MARKET, TableName::Quotes, 7, digest)]);
        let records = |records: &[(NaiveDate, u64, &str)]| -> Records {
            records.iter().map(|(day, number, run)| (*day, (*number, (*run).to_owned()))).collect()
        };
        let before = records(&[(MARKET, 2, "a")]);
        assert_eq!(unchanged((&before, &rows("x")), (&before, &rows("x"))), Ok(()));
        for after in [records(&[(MARKET, 3, "a")]), records(&[(MARKET, 2, "b")]), records(&[])] {
            assert!(
                reason(unchanged((&before, &rows("x")), (&after, &rows("x")))).contains("the record of 1990-07-02")
            );
        }
        let more = records(&[(MARKET, 2, "a"), (NUMBERS, 1, "a")]);
        assert!(unchanged((&before, &rows("x")), (&more, &rows("x"))).is_err());
        assert!(reason(unchanged((&before, &rows("x")), (&before, &rows("y")))).contains("although its record"));
        assert_eq!(published("a", &[MARKET], &before), Ok(()));
        assert!(reason(published("b", &[MARKET], &before)).contains("as run a wrote it"));
        assert!(reason(published("a", &[MARKET, NUMBERS], &before)).contains("1990-07-03 has no record"));
    }

    #[test]
    fn a_cluster_has_to_be_terminated_because_of_the_abort() {
        let soon = Duration::from_secs(20);
        let cluster = |state, code: Option<&str>| Stopped::Cluster(state, code.map(str::to_owned));
        for kept in [
            cluster(ClusterState::Terminating, Some("USER_REQUEST")),
            cluster(ClusterState::Terminated, Some("USER_REQUEST")),
            Stopped::Step(StepState::Cancelled),
            Stopped::JobRun(JobRunState::Cancelling),
        ] {
            assert_eq!(stopped(&kept, soon), Ok(()), "{kept:?}");
        }
        for (broken, words) in [
            (cluster(ClusterState::Running, None), "the cluster is RUNNING, and costs money"),
            (cluster(ClusterState::Terminated, Some("ALL_STEPS_COMPLETED")), "ended by itself (ALL_STEPS_COMPLETED)"),
            (cluster(ClusterState::TerminatedWithErrors, Some("STEP_FAILURE")), "ended by itself (STEP_FAILURE)"),
            (Stopped::Step(StepState::Running), "the step is RUNNING"),
            (Stopped::JobRun(JobRunState::Success), "the job run is SUCCESS"),
        ] {
            assert!(reason(stopped(&broken, soon)).contains(words), "{broken:?}");
        }
    }

    #[test]
    fn two_runs_at_once_have_one_outcome() {
        let origins = |quotes: &[&str], options: &[&str]| Origins {
            runs: [(TableName::Quotes, quotes), (TableName::Options, options)]
                .map(|(table, runs)| (table, runs.iter().map(|run| (*run).to_owned()).collect()))
                .into(),
            ..Origins::default()
        };
        let runs = ["a", "b"];
        let none = [None, None];
        assert_eq!(one_of_two(runs, none, "b", &origins(&["b"], &["b"])), Ok(()));
        assert!(reason(one_of_two(runs, none, "c", &origins(&["c"], &["c"]))).contains("neither"));
        assert!(reason(one_of_two(runs, none, "b", &origins(&["b"], &["a"]))).contains("options has rows of a"));
        assert!(
            reason(one_of_two(runs, none, "b", &origins(&["a", "b"], &["b"]))).contains("quotes has rows of a and b")
        );
        let failure = ExecutionFailure { error: "E".to_owned(), cause: "c".to_owned() };
        assert!(
            reason(one_of_two(runs, [None, Some(&failure)], "a", &origins(&["a"], &["a"]))).contains("run b failed: E")
        );
    }

    #[test]
    fn a_bad_day_has_to_fail_by_its_audit() {
        let failure = |error: &str| ExecutionFailure { error: error.to_owned(), cause: "why".to_owned() };
        assert_eq!(audit_failed(Some(&failure("QualityError"))), Ok(()));
        assert!(reason(audit_failed(Some(&failure("EmrError")))).contains("by EmrError and not by its audit: why"));
        assert!(reason(audit_failed(None)).contains("published a day whose prices cannot be read"));
    }

    #[test]
    fn every_number_has_to_be_exact() {
        let right = Rows {
            rows: QUOTES.iter().map(|(ticker, _, numbers)| ((*ticker).to_owned(), Ok(*numbers))).collect(),
            query: "q".to_owned(),
        };
        assert_eq!(numbers(&right), Ok(()));
        let changed = |change: &dyn Fn(&mut Rows)| {
            let mut rows = right.clone();
            change(&mut rows);
            reason(numbers(&rows))
        };
        let set = |row: usize, column: usize, number: Option<f64>| {
            changed(&|rows| {
                rows.rows[row].1 = rows.rows[row].1.clone().map(|mut numbers| {
                    numbers[column] = number;
                    numbers
                });
            })
        };
        assert!(set(0, 4, Some(1210.0)).starts_with("bid of SMOKA3 is Some(1210.0) and not Some(12.1)"));
        assert!(set(0, 4, Some(f64::from_bits(12.1_f64.to_bits() + 1))).contains("bid of SMOKA3"));
        assert!(set(1, 6, None).contains("qty_bid of SMOKB4 is None"));
        assert!(set(3, 0, Some(0.0)).contains("open of SMOKD6 is Some(0.0) and not None"));
        assert!(changed(&|rows| drop(rows.rows.pop())).contains("the tickers are"));
        assert!(changed(&|rows| rows.rows[2].1 = Err("max is \"x\"".to_owned())).contains("SMOKC5: max is"));
    }

    fn day_facts(market_run: &str, failed_run: &str) -> Facts {
        let at = |text: &str| text.parse::<DateTime<chrono::Utc>>().expect("a time");
        let file = |name: &str, etag: &str| RawFileVersion {
            name: name.parse().expect("a name"),
            bytes: 1,
            etag: Some(etag.to_owned()),
            last_modified: Some(at("2026-11-27T10:00:00Z")),
        };
        let record = |day: NaiveDate, run: &str, raw_files: Vec<RawFileVersion>| {
            let mut record = Record::following(None, day, Cause::Published, run);
            record.written_at = at("2026-11-27T11:00:00Z");
            let table =
                PublishedTable { location: String::new(), report: String::new(), rows: 1, bytes: 1, files: Vec::new() };
            record.published = Some(Publication {
                run: run.parse().expect("a run"),
                published_at: record.written_at,
                tables: [(TableName::Quotes, table)].into(),
                raw_files,
            });
            record
        };
        let (first, second) = ("199007021000_flashpanel.csv", "199007031000_flashpanel.csv");
        let mut facts = Facts::default();
        facts.files.insert(MARKET, vec![file(first, "1")]);
        facts.files.insert(NUMBERS, vec![file(second, "new")]);
        facts.records.insert(MARKET, record(MARKET, market_run, vec![file(first, "1")]));
        facts.records.insert(NUMBERS, record(NUMBERS, "x", vec![file(second, "old")]));
        let failed = FailedAudit {
            run: failed_run.parse().expect("a run"),
            failed_at: at("2026-11-27T12:00:00Z"),
            raw_files: vec![file(second, "new")],
            failures: vec!["rejected_cells".to_owned()],
        };
        facts.failed.insert(NUMBERS, failed);
        facts
    }

    #[test]
    fn the_days_have_the_states_that_follow_from_what_was_done() {
        let mut config = Config::default();
        config.set("quality.min_snapshots", "0").expect("a number");
        let of = |facts: &Facts| judge(&config, files::days(), facts, chrono::Utc::now());
        let facts = day_facts("m", "f");
        assert_eq!(status(&of(&facts), "m", "f"), Ok(()));
        assert!(reason(status(&of(&facts), "other", "f")).contains("1990-07-02 is published by Some(\"m\")"));
        assert!(reason(status(&of(&facts), "m", "other")).contains("1990-07-03 is failed by Some(\"f\")"));
        let mut fresh = facts.clone();
        fresh.failed.clear();
        assert!(reason(status(&of(&fresh), "m", "f")).contains("1990-07-03 is stale"));
        assert!(reason(status(&of(&facts)[1..], "m", "f")).contains("1990-07-02 is not listed"));
    }
}
