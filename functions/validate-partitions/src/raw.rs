//! Stage `raw`: resolves what a run is asked for to days, and counts what there is to process.

use std::collections::BTreeMap;

use chrono::{NaiveDate, Utc};
use lake::excerpt::Excerpt;
use lake::lambda::parse_event;
use lake::raw::{self, Coverage, RawFile};
use lake::request::{self, Request};
use lake::{Error, Lake, keys};
use market::partition::DateRange;
use market::run::RunId;
use market::snapshot::{Feed, SnapshotName};
use serde::Serialize;
use serde_json::{Map, Value};

/// The days of a run and what there is for them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The run, if the event named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
    /// The raw files of all days.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The days that have files.
    pub days: Excerpt<Day>,
    /// What is missing.
    #[serde(flatten)]
    pub coverage: Coverage,
}

/// The raw files of one day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Day {
    /// The day.
    pub date: NaiveDate,
    /// Those of the trading panel.
    pub quotes: Files,
    /// Those of the option chains.
    pub options: Files,
}

/// Some files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    /// How many.
    pub files: u64,
    /// Their bytes, as they lie there.
    pub bytes: u64,
}

/// Counts the raw files of the days that the event asks for: `input`, which is the input of a workflow, or else what
/// stands beside `stage` and `run`.
///
/// # Errors
/// With a `run`, which is going to read the files: [`Error::UploadPending`] while snapshots of these days wait in
/// `landing/`, and [`Error::Quality`] where one is there in two forms.
pub async fn plan(lake: &Lake, event: Value) -> Result<Plan, Error> {
    let mut fields: Map<String, Value> = parse_event(event, crate::RAW)?;
    fields.shift_remove("stage");
    let run = fields.shift_remove("run").map(|run| parse_event(run, "the name of a run")).transpose()?;
    let input = fields.shift_remove("input").unwrap_or(Value::Object(fields));
    let range = match request::resolve(&input, Utc::now())? {
        Request::Days(range) => range,
        Request::Object { key, .. } => day_of(&key)?,
    };
    let files = match &run {
        Some(_) => of_run(lake, range).await?,
        None => raw::look(lake, range).await?.present()?,
    };
    let coverage = Coverage::of(&lake.config.session, range, &Feed::ALL, files.iter().map(|file| file.name));
    let bytes = files.iter().map(|file| file.object.bytes).sum();
    let (from, to) = (range.from(), range.to());
    Ok(Plan { run, from, to, files: files.len() as u64, bytes, days: by_day(&files).into_iter().collect(), coverage })
}

/// The raw files that a run reads: all that were uploaded, each once.
async fn of_run(lake: &Lake, range: DateRange) -> Result<Vec<RawFile>, Error> {
    // In the order in which a file moves: one that moves between the two listings is seen where it was, and refused.
    let mut landed = raw::landed(lake, range).await?;
    let listing = raw::look(lake, range).await?;
    landed.retain(|file| !listing.holds(file));
    let Some(first) = landed.first() else { return listing.only() };
    Err(Error::UploadPending(format!(
        "{} of the snapshots of {range} are uploaded and not taken in yet, the first of them {}: a run now would publish \
         the days without them. If an upload is going on, start the run again after it. If one was broken off, upload \
         the folder again (pregao upload DIR), or start upload_raw_data for these days",
        landed.len(),
        keys::uri(&lake.config.buckets.raw, &first.object.key),
    )))
}

fn day_of(key: &str) -> Result<DateRange, Error> {
    let name = keys::file_name(key).parse::<SnapshotName>().map_err(|error| Error::InvalidInput(error.to_string()))?;
    DateRange::day(name.time.date()).map_err(|error| Error::InvalidInput(error.to_string()))
}

fn by_day(files: &[RawFile]) -> Vec<Day> {
    let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
    for RawFile { name, object } in files {
        let date = name.time.date();
        let day = days.entry(date).or_insert(Day { date, quotes: Files::default(), options: Files::default() });
        let of_feed = match name.feed {
            Feed::Quotes => &mut day.quotes,
            Feed::Options => &mut day.options,
        };
        of_feed.files += 1;
        of_feed.bytes += object.bytes;
    }
    days.into_values().collect()
}
