//! `pregao rollback`: publishes an earlier run of a day again, and holds the day until it is released.
//!
//! The run to publish is resolved once, from the records when the command starts, and written by compare-and-swap against
//! the record that was current then. If another record was written meanwhile, nothing is changed, because the operator
//! decided about the earlier one.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use chrono::NaiveDate;
use lake::manifest::{self, Manifest};
use lake::objects::{self, Object};
use lake::quality::Report;
use lake::record::{self, Cause, Decision, Publication, PublishedTable, Record, Stored, Swap};
use lake::{Error, Lake, keys};
use market::run::RunId;
use market::table::TableName;
use serde_json::json;

use crate::args::{Global, OutputFormat, RollbackArgs};
use crate::commands::history;
use crate::endpoint::{Use, with_lake};
use crate::error_report::{fail, hinted};
use crate::migrate;
use crate::operator;
use crate::output::{self, HistoryRecord, Rollback};
use crate::progress::Progress;
use crate::verify::{damage, parquet};
use crate::watch_execution::watch;
use crate::workflow::{self, Workflow};

/// Rolls a day back, or releases it.
pub(crate) fn rollback(global: &Global, args: &RollbackArgs) -> anyhow::Result<ExitCode> {
    with_lake(global, Use::Workflows, async |lake| {
        let progress = Progress::new();
        migrate::ensure(lake).await?;
        let Some(current) = record::read(lake, args.day).await? else {
            return fail(
                format!("nothing has ever been published of {}", args.day),
                format!("{} status shows the days that there are", global.program()),
            );
        };
        let program = global.program();
        let written = if args.release {
            release(lake, &program, &current).await?
        } else {
            roll_back(lake, &program, &current, args.to.as_ref(), &progress).await?
        };
        update_catalog(lake, args.day, &progress).await?;
        let document = Rollback {
            record: HistoryRecord::new(&written.record, |run| written.record.removed_runs.contains(run)),
            before: current.record.run().map(RunId::to_string),
        };
        if args.format == OutputFormat::Json {
            output::print(&document)?;
        } else {
            print_text(&written.record, &program)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn roll_back(
    lake: &Lake,
    program: &str,
    current: &Stored,
    to: Option<&RunId>,
    progress: &Progress,
) -> anyhow::Result<Stored> {
    let day = current.record.day;
    let records = history::read(lake, day).await?;
    if records.last().is_none_or(|last| *last != current.record) {
        return changed(lake, program, current).await;
    }
    let target = match to {
        Some(run) => named(&records, run, program)?,
        None => previous(&records, program)?,
    };
    if current.record.removed_runs.contains(&target.run) {
        return fail(
            format!("the files that run {} wrote for {day} are removed, or about to be", target.run),
            format!(
                "{program} history {day} shows which runs still have theirs; {program} run --from {day} makes another"
            ),
        );
    }
    progress.line(&format!("comparing the files of run {} with its audit", target.run));
    audit(lake, day, target).await.map_err(|error| {
        hinted(error, format!("{program} history {day} lists the other runs; {program} run --from {day} makes another"))
    })?;
    let by = operator::name();
    let mut next = Record::following(Some(&current.record), day, Cause::RolledBack, &format!("rollback by {by}"));
    next.published = Some(target.clone());
    next.held = Some(Decision::now(&by));
    swap(lake, program, current, &next).await
}

async fn release(lake: &Lake, program: &str, current: &Stored) -> anyhow::Result<Stored> {
    let day = current.record.day;
    if current.record.held.is_none() {
        return fail(format!("{day} is not held"), format!("{program} history {day} shows what became of it"));
    }
    let by = operator::name();
    let mut next = Record::following(Some(&current.record), day, Cause::Released, &format!("release by {by}"));
    next.held = None;
    swap(lake, program, current, &next).await
}

/// Finds the publication of the run that `--to` names.
fn named<'a>(records: &'a [Record], run: &RunId, program: &str) -> anyhow::Result<&'a Publication> {
    let (day, current) = records.last().map(|last| (last.day, last.run())).unwrap_or_default();
    if current == Some(run) {
        return fail(
            format!("run {run} is what is published of {day}"),
            format!("{program} history {day} shows what was published before"),
        );
    }
    let found = records.iter().rev().filter_map(|record| record.published.as_ref()).find(|of| of.run == *run);
    match found {
        Some(found) => Ok(found),
        None => fail(
            format!("run {run} has never been published of {day}"),
            format!("{program} history {day} lists the runs that have"),
        ),
    }
}

/// Finds what was published before the current run was first published.
fn previous<'a>(records: &'a [Record], program: &str) -> anyhow::Result<&'a Publication> {
    let Some(current) = records.last() else { return fail("there is no record", "name a day that is published") };
    let day = current.day;
    if let (Some(held), Some(run)) = (&current.held, current.run()) {
        // A repeated command must not go back further: the first one may have been executed without the user seeing it.
        return fail(
            format!("{day} is rolled back to run {run} already, by {} at {}", held.by, held.at),
            format!("name another run: {program} rollback {day} --to RUN, of those that {program} history {day} lists"),
        );
    }
    let before = records.iter().take_while(|record| record.run() != current.run());
    match before.filter_map(|record| record.published.as_ref()).last() {
        Some(before) => Ok(before),
        None => fail(
            format!("no other run was published of {day} before"),
            format!("{program} history {day} shows what was published"),
        ),
    }
}

