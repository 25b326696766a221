//! Stage `raw`: resolves the input of a run to days, and plans the run from their raw files.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate, Utc};
use lake::engine::{Engine, EngineChoice};
use lake::failed::FailedAudit;
use lake::lambda::parse_event;
use lake::plan::{DaySelection, PlannedDay, RequestedDays};
use lake::raw_files::{self, Coverage, RawFile};
use lake::record::{self, RawFileVersion, Record};
use lake::truncated_list::TruncatedList;
use lake::workflow_input::{self, LandedObject, Request};
use lake::{Error, Lake, catalog_lag, invocation, keys, plan, slices};
use market::partition::DateRange;
use market::run::RunId;
use market::snapshot::{Feed, SnapshotName};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::in_progress;

/// The days of a run and their raw files, in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanSummary {
    /// The run, if the event named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
    /// The number of raw files.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// The days that have files.
    pub days: TruncatedList<Day>,
    /// The engine that runs the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// The days that the function `transform` converts. Empty for EMR, and if there is nothing to publish.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transform: Vec<NaiveDate>,
    /// The slices of the run, which are audited and published one by one. Empty if there is nothing to publish.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Slice>,
    /// The number of days that the run is to publish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_publish: Option<u64>,
    /// The business days whose missing files are a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<TruncatedList<NaiveDate>>,
    /// The number of days that the run does not publish, and whose partitions are not at the locations in their records. A
    /// publication was interrupted, or somebody has changed the catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<u64>,
    /// The ranges of these days, one for each year.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub catalog: Vec<DateRange>,
    /// The missing days and snapshots.
    #[serde(flatten)]
    pub coverage: Coverage,
}

/// A slice of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Slice {
    /// Its number, from 0.
    pub number: u32,
    /// Its first day.
    pub from: NaiveDate,
    /// Its last day.
    pub to: NaiveDate,
}

/// The raw files of one day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Day {
    /// The day.
    pub date: NaiveDate,
    /// The files of the trading panel.
    pub quotes: FileTotals,
    /// The files of the option chains.
    pub options: FileTotals,
}

/// The number and size of some files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FileTotals {
    /// The number of files.
    pub files: u64,
    /// Their size as stored, in bytes.
    pub bytes: u64,
}

/// The maximum number of attempts of an execution whose raw files change during the job.
const ATTEMPTS: u32 = 3;

/// Counts the raw files of the requested days. The request is the field `input`, the input of a workflow, or else the other
/// fields of the event beside `stage` and `run`.
///
/// With `run`, writes the plan of that run. This is idempotent: a second invocation returns the same plan. With `after`, the
/// run whose raw files changed during its job, plans the next attempt of the same execution.
///
/// # Errors
/// With `run`: [`Error::UploadPending`] while snapshots of these days wait in `landing/`, [`Error::Quality`] if a snapshot has
/// two raw files, [`Error::RunInProgress`] while an older run processes days for which an upload has started this one, and
/// [`Error::RawFilesChanged`] if the raw files changed in each of three attempts.
pub(crate) async fn plan(lake: &Lake, event: Value) -> Result<PlanSummary, Error> {
    let mut fields: Map<String, Value> = parse_event(event, crate::RAW)?;
    fields.shift_remove("stage");
    let run: Option<RunId> = fields.shift_remove("run").map(|run| parse_event(run, "the name of a run")).transpose()?;
    let execution: Option<String> =
        fields.shift_remove("execution_arn").map(|arn| parse_event(arn, "the ARN of an execution")).transpose()?;
    let after: Option<RunId> = fields.shift_remove("after").map(|run| parse_event(run, "a run")).transpose()?;
    let input = fields.shift_remove("input").unwrap_or(Value::Object(fields));
    match (run, after) {
        (None, None) => of_days(lake, requested_days(lake, &input)?.0.range).await,
        (Some(run), _) if run.attempt() == 1 => {
            let (requested, engine) = requested_days(lake, &input)?;
            if let (DaySelection::Uploaded, Some(execution)) = (requested.selection, &execution) {
                in_progress::refuse(lake, execution, requested.range).await?;
            }
            planned(lake, &run, requested, engine).await
        }
        (Some(run), _) => Err(Error::invalid_input(format!(
            "an execution cannot be called {run}, which would be an attempt of another"
        ))),
        (None, Some(before)) => {
            let next = before.next_attempt().filter(|next| next.attempt() <= ATTEMPTS).ok_or_else(|| {
                Error::RawFilesChanged(format!(
                    "the raw files of run {} changed while it read them, in each of {} attempts. Start it again when the \
                     upload is over",
                    before.execution(),
                    before.attempt()
                ))
            })?;
            invocation::record_run(&next);
            let plan::Plan { requested, requested_engine, .. } = plan::Plan::read(lake, &before).await?;
            planned(lake, &next, requested, requested_engine).await
        }
    }
}

