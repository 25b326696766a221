//! `pregao backfill`: processes a long range of days in chunks, which are runs of their own.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use aws_sdk_sfn::types::HistoryEvent;
use chrono::NaiveDate;
use console::style;
use lake::backfill::{self, Backfill, Chunk, ChunkOutcome, Failure};
use lake::workflow_input::BackfillRequest;
use lake::{Lake, backoff, slices};
use lake_client::execution_history::{ExecutionFailure, HistorySource, Timeline};
use market::partition::DateRange;
use market::run::RunId;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::{Instrument, info_span};

use crate::args::{BackfillArgs, Engine, Global, OutputFormat, RunEngine};
use crate::commands::plan::{self, Engines};
use crate::commands::run;
use crate::endpoint::{Use, on_aws, refuse_engine, with_lake, with_lake_on};
use crate::error_report::{Hint, hinted};
use crate::interrupt::Listener;
use crate::output::{self, BackfillPlan, Days, FailedChunk, Partial, PlannedChunk, TruncatedList};
use crate::progress::Progress;
use crate::watch_execution::{Ending, MAX_DELAY, MIN_DELAY, Spinner, stop};
use crate::workflow::{self, Workflow};
use crate::{format, migrate, price};

/// Runs the workflow `backfill` and prints what it published, or only plans it.
pub(crate) fn backfill(global: &Global, args: &BackfillArgs) -> anyhow::Result<ExitCode> {
    let range = DateRange::new(args.from, args.to).hint("pregao backfill --from FIRST --to LAST")?;
    let spark = args.engine.map_or(Engine::Embedded, RunEngine::spark);
    let choice = args.engine.map(RunEngine::choice);
    let request = BackfillRequest { range, force: args.force, engine: choice, parallel: args.parallel };
    let on_aws = on_aws(global)?;
    if args.plan {
        if on_aws {
            refuse_engine(spark)?;
        }
        let engines = Engines { choice, spark, on_aws };
        return with_lake(global, Use::Questions, async |lake| print_plan(lake, &request, engines, args.format).await);
    }
    let retry = Retry { program: global.program(), request, spark };
    with_lake_on(global, Use::Workflows, spark, async |lake| {
        let progress = Progress::new();
        let (name, seen) = execute(lake, &request, &progress).await?;
        let document = seen.document(&name, &request, &retry)?;
        if args.format == OutputFormat::Table {
            print_text(&document)?;
        }
        match document.failed.first() {
            None if args.format == OutputFormat::Json => output::print(&document).map(|()| ExitCode::SUCCESS),
            None => Ok(ExitCode::SUCCESS),
            Some(FailedChunk { retry, .. }) => {
                let (failed, chunks) = (document.failed.len() as u64, document.chunks);
                let failure =
                    anyhow::anyhow!("{} of {} failed", format::count(failed), format::counted(chunks, "chunk"));
                let hint = match failed {
                    1 => format!("when the cause is removed: {retry}"),
                    _ => format!("when the causes are removed, the first one: {retry}"),
                };
                Err(Partial::error(&document, Some("ChunksFailed"), hinted(failure, hint)))
            }
        }
    })
}

/// The command that makes a chunk again.
struct Retry {
    program: String,
    request: BackfillRequest,
    spark: Engine,
}

impl Retry {
    fn command(&self, range: DateRange) -> String {
        let Retry { program, request, spark } = self;
        match spark {
            Engine::Embedded => format!("{program} {}", backfill::retry_command(request, range)),
            // A choice of this machine, which the workflow does not know.
            Engine::Spark => {
                let request = BackfillRequest { engine: None, ..*request };
                format!("{program} {} --engine spark", backfill::retry_command(&request, range))
            }
        }
    }
}

