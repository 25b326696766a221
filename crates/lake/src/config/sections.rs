//! The sections of the configuration and their defaults.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::names::{BucketName, DatabaseName, Share, StackName};
use crate::engine::EngineChoice;

/// The names of the three buckets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Buckets {
    /// Raw files, byte for byte.
    pub raw: BucketName,
    /// The published tables and the quality reports.
    pub lake: BucketName,
    /// Query results, logs of the cluster, and the Spark job.
    pub results: BucketName,
}

/// Athena.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Athena {
    /// The database of the tables.
    pub database: DatabaseName,
    /// The workgroup in which queries run.
    pub workgroup: String,
}

/// What runs the Spark job: a cluster for each run, one that is already there, or EMR Serverless.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Emr {
    /// What runs the Spark job.
    pub kind: EmrKind,
    /// Id of a running cluster to add steps to. Empty: each run starts a cluster of its own, which ends with its step.
    #[serde(with = "empty_is_none")]
    pub cluster_id: Option<String>,
    /// The EMR release of a new cluster, and of the application of a stack.
    pub release: String,
    /// EC2 instance types of its nodes. EMR chooses the cheapest of those that are available.
    pub instance_types: Vec<String>,
    /// Number of core nodes, in addition to the primary node; on EMR Serverless, the maximum number of executors.
    pub core_instances: NonZeroU16,
    /// Whether the core nodes are Spot instances. On-Demand instances replace them if none are available in time.
    pub spot: bool,
    /// Subnets in which it may be started. Empty: EMR chooses one of the default VPC.
    pub subnet_ids: Vec<String>,
    /// Minutes without a step after which a standing cluster terminates.
    pub idle_minutes: NonZeroU16,
    /// The service role of EMR.
    pub service_role: String,
    /// The EC2 instance profile with which the job reads and writes objects.
    pub instance_profile: String,
    /// Id of the application of EMR Serverless. A stack has one of its own, if `kind` says so.
    #[serde(with = "empty_is_none")]
    pub application_id: Option<String>,
    /// ARN of the role with which a job of EMR Serverless reads and writes objects. A stack has one of its own.
    #[serde(with = "empty_is_none")]
    pub job_role: Option<String>,
    /// Maximum number of seconds between two polls of a running step.
    pub poll_seconds: NonZeroU32,
}

/// What runs the Spark job of the engine `emr`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum EmrKind {
    /// A step of a cluster on EC2.
    #[default]
    Ec2,
    /// A job run of EMR Serverless.
    Serverless,
}

/// What `ingest` accepts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ingest {
    /// Maximum size of a landed file in bytes, both compressed and decompressed.
    pub max_file_bytes: u64,
    /// Number of files that are processed concurrently.
    pub parallel_files: NonZeroUsize,
}

/// The limits of the audit. A share is a number from 0 to 1; 1 disables the check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quality {
    /// Maximum share of number cells, and of records, that may be unreadable on each day of each table. Ten times this share
    /// of the records may be dropped.
    pub max_reject_share: Share,
    /// Maximum share of a day's rows that may fail a domain check, for each check, of the rows that it applies to.
    pub max_domain_share: Share,
    /// Whether missing snapshots fail the run. Otherwise they are only reported.
    pub fail_on_missing_snapshots: bool,
    /// Minimum number of snapshots of each feed on a business day; with fewer the scheduled run fails. 0 disables the check.
    /// [`Config::least_snapshots`](super::Config::least_snapshots) returns the minimum of a day.
    pub min_snapshots: u32,
    /// Whether a file whose header has another day than its name fails the run. Otherwise it is only reported.
    pub fail_on_other_day: bool,
    /// Whether a run may publish fewer rows of a snapshot than are published now, although its raw file was not replaced by a
    /// shorter one. They are reported in either case.
    pub accept_lost_rows: bool,
    /// Whether a run may publish a last record that looks truncated. It is reported in either case.
    pub accept_unterminated_files: bool,
    /// Maximum size of the raw files, as stored in bytes, that one invocation of `validate-partitions` audits. A larger run is
    /// audited in slices; a larger day is refused.
    pub max_audit_bytes: u64,
}

/// The stack in an AWS account, and how commands reach it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Aws {
    /// Whether commands use the stack even without `--aws`.
    pub always: bool,
    /// Name of the CloudFormation stack, and prefix of the names of its functions and workflows.
    pub stack: StackName,
    /// The region. Empty: as the AWS CLI finds it.
    #[serde(with = "empty_is_none")]
    pub region: Option<String>,
    /// The profile of the AWS CLI's configuration. Empty: as the AWS CLI finds it.
    #[serde(with = "empty_is_none")]
    pub profile: Option<String>,
    /// The processor of the functions.
    pub architecture: Architecture,
    /// Concurrent executions of the account that are reserved for `ingest` and for `validate-partitions` each. 0: no function
    /// has a reservation.
    pub reserved_concurrency: u32,
    /// Bucket of the account to which S3 writes the access logs of the stack's buckets. Empty: no access logs.
    #[serde(with = "empty_is_none")]
    pub access_logs_bucket: Option<String>,
    /// E-mail address that is notified when an execution fails. Empty: none.
    #[serde(with = "empty_is_none")]
    pub alarm_email: Option<String>,
    /// Maximum number of bytes that one query may scan before Athena cancels it.
    pub query_scan_limit_bytes: u64,
    /// Days for which logs are kept.
    pub log_retention_days: NonZeroU16,
    /// Days for which results of queries, logs of clusters and jobs are kept.
    pub results_retention_days: NonZeroU16,
    /// Days for which replaced and removed versions of objects are kept.
    pub superseded_retention_days: NonZeroU16,
}