fn requested_days(lake: &Lake, input: &Value) -> Result<(RequestedDays, Option<EngineChoice>), Error> {
    let (request, engine) = workflow_input::resolve_run(input, Utc::now())?;
    let (selection, range) = match request {
        Request::Days(range) => (DaySelection::All, range),
        Request::Stale(range) => (DaySelection::Stale, range),
        Request::NotCurrent(range) => (DaySelection::NotCurrent, range),
        Request::Uploaded(range) => (DaySelection::Uploaded, range),
        Request::Objects(objects) => (DaySelection::All, days_of(&objects)?),
        Request::DayBefore(day) => {
            let back = Days::new(lake.config.schedule.look_back_days.into());
            let first = day.checked_sub_days(back).unwrap_or(day);
            let range = DateRange::new(first, day).map_err(|error| Error::malformed(error.to_string(), error))?;
            (DaySelection::Scheduled, range)
        }
    };
    Ok((RequestedDays { selection, range }, engine))
}

/// Returns the range from the first to the last day of snapshots.
fn days_of(objects: &BTreeSet<LandedObject>) -> Result<DateRange, Error> {
    let day = |object: &LandedObject| {
        let name = keys::file_name(&object.key).parse::<SnapshotName>();
        name.map(|name| name.time.date()).map_err(|error| Error::malformed(format!("{object}: {error}"), error))
    };
    let days: BTreeSet<NaiveDate> = objects.iter().map(day).collect::<Result<_, _>>()?;
    let ends = days.first().zip(days.last()).ok_or_else(|| Error::invalid_input("no objects"))?;
    DateRange::new(*ends.0, *ends.1).map_err(|error| Error::malformed(error.to_string(), error))
}

/// Counts the raw files of some days, without a run.
async fn of_days(lake: &Lake, range: DateRange) -> Result<PlanSummary, Error> {
    invocation::record_days(range);
    let files = raw_files::scan(lake, range).await?.deduplicated()?;
    let coverage = Coverage::new(&lake.config.session, range, &Feed::ALL, files.iter().map(|file| file.name));
    let versions: Vec<RawFileVersion> = files.iter().map(Into::into).collect();
    Ok(summary(range, &versions, coverage))
}

/// Returns the summary of a run's plan. Writes the plan if it does not exist.
async fn planned(
    lake: &Lake,
    run: &RunId,
    requested: RequestedDays,
    engine: Option<EngineChoice>,
) -> Result<PlanSummary, Error> {
    invocation::record_days(requested.range);
    let plan = match plan::Plan::find(lake, run).await? {
        Some(plan) => plan,
        None => make(lake, run, requested, engine).await?.write_once(lake).await?,
    };
    let files: Vec<RawFileVersion> = plan.days.iter().flat_map(|day| day.raw_files.iter().cloned()).collect();
    let coverage = Coverage::new(&lake.config.session, plan.range, &Feed::ALL, files.iter().map(|file| file.name));
    let to_publish = plan.to_publish().count() as u64;
    Ok(PlanSummary {
        run: Some(run.clone()),
        engine: Some(plan.engine),
        transform: match plan.engine {
            Engine::Lambda if to_publish > 0 => plan.days.iter().map(|day| day.day).collect(),
            Engine::Lambda | Engine::Emr => Vec::new(),
        },
        slices: if to_publish > 0 { slices_of(&plan) } else { Vec::new() },
        to_publish: Some(to_publish),
        missing: Some(plan.missing.iter().copied().collect()),
        behind: Some(plan.behind.len() as u64),
        catalog: catalog_lag::by_year(&plan.behind)?,
        ..summary(plan.range, &files, coverage)
    })
}

