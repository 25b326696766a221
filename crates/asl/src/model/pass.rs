//! Pass: transforms its input, or inserts a fixed result.

use serde_json::Value;

use super::frame::take_template;
use super::transition::Transition;
use crate::data::{Assign, Filters, ResultPath, Template};
use crate::syntax::{DefinitionError, Fields, StateNames};

#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub(crate) filters: Filters,
    pub(crate) result: Option<Value>,
    pub(crate) parameters: Option<Template>,
    /// Reads the result.
    pub(crate) assign: Option<Assign>,
    pub(crate) result_path: ResultPath,
    pub(crate) transition: Transition,
}

impl Pass {
    pub(super) fn parse(fields: &mut Fields, names: &StateNames) -> Result<Self, DefinitionError> {
        Ok(Self {
            filters: Filters::parse(fields)?,
            result: fields.take("Result"),
            parameters: take_template(fields, "Parameters")?,
            assign: Assign::parse(fields)?,
            result_path: ResultPath::parse(fields)?,
            transition: Transition::parse(fields, names)?,
        })
    }
}
