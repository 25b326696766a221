//! Running a Choice state.

use serde_json::Value;

use super::fault::Fault;
use super::visit::{Exit, Visit};
use crate::model::{Choice, Transition};

impl Choice {
    pub(super) fn run(&self, raw: &Value, visit: &Visit<'_>) -> Result<Exit, Fault> {
        let context = visit.context(None);
        let filtered = visit.evaluate(raw, &context, |data| self.filters.input(data))?;
        visit.note("afterInputPath", &filtered);
        let chosen = visit.evaluate(&filtered, &context, |data| {
            for (rule, chosen) in &self.choices {
                if rule.matches(data)? {
                    return Ok(chosen);
                }
            }
            // `States.NoChoiceMatched` in the specification.
            self.default.as_ref().ok_or_else(|| {
                "Failed to transition out of the state. The state does not point to a next state.".to_owned()
            })
        })?;
        let assigned = visit.assign(chosen.assign.as_ref(), &filtered, &context)?;
        let output = visit.evaluate(&filtered, &context, |data| self.filters.output(data))?;
        Ok(Exit { transition: Transition::Next(chosen.next), output, assigned })
    }
}