/// Starts the workflow, and follows it to its end. Returns the name of the execution, and what became of its chunks.
///
/// # Errors
/// The failure of the execution, unless chunks failed; an interruption.
async fn execute(
    lake: &Lake,
    request: &BackfillRequest,
    progress: &Progress,
) -> anyhow::Result<(RunId, BackfillWatch)> {
    let name = workflow::new_name(&format!("backfill_{}_{}", request.range.from(), request.range.to()))?;
    let mut input = json!(request.range);
    if request.force {
        input["force"] = true.into();
    }
    if let Some(parallel) = request.parallel {
        input["parallel"] = parallel.get().into();
    }
    run::request_engine(&mut input, request.engine);
    progress.line(&format!("backfill {name}"));
    let watched = async {
        let arn = workflow::start(lake, Workflow::Backfill, &name, &input).await?;
        let mut seen = BackfillWatch::new(&arn);
        let listener = Listener::new();
        let ending = tokio::select! {
            ending = seen.follow(lake, progress) => ending?,
            signal = listener.signal() => {
                progress.line("interrupted: stopping the execution");
                stop(lake, &arn).await?;
                progress.line("what is published stays, and the same command makes the other days");
                Ending::Stopped(signal)
            }
        };
        anyhow::Ok((seen, ending))
    };
    let (seen, ending) = watched.instrument(info_span!("backfill", run = %name)).await?;
    match ending {
        Ending::Failed(ExecutionFailure { error, .. }) if error == CHUNKS_FAILED => {}
        ending => _ = workflow::succeeded(Workflow::Backfill, &name, ending)?,
    }
    Ok((name, seen))
}

/// The error of an execution in which chunks failed.
const CHUNKS_FAILED: &str = "ChunksFailed";

/// What the history of the execution has shown.
struct BackfillWatch {
    timeline: Timeline,
    /// The output of `PlanBackfill`, and when it was seen.
    plan: Option<(Backfill, Instant)>,
    /// The outputs of `ChunkOutcome`, in the order in which chunks ended.
    outcomes: Vec<ChunkOutcome>,
}

impl BackfillWatch {
    fn new(arn: &str) -> BackfillWatch {
        BackfillWatch { timeline: Timeline::new(arn), plan: None, outcomes: Vec::new() }
    }

    /// Follows the execution until it ends.
    async fn follow(&mut self, histories: &impl HistorySource, progress: &Progress) -> anyhow::Result<Ending> {
        let spinner = Spinner(progress.spinner());
        let mut last_news = Instant::now();
        loop {
            let events = self.timeline.news(histories).await?;
            if !events.is_empty() {
                last_news = Instant::now();
            }
            for event in events {
                self.push(&event, progress)?;
            }
            if self.timeline.ended {
                break;
            }
            spinner.0.set_message(self.message());
            tokio::time::sleep(backoff::delay(last_news.elapsed(), MIN_DELAY, MAX_DELAY)).await;
        }
        let failure = self.timeline.failure.take();
        Ok(failure.map_or(Ending::Succeeded(Value::Null), Ending::Failed))
    }

