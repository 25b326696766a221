//! What a state machine has besides its definition and role: logging, tracing and tags. They are kept and returned; nothing is
//! logged or traced.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::StepFunctions;
use super::names::machine_name;
use crate::aws_json::{AwsError, AwsResult};

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS state_machine_settings (
    arn TEXT PRIMARY KEY,
    settings TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// AWS's limit.
const MAX_TAGS: usize = 50;

const LEVELS: [&str; 4] = ["ALL", "ERROR", "FATAL", "OFF"];

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    logging: Option<Value>,
    tracing: Option<bool>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Logging {
    level: Option<String>,
    #[serde(default)]
    include_execution_data: bool,
    destinations: Option<Vec<Value>>,
}

#[derive(Deserialize)]
pub(super) struct Tracing {
    #[serde(default)]
    enabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TagResource {
    resource_arn: String,
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UntagResource {
    resource_arn: String,
    tag_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResourceArn {
    resource_arn: String,
}

impl Logging {
    /// Returns the configuration as it is described.
    ///
    /// # Errors
    /// `InvalidLoggingConfiguration` for a level without exactly one destination.
    fn read(self) -> Result<Value, AwsError> {
        let invalid = |reason: &str| {
            AwsError::new("InvalidLoggingConfiguration", format!("Invalid Logging Configuration: {reason}"))
        };
        let level = self.level.unwrap_or_else(|| "OFF".to_owned());
        if !LEVELS.contains(&level.as_str()) {
            let message = format!(
                "1 validation error detected: Value '{level}' at 'loggingConfiguration.level' failed to satisfy constraint: \
                 Member must satisfy enum value set: [{}]",
                LEVELS.join(", ")
            );
            return Err(AwsError::new("ValidationException", message));
        }
        let destinations = self.destinations.as_deref().map_or(0, <[Value]>::len);
        if destinations > 1 || (destinations == 0 && level != "OFF") {
            return Err(invalid("Must specify exactly one Log Destination."));
        }
        let mut logging = json!({ "level": level, "includeExecutionData": self.include_execution_data });
        if let Some(destinations) = self.destinations {
            logging["destinations"] = destinations.into();
        }
        Ok(logging)
    }
}

impl Settings {
    /// Reads the members of a request. What is absent stays as it is.
    pub(super) fn with(
        mut self,
        logging: Option<Logging>,
        tracing: Option<Tracing>,
        tags: Option<Vec<Tag>>,
    ) -> Result<Settings, AwsError> {
        self.logging = logging.map(Logging::read).transpose()?.or(self.logging);
        self.tracing = tracing.map(|tracing| tracing.enabled).or(self.tracing);
        self.add_tags(tags.unwrap_or_default())?;
        Ok(self)
    }

    fn add_tags(&mut self, tags: Vec<Tag>) -> Result<(), AwsError> {
        for tag in tags {
            if tag.key.is_empty() || tag.key.chars().count() > 128 || tag.value.chars().count() > 256 {
                let message =
                    format!("a tag's key has 1 to 128 characters, and its value up to 256, not '{}'", tag.key);
                return Err(AwsError::new("ValidationException", message));
            }
            self.tags.retain(|known| known.key != tag.key);
            self.tags.push(tag);
        }
        match self.tags.len() {
            0..=MAX_TAGS => Ok(()),
            found => Err(AwsError::new("TooManyTags", format!("A resource has at most {MAX_TAGS} tags, not {found}"))),
        }
    }

    /// Whether the two machines are the same for AWS, which ignores their tags.
    pub(super) fn is_same(&self, other: &Settings) -> bool {
        (self.logging(), self.tracing()) == (other.logging(), other.tracing())
    }

    pub(super) fn logging(&self) -> Value {
        self.logging.clone().unwrap_or_else(|| json!({ "level": "OFF", "includeExecutionData": false }))
    }

    pub(super) fn tracing(&self) -> Value {
        json!({ "enabled": self.tracing.unwrap_or_default() })
    }

    pub(super) fn find(rows: &Connection, arn: &str) -> Result<Settings, AwsError> {
        Settings::from_text(&Settings::text(rows, arn)?)
    }

    /// Returns the settings of a machine as they are kept. Empty, if it has none.
    pub(super) fn text(rows: &Connection, arn: &str) -> rusqlite::Result<String> {
        let sql = "SELECT settings FROM state_machine_settings WHERE arn = ?1";
        Ok(rows.query_row(sql, [arn], |row| row.get(0)).optional()?.unwrap_or_default())
    }

    pub(super) fn from_text(text: &str) -> Result<Settings, AwsError> {
        match text {
            "" => Ok(Settings::default()),
            text => serde_json::from_str(text).map_err(AwsError::internal),
        }
    }

    pub(super) fn write(&self, rows: &Connection, arn: &str) -> Result<(), AwsError> {
        let text = serde_json::to_string(self).map_err(AwsError::internal)?;
        rows.execute(
            "INSERT OR REPLACE INTO state_machine_settings (arn, settings) VALUES (?1, ?2)",
            params![arn, text],
        )?;
        Ok(())
    }

    pub(super) fn delete(rows: &Connection, arn: &str) -> rusqlite::Result<()> {
        rows.execute("DELETE FROM state_machine_settings WHERE arn = ?1", [arn]).map(drop)
    }
}

impl StepFunctions {
    pub(super) fn tag(&self, tag: TagResource) -> AwsResult {
        self.change_settings(&tag.resource_arn, |settings| settings.add_tags(tag.tags))
    }

    pub(super) fn untag(&self, untag: &UntagResource) -> AwsResult {
        self.change_settings(&untag.resource_arn, |settings| {
            settings.tags.retain(|tag| !untag.tag_keys.contains(&tag.key));
            Ok(())
        })
    }

    pub(super) fn list_tags(&self, named: &ResourceArn) -> AwsResult {
        self.require_resource(&named.resource_arn)?;
        let settings = Settings::find(&self.state.lock(), &named.resource_arn)?;
        Ok(json!({ "tags": settings.tags }))
    }

    fn change_settings(&self, arn: &str, change: impl FnOnce(&mut Settings) -> Result<(), AwsError>) -> AwsResult {
        self.require_resource(arn)?;
        self.state.write(|rows| {
            let mut settings = Settings::find(rows, arn)?;
            change(&mut settings)?;
            settings.write(rows, arn)
        })?;
        Ok(json!({}))
    }

    fn require_resource(&self, arn: &str) -> Result<(), AwsError> {
        machine_name(arn)?;
        let absent = |_| AwsError::new("ResourceNotFound", format!("Resource not found: '{arn}'"));
        self.machine(arn).map(drop).map_err(absent)
    }
}
