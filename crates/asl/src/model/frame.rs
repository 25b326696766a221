//! The fields that Task, Map and Parallel have in common: data flow, retries, catchers and transition.

use super::catch::Catcher;
use super::retry::Retrier;
use super::transition::Transition;
use crate::data::{Assign, Filters, ResultPath, Template};
use crate::syntax::{DefinitionError, Fields, StateId, StateNames};

/// The common fields of Task, Map and Parallel.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) filters: Filters,
    pub(crate) parameters: Option<Template>,
    pub(crate) selector: Option<Template>,
    /// Reads the result.
    pub(crate) assign: Option<Assign>,
    pub(crate) result_path: ResultPath,
    pub(crate) retry: Vec<Retrier>,
    pub(crate) catch: Vec<Catcher>,
    pub(crate) transition: Transition,
}

impl Frame {
    pub(super) fn parse(fields: &mut Fields, names: &StateNames) -> Result<Self, DefinitionError> {
        Ok(Self {
            filters: Filters::parse(fields)?,
            parameters: take_template(fields, "Parameters")?,
            selector: take_template(fields, "ResultSelector")?,
            assign: Assign::parse(fields)?,
            result_path: ResultPath::parse(fields)?,
            retry: Retrier::parse_all(fields)?,
            catch: Catcher::parse_all(fields, names)?,
            transition: Transition::parse(fields, names)?,
        })
    }

    pub(super) fn successors(&self) -> Vec<StateId> {
        let caught = self.catch.iter().map(|catcher| catcher.next);
        self.transition.successor().into_iter().chain(caught).collect()
    }
}

/// Takes the payload template in `field`.
pub(super) fn take_template(fields: &mut Fields, field: &str) -> Result<Option<Template>, DefinitionError> {
    let location = fields.location_of(field);
    fields.take(field).map(|value| Template::parse(value, &location)).transpose()
}
