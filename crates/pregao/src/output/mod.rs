//! What commands write with `--format json`: one document each, of the types of this module. Their JSON Schemas are in
//! `docs/schemas/`, made from these types by a test below.
//!
//! Names of statuses and errors are those of AWS. Times are RFC 3339 in UTC, days are `YYYY-MM-DD`, sizes are bytes,
//! durations are seconds.

use std::fmt;
use std::io::{self, Write};

use chrono::{DateTime, Local, NaiveDate, Utc};
use lake::backoff::serialize_timestamp;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error_report;
use crate::interrupt::Interrupted;

/// Writes the document of a command to the standard output.
pub(crate) fn print(document: &impl Serialize) -> anyhow::Result<()> {
    // The standard output is flushed at each line: a document of thousands of days has hundreds of thousands of them.
    let mut text = serde_json::to_vec_pretty(document)?;
    text.push(b'\n');
    let mut out = io::stdout().lock();
    // As the error of the stream that it is: a closed pipe is no failure of a command.
    out.write_all(&text)?;
    Ok(out.flush()?)
}

/// Writes the document of a command that failed: the fields that are known, and the error.
pub(crate) fn print_failure(error: &anyhow::Error) -> anyhow::Result<()> {
    let partial = error.chain().find_map(|cause| cause.downcast_ref::<Partial>());
    let mut document = partial.map_or_else(Map::new, |partial| partial.document.clone());
    document.insert("error".to_owned(), serde_json::to_value(Problem::from_error(error))?);
    print(&document)
}

/// An error with what the document of its command says beside it.
#[derive(Debug)]
pub(crate) struct Partial {
    document: Map<String, Value>,
    /// The name under which the document has the error.
    name: Option<String>,
    error: anyhow::Error,
}

impl Partial {
    /// An error of a command whose document is `document` as far as there is one.
    pub(crate) fn error(document: &impl Serialize, name: Option<&str>, error: anyhow::Error) -> anyhow::Error {
        let document = match serde_json::to_value(document) {
            Ok(Value::Object(document)) => document,
            _ => Map::new(),
        };
        anyhow::Error::new(Partial { document, name: name.map(str::to_owned), error })
    }
}

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for Partial {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.error.as_ref())
    }
}

/// A time in a document: RFC 3339 in UTC, with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(transparent)]
pub(crate) struct Timestamp(
    #[serde(serialize_with = "serialize_timestamp")]
    #[cfg_attr(test, schemars(with = "String"))]
    DateTime<Utc>,
);

impl Timestamp {
    /// Creates a timestamp from milliseconds since 1970.
    pub(crate) fn from_millis(millis: i64) -> Timestamp {
        Timestamp(DateTime::from_timestamp_millis(millis).unwrap_or_default())
    }

