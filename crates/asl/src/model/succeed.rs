//! Succeed: ends the workflow with its input as output.

use crate::data::Filters;
use crate::syntax::{DefinitionError, Fields};

#[derive(Clone, Debug)]
pub(crate) struct Succeed {
    pub(crate) filters: Filters,
}

impl Succeed {
    pub(super) fn parse(fields: &mut Fields) -> Result<Self, DefinitionError> {
        let filters = Filters::parse(fields)?;
        Ok(Self { filters })
    }
}
