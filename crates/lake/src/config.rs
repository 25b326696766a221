//! The configuration: one TOML file with all settings, the same on a laptop and on AWS.
//!
//! Every value has a default that suits a laptop; `confs/pregao.template.toml` is the commented form of exactly these
//! defaults. An unknown key is an error, with the most similar known key in its message: a misspelt limit that was silently
//! ignored would let bad data pass.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};

use chrono::NaiveDate;
use market::session::Session;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// The environment variable with the user's configuration of a deployed function.
pub const VARIABLE: &str = "PREGAO_CONFIG";

/// The environment variable with the resources of a deployed function's stack: JSON in the form of the configuration, which
/// overrides it, because a stack names its own buckets and roles.
pub const RESOURCES_VARIABLE: &str = "PREGAO_RESOURCES";

/// Everything that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The buckets.
    pub buckets: Buckets,
    /// Athena.
    pub athena: Athena,
    /// The Spark cluster.
    pub emr: Emr,
    /// Limits of accepted raw files.
    pub ingest: Ingest,
    /// The trading hours of the exchange.
    pub session: Session,
    /// Limits of the audit, which data has to pass before it is published.
    pub quality: Quality,
    /// The stack in an AWS account.
    pub aws: Aws,
    /// The schedule of the stack.
    pub schedule: Schedule,
    /// How long runs that were replaced are kept.
    pub vacuum: Vacuum,
}

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

/// The cluster that runs the Spark job: one for each run, or one that is already there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Emr {
    /// Id of a running cluster to add steps to. Empty: each run starts a cluster of its own, which ends with its step.
    #[serde(with = "empty_is_none")]
    pub cluster_id: Option<String>,
    /// The EMR release of a new cluster.
    pub release: String,
    /// EC2 instance types of its nodes. EMR chooses the cheapest of those that are available.
    pub instance_types: Vec<String>,
    /// Number of core nodes, in addition to the primary node.
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
    /// Maximum number of seconds between two polls of a running step.
    pub poll_seconds: NonZeroU32,
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
    /// [`Config::least_snapshots`] returns the minimum of a day.
    pub min_snapshots: u32,
    /// Whether a file whose header has another day than its name fails the run. Otherwise it is only reported.
    pub fail_on_other_day: bool,
    /// Whether a run may publish fewer rows of a snapshot than are published now, although its raw file was not replaced by a
    /// shorter one. They are reported in either case.
    pub accept_lost_rows: bool,
    /// Whether a run may publish a last record that looks truncated. It is reported in either case.
    pub accept_unterminated_files: bool,
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
            cluster_id: None,
            release: "emr-7.13.0".to_owned(),
            instance_types: ["m5.xlarge", "m5a.xlarge", "m6i.xlarge", "m6a.xlarge"].map(str::to_owned).to_vec(),
            core_instances: number(1),
            spot: false,
            subnet_ids: Vec::new(),
            idle_minutes: number(30),
            service_role: "EMR_DefaultRole".to_owned(),
            instance_profile: "EMR_EC2_DefaultRole".to_owned(),
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
        }
    }
}

/// A part of a whole, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(f64);

impl Share {
    /// 0.
    pub const NONE: Self = Self(0.0);

    /// 1.
    pub const ALL: Self = Self(1.0);

    /// Returns the share as a number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Returns the share multiplied by a factor, at most 1.
    pub fn times(self, factor: u32) -> Self {
        Self((self.0 * f64::from(factor)).min(1.0))
    }

    /// Whether `part` of `whole` is at most this share. 0 of 0 always is.
    pub fn allows(self, part: u64, whole: u64) -> bool {
        part as f64 <= self.0 * whole as f64
    }
}

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(format!("{value} is not a share from 0 to 1")) }
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> f64 {
        share.0
    }
}

/// A valid name of an S3 bucket: 3 to 63 lower-case letters, digits, points and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BucketName(String);

/// A name of an Athena database that needs no quotes: lower-case letters, digits and underscores.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseName(String);

