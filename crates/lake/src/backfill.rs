//! Backfills: long ranges of days in chunks. A chunk is a run of its own, so that a chunk that fails stops no other, and a backfill
//! that was stopped continues with the days that are not current yet.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use market::partition::DateRange;
use market::run::RunId;
use market::session::is_business_day;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Config;
use crate::engine::EngineChoice;
use crate::error::Error;
use crate::plan::{DaySelection, Plan, is_to_do};
use crate::record::{self, RawFileVersion};
use crate::slices::{SliceAudit, SlicePublication};
use crate::truncated_list::TruncatedList;
use crate::workflow_input::BackfillRequest;
use crate::{Lake, catalog_lag, raw_files};

/// Maximum number of chunks of a backfill. Step Functions passes at most 256 KiB from one state to the next, which has the outcomes
/// of all chunks, and keeps at most 25,000 events of an execution: a chunk takes 14, and twice as many if each attempt is repeated.
pub const MAX_CHUNKS: usize = 300;

/// Maximum number of consecutive current days within a chunk. The job reads them again, because it reads a range; more of them
/// cost more than another run does.
const MAX_BRIDGE: u64 = 5;

/// Maximum length of a cause in the outcome of a chunk, in bytes.
const MAX_CAUSE_BYTES: usize = 240;

/// Maximum number of failed days in the outcome of a chunk.
const MAX_FAILED_DAYS: usize = 5;

/// Maximum number of failed chunks in the text of the verdict.
const CHUNKS_NAMED: usize = 40;

/// What a backfill does: the result of the state `PlanBackfill`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backfill {
    /// The requested days.
    #[serde(flatten)]
    pub range: DateRange,
    /// Which days a chunk processes.
    pub which: DaySelection,
    /// The requested engine of the chunks.
    pub engine: EngineChoice,
    /// The number of chunks at the same time.
    pub parallel: u16,
    /// The number of days to process.
    pub days: u64,
    /// The size of the raw files that the chunks read, in bytes.
    pub bytes: u64,
    /// The number of days that are current, and are not processed.
    pub current: u64,
    /// The number of days that a rollback holds, and that are not processed.
    pub held: u64,
    /// The number of days that are not processed and whose partitions are not at the locations in their records: the publication
    /// was interrupted, or somebody has changed the catalog.
    pub behind: u64,
    /// The ranges of these days, one for each year.
    pub catalog: Vec<DateRange>,
    /// The business days without raw files.
    pub gaps: TruncatedList<NaiveDate>,
    /// The chunks, in order.
    pub chunks: Vec<Chunk>,
}

/// A part of a backfill, which is a run of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its number, from 1.
    pub number: u32,
    /// The name of its run.
    pub run: RunId,
    /// Its days.
    #[serde(flatten)]
    pub range: DateRange,
    /// The number of days to process.
    pub days: u64,
    /// The size of the raw files that the run reads, in bytes.
    pub bytes: u64,
    /// Its largest day, and the size of its raw files in bytes. Not in JSON.
    #[serde(skip)]
    pub largest_day: Option<(NaiveDate, u64)>,
}

/// A day that has raw files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Day {
    date: NaiveDate,
    /// The size of its raw files, in bytes.
    bytes: u64,
    is_to_do: bool,
}