/// The processor of the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Intel and AMD.
    #[serde(rename = "x86_64")]
    X86_64,
    /// Graviton.
    Arm64,
}

/// The engine of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transform {
    /// The engine of a run that does not request one.
    pub engine: EngineChoice,
    /// Maximum size of the raw files of a day, as stored in bytes, that the function `transform` takes.
    pub max_day_bytes: u64,
}

impl Default for Transform {
    fn default() -> Self {
        Self { engine: EngineChoice::Emr, max_day_bytes: 4_000_000_000 }
    }
}

/// How `backfill` divides a long range of days. A chunk is a run of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backfill {
    /// Number of chunks that run at the same time.
    pub parallel: NonZeroU16,
    /// Maximum number of days with raw files in a chunk.
    pub chunk_days: NonZeroU16,
    /// Maximum size of the raw files of a chunk, as stored in bytes. A larger day is a chunk of its own.
    pub chunk_bytes: NonZeroU64,
}

impl Default for Backfill {
    fn default() -> Self {
        Self {
            parallel: NonZeroU16::new(3).expect("not zero"),
            chunk_days: NonZeroU16::new(250).expect("not zero"),
            chunk_bytes: NonZeroU64::new(100_000_000_000).expect("not zero"),
        }
    }
}

/// Retention of replaced runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vacuum {
    /// Days for which a run is kept after another one has replaced it. Queries with `--as-of` and rollbacks reach that far
    /// back. 0: the stack does not vacuum by itself.
    pub keep_days: u32,
}

impl Default for Vacuum {
    fn default() -> Self {
        Self { keep_days: 30 }
    }
}

/// When `create_datalake` starts by itself, for the day before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Whether the schedule is enabled.
    pub enabled: bool,
    /// The expression of EventBridge Scheduler: `cron(0 7 * * ? *)`.
    pub expression: String,
    /// The time zone of the expression.
    pub timezone: String,
    /// Number of days before yesterday that a scheduled run checks too: it processes those whose raw files differ from what
    /// is published. 0: only yesterday.
    pub look_back_days: u16,
    /// Whether the days of uploaded files are processed as soon as the files are accepted.
    pub on_upload: OnUpload,
}

/// Whether the days of uploaded files are processed as soon as the files are accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUpload {
    /// If the engine `lambda` may process them. A cluster for each batch of files would cost too much.
    #[default]
    Auto,
    /// Always, by the engine `lambda`.
    Always,
    /// Never: the schedule processes them, or a person.
    Never,
}

impl Default for Buckets {
    fn default() -> Self {
        let name = |name: &str| BucketName(name.to_owned());
        Self { raw: name("pregao-raw"), lake: name("pregao-lake"), results: name("pregao-results") }
    }
}

impl Default for Athena {
    fn default() -> Self {
        Self { database: DatabaseName("pregao".to_owned()), workgroup: "primary".to_owned() }
    }
}

impl Default for Emr {
    fn default() -> Self {
        let number = |number| NonZeroU16::new(number).expect("not zero");
        Self {
            kind: EmrKind::Ec2,
            cluster_id: None,
            release: "emr-7.13.0".to_owned(),
            instance_types: ["m5.xlarge", "m5a.xlarge", "m6i.xlarge", "m6a.xlarge"].map(str::to_owned).to_vec(),
            core_instances: number(1),
            spot: false,
            subnet_ids: Vec::new(),
            idle_minutes: number(30),
            service_role: "EMR_DefaultRole".to_owned(),
            instance_profile: "EMR_EC2_DefaultRole".to_owned(),
            application_id: None,
            job_role: None,
            poll_seconds: NonZeroU32::new(60).expect("not zero"),
        }
    }
}

impl Default for Aws {
    fn default() -> Self {
        let days = |days| NonZeroU16::new(days).expect("not zero");
        Self {
            always: false,
            stack: StackName("pregao".to_owned()),
            region: None,
            profile: None,
            architecture: Architecture::X86_64,
            reserved_concurrency: 50,
            access_logs_bucket: None,
            alarm_email: None,
            query_scan_limit_bytes: 100 << 30,
            log_retention_days: days(30),
            results_retention_days: days(30),
            superseded_retention_days: days(30),
        }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            enabled: true,
            expression: "cron(0 7 * * ? *)".to_owned(),
            timezone: "America/Sao_Paulo".to_owned(),
            look_back_days: 7,
            on_upload: OnUpload::Auto,
        }
    }
}

impl Default for Ingest {
    fn default() -> Self {
        Self { max_file_bytes: 1 << 30, parallel_files: NonZeroUsize::new(16).expect("not zero") }
    }
}

impl Default for Quality {
    fn default() -> Self {
        Self {
            max_reject_share: Share(0.01),
            max_domain_share: Share(0.01),
            fail_on_missing_snapshots: false,
            min_snapshots: 10,
            fail_on_other_day: false,
            accept_lost_rows: false,
            accept_unterminated_files: false,
            max_audit_bytes: 20_000_000_000,
        }
    }
}

/// TOML has no null: an empty text means that the value is absent.
mod empty_is_none {
    use super::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.as_deref().unwrap_or_default())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}