/// A valid name of a CloudFormation stack that leaves room for suffixes: at most 32 letters, digits and hyphens, a letter
/// first. Lower case, because buckets are named after it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StackName(String);

impl TryFrom<String> for StackName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let fine = name.len() <= 32
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fine {
            Ok(Self(name))
        } else {
            Err(format!(
                "{name:?} cannot name a stack: use at most 32 lower-case letters, digits or '-', a letter first"
            ))
        }
    }
}

impl TryFrom<String> for BucketName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let outer = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = name.as_bytes();
        let fine = (3..=63).contains(&name.len())
            && bytes.iter().all(|b| inner(*b))
            && outer(bytes.first())
            && outer(bytes.last());
        if fine {
            Ok(Self(name))
        } else {
            Err(format!("{name:?} cannot name a bucket: use 3 to 63 lower-case letters, digits, '-' or '.'"))
        }
    }
}

impl TryFrom<String> for DatabaseName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let fine = (1..=255).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if fine {
            Ok(Self(name))
        } else {
            Err(format!("{name:?} cannot name a database: use lower-case letters, digits or '_'"))
        }
    }
}

macro_rules! name_as_text {
    ($($name:ident),*) => {$(
        impl $name {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    )*};
}
name_as_text!(BucketName, DatabaseName, StackName);

/// Why a configuration is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The text cannot be parsed. The message names the key or the line.
    #[error("the configuration cannot be used: {0}")]
    Invalid(String),
    /// There is no such key.
    #[error("there is no configuration key {key:?}; did you mean {nearest:?}?")]
    UnknownKey {
        /// The unknown key.
        key: String,
        /// The most similar known key.
        nearest: String,
    },
    /// The value is not of the key's type.
    #[error("{key} cannot be {value:?}: {reason}")]
    Value {
        /// The key.
        key: String,
        /// What was asked for.
        value: String,
        /// What the key takes.
        reason: String,
    },
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Error::InvalidInput(error.to_string())
    }
}

/// Maximum size of an object that S3 copies in one request, in bytes.
const MAX_COPY_BYTES: u64 = 5 << 30;

/// Maximum idle timeout of EMR.
const MAX_IDLE_MINUTES: u16 = 7 * 24 * 60;

/// Maximum of `schedule.look_back_days`: a scheduled run reads the record and lists the raw files of each of these days.
const MAX_LOOK_BACK_DAYS: u16 = 366;

/// Sections and keys that no function reads, because the template has parameters for them.
const FOR_THE_STACK: [&str; 6] =
    ["aws", "buckets", "athena", "schedule.enabled", "schedule.expression", "schedule.timezone"];