/// Plans the backfill of the name `backfill`: lists the raw files of the requested days, and divides the days to process into
/// chunks. Reads only.
///
/// Days on which the exchange is closed have no raw files, and are skipped. One that has raw files is processed, as by any run.
///
/// # Errors
/// [`Error::InvalidInput`] if there would be more than [`MAX_CHUNKS`] chunks; whatever S3 refuses.
pub async fn plan(lake: &Lake, backfill: &RunId, request: &BackfillRequest) -> Result<Backfill, Error> {
    let BackfillRequest { range, force, engine, parallel } = *request;
    let records = record::records(record::read_range(lake, range).await?);
    let mut files: BTreeMap<NaiveDate, Vec<RawFileVersion>> = BTreeMap::new();
    for file in raw_files::scan(lake, range).await?.files() {
        files.entry(file.name.time.date()).or_default().push(file.into());
    }
    let gaps = range.days().filter(|day| is_business_day(*day) && !files.contains_key(day)).collect();
    let is_held = |date: &NaiveDate| records.get(date).is_some_and(|record| record.held.is_some());
    let held = files.keys().filter(|date| is_held(date)).count() as u64;
    let days: Vec<Day> = files
        .iter()
        .map(|(date, files)| Day {
            date: *date,
            bytes: files.iter().map(|file| file.bytes).sum(),
            // A day whose audit failed with the same files is to do: its checks or their limits may have changed.
            is_to_do: if force { !is_held(date) } else { is_to_do(records.get(date), None, files) },
        })
        .collect();
    let mut behind = catalog_lag::days_behind(lake, &records).await?;
    // The runs of the others update the catalog.
    behind.retain(|date| !days.iter().any(|day| day.is_to_do && day.date == *date));
    let engine = engine.unwrap_or(lake.config.transform.engine);
    let chunks = chunks(&lake.config, engine, &days, backfill)?;
    let to_do = chunks.iter().map(|chunk| chunk.days).sum();
    Ok(Backfill {
        range,
        which: if force { DaySelection::All } else { DaySelection::NotCurrent },
        engine,
        parallel: parallel.unwrap_or(lake.config.backfill.parallel).get(),
        days: to_do,
        bytes: chunks.iter().map(|chunk| chunk.bytes).sum(),
        current: days.len() as u64 - to_do - held,
        held,
        behind: behind.len() as u64,
        catalog: catalog_lag::by_year(&behind)?,
        gaps,
        chunks,
    })
}

/// What a run cannot do with a day. Days that differ in this are in different chunks, so that a day that is too large fails or
/// takes another engine without the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Fits,
    TooLargeForLambda,
    TooLargeToAudit,
}

/// Days that become a chunk.
#[derive(Debug, Clone, Copy)]
struct Group {
    from: NaiveDate,
    to: NaiveDate,
    size: Size,
    to_do: u64,
    /// The days that the run reads, and the size of their raw files.
    read: u64,
    bytes: u64,
    largest: Day,
}

/// Divides days, which are in order, into chunks. Each day to process is in exactly one chunk, and chunks do not overlap.
fn divide(config: &Config, engine: EngineChoice, days: &[Day]) -> Vec<Group> {
    let size = |bytes: u64| match bytes {
        bytes if bytes > config.quality.max_audit_bytes => Size::TooLargeToAudit,
        bytes if bytes > config.transform.max_day_bytes && engine != EngineChoice::Emr => Size::TooLargeForLambda,
        _ => Size::Fits,
    };
    let (max_days, max_bytes) = (u64::from(config.backfill.chunk_days.get()), config.backfill.chunk_bytes.get());
    let mut groups: Vec<Group> = Vec::new();
    // The current days since the last day to process.
    let mut bridge: Vec<&Day> = Vec::new();
    for day in days {
        if !day.is_to_do {
            bridge.push(day);
            continue;
        }
        let added = bridge.iter().copied().chain([day]);
        let (read, bytes) = (bridge.len() as u64 + 1, added.clone().map(|day| day.bytes).sum::<u64>());
        match groups.last_mut() {
            Some(group)
                if read <= MAX_BRIDGE + 1
                    && group.read + read <= max_days
                    && group.bytes + bytes <= max_bytes
                    && added.clone().all(|day| size(day.bytes) == group.size) =>
            {
                let largest =
                    added.copied().chain([group.largest]).max_by_key(|day| day.bytes).unwrap_or(group.largest);
                *group = Group {
                    to: day.date,
                    to_do: group.to_do + 1,
                    read: group.read + read,
                    bytes: group.bytes + bytes,
                    largest,
                    ..*group
                };
            }
            _ => groups.push(Group {
                from: day.date,
                to: day.date,
                size: size(day.bytes),
                to_do: 1,
                read: 1,
                bytes: day.bytes,
                largest: *day,
            }),
        }
        bridge.clear();
    }
    groups
}