fn slices_of(plan: &plan::Plan) -> Vec<Slice> {
    let ranges = if plan.slices.is_empty() { std::slice::from_ref(&plan.range) } else { &plan.slices };
    (0..).zip(ranges).map(|(number, range)| Slice { number, from: range.from(), to: range.to() }).collect()
}

async fn make(
    lake: &Lake,
    run: &RunId,
    requested: RequestedDays,
    requested_engine: Option<EngineChoice>,
) -> Result<plan::Plan, Error> {
    lake::migration::ensure(lake).await?;
    // The records are read first, so that the run's view of the raw files is not older than that of its base record.
    let records = record::records(record::read_range(lake, requested.range).await?);
    // Listed in the direction in which a file moves, so that a file that moves meanwhile is in the first listing, and refused.
    let landed = raw_files::landed(lake, requested.range).await?;
    let listing = raw_files::scan(lake, requested.range).await?;
    let mut days: BTreeMap<NaiveDate, Vec<RawFileVersion>> = BTreeMap::new();
    for file in listing.files() {
        days.entry(file.name.time.date()).or_default().push(file.into());
    }
    let failed = match requested.selection {
        DaySelection::All | DaySelection::NotCurrent => BTreeMap::new(),
        DaySelection::Stale | DaySelection::Uploaded | DaySelection::Scheduled => {
            FailedAudit::read_range(lake, requested.range).await?
        }
    };
    let is_too_large = days.values().any(|files| bytes_of(files) > lake.config.transform.max_day_bytes);
    let is_chosen = |date: NaiveDate, files: &[RawFileVersion]| match requested.selection {
        DaySelection::All => true,
        DaySelection::Scheduled if date == requested.range.to() => true,
        // Not by a cluster, whose start takes longer than the time to the next upload.
        DaySelection::Uploaded if is_too_large => false,
        DaySelection::Stale | DaySelection::NotCurrent | DaySelection::Uploaded | DaySelection::Scheduled => {
            plan::is_to_do(records.get(&date), failed.get(&date), files)
        }
    };
    let chosen: BTreeSet<NaiveDate> =
        days.iter().filter(|(date, files)| is_chosen(**date, files)).map(|(date, _)| *date).collect();
    let landed = landed.into_iter().filter(|file| !listing.holds(file));
    let is_awaited = |date: NaiveDate| match requested.selection {
        DaySelection::All => true,
        // The upload of these files starts a run too.
        DaySelection::Uploaded => false,
        DaySelection::Stale | DaySelection::NotCurrent | DaySelection::Scheduled => chosen.contains(&date),
    };
    refuse_landed(lake, requested, landed.filter(|file| is_awaited(file.name.time.date())))?;
    let range = match (chosen.first(), chosen.last(), requested.selection) {
        // The job reads a range.
        (Some(first), Some(last), selection) if selection != DaySelection::All => {
            DateRange::new(*first, *last).map_err(|error| Error::malformed(error.to_string(), error))?
        }
        _ => requested.range,
    };
    if !chosen.is_empty() {
        // The job would read both files of a snapshot, and objects that are not snapshots.
        let read = if range == requested.range { listing } else { raw_files::scan(lake, range).await? };
        match (read.unique(), requested.selection) {
            // The ingestion of another batch may be replacing one by the other.
            (Err(Error::Quality(message)), DaySelection::Uploaded) => return Err(Error::UploadPending(message)),
            (unique, _) => _ = unique?,
        }
    }
    let missing = missing(lake, requested, &days, &records);
    let behind = match requested.selection {
        // Publishes each of its days, and updates the catalog of all.
        DaySelection::All => BTreeSet::new(),
        DaySelection::Stale | DaySelection::NotCurrent | DaySelection::Uploaded | DaySelection::Scheduled => {
            catalog_lag::days_behind(lake, &records).await?.difference(&chosen).copied().collect()
        }
    };
    let planned = days.into_iter().filter(|(date, _)| range.contains(*date)).map(|(day, raw_files)| PlannedDay {
        day,
        base: records.get(&day).map_or(0, |record| record.number),
        publish: chosen.contains(&day),
        raw_files,
    });
    let days: Vec<PlannedDay> = planned.collect();
    let limits = &lake.config.transform;
    let size = |day: &PlannedDay| (day.day, day.bytes());
    // A run that has nothing to do is not refused for the size of its days.
    let sizes = if chosen.is_empty() { BTreeMap::new() } else { days.iter().map(size).collect() };
    let choice = match requested.selection {
        DaySelection::Uploaded => EngineChoice::Lambda,
        _ => requested_engine.unwrap_or(limits.engine),
    };
    let engine = choice.resolve(limits, &sizes)?;
    // Before anything is paid for.
    let slices = match chosen.is_empty() {
        true => Vec::new(),
        false => slices::divide(range, &sizes, lake.config.quality.max_audit_bytes)?,
    };
    Ok(plan::Plan { run: run.clone(), engine, range, days, slices, missing, behind, requested, requested_engine })
}