impl Config {
    /// Parses TOML, or JSON of the same structure. Every value may be left out.
    ///
    /// # Errors
    /// The first key that is unknown, or whose value has the wrong type.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Result<Self, String> = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| error.to_string())
        } else {
            toml::from_str(text).map_err(|error| error.to_string())
        };
        config.and_then(Self::checked).map_err(ConfigError::Invalid)
    }

    /// Reads the configuration of a deployed function from [`VARIABLE`] and [`RESOURCES_VARIABLE`]. Unset variables mean
    /// defaults.
    ///
    /// # Errors
    /// As [`Config::parse`], with the name of the variable.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let named = |name| move |error| ConfigError::Invalid(format!("in {name}: {error}"));
        let config = Self::parse(&variable(VARIABLE).unwrap_or_default()).map_err(named(VARIABLE))?;
        match variable(RESOURCES_VARIABLE) {
            Some(resources) => config.with_resources(&resources).map_err(named(RESOURCES_VARIABLE)),
            None => Ok(config),
        }
    }

    /// Returns this configuration, overridden by the resources of a stack, which are JSON of the same form.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn with_resources(&self, resources: &str) -> Result<Self, ConfigError> {
        let invalid = |error: &dyn fmt::Display| ConfigError::Invalid(error.to_string());
        let resources: toml::Table = serde_json::from_str(resources).map_err(|error| invalid(&error))?;
        let mut table = self.to_table();
        for (section, values) in resources {
            match (table.get_mut(&section).and_then(toml::Value::as_table_mut), values) {
                (Some(known), toml::Value::Table(values)) => known.extend(values),
                (_, values) => {
                    table.insert(section, values);
                }
            }
        }
        let laid: Result<Self, toml::de::Error> = table.try_into();
        laid.map_err(|error| invalid(&error.message())).and_then(|config| config.checked().map_err(|e| invalid(&e)))
    }

    /// Returns the content of [`VARIABLE`] for deployed functions: the values that differ from the defaults, without those of
    /// the deployment itself.
    pub fn for_functions(&self) -> serde_json::Value {
        let defaults = Self::default().to_table();
        let mut changed = serde_json::Map::new();
        for (section, values) in self.to_table() {
            if FOR_THE_STACK.contains(&section.as_str()) {
                continue;
            }
            let differs = |(name, value): &(&String, &toml::Value)| {
                defaults[&section].get(name) != Some(*value)
                    && !FOR_THE_STACK.contains(&format!("{section}.{name}").as_str())
            };
            let values = values.as_table().into_iter().flatten().filter(differs);
            let values: serde_json::Map<_, _> =
                values.map(|(name, value)| (name.clone(), serde_json::json!(value))).collect();
            if !values.is_empty() {
                changed.insert(section, values.into());
            }
        }
        changed.into()
    }

    /// Changes one value: `set("quality.max_reject_share", "1")`. The value is parsed by the type of the key, so that text
    /// needs no quotes.
    ///
    /// # Errors
    /// If the key is unknown, or the value has the wrong type or range. The configuration is then unchanged.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let refused = |reason: String| ConfigError::Value { key: key.to_owned(), value: value.to_owned(), reason };
        let mut table = self.to_table();
        let place = key
            .split_once('.')
            .and_then(|(section, name)| table.get_mut(section)?.get_mut(name))
            .ok_or_else(|| Self::unknown_key(key))?;
        *place = typed_like(place, value).map_err(refused)?;
        let changed: Self = table.try_into().map_err(|error: toml::de::Error| refused(error.message().to_owned()))?;
        *self = changed.checked().map_err(refused)?;
        Ok(())
    }

    /// Returns the minimum number of snapshots of each feed on a day: `quality.min_snapshots`, at most as many as the session
    /// expects. 0 if the exchange is closed.
    pub fn least_snapshots(&self, day: NaiveDate) -> usize {
        let least = usize::try_from(self.quality.min_snapshots).unwrap_or(usize::MAX);
        self.session.expected(day).len().min(least)
    }

    /// Returns all keys of [`Config::set`], in the order of the template.
    pub fn keys() -> Vec<String> {
        let sections = Self::default().to_table();
        let of_section = |(section, values): (&String, &toml::Value)| {
            let names = values.as_table().into_iter().flat_map(|names| names.keys());
            names.map(|name| format!("{section}.{name}")).collect::<Vec<_>>()
        };
        sections.iter().flat_map(of_section).collect()
    }

    fn unknown_key(key: &str) -> ConfigError {
        let distance = |known: &String| strsim::damerau_levenshtein(known, key);
        let nearest = Self::keys().into_iter().min_by_key(distance).unwrap_or_default();
        ConfigError::UnknownKey { key: key.to_owned(), nearest }
    }

    fn to_table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("a configuration is sections of plain values")
    }

    /// Checks the constraints that span several values.
    fn checked(self) -> Result<Self, String> {
        self.session.check()?;
        if self.emr.instance_types.is_empty() {
            return Err("emr.instance_types has to name at least one EC2 instance type".to_owned());
        }
        if self.emr.idle_minutes.get() > MAX_IDLE_MINUTES {
            return Err(format!("emr.idle_minutes is over {MAX_IDLE_MINUTES}, the seven days that EMR takes"));
        }
        if self.schedule.look_back_days > MAX_LOOK_BACK_DAYS {
            return Err(format!("schedule.look_back_days is over {MAX_LOOK_BACK_DAYS}; pregao run takes any days"));
        }
        if self.ingest.max_file_bytes > MAX_COPY_BYTES {
            return Err(format!("ingest.max_file_bytes is over {MAX_COPY_BYTES}, the most that S3 copies at once"));
        }
        Ok(self)
    }
}

