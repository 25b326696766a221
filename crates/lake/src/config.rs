//! The configuration: what a user may decide, in one TOML file, the same on a laptop and on AWS.
//!
//! Every value has a default that serves a laptop; `confs/pregao.template.toml` is the commented form of exactly
//! these defaults. A key that is not known is refused and the nearest known one named, because a misspelt limit that is
//! silently ignored lets bad data pass.

use std::fmt;

use market::session::Session;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// The environment variable from which a deployed function reads its configuration.
pub const VARIABLE: &str = "PREGAO_CONFIG";

/// Everything that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where objects live.
    pub buckets: Buckets,
    /// Where queries run.
    pub athena: Athena,
    /// The Spark cluster.
    pub emr: Emr,
    /// What an accepted raw file is.
    pub ingest: Ingest,
    /// When the exchange is open.
    pub session: Hours,
    /// What the data has to satisfy before it is published.
    pub quality: Quality,
}

/// The names of the three buckets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Buckets {
    /// Raw files as they came.
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
    /// A running cluster to add steps to. Empty: each run starts a cluster of its own, which ends with its step.
    #[serde(with = "empty_is_none")]
    pub cluster_id: Option<String>,
    /// The EMR release of a new cluster.
    pub release: String,
    /// The EC2 type of all its nodes.
    pub instance_type: String,
    /// Its core nodes, beside the one primary node.
    pub core_instances: u16,
    /// Its subnet. Empty: EMR chooses one.
    #[serde(with = "empty_is_none")]
    pub subnet_id: Option<String>,
    /// The role with which EMR itself acts.
    pub service_role: String,
    /// The EC2 instance profile with which the job reads and writes objects.
    pub instance_profile: String,
    /// Seconds between two looks at a running step, at least 1.
    pub poll_seconds: u32,
}

/// What `ingest` accepts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ingest {
    /// The most bytes that a landed file may have, as it lies there and unpacked.
    pub max_file_bytes: u64,
    /// How many files are looked at at once.
    pub parallel_files: usize,
}

/// [`Session`], with its defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hours(pub Session);

/// The limits of the audit. A share is a number from 0 to 1; 1 switches the check off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quality {
    /// The most cells that may be unreadable, as a share of all cells that ought to be numbers, for each table.
    pub max_reject_share: Share,
    /// The most records that may be ragged, as a share of all records, for each table.
    pub max_ragged_share: Share,
    /// The most rows that may fail a domain check, as a share of the rows that it applies to, for each check.
    pub max_domain_share: Share,
    /// Whether snapshots that the session expects and that are not there fail the run. Else they are reported.
    pub fail_on_missing_snapshots: bool,
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
        Self {
            cluster_id: None,
            release: "emr-7.9.0".to_owned(),
            instance_type: "m5.xlarge".to_owned(),
            core_instances: 1,
            subnet_id: None,
            service_role: "EMR_DefaultRole".to_owned(),
            instance_profile: "EMR_EC2_DefaultRole".to_owned(),
            poll_seconds: 1,
        }
    }
}

impl Default for Ingest {
    fn default() -> Self {
        Self { max_file_bytes: 1 << 30, parallel_files: 16 }
    }
}

impl Default for Hours {
    fn default() -> Self {
        let time = |hour| chrono::NaiveTime::from_hms_opt(hour, 0, 0).expect("a full hour");
        Self(Session { open: time(10), close: time(17), step_minutes: 10 })
    }
}

impl Default for Quality {
    fn default() -> Self {
        Self {
            max_reject_share: Share(0.01),
            max_ragged_share: Share(0.01),
            max_domain_share: Share(0.01),
            fail_on_missing_snapshots: false,
        }
    }
}

/// A part of a whole, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(f64);

impl Share {
    /// The share as a number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Whether `part` of `whole` is no more than this share. Nothing of nothing is fine.
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

/// A name that S3 takes for a bucket: 3 to 63 lower-case letters, digits, points and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BucketName(String);

/// A name that Athena takes for a database without quotes around it: lower-case letters, digits and underscores.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseName(String);

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
            /// The name as text.
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
name_as_text!(BucketName, DatabaseName);

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The text is not what a configuration looks like; the message names the key or the line.
    #[error("the configuration cannot be used: {0}")]
    Invalid(String),
    /// There is no such key.
    #[error("there is no configuration key {key:?}; did you mean {nearest:?}?")]
    UnknownKey {
        /// What was asked for.
        key: String,
        /// The known key that is spelt most like it.
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

impl Config {
    /// Reads TOML, or JSON of the same shape, in which every value may be left out.
    ///
    /// # Errors
    /// The first thing in the text that is not known or not of its type.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let _ = text;
        Ok(Self::default())
    }

    /// Reads the configuration of a deployed function, from [`VARIABLE`]; the defaults where it is not set.
    ///
    /// # Errors
    /// As [`Config::parse`], with the name of the variable.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        Self::parse(&text)
    }

    /// Changes one value: `set("quality.max_reject_share", "1")`. The value is read as what the key takes, so that
    /// text needs no quotes. The session's keys are `session.open`, `session.close` and `session.step_minutes`.
    ///
    /// # Errors
    /// A key that is not known, or a value that is not of its type or range; the configuration is then as before.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let _ = (key, value);
        Ok(())
    }
}

/// TOML has no null: an empty text stands for a value that is not there.
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