/// Returns the day for which a schedule started the run, if it has fewer raw files than required.
fn missing(
    lake: &Lake,
    requested: RequestedDays,
    days: &BTreeMap<NaiveDate, Vec<RawFileVersion>>,
    records: &BTreeMap<NaiveDate, Record>,
) -> Vec<NaiveDate> {
    let date = requested.range.to();
    let is_accepted = records.get(&date).is_some_and(|record| record.missing_accepted.is_some());
    if requested.selection != DaySelection::Scheduled || is_accepted {
        return Vec::new();
    }
    let least = lake.config.least_snapshots(date);
    let count = |feed| days.get(&date).map_or(0, |files| files.iter().filter(|file| file.name.feed == feed).count());
    if Feed::ALL.into_iter().all(|feed| count(feed) >= least) { Vec::new() } else { vec![date] }
}

fn bytes_of(files: &[RawFileVersion]) -> u64 {
    files.iter().map(|file| file.bytes).sum()
}

fn refuse_landed(lake: &Lake, requested: RequestedDays, landed: impl Iterator<Item = RawFile>) -> Result<(), Error> {
    let landed: Vec<RawFile> = landed.collect();
    let Some(first) = landed.first() else { return Ok(()) };
    Err(Error::UploadPending(format!(
        "{} of the snapshots of {} are uploaded and not ingested yet, the first of them {}: a run now would publish \
         the days without them. If an upload is going on, start the run again after it. If one was broken off, upload \
         the folder again (pregao upload DIR), or start upload_raw_data for these days",
        landed.len(),
        requested.range,
        keys::uri(&lake.config.buckets.raw, &first.object.key),
    )))
}

fn summary(range: DateRange, files: &[RawFileVersion], coverage: Coverage) -> PlanSummary {
    let bytes = bytes_of(files);
    PlanSummary {
        run: None,
        from: range.from(),
        to: range.to(),
        files: files.len() as u64,
        bytes,
        days: by_day(files).into_iter().collect(),
        engine: None,
        transform: Vec::new(),
        slices: Vec::new(),
        to_publish: None,
        missing: None,
        behind: None,
        catalog: Vec::new(),
        coverage,
    }
}

fn by_day(files: &[RawFileVersion]) -> Vec<Day> {
    let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
    for file in files {
        let date = file.name.time.date();
        let day =
            days.entry(date).or_insert(Day { date, quotes: FileTotals::default(), options: FileTotals::default() });
        let of_feed = match file.name.feed {
            Feed::Quotes => &mut day.quotes,
            Feed::Options => &mut day.options,
        };
        of_feed.files += 1;
        of_feed.bytes += file.bytes;
    }
    days.into_values().collect()
}