fn chunks(config: &Config, engine: EngineChoice, days: &[Day], backfill: &RunId) -> Result<Vec<Chunk>, Error> {
    let groups = divide(config, engine, days);
    if groups.len() > MAX_CHUNKS {
        return Err(Error::invalid_input(format!(
            "these are {} chunks, and a backfill has at most {MAX_CHUNKS}: raise backfill.chunk_days or backfill.chunk_bytes, or \
             backfill parts of the range",
            groups.len()
        )));
    }
    let chunk = |(number, group): (u32, Group)| {
        let range = DateRange::new(group.from, group.to).map_err(|error| Error::malformed(error.to_string(), error))?;
        let run = run_of(backfill, number);
        let largest_day = Some((group.largest.date, group.largest.bytes));
        Ok(Chunk { number, run, range, days: group.to_do, bytes: group.bytes, largest_day })
    };
    (1..).zip(groups).map(chunk).collect()
}

/// Returns the name of the run of a chunk. It depends on the backfill and the number alone, so that a repeated request to start it
/// finds the execution that runs.
fn run_of(backfill: &RunId, number: u32) -> RunId {
    const LONGEST: usize = 80;
    let (name, suffix) = (backfill.execution(), format!("_{number:03}"));
    let name = if name.len() + suffix.len() <= LONGEST {
        name.to_owned()
    } else {
        // Two long names may have the same beginning. FNV-1a.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        format!("{}_{hash:016x}", &name[..LONGEST - suffix.len() - 17])
    };
    format!("{name}{suffix}").parse().expect("the name of a run with letters and digits that names of runs may have")
}

/// The failure of the execution of a chunk, as `Catch` reports it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Caught {
    /// The name of the error.
    #[serde(rename = "Error")]
    pub error: String,
    /// The cause: of an execution that failed, its description as JSON.
    #[serde(rename = "Cause", default)]
    pub cause: String,
}

/// What became of a chunk: the result of the state `ChunkOutcome`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkOutcome {
    /// Its number.
    pub number: u32,
    /// Its days.
    #[serde(flatten)]
    pub range: DateRange,
    /// The number of days to process.
    pub days: u64,
    /// The number of days that were published.
    pub published: u64,
    /// The number of days of which another run had published the same or newer raw files.
    pub superseded: u64,
    /// The number of days that a rollback holds.
    pub held: u64,
    /// The number of days whose audit failed.
    pub failed_days: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first_failed: Vec<NaiveDate>,
    /// The failure of its execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// The failure of a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The name of the error.
    pub error: String,
    /// The beginning of its cause.
    pub cause: String,
}

/// Determines what became of a chunk, from the objects that its run wrote. A run that failed may have published some of its days.
///
/// # Errors
/// As [`SlicePublication::find`].
pub async fn outcome_of(lake: &Lake, chunk: &Chunk, caught: Option<&Caught>) -> Result<ChunkOutcome, Error> {
    let mut outcome = ChunkOutcome {
        number: chunk.number,
        range: chunk.range,
        days: chunk.days,
        published: 0,
        superseded: 0,
        held: 0,
        failed_days: 0,
        first_failed: Vec::new(),
        failure: caught.map(Failure::new),
    };
    let mut attempt = Some(chunk.run.clone());
    while let Some(run) = attempt {
        let Some(plan) = Plan::find(lake, &run).await? else { break };
        let mut failed: Vec<NaiveDate> = Vec::new();
        for slice in plan.slice_numbers() {
            if let Some(published) = SlicePublication::find(lake, &run, slice).await? {
                outcome.published += published.published;
                outcome.superseded += published.superseded.count as u64;
                outcome.held += published.held.count as u64;
            }
            if let Some(audit) = SliceAudit::find(lake, &run, slice).await? {
                failed.extend(audit.failed);
            }
        }
        // A later attempt audits the days of an earlier one again.
        outcome.failed_days = failed.len() as u64;
        failed.truncate(MAX_FAILED_DAYS);
        outcome.first_failed = failed;
        attempt = run.next_attempt();
    }
    Ok(outcome)
}

