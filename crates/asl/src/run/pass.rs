//! Running a Pass state.

use serde_json::Value;

use super::fault::Fault;
use super::visit::{Exit, Visit};
use crate::model::Pass;

impl Pass {
    pub(super) fn run(&self, raw: Value, visit: &Visit<'_>) -> Result<Exit, Fault> {
        let context = visit.context(None);
        let filtered = visit.evaluate(&raw, &context, |data| self.filters.input(data))?;
        let effective = match &self.parameters {
            Some(template) => visit.evaluate(&filtered, &context, |data| template.render(data))?,
            None => filtered.clone(),
        };
        let result = match &self.result {
            Some(result) => {
                visit.note("result", result);
                result.clone()
            }
            None => {
                visit.note("afterInputPath", &filtered);
                visit.note("afterParameters", &effective);
                effective
            }
        };
        visit.note("afterResultSelector", &result);
        let assigned = visit.assign(self.assign.as_ref(), &result, &context)?;
        let combined = self.result_path.insert(raw, result).map_err(|why| visit.result_path_failure(why))?;
        visit.note("afterResultPath", &combined);
        let output = visit.evaluate(&combined, &context, |data| self.filters.output(data))?;
        Ok(Exit { transition: self.transition, output, assigned })
    }
}
