//! Wait: delays the workflow for a number of seconds, or until a time.

use chrono::{DateTime, Utc};

use super::transition::Transition;
use crate::data::{Assign, Filters, Path};
use crate::syntax::{DefinitionError, Fields, MAX_SECONDS, StateNames, parse_timestamp};

#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) filters: Filters,
    pub(crate) until: WaitUntil,
    pub(crate) assign: Option<Assign>,
    pub(crate) transition: Transition,
}

/// The end of a wait, fixed or from the input.
#[derive(Clone, Debug)]
pub(crate) enum WaitUntil {
    Seconds(u64),
    SecondsPath(Path),
    Timestamp(DateTime<Utc>),
    TimestampPath(Path),
}

impl Wait {
    pub(super) fn parse(fields: &mut Fields, names: &StateNames) -> Result<Self, DefinitionError> {
        Ok(Self {
            filters: Filters::parse(fields)?,
            until: WaitUntil::parse(fields)?,
            assign: Assign::parse(fields)?,
            transition: Transition::parse(fields, names)?,
        })
    }
}

impl WaitUntil {
    fn parse(fields: &mut Fields) -> Result<Self, DefinitionError> {
        const FIELDS: [&str; 4] = ["Seconds", "SecondsPath", "Timestamp", "TimestampPath"];
        fields.at_most_one(&FIELDS)?;
        if let Some(seconds) = fields.whole("Seconds", 0..=MAX_SECONDS)? {
            return Ok(Self::Seconds(seconds));
        }
        if let Some(path) = fields.parsed("SecondsPath", Path::parse_reference)? {
            return Ok(Self::SecondsPath(path));
        }
        if let Some(path) = fields.parsed("TimestampPath", Path::parse_reference)? {
            return Ok(Self::TimestampPath(path));
        }
        let time = fields.parsed("Timestamp", |text| {
            parse_timestamp(text).ok_or_else(|| "String does not match RFC3339 timestamp".to_owned())
        })?;
        time.map(Self::Timestamp).ok_or_else(|| {
            let message = format!("One of these fields is required: [{}]", FIELDS.join(", "));
            DefinitionError::schema(fields.location(), message)
        })
    }
}
