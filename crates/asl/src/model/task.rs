//! Task: calls a service or a function.

use super::frame::Frame;
use super::resource::Resource;
use crate::data::Path;
use crate::syntax::{DefinitionError, Fields, MAX_SECONDS, StateNames};

#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) frame: Frame,
    pub(crate) resource: Resource,
    /// The location of `Resource` in the definition.
    pub(crate) resource_location: String,
    pub(crate) timeout: TimeLimit,
    /// Recorded in the history only: no [`Tasks`](crate::Tasks) sends heartbeats, so none can be missed.
    pub(crate) heartbeat: TimeLimit,
}

/// A number of seconds, fixed or from the input.
#[derive(Clone, Debug)]
pub(crate) enum TimeLimit {
    None,
    Seconds(u64),
    Path(Path),
}

impl Task {
    pub(super) fn parse(fields: &mut Fields, names: &StateNames) -> Result<Self, DefinitionError> {
        fields.require(&["Resource"])?;
        let arn = fields.required_text("Resource")?;
        let resource = Resource::parse(&arn).map_err(|why| fields.error("Resource", why))?;
        let task = Self {
            frame: Frame::parse(fields, names)?,
            resource,
            resource_location: fields.location_of("Resource"),
            timeout: TimeLimit::parse(fields, "TimeoutSeconds")?,
            heartbeat: TimeLimit::parse(fields, "HeartbeatSeconds")?,
        };
        match (&task.timeout, &task.heartbeat) {
            (TimeLimit::Seconds(timeout), TimeLimit::Seconds(heartbeat)) if heartbeat >= timeout => {
                Err(fields.error("HeartbeatSeconds", "Value must be less than TimeoutSeconds"))
            }
            _ => Ok(task),
        }
    }
}

impl TimeLimit {
    fn parse(fields: &mut Fields, field: &str) -> Result<Self, DefinitionError> {
        let path_field = format!("{field}Path");
        fields.at_most_one(&[field, &path_field])?;
        if let Some(seconds) = fields.whole(field, 1..=MAX_SECONDS)? {
            return Ok(Self::Seconds(seconds));
        }
        let path = fields.parsed(&path_field, Path::parse_reference)?;
        Ok(path.map_or(Self::None, Self::Path))
    }
}
