//! Map: runs a workflow for each item of an array, several at the same time.

use std::collections::HashSet;

use super::frame::{Frame, take_template};
use super::workflow::Workflow;
use crate::data::{Path, Template};
use crate::syntax::{DefinitionError, Fields, StateNames};

const DISTRIBUTED: &str = "The distributed mode of Map states is not supported: use INLINE";

#[derive(Clone, Debug)]
pub(crate) struct Map {
    pub(crate) frame: Frame,
    pub(crate) items: Path,
    pub(crate) selector: Option<Template>,
    pub(crate) concurrency: Concurrency,
    pub(crate) processor: Workflow,
}

/// `MaxConcurrency`, fixed or from the input.
#[derive(Clone, Debug)]
pub(crate) enum Concurrency {
    Fixed(u64),
    Path(Path),
}

impl Map {
    pub(super) fn parse(
        fields: &mut Fields,
        names: &StateNames,
        taken: &mut HashSet<String>,
    ) -> Result<Self, DefinitionError> {
        fields.at_most_one(&["ItemSelector", "Parameters"])?;
        // `Parameters` is the older name: in a Map state it is rendered for each item.
        let selector = match take_template(fields, "ItemSelector")? {
            None => take_template(fields, "Parameters")?,
            selector => selector,
        };
        let items = fields.parsed("ItemsPath", Path::parse_reference)?;
        let map = Self {
            items: items.unwrap_or_else(Path::root),
            selector,
            concurrency: Concurrency::parse(fields)?,
            processor: parse_processor(fields, taken)?,
            frame: Frame::parse(fields, names)?,
        };
        refuse_distributed(fields)?;
        Ok(map)
    }
}

impl Concurrency {
    fn parse(fields: &mut Fields) -> Result<Self, DefinitionError> {
        fields.at_most_one(&["MaxConcurrency", "MaxConcurrencyPath"])?;
        if let Some(path) = fields.parsed("MaxConcurrencyPath", Path::parse_reference)? {
            return Ok(Self::Path(path));
        }
        let max = fields.whole("MaxConcurrency", 0..=u64::MAX)?;
        Ok(Self::Fixed(max.unwrap_or_default()))
    }
}

fn parse_processor(fields: &mut Fields, taken: &mut HashSet<String>) -> Result<Workflow, DefinitionError> {
    fields.at_most_one(&["ItemProcessor", "Iterator"])?;
    let field = if fields.has("Iterator") { "Iterator" } else { "ItemProcessor" };
    fields.require(&[field])?;
    let location = fields.location_of(field);
    let mut processor = Fields::parse(fields.take(field).unwrap_or_default(), &location)?;
    let _comment = processor.text("Comment")?;
    if let Some(config) = processor.take("ProcessorConfig") {
        let mut config = Fields::parse(config, &processor.location_of("ProcessorConfig"))?;
        match config.text("Mode")?.as_deref() {
            None | Some("INLINE") => {}
            Some("DISTRIBUTED") => return Err(config.error("Mode", DISTRIBUTED)),
            Some(other) => {
                let message = format!("'{other}' is not a mode of a Map state: use INLINE");
                return Err(config.error("Mode", message));
            }
        }
        config.finish()?;
    }
    let workflow = Workflow::parse(&mut processor, taken)?;
    processor.finish()?;
    Ok(workflow)
}

/// Refuses the fields of the distributed mode with a message of their own.
fn refuse_distributed(fields: &Fields) -> Result<(), DefinitionError> {
    let distributed = [
        "ItemReader",
        "ItemBatcher",
        "ResultWriter",
        "Label",
        "ToleratedFailureCount",
        "ToleratedFailureCountPath",
        "ToleratedFailurePercentage",
        "ToleratedFailurePercentagePath",
    ];
    match distributed.into_iter().find(|field| fields.has(field)) {
        None => Ok(()),
        Some(field) => Err(fields.error(field, DISTRIBUTED)),
    }
}