/// Parses `text` as a value of the type of `current`.
fn typed_like(current: &toml::Value, text: &str) -> Result<toml::Value, String> {
    use toml::Value::{Array, Boolean, Float, Integer, String};
    match current {
        Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Array(items.map(|item| String(item.to_owned())).collect()))
        }
        Integer(_) => text.parse().map(Integer).map_err(|_| "it takes a whole number".to_owned()),
        Float(_) => text.parse().map(Float).map_err(|_| "it takes a number".to_owned()),
        Boolean(_) => text.parse().map(Boolean).map_err(|_| "it takes true or false".to_owned()),
        _ => Ok(String(text.to_owned())),
    }
}

/// TOML has no null: an empty text means that the value is absent.
mod empty_is_none {
    use super::*;

    pub fn serialize<S: Serializer>(value: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.as_deref().unwrap_or_default())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveTime;

    use super::*;

    const TEMPLATE: &str = include_str!("../../../confs/pregao.template.toml");

    #[test]
    fn the_template_says_exactly_the_defaults() {
        assert_eq!(Config::parse(TEMPLATE).expect("the template"), Config::default());
        let written: toml::Table = toml::from_str(TEMPLATE).expect("TOML");
        assert_eq!(written, Config::default().to_table(), "every key stands in the template");
    }

