//! Pass: reshapes its input, or puts a fixed result in.

use serde_json::Value;

use super::work::template;
use super::{Exit, Transition, Visit};
use crate::DefinitionError;
use crate::data_flow::{Filters, ResultPath};
use crate::definition::{Fields, StateNames};
use crate::failure::Fault;
use crate::template::Template;

#[derive(Clone, Debug)]
pub(super) struct Pass {
    filters: Filters,
    result: Option<Value>,
    parameters: Option<Template>,
    result_path: ResultPath,
    pub(super) transition: Transition,
}

impl Pass {
    pub(super) fn parse(fields: &mut Fields, names: &StateNames) -> Result<Self, DefinitionError> {
        Ok(Self {
            filters: Filters::parse(fields)?,
            result: fields.take("Result"),
            parameters: template(fields, "Parameters")?,
            result_path: ResultPath::parse(fields)?,
            transition: Transition::parse(fields, names)?,
        })
    }

    pub(super) fn run(&self, raw: Value, visit: &Visit<'_>) -> Result<Exit, Fault> {
        let context = visit.context(None);
        let filtered = visit.evaluate(&raw, &context, |data| self.filters.input(data))?;
        let effective = match &self.parameters {
            Some(template) => visit.evaluate(&filtered, &context, |data| template.fill(data))?,
            None => filtered,
        };
        let result = self.result.clone().unwrap_or(effective);
        let combined = self.result_path.put(raw, result).map_err(|why| visit.result_path_failure(why))?;
        let output = visit.evaluate(&combined, &context, |data| self.filters.output(data))?;
        Ok(Exit { transition: self.transition, output })
    }
}
