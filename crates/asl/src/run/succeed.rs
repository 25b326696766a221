//! Running a Succeed state.

use serde_json::{Map, Value};

use super::fault::Fault;
use super::visit::{Exit, Visit};
use crate::model::{Succeed, Transition};

impl Succeed {
    pub(super) fn run(&self, raw: &Value, visit: &Visit<'_>) -> Result<Exit, Fault> {
        let context = visit.context(None);
        let filtered = visit.evaluate(raw, &context, |data| self.filters.input(data))?;
        visit.note("afterInputPath", &filtered);
        let output = visit.evaluate(&filtered, &context, |data| self.filters.output(data))?;
        Ok(Exit { transition: Transition::End, output, assigned: Map::new() })
    }
}