    fn push(&mut self, event: &HistoryEvent, progress: &Progress) -> anyhow::Result<()> {
        self.timeline.push(event);
        let Some(left) = &event.state_exited_event_details else { return Ok(()) };
        let output = left.output.as_deref().unwrap_or_default();
        match left.name.as_str() {
            "PlanBackfill" => {
                let plan: Backfill = parsed(output, &left.name)?;
                progress.line(&format!("  {}", planned(&plan)));
                self.plan = Some((plan, Instant::now()));
            }
            "ChunkOutcome" => {
                let outcome: ChunkOutcome = parsed(output, &left.name)?;
                self.outcomes.push(outcome);
                if let Some(outcome) = self.outcomes.last() {
                    progress.line(&self.line(outcome));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns the line of a chunk that has ended: `  ✓ chunk 3 of 10  2012-01-02 to 2012-12-28  250 days published, 1m20s left`.
    fn line(&self, outcome: &ChunkOutcome) -> String {
        let mark = if outcome.failure.is_some() { style("✗").red() } else { style("✓").green() };
        let mark = mark.for_stderr();
        let chunks = self.plan.as_ref().map_or(0, |(plan, _)| plan.chunks.len());
        let ChunkOutcome { number, range, published, .. } = outcome;
        let mut line =
            format!("  {mark} chunk {number} of {chunks}  {range}  {} published", format::counted(*published, "day"));
        if let Some(Failure { error, cause }) = &outcome.failure {
            line += &format!(", {error}: {cause}");
        }
        if let Some(left) = self.left() {
            line += &format!(", about {} left", format::duration(left));
        }
        line
    }

    /// Returns what is going on: `2 of 10 chunks, 500 of 2,500 days published, about 4m30s left`.
    fn message(&self) -> String {
        let Some((plan, _)) = &self.plan else { return "PlanBackfill".to_owned() };
        let published: u64 = self.outcomes.iter().map(|outcome| outcome.published).sum();
        let mut message = format!(
            "{} of {}, {} of {} published",
            self.outcomes.len(),
            format::counted(plan.chunks.len() as u64, "chunk"),
            format::count(published),
            format::counted(plan.days, "day")
        );
        if let Some(left) = self.left() {
            message += &format!(", about {} left", format::duration(left));
        }
        message
    }

    /// Estimates the remaining time, from the days of the chunks that have ended. `None` before the first has, and at the end.
    fn left(&self) -> Option<Duration> {
        let (plan, since) = self.plan.as_ref()?;
        let done: u64 = self.outcomes.iter().map(|outcome| outcome.days).sum();
        remaining(since.elapsed(), done, plan.days)
    }

    fn document(&self, name: &RunId, request: &BackfillRequest, retry: &Retry) -> anyhow::Result<output::Backfill> {
        let (plan, _) = self.plan.as_ref().context("the history of the execution has no output of PlanBackfill")?;
        let mut outcomes: Vec<&ChunkOutcome> = self.outcomes.iter().collect();
        outcomes.sort_by_key(|outcome| outcome.number);
        let sum = |number: fn(&ChunkOutcome) -> u64| outcomes.iter().map(|outcome| number(outcome)).sum::<u64>();
        let failed = outcomes.iter().filter_map(|outcome| {
            let Failure { error, cause } = outcome.failure.clone()?;
            Some(FailedChunk {
                days: Days::new(outcome.range),
                error,
                cause,
                published: outcome.published,
                failed_days: TruncatedList {
                    count: outcome.failed_days as usize,
                    first: outcome.first_failed.iter().map(ToString::to_string).collect(),
                },
                retry: retry.command(outcome.range),
            })
        });
        Ok(output::Backfill {
            execution: name.to_string(),
            days: Days::new(request.range),
            to_do: plan.days,
            current: plan.current,
            // With --force, the runs of the chunks find the days that were held before once more.
            held: plan.held + if request.force { 0 } else { sum(|outcome| outcome.held) },
            catalog_behind: plan.behind,
            days_without_files: TruncatedList::new(&plan.gaps, ToString::to_string),
            chunks: plan.chunks.len() as u64,
            published: sum(|outcome| outcome.published),
            superseded: sum(|outcome| outcome.superseded),
            failed: failed.collect(),
            error: None,
        })
    }
}

fn parsed<T: DeserializeOwned>(output: &str, state: &str) -> anyhow::Result<T> {
    serde_json::from_str(output).with_context(|| format!("the state {state} gave an output of another form"))
}

/// Estimates the remaining time after `done` of `all` days.
fn remaining(elapsed: Duration, done: u64, all: u64) -> Option<Duration> {
    (0 < done && done < all).then(|| elapsed.mul_f64((all - done) as f64 / done as f64))
}

/// Returns what a backfill does: `2,500 days to make, in 10 chunks, 3 at the same time`.
fn planned(plan: &Backfill) -> String {
    match plan.chunks.len() as u64 {
        0 => "no day to make".to_owned(),
        1 => format!("{} to make, in one chunk", format::counted(plan.days, "day")),
        chunks => format!(
            "{} to make, in {}, {} at the same time",
            format::counted(plan.days, "day"),
            format::counted(chunks, "chunk"),
            chunks.min(plan.parallel.into())
        ),
    }
}

/// Returns the days that are not made, in words: `12 are current, 1 is held by a rollback`. Empty if there are none.
fn left_alone(current: u64, held: u64, without_files: &TruncatedList<String>) -> String {
    let mut parts = Vec::new();
    if current > 0 {
        parts.push(format!("{} that {} current", format::counted(current, "day"), are(current)));
    }
    if held > 0 {
        parts.push(format!("{} that a rollback holds", format::counted(held, "day")));
    }
    if without_files.count > 0 {
        let count = without_files.count as u64;
        let first = without_files.first.first().map(String::as_str).unwrap_or_default();
        let from = if count == 1 { first.to_owned() } else { format!("{first}, ...") };
        parts.push(format!("{} without raw files ({from})", format::counted(count, "business day")));
    }
    parts.join(", ")
}

fn are(number: u64) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

fn print_text(document: &output::Backfill) -> io::Result<()> {
    let output::Backfill {
        days,
        to_do,
        current,
        held,
        catalog_behind,
        days_without_files,
        chunks,
        published,
        superseded,
        ..
    } = document;
    let mut out = io::stdout().lock();
    let range = text(days);
    if *to_do == 0 {
        let what = if *current + *held == 0 { "there are no raw files" } else { "all raw files are published" };
        writeln!(out, "nothing to do: {what} of {range}")?;
    } else {
        let (published, chunks) = (format::counted(*published, "day"), format::counted(*chunks, "chunk"));
        writeln!(out, "published {published} of {range}, in {chunks}")?;
    }
    run::print_catalog(&mut out, *catalog_behind)?;
    if *superseded > 0 {
        let days = format::counted(*superseded, "day");
        writeln!(out, "another run has published the same or newer raw files of {days}")?;
    }
    let skipped = left_alone(*current, *held, days_without_files);
    if !skipped.is_empty() {
        writeln!(out, "skipped   {skipped}")?;
    }
    for FailedChunk { days, error, cause, failed_days, retry, .. } in &document.failed {
        let audits = match failed_days.count {
            0 => String::new(),
            count => {
                let more = if count > failed_days.first.len() { ", ..." } else { "" };
                let count = format::counted(count as u64, "day");
                format!(" ({count} failed the audit: {}{more})", failed_days.first.join(", "))
            }
        };
        writeln!(out, "failed    {}{audits}: {error}: {cause}\n  retry   {retry}", text(days))?;
    }
    Ok(())
}

fn text(days: &Days) -> String {
    if days.from == days.to { days.from.clone() } else { format!("{} to {}", days.from, days.to) }
}

/// Prints what a backfill would do.
async fn print_plan(
    lake: &Lake,
    request: &BackfillRequest,
    engines: Engines,
    format: OutputFormat,
) -> anyhow::Result<ExitCode> {
    migrate::ensure(lake).await?;
    // Runs that are not started need no name that nobody else has.
    let plan = backfill::plan(lake, &"plan".parse()?, request).await?;
    let engines = Engines { choice: Some(plan.engine), ..engines };
    let chunks: Vec<PlannedChunk> = plan.chunks.iter().map(|chunk| planned_chunk(lake, chunk, engines)).collect();
    let sum = |number: fn(&PlannedChunk) -> Option<f64>| {
        chunks.iter().try_fold(0.0, |sum, chunk| Some(sum + number(chunk)?)).filter(|_| !chunks.is_empty())
    };
    // The chunks that run at the same time share the time of all, and none takes less than the longest.
    let longest = chunks.iter().filter_map(|chunk| chunk.seconds).fold(0.0, f64::max);
    let seconds = sum(|chunk| chunk.seconds).map(|all| longest.max(all / f64::from(plan.parallel)));
    let document = BackfillPlan {
        days: Days::new(plan.range),
        to_do: plan.days,
        current: plan.current,
        held: plan.held,
        catalog_behind: plan.behind,
        days_without_files: TruncatedList::new(&plan.gaps, ToString::to_string),
        bytes: plan.bytes,
        parallel: plan.parallel,
        seconds,
        usd: if chunks.is_empty() { Some(0.0) } else { sum(|chunk| chunk.usd) },
        chunks,
    };
    match format {
        OutputFormat::Json => output::print(&document)?,
        OutputFormat::Table => print_plan_text(&document, engines.on_aws)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn planned_chunk(lake: &Lake, chunk: &Chunk, engines: Engines) -> PlannedChunk {
    // The largest day decides whether a run of the chunk is refused, and which engine fits.
    let largest: BTreeMap<NaiveDate, u64> = chunk.largest_day.into_iter().collect();
    let audited = slices::divide(chunk.range, &largest, lake.config.quality.max_audit_bytes).map(|_| ());
    let (engine, refused) = match engines.resolve(lake, &largest) {
        Ok(engine) => (Some(engine), None),
        Err(error) => (None, Some(error)),
    };
    let (costs, seconds) = match engine {
        Some(engine) if engines.on_aws => plan::estimate(lake, engine, chunk.days, chunk.bytes),
        _ => (Vec::new(), None),
    };
    PlannedChunk {
        days: Days::new(chunk.range),
        to_do: chunk.days,
        bytes: chunk.bytes,
        engine: engine.map(|engine| engine.as_str().to_owned()),
        problem: audited.err().or(refused).map(|error| error.to_string()),
        seconds,
        usd: costs.iter().try_fold(0.0, |sum, cost| Some(sum + cost.usd?)),
    }
}

fn print_plan_text(plan: &BackfillPlan, on_aws: bool) -> io::Result<()> {
    let BackfillPlan {
        days, to_do, current, held, catalog_behind, days_without_files, bytes, parallel, chunks, ..
    } = plan;
    let BackfillPlan { seconds, usd, .. } = plan;
    let mut out = io::stdout().lock();
    writeln!(out, "days     {}: {} to make", text(days), format::counted(*to_do, "day"))?;
    let skipped = left_alone(*current, *held, days_without_files);
    if !skipped.is_empty() {
        writeln!(out, "skipped  {skipped}")?;
    }
    if *catalog_behind > 0 {
        writeln!(out, "catalog  would get {} that are published", format::counted(*catalog_behind, "day"))?;
    }
    writeln!(out, "files    {}", format::bytes(*bytes))?;
    let about = seconds
        .map_or_else(String::new, |seconds| format!(", about {}", format::duration(Duration::from_secs_f64(seconds))));
    writeln!(out, "chunks   {}, at most {parallel} at the same time{about}", format::count(chunks.len() as u64))?;
    match usd {
        _ if !on_aws => writeln!(out, "cost     nothing: it runs on this machine")?,
        _ if chunks.is_empty() => writeln!(out, "cost     nothing: there is nothing to do")?,
        Some(usd) => writeln!(out, "cost     about {usd:.2} USD, at the list prices of {}", price::SOURCE)?,
        None => writeln!(out, "cost     not known: no price is known of the types in emr.instance_types")?,
    }
    for PlannedChunk { days, to_do, bytes, engine, problem, usd, .. } in chunks {
        let count = format::counted(*to_do, "day");
        let engine = engine.as_deref().unwrap_or("none");
        let cost = usd.filter(|_| on_aws).map_or_else(String::new, |usd| format!("  {usd:.3} USD"));
        let problem = problem.as_deref().map_or_else(String::new, |problem| format!("  would fail: {problem}"));
        let days = text(days);
        writeln!(out, "  {days:<24}  {count:>9}  {:>9}  {engine}{cost}{problem}", format::bytes(*bytes))?;
    }
    writeln!(out, "nothing was started")
}

#[cfg(test)]
mod tests {
    use aws_sdk_sfn::primitives::DateTime;
    use aws_sdk_sfn::types::{HistoryEventType, StateExitedEventDetails};

    use super::*;

    fn exited(id: i64, state: &str, output: &Value) -> HistoryEvent {
        let details = StateExitedEventDetails::builder().name(state).output(output.to_string()).build();
        HistoryEvent::builder()
            .timestamp(DateTime::from_millis(id))
            .id(id)
            .previous_event_id(id - 1)
            .r#type(HistoryEventType::TaskStateExited)
            .state_exited_event_details(details.expect("a name"))
            .build()
            .expect("all that has to be there")
    }

    #[test]
    fn chunks_are_counted_as_they_end() {
        let chunk = |number: u32| {
            json!({"number": number, "run": format!("b_{number:03}"), "from": format!("2020-04-0{number}"),
                "to": format!("2020-04-0{number}"), "days": 10, "bytes": 5})
        };
        let plan = json!({"from": "2020-04-01", "to": "2020-04-03", "which": "not_current", "engine": "emr", "parallel": 3,
            "days": 30, "bytes": 15, "current": 1, "held": 1, "behind": 0, "catalog": [], "gaps": {"count": 1, "first": ["2020-04-02"]},
            "chunks": [chunk(1), chunk(2), chunk(3)]});
        let outcome = |number: u32, published: u64, failure: Value| {
            let mut outcome = json!({"number": number, "from": format!("2020-04-0{number}"),
                "to": format!("2020-04-0{number}"), "days": 10, "published": published, "superseded": 0, "held": 1,
                "failed_days": 0});
            if !failure.is_null() {
                outcome["failure"] = failure;
            }
            outcome
        };
        let mut seen = BackfillWatch::new("arn");
        let progress = Progress::new();
        let push = |seen: &mut BackfillWatch, id, state: &str, output: Value| {
            seen.push(&exited(id, state, &output), &progress).expect("outputs of the functions");
        };
        assert_eq!(seen.message(), "PlanBackfill");
        push(&mut seen, 1, "PlanBackfill", plan);
        assert_eq!(seen.message(), "0 of 3 chunks, 0 of 30 days published");
        push(&mut seen, 2, "RunChunk", Value::Null);
        push(&mut seen, 3, "ChunkOutcome", outcome(3, 9, json!({"error": "QualityError", "cause": "why"})));
        push(&mut seen, 4, "ChunkOutcome", outcome(1, 10, Value::Null));
        assert!(seen.message().starts_with("2 of 3 chunks, 19 of 30 days published, about "), "{}", seen.message());
        push(&mut seen, 5, "ChunkOutcome", outcome(2, 10, Value::Null));
        assert_eq!(seen.message(), "3 of 3 chunks, 29 of 30 days published");
        let line = console::strip_ansi_codes(&seen.line(&seen.outcomes[0])).into_owned();
        assert_eq!(line, "  ✗ chunk 3 of 3  2020-04-03  9 days published, QualityError: why");

        let (from, to) = ("2020-04-01".parse().expect("a day"), "2020-04-03".parse().expect("a day"));
        let range = DateRange::new(from, to).expect("a range");
        let request = BackfillRequest { range, force: true, engine: None, parallel: None };
        let retry = Retry { program: "pregao".to_owned(), request, spark: Engine::Embedded };
        let unforced = BackfillRequest { force: false, ..request };
        let document = seen.document(&"b".parse().expect("a name"), &unforced, &retry).expect("a plan");
        assert_eq!(document.held, 4, "one before, and one in each chunk");
        for (spark, retry) in [
            (Engine::Embedded, "pregao --aws backfill --from 2020-04-03 --to 2020-04-03 --force"),
            (Engine::Spark, "pregao --aws backfill --from 2020-04-03 --to 2020-04-03 --force --engine spark"),
        ] {
            let commands = Retry { program: "pregao --aws".to_owned(), request, spark };
            let document = seen.document(&"b".parse().expect("a name"), &request, &commands).expect("a plan");
            assert_eq!((document.published, document.held, document.current, document.failed.len()), (29, 1, 1, 1));
            assert_eq!(document.failed[0].retry, retry);
        }
        let skipped = left_alone(1, 4, &TruncatedList { count: 2, first: vec!["2020-04-02".to_owned()] });
        assert_eq!(
            skipped,
            "1 day that is current, 4 days that a rollback holds, 2 business days without raw files (2020-04-02, ...)"
        );
    }

    #[test]
    fn the_remaining_time_follows_from_the_days_that_are_done() {
        let of = |done, all| remaining(Duration::from_mins(1), done, all);
        assert_eq!(of(0, 10), None);
        assert_eq!(of(10, 10), None);
        assert_eq!(of(4, 10), Some(Duration::from_secs(90)));
    }
}
