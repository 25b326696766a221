//! What the API describes of a table beyond what statements can say. It has no effect on queries.

use local_athena::catalog::Table;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::aws_json::AwsError;

/// The details of a table, which the catalog keeps as a JSON text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Details {
    pub(super) description: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) retention: i64,
    pub(super) last_access: Option<Value>,
    pub(super) last_analyzed: Option<Value>,
    /// The number of changes through the API.
    pub(super) version: i64,
    /// The time of the last of them, in milliseconds.
    pub(super) updated: Option<i64>,
    pub(super) storage: StorageDetails,
}

/// What a storage descriptor says beyond location, columns and format.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct StorageDetails {
    /// Whether the files are compressed. Their reader sees it for itself.
    pub(super) compressed: bool,
    pub(super) parameters: Map<String, Value>,
    pub(super) serde_name: Option<String>,
}

impl Details {
    pub(super) fn of(table: &Table) -> Details {
        table.details.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    pub(super) fn to_text(&self) -> Result<Option<String>, AwsError> {
        match *self == Details::default() {
            true => Ok(None),
            false => serde_json::to_string(self).map(Some).map_err(AwsError::internal),
        }
    }
}
