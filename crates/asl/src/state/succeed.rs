//! Succeed: the end of a workflow that went well.

use serde_json::Value;

use super::{Exit, Transition, Visit};
use crate::DefinitionError;
use crate::data_flow::Filters;
use crate::definition::Fields;
use crate::failure::Fault;

#[derive(Clone, Debug)]
pub(super) struct Succeed {
    filters: Filters,
}

impl Succeed {
    pub(super) fn parse(fields: &mut Fields) -> Result<Self, DefinitionError> {
        let filters = Filters::parse(fields)?;
        Ok(Self { filters })
    }

    pub(super) fn run(&self, raw: &Value, visit: &Visit<'_>) -> Result<Exit, Fault> {
        let context = visit.context(None);
        let filtered = visit.evaluate(raw, &context, |data| self.filters.input(data))?;
        let output = visit.evaluate(&filtered, &context, |data| self.filters.output(data))?;
        Ok(Exit { transition: Transition::End, output })
    }
}