/// Compares every byte of the files to publish with their manifests.
///
/// # Errors
/// [`Error::Quality`] for the first file that differs.
async fn audit(lake: &Lake, day: NaiveDate, target: &Publication) -> Result<(), Error> {
    for (table, published) in &target.tables {
        let report = Report::passed(lake, &published.report, [day]).await?;
        let audited = report.days.iter().find(|audited| audited.date == day).map(|audited| audited.figures.rows);
        if audited != Some(published.rows) {
            return Err(differs(*table, day, published, &format!("{} has other rows of it", published.report)));
        }
        audit_table(lake, *table, day, published).await?;
    }
    Ok(())
}

async fn audit_table(lake: &Lake, table: TableName, day: NaiveDate, published: &PublishedTable) -> Result<(), Error> {
    let bucket = &lake.config.buckets.lake;
    let wrong = |why: &str| differs(table, day, published, why);
    let folder =
        published.location.strip_prefix(&keys::uri(bucket, "")).ok_or_else(|| wrong("it is another bucket's"))?;
    let listed = objects::list_data(lake, folder).await?;
    let found: Vec<(&str, u64, &str)> =
        manifest::listed(folder, &listed).map(|file| (file.name, file.bytes, file.etag.unwrap_or_default())).collect();
    let recorded: Vec<(&str, u64, &str)> =
        published.files.iter().map(|file| (file.name.as_str(), file.bytes, file.etag.as_str())).collect();
    if found != recorded {
        return Err(wrong("its files are not those of the record: some are missing, added, or of another version"));
    }
    let manifest = match objects::get(lake, bucket, &format!("{folder}{}", manifest::NAME)).await? {
        Some(bytes) => Some(Manifest::from_json(&bytes).map_err(|error| wrong(&format!("its manifest: {error}")))?),
        None => None,
    };
    let mut rows = 0;
    for file in &listed {
        rows += audit_file(lake, manifest.as_ref(), folder, file).await?.map_err(|why| wrong(&why))?;
    }
    if rows != published.rows {
        return Err(wrong(&format!("its files have {rows} rows, and the record {}", published.rows)));
    }
    Ok(())
}

/// Reads a whole file. Returns its number of rows, or the problem.
async fn audit_file(
    lake: &Lake,
    manifest: Option<&Manifest>,
    folder: &str,
    file: &Object,
) -> Result<Result<u64, String>, Error> {
    let name = file.key.strip_prefix(folder).unwrap_or(&file.key);
    let Some(bytes) = damage::read(lake, &lake.config.buckets.lake, file).await? else {
        return Ok(Err(format!("{name} was replaced while it was compared")));
    };
    if let Some((expected, found)) = damage::etag_mismatch(&bytes, &file.etag) {
        return Ok(Err(format!("{name} is damaged: {expected} is expected, and {found} found")));
    }
    let audited = manifest.map(|manifest| manifest.file(name).ok_or_else(|| format!("{name} was not audited")));
    if let Some(Err(why)) = audited.map(|audited| audited?.verify(&bytes).map_err(|damage| format!("{name}: {damage}")))
    {
        return Ok(Err(why));
    }
    Ok(parquet::rows(bytes).await.map_err(|why| format!("{name}: {why}")))
}

fn differs(table: TableName, day: NaiveDate, published: &PublishedTable, why: &str) -> Error {
    Error::Quality(format!("{table} of {day} is not as it was audited, in {}: {why}", published.location))
}