    /// Formats it for people, in the local time zone and to the second.
    pub(crate) fn local(self) -> impl fmt::Display {
        self.0.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S")
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Timestamp {
        Timestamp(time)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        serialize_timestamp(&self.0, f)
    }
}

/// Seconds to the millisecond.
pub(crate) fn seconds(duration: std::time::Duration) -> f64 {
    duration.as_millis() as f64 / 1e3
}

macro_rules! documents {
    ($($(#[$attribute:meta])* pub struct $name:ident $(<$T:ident>)? { $($body:tt)* })+) => {$(
        #[derive(Debug, Clone, Serialize)]
        #[cfg_attr(test, derive(JsonSchema), schemars(deny_unknown_fields))]
        $(#[$attribute])*
        #[allow(unreachable_pub, reason = "some of the documents are in private modules")]
        pub struct $name $(<$T>)? { $($body)* }
    )+};
}

mod backfill;
mod days;
mod diff;
mod records;
mod smoke;

pub(crate) use backfill::{Backfill, BackfillPlan, FailedChunk, PlannedChunk};
pub(crate) use days::{Accepted, Day, StaleRuns};
pub(crate) use diff::{Changed, Diff, Different, TableDiff};
pub(crate) use records::{History, HistoryRecord, Rollback};
pub(crate) use smoke::{Smoke, SmokeEvidence, SmokePromise, Verdict};

documents! {
    /// What `pregao vacuum` removed, or would remove.
    pub struct Vacuum {
        /// Whether nothing was removed, because only that was asked for.
        pub dry_run: bool,
        /// How many days a run stays after another one has replaced it.
        pub keep_days: u32,
        /// Each run of which anything was removed.
        pub runs: Vec<VacuumedRun>,
        /// The days of all of them, each day of each run counted.
        pub days: u64,
        /// Their objects.
        pub objects: u64,
        /// The bytes of these.
        pub bytes: u64,
        /// Uploads in parts that nobody completed within a day.
        pub uploads: u64,
        /// Databases of queries about the past that are older than a day.
        pub databases: Vec<String>,
    }

    /// A run of which files were removed.
    pub struct VacuumedRun {
        /// The run.
        pub run: String,
        /// Its days that were removed; none where it had written nothing but its plan.
        pub days: Vec<String>,
        /// Objects.
        pub objects: u64,
        /// Their bytes.
        pub bytes: u64,
    }

    /// Why a command failed.
    pub struct Problem {
        /// The name of the error, where it has one: `QualityError`, `AccessDenied`, `Interrupted`.
        pub name: Option<String>,
        /// What happened, in words.
        pub message: String,
        /// What can be done about it.
        pub hints: Vec<String>,
    }

    /// A command that failed before it had anything else to say.
    #[cfg(test)]
    pub struct Failed {
        /// Why.
        pub error: Problem,
        /// The execution that failed or was stopped, if one was started.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub execution: Option<Ended>,
    }

    /// An execution that did not succeed.
    pub struct Ended {
        /// `upload_raw_data`, `create_datalake` or `backfill`.
        pub workflow: String,
        /// Its name, which is the id that `pregao runs` takes.
        pub name: String,
        /// `FAILED` or `ABORTED`.
        pub status: String,
    }

    /// The first items of a list, and how many there are.
    // The published schemas know it by this name.
    #[cfg_attr(test, schemars(rename = "Excerpt_for_{T}"))]
    pub struct TruncatedList<T> {
        /// All items.
        pub count: usize,
        /// The first of them.
        pub first: Vec<T>,
    }

    /// What is missing among the raw files of some days.
    pub struct Coverage {
        /// Business days without any raw file.
        pub days_without_files: TruncatedList<String>,
        /// Other business days on which snapshots are missing, for each feed.
        pub missing_snapshots: TruncatedList<Missing>,
    }

    /// The snapshots that are missing of a feed on a day.
    pub struct Missing {
        /// The day.
        pub date: String,
        /// `quotes` or `options`.
        pub feed: String,
        /// Their times, `HH:MM` in Sao Paulo.
        pub times: TruncatedList<String>,
    }

    /// The executions of all workflows, newest first.
    pub struct Runs {
        /// The executions.
        pub executions: Vec<Execution>,
    }

    /// An execution of a workflow.
    pub struct Execution {
        /// `upload_raw_data`, `create_datalake`, `backfill` or `athena_update`.
        pub workflow: String,
        /// Its name, which is the id that `pregao runs` takes.
        pub name: String,
        /// Its ARN.
        pub arn: String,
        /// `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT`, `ABORTED` or `PENDING_REDRIVE`.
        pub status: String,
        /// When it was started.
        pub started: Timestamp,
        /// When it ended; null while it runs.
        pub stopped: Option<Timestamp>,
        /// How long it took, or has taken so far, in seconds.
        pub seconds: f64,
    }

    /// One execution in full.
    pub struct Shown {
        /// The execution.
        pub execution: Execution,
        /// Its input.
        pub input: Value,
        /// Its output; null unless it succeeded.
        pub output: Option<Value>,
        /// How it failed; null unless it did.
        pub failure: Option<Failure>,
        /// The states that it went through, in the order in which they were entered.
        pub states: Vec<State>,
    }

    /// An error of an execution or of a state.
    pub struct Failure {
        /// The name of the error: `QualityError`.
        pub error: String,
        /// What happened, in words.
        pub cause: String,
    }

    /// One visit of an execution to a state.
    pub struct State {
        /// The name of the state.
        pub name: String,
        /// When it was entered.
        pub entered: Timestamp,
        /// When it was left; null while the execution is there.
        pub left: Option<Timestamp>,
        /// How long it took, in seconds; null while the execution is there.
        pub seconds: Option<f64>,
        /// What went wrong in it, attempt by attempt.
        pub failures: Vec<Failure>,
        /// Whether it failed in the end: no later attempt went well.
        pub failed: bool,
        /// The executions that it started.
        pub executions: Vec<Nested>,
    }

    /// An execution that a state of another one started.
    pub struct Nested {
        /// Its ARN.
        pub arn: String,
        /// The states that it went through.
        pub states: Vec<State>,
    }

    /// What became of the files of a folder.
    pub struct Upload {
        /// The execution of `upload_raw_data`.
        pub execution: String,
        /// Files of the folder.
        pub files: u64,
        /// Their bytes.
        pub bytes: u64,
        /// Files that were sent. The others were there already.
        pub sent_files: u64,
        /// Bytes that were sent.
        pub sent_bytes: u64,
        /// The first and the last day of the snapshots among the files; null where there is no snapshot.
        pub days: Option<Days>,
        /// Files that were accepted and are now in their place.
        pub accepted: u64,
        /// Files that were in their place already.
        pub already_there: u64,
        /// Files in whose place another of the same name now is. They are kept in `quarantine/`.
        pub superseded: u64,
        /// Files that were refused. Where there are any, the exit code is 1.
        pub quarantined: TruncatedList<Quarantined>,
        /// Accepted files whose last record has no line end, so that what stands last in it may have been cut off.
        pub unterminated: TruncatedList<String>,
        /// Accepted files with columns behind those of their feed, which are in no table and are ignored.
        pub added_columns: TruncatedList<AddedColumns>,
        /// What was passed over in the folder. Where one of these cannot be read, the exit code is 1.
        pub passed_over: Vec<PassedOver>,
        /// What is missing among the raw files of these days.
        pub coverage: Coverage,
        /// Days among these of which other raw files are published than are there now; null where that could not be found out.
        pub stale_days: Option<TruncatedList<String>>,
        /// The ARNs of the executions of `create_datalake` that the upload has started for its days: see `schedule.on_upload`.
        pub runs: Vec<String>,
        /// Why the exit code is 1, when it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub error: Option<Problem>,
    }

    /// A range of days, both ends in it.
    pub struct Days {
        /// The first.
        pub from: String,
        /// The last.
        pub to: String,
    }

    /// An entry of a folder that was passed over.
    pub struct PassedOver {
        /// Its path.
        pub path: String,
        /// Why.
        pub reason: String,
    }

    /// A file that was refused.
    pub struct Quarantined {
        /// Its name.
        pub name: String,
        /// Why.
        pub reason: String,
    }

    /// A file with columns behind those of its feed.
    pub struct AddedColumns {
        /// Its name.
        pub name: String,
        /// The names of the columns.
        pub columns: TruncatedList<String>,
    }

    /// What a run published.
    pub struct Run {
        /// The run, which is also the name of the execution of `create_datalake`.
        pub run: String,
        /// The days that it was asked for.
        pub days: Days,
        /// Raw files of these days. Without any, nothing is published.
        pub files: u64,
        /// The tables that it published.
        pub published: Vec<Published>,
        /// The days of which another run had published the same or newer raw files. They stay as they are.
        pub superseded: TruncatedList<String>,
        /// The days that a rollback holds. They stay as they are.
        pub held: TruncatedList<String>,
        /// The number of days that had been published before and were not in the catalog, which now has them.
        pub catalog_behind: u64,
        /// What is missing among the raw files of these days.
        pub coverage: Coverage,
    }

    /// What a run published of a table.
    pub struct Published {
        /// `quotes`, `options` or `rejects`.
        pub table: String,
        /// Partitions, which are days.
        pub partitions: u64,
        /// Rows.
        pub rows: u64,
        /// Rows that repeat the time and the ticker of another; null for `rejects`.
        pub duplicates: Option<u64>,
        /// What became of the raw records; null for `rejects`, which takes from both feeds.
        pub records: Option<Records>,
        /// The checks of the audit.
        pub checks: Vec<Check>,
    }

    /// What became of raw records: `records = published + blank_ticker + header_repeat + ragged`.
    pub struct Records {
        /// All records.
        pub records: u64,
        /// Rows of the table.
        pub published: u64,
        /// Dropped: they have no ticker.
        pub blank_ticker: u64,
        /// Dropped: they repeat the header.
        pub header_repeat: u64,
        /// Rows of `rejects`: their number of cells is wrong.
        pub ragged: u64,
    }

    /// A check of the audit.
    pub struct Check {
        /// Its name.
        pub name: String,
        /// What it counts: `rows`, `cells`, `files`, `days` or `snapshots`.
        pub unit: String,
        /// How many it applies to.
        pub checked: u64,
        /// How many of these failed.
        pub failing: u64,
        /// The largest share that passes.
        pub limit: f64,
        /// Whether it passed.
        pub passed: bool,
    }

    /// What a run would do, and cost on AWS.
    pub struct Plan {
        /// The days.
        pub days: Days,
        /// Business days among them.
        pub business_days: u64,
        /// Days that have raw files. Each becomes a partition.
        pub days_with_files: u64,
        /// Business days that have none.
        pub days_without_files: TruncatedList<String>,
        /// Raw files of these days.
        pub files: u64,
        /// Their bytes, compressed where they are.
        pub bytes: u64,
        /// What converts the raw files: `lambda`, `emr`, or for a step of the embedded EMR `embedded` or `spark`.
        pub engine: String,
        /// The estimate of how long the engine takes, in seconds; null on this machine, and where it is not known.
        pub seconds: Option<f64>,
        /// The estimate of what the run costs, in USD; 0 on this machine, null where a price is not known.
        pub usd: Option<f64>,
        /// What it is made of.
        pub costs: Vec<Cost>,
    }

    /// A part of what a run costs.
    pub struct Cost {
        /// The service.
        pub service: String,
        /// How it is calculated.
        pub arithmetic: String,
        /// USD; null where a price is not known.
        pub usd: Option<f64>,
    }

    /// What `pregao verify` looked at, and what is wrong. Where anything is, the exit code is 1.
    pub struct Verify {
        /// Whether every byte was read.
        pub deep: bool,
        /// The first day that was asked for; null: all from the first.
        pub from: Option<String>,
        /// The last day that was asked for; null: all to the last.
        pub to: Option<String>,
        /// Whether the lake could be opened. If not, only databases and objects were looked at.
        pub complete: bool,
        /// How much was looked at.
        pub checked: Checked,
        /// What is wrong, by kind and file.
        pub problems: Vec<Finding>,
        /// What is not wrong and worth knowing.
        pub notes: Vec<Note>,
    }

    /// How much was looked at.
    #[derive(Default)]
    pub struct Checked {
        /// Databases of the home; 0 when another process has it open, or on AWS.
        pub databases: usize,
        /// Published partitions.
        pub partitions: usize,
        /// Their Parquet files.
        pub parquet_files: usize,
        /// Quality reports of published runs.
        pub reports: usize,
        /// Raw files.
        pub raw_files: usize,
        /// Bytes of Parquet files that were read.
        pub bytes_read: u64,
    }

    /// Something that is wrong.
    pub struct Finding {
        /// What sort of thing.
        pub kind: FindingKind,
        /// The file or the object.
        pub file: String,
        /// What is expected.
        pub expected: String,
        /// What was found.
        pub found: String,
        /// The command that repairs it.
        pub repair: String,
    }

    /// What `pregao doctor` checked. Where a check failed, the exit code is 1.
    pub struct Doctor {
        /// Whether the account was checked, and not this machine.
        pub aws: bool,
        /// The checks.
        pub checks: Vec<DoctorCheck>,
    }

    /// A check of a machine or of an account.
    pub struct DoctorCheck {
        /// What was checked.
        pub name: String,
        /// The result.
        pub result: CheckResult,
        /// What was found.
        pub found: String,
        /// What can be done about it; null where there is nothing to do.
        pub remedy: Option<String>,
    }

    /// A published Parquet file.
    pub struct PublishedFile {
        /// The day whose rows it has.
        pub day: String,
        /// The URI of the object; with `--paths` the path of the file.
        pub uri: String,
        /// Its rows.
        pub rows: u64,
        /// Its size.
        pub bytes: u64,
        /// The ETag of the version that was audited, without quotes.
        pub etag: String,
    }

    /// Something that is not wrong.
    pub struct Note {
        /// What, in words.
        pub text: String,
    }

    /// The account of an engine's run over a folder.
    pub struct Etl {
        /// Each feed.
        pub tables: Vec<EtlTable>,
        /// Bytes of the raw files, unpacked.
        pub bytes: u64,
        /// How long it took, in seconds.
        pub seconds: f64,
        /// Parquet files that were written.
        pub parquet_files: u64,
        /// Files with columns behind those of their feed, which are in no table and are ignored.
        pub added_columns: TruncatedList<AddedColumns>,
        /// Files that were left out because their names are not those of snapshots. Where there are any, the exit code is 1.
        pub left_out: Vec<String>,
        /// What was passed over in the folder. Where one of these cannot be read, the exit code is 1.
        pub passed_over: Vec<PassedOver>,
        /// Why the exit code is 1, when it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub error: Option<Problem>,
    }

    /// The account of a feed: `records = published + blank_ticker + header_repeat + ragged`.
    pub struct EtlTable {
        /// `quotes` or `options`.
        pub table: String,
        /// Raw files.
        pub files: u64,
        /// Records.
        pub records: u64,
        /// Rows of the table.
        pub published: u64,
        /// Dropped: they have no ticker.
        pub blank_ticker: u64,
        /// Dropped: they repeat the header.
        pub header_repeat: u64,
        /// Rows of `rejects`: their number of cells is wrong.
        pub ragged: u64,
        /// Cells that could not be read: rows of `rejects`.
        pub rejected_cells: u64,
    }

    /// The living clusters of the lake.
    pub struct Clusters {
        /// The clusters.
        pub clusters: Vec<Cluster>,
    }

    /// An EMR cluster.
    pub struct Cluster {
        /// Its id.
        pub id: String,
        /// Its name.
        pub name: String,
        /// `STARTING`, `BOOTSTRAPPING`, `RUNNING` or `WAITING`.
        pub state: String,
        /// When it was started; null where EMR does not say.
        pub created: Option<Timestamp>,
        /// What EMR says of the state; null where it says nothing.
        pub reason: Option<String>,
    }
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::IntoStaticStr)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum CheckResult {
    /// All is well.
    Ok,
    /// It works, and may soon not.
    Warning,
    /// It does not work.
    Failed,
    /// The check could not be made.
    Unknown,
}

impl CheckResult {
    /// The name that documents and texts have for it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What sort of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::IntoStaticStr)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum FindingKind {
    /// A database of the home is damaged.
    Database,
    /// An object is missing, or has other bytes than were written.
    Object,
    /// A partition points to what is no run of this lake.
    Catalog,
    /// The manifest of a published folder is missing or damaged.
    Manifest,
    /// The files of a published folder are not those that were audited.
    Files,
    /// A published Parquet file cannot be read.
    Parquet,
    /// The report of a published run is missing, failed, or says something else.
    Report,
    /// A raw file is late, was replaced or was removed: the published day is not damaged, and no longer what its raw files say.
    Stale,
    /// A file was sent and neither accepted nor refused.
    Landing,
    /// Something could not be looked at.
    Unreadable,
}

impl FindingKind {
    /// The name that documents and texts have for it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Problem {
    /// What is to be said of an error.
    pub(crate) fn from_error(error: &anyhow::Error) -> Problem {
        let (message, hints) = error_report::message_and_hints(error);
        let name = error.chain().find_map(|cause| {
            if cause.is::<Interrupted>() {
                return Some("Interrupted".to_owned());
            }
            let of_service = cause.downcast_ref::<lake::Error>().map(|error| error.name().to_owned());
            of_service.or_else(|| cause.downcast_ref::<Partial>()?.name.clone())
        });
        Problem { name, message, hints }
    }
}

impl Days {
    pub(crate) fn new(range: market::partition::DateRange) -> Days {
        Days { from: range.from().to_string(), to: range.to().to_string() }
    }
}

impl PassedOver {
    pub(crate) fn new(passed: &crate::raw_folder::SkippedEntry) -> PassedOver {
        PassedOver { path: passed.path.display().to_string(), reason: passed.reason.to_string() }
    }
}

impl<T> TruncatedList<T> {
    /// A list of the lake as documents have it, item by item.
    pub(crate) fn new<A>(list: &lake::truncated_list::TruncatedList<A>, item: impl Fn(&A) -> T) -> TruncatedList<T> {
        TruncatedList { count: list.count, first: list.first.iter().map(item).collect() }
    }
}

impl AddedColumns {
    /// The columns of a file as documents have them.
    pub(crate) fn new(file: &lake::added_columns::AddedColumns) -> AddedColumns {
        AddedColumns { name: file.name.clone(), columns: TruncatedList::new(&file.columns, String::clone) }
    }
}

impl From<&lake::raw_files::Coverage> for Coverage {
    fn from(coverage: &lake::raw_files::Coverage) -> Coverage {
        Coverage {
            days_without_files: TruncatedList::new(&coverage.gaps, NaiveDate::to_string),
            missing_snapshots: TruncatedList::new(&coverage.missing_snapshots, |missing| Missing {
                date: missing.date.to_string(),
                feed: missing.feed.to_string(),
                times: TruncatedList::new(&missing.times, String::clone),
            }),
        }
    }
}

impl From<&lake_client::execution_history::ExecutionFailure> for Failure {
    fn from(failure: &lake_client::execution_history::ExecutionFailure) -> Failure {
        Failure { error: failure.error.clone(), cause: failure.cause.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use schemars::r#gen::SchemaSettings;

    use super::*;
    use crate::generated::check;

    /// What a command writes: its document, or that it failed.
    #[derive(JsonSchema)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "only its schema is used")]
    enum Document<T> {
        Done(T),
        Failed(Failed),
    }

    #[derive(JsonSchema)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "only its schema is used")]
    enum RunsDocument {
        List(Runs),
        One(Box<Shown>),
    }

    #[derive(JsonSchema)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "only its schema is used")]
    enum RunDocument {
        Run(Run),
        Stale(StaleRuns),
        Accepted(Accepted),
        Plan(Plan),
    }

    #[derive(JsonSchema)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "only its schema is used")]
    enum BackfillDocument {
        Done(Backfill),
        Plan(BackfillPlan),
    }

    fn schema<T: JsonSchema>(command: &str) -> (String, String) {
        let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Document<T>>();
        let mut schema = serde_json::to_value(schema).expect("JSON");
        schema["title"] = format!("pregao {command} --format json").into();
        schema["description"] = format!("What `pregao {command} --format json` writes to the standard output.").into();
        require_nullable_fields(&mut schema);
        let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
        (format!("{}.json", command.replace(' ', "-")), text)
    }

    /// Marks nullable fields as required: they are always present, but schemars takes `Option` for optional.
    fn require_nullable_fields(schema: &mut Value) {
        for (name, definition) in schema["definitions"].as_object_mut().expect("definitions") {
            let left_out = match name.as_str() {
                "Failed" => "execution",
                "Upload" | "Etl" | "StaleRuns" | "Backfill" => "error",
                _ => "",
            };
            let Some(properties) = definition["properties"].as_object() else { continue };
            let required: Vec<String> = properties.keys().filter(|property| *property != left_out).cloned().collect();
            definition["required"] = required.into();
        }
    }

    #[test]
    fn the_schemas_are_those_of_the_documents() {
        let schemas = [
            schema::<RunDocument>("run"),
            schema::<BackfillDocument>("backfill"),
            schema::<RunsDocument>("runs"),
            schema::<Vec<Day>>("status"),
            schema::<Verify>("verify"),
            schema::<Doctor>("doctor"),
            schema::<Vacuum>("vacuum"),
            schema::<Vec<PublishedFile>>("files"),
            schema::<History>("history"),
            schema::<Rollback>("rollback"),
            schema::<Diff>("diff"),
            schema::<Upload>("upload"),
            schema::<Etl>("etl"),
            schema::<Clusters>("cluster status"),
            schema::<Smoke>("smoke"),
        ];
        for (name, text) in schemas {
            check(&Path::new("schemas").join(name), &text);
        }
    }

    #[test]
    fn a_failure_is_reported_with_its_name_and_hints() {
        let cause = lake::Error::Quality("3 of 4 rows fail".to_owned());
        let error = error_report::hinted(cause, "look at them");
        let ended = Ended { workflow: "w".to_owned(), name: "n".to_owned(), status: "FAILED".to_owned() };
        let document = serde_json::json!({ "execution": ended });
        let error = Partial::error(&document, Some("EmrError"), error);
        let problem = Problem::from_error(&error);
        assert_eq!(problem.message, "3 of 4 rows fail");
        assert_eq!(problem.hints, ["look at them"]);
        assert_eq!(problem.name.as_deref(), Some("EmrError"), "the outer name is the one that was given");
        let interrupted = Problem::from_error(&anyhow::Error::new(Interrupted(crate::interrupt::Signal::Interrupt)));
        assert_eq!(interrupted.name.as_deref(), Some("Interrupted"));
    }

    #[test]
    fn times_are_exact_and_in_utc() {
        let time = Timestamp::from_millis(1_585_742_400_123);
        assert_eq!(time.to_string(), "2020-04-01T12:00:00.123Z");
        assert_eq!(serde_json::to_value(time).expect("JSON"), "2020-04-01T12:00:00.123Z");
        assert_eq!(seconds(std::time::Duration::from_micros(1_234_567)), 1.234);
    }
}