impl Failure {
    fn new(caught: &Caught) -> Self {
        let (mut error, mut cause) = (caught.error.clone(), caught.cause.clone());
        // The cause of a nested execution is its description, and that of a function its error: both are JSON.
        while let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(&cause) {
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            if let Some(name) = text("Error").or_else(|| text("Status")) {
                name.clone_into(&mut error);
            }
            match text("errorMessage").or_else(|| text("Cause")) {
                Some(message) => message.clone_into(&mut cause),
                None if text("Status").is_some() => cause = String::new(),
                None => break,
            }
        }
        Self { error, cause: shortened(&cause) }
    }
}

/// Returns the beginning of a text, in one line.
fn shortened(text: &str) -> String {
    let line: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    if line.len() <= MAX_CAUSE_BYTES {
        return line;
    }
    let end = (0..=MAX_CAUSE_BYTES - "...".len()).rev().find(|at| line.is_char_boundary(*at)).unwrap_or_default();
    format!("{}...", &line[..end])
}

/// What became of a backfill: the result of the state `Outcome`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackfillOutcome {
    /// The number of chunks.
    pub chunks: u64,
    /// The number of days that were published.
    pub published: u64,
    /// The number of days of which another run had published the same or newer raw files.
    pub superseded: u64,
    /// The number of days that a rollback holds.
    pub held: u64,
    /// The chunks that failed.
    pub failed: TruncatedList<ChunkOutcome>,
    /// What failed, and the commands that retry it; `None` if nothing failed.
    pub verdict: Option<String>,
}

/// Adds up the outcomes of the chunks of a backfill.
pub fn sum_up(request: &BackfillRequest, chunks: Vec<ChunkOutcome>) -> BackfillOutcome {
    let sum = |number: fn(&ChunkOutcome) -> u64| chunks.iter().map(number).sum::<u64>();
    let failed: Vec<&ChunkOutcome> = chunks.iter().filter(|chunk| chunk.failure.is_some()).collect();
    BackfillOutcome {
        chunks: chunks.len() as u64,
        published: sum(|chunk| chunk.published),
        superseded: sum(|chunk| chunk.superseded),
        held: sum(|chunk| chunk.held),
        verdict: (!failed.is_empty()).then(|| verdict(request, &failed, chunks.len())),
        failed: failed.into_iter().cloned().collect(),
    }
}

fn verdict(request: &BackfillRequest, failed: &[&ChunkOutcome], chunks: usize) -> String {
    let of = if chunks == 1 {
        "the only chunk failed".to_owned()
    } else {
        format!("{} of {chunks} chunks failed", failed.len())
    };
    let mut lines = vec![format!("{of}. When the cause is removed, these commands retry them:")];
    for chunk in failed.iter().take(CHUNKS_NAMED) {
        lines.push(format!("pregao {}", retry_command(request, chunk.range)));
        if let Some(Failure { error, cause }) = &chunk.failure {
            lines.push(format!("  {error}: {cause}"));
        }
    }
    if failed.len() > CHUNKS_NAMED {
        lines.push(format!("and {} more, which the output of the state Outcome names", failed.len() - CHUNKS_NAMED));
    }
    lines.join("\n")
}