/// Writes the record, unless another one was written since `current` was read.
async fn swap(lake: &Lake, program: &str, current: &Stored, next: &Record) -> anyhow::Result<Stored> {
    match record::compare_and_swap(lake, Some(current), next).await? {
        Swap::Written(written) => Ok(*written),
        Swap::Lost => changed(lake, program, current).await,
    }
}

/// Returns the error for a record that was written while the command ran.
async fn changed<T>(lake: &Lake, program: &str, seen: &Stored) -> anyhow::Result<T> {
    let day = seen.record.day;
    let now = record::read(lake, day).await?.map(|stored| stored.record);
    let now = now.map_or("no record any more".to_owned(), |now| {
        let run = now.run().map_or("nothing".to_owned(), |run| format!("run {run}"));
        format!("record {} ({}, by {}), which publishes {run}", now.number, now.cause, now.actor)
    });
    fail(
        format!(
            "{day} has changed since the command began: it had record {}, and has {now}. Nothing was changed",
            seen.record.number
        ),
        format!("{program} history {day} shows it; give the command again if it is still what you want"),
    )
}

/// Updates the catalog by the workflow `athena_update`, as a run does.
async fn update_catalog(lake: &Lake, day: NaiveDate, progress: &Progress) -> anyhow::Result<()> {
    let name = workflow::new_name(&day.to_string())?;
    progress.line(&format!("athena_update {name}"));
    let arn = workflow::start(lake, Workflow::AthenaUpdate, &name, &json!({ "date": day })).await?;
    let ending = watch(lake, &arn, progress).await?;
    let updated = workflow::succeeded(Workflow::AthenaUpdate, &name, ending);
    updated
        .context("the record is written, and the catalog does not follow it yet; start athena_update for the day")?;
    Ok(())
}

fn print_text(record: &Record, program: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let (day, run) = (record.day, record.run().map_or("nothing", RunId::as_str));
    match record.held {
        Some(_) => writeln!(
            out,
            "{day} is published as run {run} wrote it, and held: no run replaces it until {program} rollback {day} --release"
        ),
        None => {
            writeln!(out, "{day} is released: runs may publish it again. Until then it stays as run {run} wrote it")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A chain of records that publish these runs, by these causes.
    fn chain(runs: &[(&str, Cause)]) -> Vec<Record> {
        let day = "2020-04-01".parse().expect("a day");
        let mut records: Vec<Record> = Vec::new();
        for (run, cause) in runs {
            let mut record = Record::following(records.last(), day, *cause, "test");
            record.published = Some(Publication {
                run: run.parse().expect("a run"),
                published_at: record.written_at,
                tables: BTreeMap::new(),
                raw_files: Vec::new(),
            });
            record.held = (*cause == Cause::RolledBack).then(|| Decision::now("ana"));
            records.push(record);
        }
        records
    }

    #[test]
    fn the_previous_run_is_the_one_before_the_current_one_was_published_first() {
        use Cause::{Published, Released, RolledBack};
        let previous = |runs: &[(&str, Cause)]| {
            previous(&chain(runs), "pregao").map(|found| found.run.to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(previous(&[("a", Published), ("b", Published)]).as_deref(), Ok("a"));
        assert_eq!(previous(&[("a", Published), ("b", Published), ("b", Cause::MissingAccepted)]).as_deref(), Ok("a"));
        let released = [("a", Published), ("b", Published), ("c", Published), ("b", RolledBack), ("b", Released)];
        assert_eq!(previous(&released).as_deref(), Ok("a"), "not c, which was rolled back");
        assert!(previous(&[("a", Published)]).is_err());
        let held = previous(&[("a", Published), ("b", Published), ("a", RolledBack)]);
        assert!(held.expect_err("held").contains("rolled back to run a already"));
    }

    #[test]
    fn a_run_is_found_by_its_name_among_those_that_were_published() {
        let records = chain(&[("a", Cause::Published), ("b", Cause::Published)]);
        let named =
            |run: &str| named(&records, &run.parse().expect("a run"), "pregao").map(|found| found.run.to_string());
        assert_eq!(named("a").expect("a publication"), "a");
        assert!(named("b").expect_err("the current one").to_string().contains("is what is published"));
        assert!(named("c").expect_err("another one").to_string().contains("never been published"));
    }
}
