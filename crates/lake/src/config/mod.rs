//! The configuration: one TOML file with all settings, the same on a laptop and on AWS.
//!
//! Every value has a default that suits a laptop; `confs/pregao.template.toml` is the commented form of exactly these
//! defaults. An unknown key is an error, with the most similar known key in its message: a misspelt limit that was silently
//! ignored would let bad data pass.

mod names;
mod sections;
#[cfg(test)]
mod tests;

use std::fmt;

use chrono::NaiveDate;
use market::session::Session;
use serde::{Deserialize, Serialize};

pub use self::names::{BucketName, DatabaseName, Share, StackName};
pub use self::sections::{
    Architecture, Athena, Aws, Backfill, Buckets, Emr, EmrKind, Ingest, OnUpload, Quality, Schedule, Transform, Vacuum,
};
use crate::engine::EngineChoice;
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
    /// The engine of a run, and the limits of the function `transform`.
    pub transform: Transform,
    /// How a long range of days is divided into runs.
    pub backfill: Backfill,
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
        Error::malformed(error.to_string(), error)
    }
}

/// Maximum size of an object that S3 copies in one request, in bytes.
const MAX_COPY_BYTES: u64 = 5 << 30;

/// Maximum idle timeout of EMR.
const MAX_IDLE_MINUTES: u16 = 7 * 24 * 60;

/// Maximum of `schedule.look_back_days`: a scheduled run reads the record and lists the raw files of each of these days.
const MAX_LOOK_BACK_DAYS: u16 = 366;

/// Maximum of `backfill.parallel`. Each chunk invokes up to ten functions at once.
pub const MAX_PARALLEL: u16 = 10;

/// Maximum of `backfill.chunk_days`. A slice of a run has a day with raw files or 400 days, so that a chunk of so many days has fewer
/// than [`MAX_SLICES`](crate::slices::MAX_SLICES) slices, and fewer days than the engine lambda takes.
pub const MAX_CHUNK_DAYS: u16 = 250;

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

    /// Whether the days of uploaded files are processed as soon as the files are accepted.
    pub fn processes_uploads(&self) -> bool {
        match self.schedule.on_upload {
            OnUpload::Auto => self.transform.engine != EngineChoice::Emr,
            OnUpload::Always => true,
            OnUpload::Never => false,
        }
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
        if self.backfill.parallel.get() > MAX_PARALLEL {
            return Err(format!("backfill.parallel is over {MAX_PARALLEL}"));
        }
        if self.backfill.chunk_days.get() > MAX_CHUNK_DAYS {
            return Err(format!("backfill.chunk_days is over {MAX_CHUNK_DAYS}"));
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