/// Returns the command that processes the days of a chunk again, without the name of the program.
pub fn retry_command(request: &BackfillRequest, range: DateRange) -> String {
    let force = if request.force { " --force" } else { "" };
    let engine = match request.engine {
        None => "",
        Some(EngineChoice::Auto) => " --engine auto",
        Some(EngineChoice::Lambda) => " --engine lambda",
        Some(EngineChoice::Emr) => " --engine emr",
    };
    format!("backfill --from {} --to {}{force}{engine}", range.from(), range.to())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slices;

    fn date(at: u64) -> NaiveDate {
        let first: NaiveDate = "2010-01-04".parse().expect("a date");
        first + chrono::Days::new(at)
    }

    /// Days of the given sizes, from the first. `+` is to do, `.` is current, and ` ` has no raw files.
    fn days(pattern: &str, bytes: impl Fn(u64) -> u64) -> Vec<Day> {
        let day = |(at, character): (u64, char)| {
            (character != ' ').then(|| Day { date: date(at), bytes: bytes(at), is_to_do: character == '+' })
        };
        (0..).zip(pattern.chars()).filter_map(day).collect()
    }

    fn config(chunk_days: u16, chunk_bytes: u64) -> Config {
        let mut config = Config::default();
        config.backfill.chunk_days = chunk_days.try_into().expect("not zero");
        config.backfill.chunk_bytes = chunk_bytes.try_into().expect("not zero");
        config.transform.max_day_bytes = 100;
        config.quality.max_audit_bytes = 200;
        config
    }

    /// Draws the chunks below the days: each day has the letter of its chunk.
    fn drawn(config: &Config, engine: EngineChoice, days: &[Day], length: usize) -> String {
        let groups = divide(config, engine, days);
        let letter = |at: u64| {
            let found = groups.iter().position(|group| group.from <= date(at) && date(at) <= group.to);
            found.map_or(' ', |at| char::from(b'a' + at as u8))
        };
        (0..length as u64).map(letter).collect()
    }

    #[test]
    fn days_to_do_are_divided_into_chunks() {
        use EngineChoice::{Auto, Emr, Lambda};
        let small = |_: u64| 1_u64;
        let large = |at: u64| if at == 2 { 101_u64 } else { 1 };
        let huge = |at: u64| if at == 2 { 201_u64 } else { 1 };
        for (what, pattern, config, engine, bytes, expected) in [
            ("nothing", "..  ..", config(4, 1_000), Emr, &small as &dyn Fn(u64) -> u64, "      "),
            ("one", "+", config(4, 1_000), Emr, &small, "a"),
            ("holidays divide nothing", "++  +", config(4, 1_000), Emr, &small, "aaaaa"),
            ("days", "+++++++++", config(4, 1_000), Emr, &small, "aaaabbbbc"),
            ("bytes", "+++++", config(4, 2), Emr, &small, "aabbc"),
            ("a day over the bytes", "+++++", config(4, 50), Emr, &large, "aabcc"),
            ("current days at the ends", "..+++..", config(4, 1_000), Emr, &small, "  aaa  "),
            ("a few current days within", "+.....+", config(9, 1_000), Emr, &small, "aaaaaaa"),
            ("more current days within", "+......+", config(9, 1_000), Emr, &small, "a      b"),
            ("current days are read too", "+...+", config(4, 1_000), Emr, &small, "a   b"),
            ("and their bytes", "+.+", config(4, 2), Emr, &small, "a b"),
            ("EMR takes any day", "+++++", config(9, 1_000), Emr, &large, "aaaaa"),
            ("a day that is too large for lambda", "+++++", config(9, 1_000), Lambda, &large, "aabcc"),
            ("a day that is too large for lambda", "+++++", config(9, 1_000), Auto, &large, "aabcc"),
            ("a current one", "++.++", config(9, 1_000), Auto, &large, "aa bb"),
            ("a day that is too large to audit", "+++++", config(9, 1_000), Emr, &huge, "aabcc"),
        ] {
            let days = days(pattern, bytes);
            assert_eq!(drawn(&config, engine, &days, pattern.len()), expected, "{what}: {pattern}");
        }
    }

    #[test]
    fn each_day_to_do_is_in_exactly_one_chunk_within_all_limits() {
        let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
        let mut roll = move |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        for _ in 0..2_000 {
            let (to_do, files, sizes) = (1 + roll(10), 1 + roll(10), 1 + roll(300));
            let days: Vec<Day> = (0..roll(900))
                .filter_map(|at| {
                    let day = Day { date: date(at), bytes: roll(sizes), is_to_do: roll(10) < to_do };
                    (roll(10) < files).then_some(day)
                })
                .collect();
            let config = config(1 + roll(250) as u16, 1 + roll(5_000));
            let engine = [EngineChoice::Auto, EngineChoice::Emr, EngineChoice::Lambda][roll(3) as usize];
            let groups = divide(&config, engine, &days);
            assert!(groups.windows(2).all(|pair| pair[0].to < pair[1].from), "in order, and they do not overlap");
            for day in days.iter().filter(|day| day.is_to_do) {
                let of_day = groups.iter().filter(|group| (group.from..=group.to).contains(&day.date));
                assert_eq!(of_day.count(), 1, "{day:?} in {groups:?}");
            }
            for group in &groups {
                let read: BTreeMap<NaiveDate, u64> = days
                    .iter()
                    .filter(|day| (group.from..=group.to).contains(&day.date))
                    .map(|day| (day.date, day.bytes))
                    .collect();
                let to_do =
                    days.iter().filter(|day| day.is_to_do && (group.from..=group.to).contains(&day.date)).count();
                assert_eq!((group.read, group.to_do), (read.len() as u64, to_do as u64), "{group:?}");
                assert_eq!(group.bytes, read.values().sum::<u64>(), "{group:?}");
                assert_eq!(Some(&group.largest.bytes), read.values().max(), "{group:?}");
                assert_eq!(read.get(&group.largest.date), Some(&group.largest.bytes), "{group:?}");
                assert!(group.read <= u64::from(config.backfill.chunk_days.get()), "{group:?}");
                assert!(group.bytes <= config.backfill.chunk_bytes.get() || group.read == 1, "{group:?}");
                // A run of its days is refused only if it has a day that any run would be refused for.
                let range = DateRange::new(group.from, group.to).expect("a range");
                let sliced = slices::divide(range, &read, config.quality.max_audit_bytes);
                assert_eq!(sliced.is_ok(), group.size != Size::TooLargeToAudit, "{group:?}");
                let resolved = engine.resolve(&config.transform, &read);
                assert!(resolved.is_ok() || group.size != Size::Fits, "{group:?}");
            }
        }
    }

    fn run(name: &str) -> RunId {
        name.parse().expect("a run")
    }

    #[test]
    fn ten_years_fit_into_the_state_of_an_execution() {
        const MAX_STATE: usize = 256 * 1024;
        let backfill = run(&"x".repeat(76));
        let year = days(&"+".repeat(250), |_| 1);
        let chunks = chunks(&config(1, 1), EngineChoice::Emr, &year, &backfill).expect("250 chunks");
        assert_eq!(chunks.len(), 250);
        let text = serde_json::to_string(&chunks).expect("JSON");
        assert!(text.len() * MAX_CHUNKS / 250 < MAX_STATE / 2, "{} bytes", text.len());
        // The worst outcome: every character of the cause is escaped.
        let caught = Caught { error: "StepFunctions.ExecutionLimitExceeded".to_owned(), cause: "\"".repeat(40_000) };
        let outcome = ChunkOutcome {
            number: 300,
            range: chunks[0].range,
            days: 250,
            published: 250,
            superseded: 250,
            held: 250,
            failed_days: 250,
            first_failed: vec![date(0); MAX_FAILED_DAYS],
            failure: Some(Failure::new(&caught)),
        };
        let text = serde_json::to_string(&vec![outcome; MAX_CHUNKS]).expect("JSON");
        assert!(text.len() < MAX_STATE, "{} bytes", text.len());

        let two_years = days(&"+".repeat(301), |_| 1);
        let error = super::chunks(&config(1, 1), EngineChoice::Emr, &two_years, &backfill).expect_err("too many");
        assert!(error.to_string().contains("301 chunks, and a backfill has at most 300"), "{error}");
    }

    #[test]
    fn the_run_of_a_chunk_has_a_name_of_its_own() {
        assert_eq!(run_of(&run("backfill"), 7).as_str(), "backfill_007");
        let (one, other) = (run(&format!("{}a", "x".repeat(79))), run(&format!("{}b", "x".repeat(79))));
        assert_ne!(run_of(&one, 1), run_of(&other, 1));
        assert_eq!(run_of(&one, 1), run_of(&one, 1));
        for length in 70..=80 {
            assert!(run_of(&run(&"x".repeat(length)), 300).as_str().len() <= 80);
        }
    }

    #[test]
    fn a_failure_is_that_of_the_function() {
        let caught = |error: &str, cause: &str| {
            let Failure { error, cause } = Failure::new(&Caught { error: error.to_owned(), cause: cause.to_owned() });
            format!("{error}|{cause}")
        };
        let of_function =
            serde_json::json!({"errorType": "QualityError", "errorMessage": "the audit failed\nquotes: schema"});
        let of_execution =
            serde_json::json!({"Status": "FAILED", "Error": "QualityError", "Cause": of_function.to_string()});
        assert_eq!(
            caught("States.TaskFailed", &of_execution.to_string()),
            "QualityError|the audit failed quotes: schema"
        );
        assert_eq!(caught("States.TaskFailed", r#"{"Status": "ABORTED"}"#), "ABORTED|");
        assert_eq!(caught("States.Timeout", ""), "States.Timeout|");
        assert_eq!(caught("X", "{\"other\": 1}"), "X|{\"other\": 1}");
        let long = caught("X", &"é".repeat(500));
        assert!(long.len() <= MAX_CAUSE_BYTES + 2 && long.ends_with("é..."), "{long}");
    }

    #[test]
    fn a_verdict_names_the_commands_that_retry() {
        let range = |from: u64, to: u64| DateRange::new(date(from), date(to)).expect("a range");
        let outcome = |number: u32, failure: Option<Failure>| ChunkOutcome {
            number,
            range: range(u64::from(number) * 7, u64::from(number) * 7 + 4),
            days: 5,
            published: if failure.is_some() { 3 } else { 5 },
            superseded: 0,
            held: 0,
            failed_days: 0,
            first_failed: Vec::new(),
            failure,
        };
        let failure = Failure { error: "QualityError".to_owned(), cause: "the audit failed".to_owned() };
        let request = BackfillRequest { range: range(0, 30), force: false, engine: None, parallel: None };
        let good = sum_up(&request, vec![outcome(1, None), outcome(2, None)]);
        assert_eq!((good.chunks, good.published, good.failed.count, good.verdict), (2, 10, 0, None));
        let chunks = vec![outcome(1, None), outcome(2, Some(failure.clone()))];
        let bad = sum_up(&BackfillRequest { force: true, engine: Some(EngineChoice::Lambda), ..request }, chunks);
        assert_eq!((bad.chunks, bad.published, bad.failed.count), (2, 8, 1));
        assert_eq!(
            bad.verdict.expect("a verdict"),
            "1 of 2 chunks failed. When the cause is removed, these commands retry them:\n\
             pregao backfill --from 2010-01-18 --to 2010-01-22 --force --engine lambda\n  QualityError: the audit failed"
        );
        let all = sum_up(&request, (0..300).map(|number| outcome(number, Some(failure.clone()))).collect());
        let verdict = all.verdict.expect("a verdict");
        assert!(verdict.ends_with("and 260 more, which the output of the state Outcome names"), "{verdict}");
        // Step Functions takes a cause of at most 32,768 characters.
        assert!(verdict.len() + CHUNKS_NAMED * MAX_CAUSE_BYTES < 32_768, "{}", verdict.len());
    }
}