    #[test]
    fn values_may_be_left_out_and_json_will_do() {
        assert_eq!(Config::parse(""), Ok(Config::default()));
        let toml = Config::parse("[session]\nclose = \"18:00\"\n[quality]\nmax_reject_share = 1").expect("TOML");
        let json = Config::parse(r#"{"session": {"close": "18:00"}, "quality": {"max_reject_share": 1}}"#);
        assert_eq!(json.expect("JSON"), toml);
        assert_eq!(toml.session, Session { close: NaiveTime::from_hms_opt(18, 0, 0), ..Session::default() });
        assert_eq!(toml.quality.max_reject_share.get(), 1.0);
    }

    #[test]
    fn sessions_have_dates() {
        let entries = "[session]\nclose = \"17:00\"\n[[session.hours]]\nfrom = 2020-11-03\nopen = \"10:00\"\nclose = \"18:00\"\n\
             [[session.hours]]\nfrom = \"2021-02-17\"\nto = \"2021-02-17\"\nopen = \"13:00\"\nclose = \"18:00\"";
        let config = Config::parse(entries).expect("TOML");
        let hours = |day: &str| {
            let hours = config.session.hours(day.parse().expect("a date"));
            format!("{}-{}", hours.open.format("%H:%M"), hours.close.format("%H:%M"))
        };
        for (day, told) in [("2020-11-02", "10:00-17:00"), ("2020-11-03", "10:00-18:00"), ("2021-02-17", "13:00-18:00")]
        {
            assert_eq!(hours(day), told, "{day}");
        }
        // As functions get it, and as one value is set beside it.
        let told = config.for_functions().to_string();
        assert_eq!(Config::parse(&told).expect("JSON").session, config.session);
        let mut set = config.clone();
        set.set("session.step_minutes", "5").expect("a key");
        assert_eq!(set.session.hours, config.session.hours);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let cases = [
            ("[quality]\nmax_reject_shares = 1", "max_reject_shares"),
            ("[qualities]", "qualities"),
            ("[quality]\nmax_reject_share = 1.5", "1.5 is not a share"),
            ("[buckets]\nraw = \"My_Bucket\"", "cannot name a bucket"),
            ("[buckets]\nraw = \"-ab\"", "cannot name a bucket"),
            ("[athena]\ndatabase = \"x`; drop\"", "cannot name a database"),
            ("[emr]\npoll_seconds = 0", "nonzero"),
            ("[emr]\ninstance_types = []", "at least one EC2 instance type"),
            ("[emr]\nidle_minutes = 20000", "seven days"),
            ("[aws]\nstack = \"My Stack\"", "cannot name a stack"),
            ("[aws]\narchitecture = \"riscv\"", "unknown variant"),
            ("[session]\nopen = \"18:00\"", "not before"),
            ("[session]\nopen = \"6pm\"", "not a time HH:MM"),
            ("[session]\nstep_minutes = 0", "at least 1"),
            ("[[session.hours]]\nfrom = 2020-11-03\nopen = \"10:00\"", "missing field `close`"),
            ("[[session.hours]]\nfrom = \"3.11.2020\"\nopen = \"10:00\"\nclose = \"18:00\"", "not a date YYYY-MM-DD"),
            ("[[session.hours]]\nfrom = 7\nopen = \"10:00\"\nclose = \"18:00\"", "expected a date YYYY-MM-DD"),
            ("[[session.hours]]\nfrom = 2020-11-03T10:00:00\nopen = \"10:00\"\nclose = \"18:00\"", "not a date"),
            ("[[session.hours]]\nfrom = 2020-11-03\nopen = \"19:00\"\nclose = \"18:00\"", "not before"),
            (
                "[[session.hours]]\nfrom = 2020-11-03\nto = 2020-11-02\nopen = \"10:00\"\nclose = \"18:00\"",
                "before its first",
            ),
            ("[[session.hours]]\nfrom = 2020-11-03\nuntil = 2020-11-04\nopen = \"10:00\"\nclose = \"18:00\"", "until"),
            ("[ingest]\nmax_file_bytes = 6000000000", "S3 copies"),
            ("[schedule]\nlook_back_days = 367", "look_back_days is over 366"),
            ("[schedule]\nlook_back_days = -1", "invalid value"),
            ("[quality]\nmin_snapshots = -1", "invalid value"),
            ("{\"buckets\": 1}", "invalid type"),
        ];
        for (text, expected) in cases {
            let error = Config::parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn one_value_is_set_by_its_key() {
        let mut config = Config::default();
        for (key, value) in [
            ("quality.max_reject_share", "1"),
            ("quality.fail_on_missing_snapshots", "true"),
            ("session.close", "18:00"),
            ("emr.cluster_id", "j-1K48XXXXXXHCB"),
            ("emr.poll_seconds", "30"),
            ("emr.instance_types", "r5.xlarge, r6i.xlarge"),
            ("aws.architecture", "arm64"),
            ("buckets.lake", "another-lake"),
        ] {
            config.set(key, value).expect(key);
        }
        assert_eq!(config.quality.max_reject_share, Share(1.0));
        assert!(config.quality.fail_on_missing_snapshots);
        assert_eq!(config.session.close, NaiveTime::from_hms_opt(18, 0, 0));
        assert_eq!(config.emr.cluster_id.as_deref(), Some("j-1K48XXXXXXHCB"));
        assert_eq!(config.emr.poll_seconds.get(), 30);
        assert_eq!(config.emr.instance_types, ["r5.xlarge", "r6i.xlarge"]);
        assert_eq!(config.aws.architecture, Architecture::Arm64);
        assert_eq!(config.buckets.lake.as_str(), "another-lake");

        config.set("emr.cluster_id", "").expect("no cluster");
        assert_eq!(config.emr.cluster_id, None);
    }

    #[test]
    fn what_a_stack_made_is_laid_over_the_configuration() {
        let config = Config::parse("[buckets]\nraw = \"mine\"\n[emr]\nspot = true").expect("TOML");
        let resources = r#"{"buckets": {"lake": "stack-lake"}, "emr": {"service_role": "stack-emr"}}"#;
        let laid = config.with_resources(resources).expect("JSON of the same form");
        assert_eq!((laid.buckets.raw.as_str(), laid.buckets.lake.as_str()), ("mine", "stack-lake"));
        assert_eq!((laid.emr.service_role.as_str(), laid.emr.spot), ("stack-emr", true));
        for (wrong, expected) in [
            (r#"{"buckets": {"lakes": "x"}}"#, "lakes"),
            (r#"{"bucket": {"lake": "x"}}"#, "bucket"),
            (r#"{"buckets": {"lake": "X"}}"#, "cannot name a bucket"),
            (r#"{"buckets": 1}"#, "invalid type"),
            ("[1]", "invalid type"),
            ("{", "EOF"),
        ] {
            let error = config.with_resources(wrong).expect_err(wrong).to_string();
            assert!(error.contains(expected), "{wrong}: {error}");
        }
    }

    #[test]
    fn functions_are_told_what_differs() {
        assert_eq!(Config::default().for_functions(), serde_json::json!({}));
        let mut config = Config::default();
        for (key, value) in [
            ("emr.instance_types", "r5.xlarge"),
            ("quality.max_reject_share", "0.5"),
            ("aws.region", "sa-east-1"),
            ("buckets.raw", "mine"),
            ("schedule.enabled", "false"),
            ("schedule.look_back_days", "0"),
        ] {
            config.set(key, value).expect(key);
        }
        let told = config.for_functions();
        let expected = serde_json::json!({
            "emr": {"instance_types": ["r5.xlarge"]},
            "quality": {"max_reject_share": 0.5},
            "schedule": {"look_back_days": 0},
        });
        assert_eq!(told, expected);
        let read = Config::parse(&told.to_string()).expect("JSON");
        assert_eq!(read.schedule.look_back_days, 0);
        assert_eq!((read.emr, read.quality), (config.emr, config.quality));
    }

    #[test]
    fn a_value_that_cannot_be_set_leaves_the_others() {
        let mut config = Config::default();
        for (key, value, expected) in [
            ("quality.max_rejects_share", "1", "did you mean \"quality.max_reject_share\"?"),
            ("max_reject_share", "1", "did you mean \"quality.max_reject_share\"?"),
            ("quality", "1", "did you mean"),
            ("quality.max_reject_share", "2", "quality.max_reject_share cannot be \"2\": 2 is not a share"),
            ("quality.max_reject_share", "lots", "it takes a number"),
            ("quality.fail_on_missing_snapshots", "1", "it takes true or false"),
            ("emr.core_instances", "1.5", "it takes a whole number"),
            ("session.open", "19:00", "not before"),
        ] {
            let error = config.set(key, value).expect_err(key).to_string();
            assert!(error.contains(expected), "{key}={value}: {error}");
        }
        assert_eq!(config, Config::default());
    }

    #[test]
    fn a_day_must_have_no_more_snapshots_than_its_session() {
        let day = |text: &str| text.parse().expect("a date");
        let mut config = Config::default();
        let least = |config: &Config| {
            [day("2020-04-01"), day("2020-04-04"), day("2020-12-25")].map(|day| config.least_snapshots(day))
        };
        // A Wednesday, a Saturday and Christmas.
        assert_eq!(least(&config), [10, 0, 0]);
        config.set("session.step_minutes", "60").expect("a key");
        assert_eq!(least(&config), [7, 0, 0], "every hour from 10:00, and 17:00 is no more");
        config.set("quality.min_snapshots", "0").expect("a key");
        assert_eq!(least(&config), [0, 0, 0]);
    }

    #[test]
    fn a_share_allows_no_more_than_itself() {
        let share = Share(0.01);
        assert!(share.allows(1, 100) && !share.allows(2, 100));
        assert!(share.allows(0, 0) && Share(1.0).allows(7, 7) && !Share(0.0).allows(1, 1000));
    }
}
