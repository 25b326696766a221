//! Choice: goes on with the first rule that holds.

mod comparison;
mod pattern;
mod rule;

use serde_json::Value;

use super::{Exit, Transition, Visit};
use crate::DefinitionError;
use crate::data_flow::Filters;
use crate::definition::{Fields, StateId, StateNames};
use crate::failure::Fault;
use rule::Rule;

#[derive(Clone, Debug)]
pub(super) struct Choice {
    filters: Filters,
    choices: Vec<(Rule, StateId)>,
    default: Option<StateId>,
}

impl Choice {
    pub(super) fn parse(fields: &mut Fields, names: &StateNames) -> Result<Self, DefinitionError> {
        fields.require(&["Choices"])?;
        let choices = fields.objects("Choices")?;
        if choices.is_empty() {
            return Err(fields.fault("Choices", "There must be at least one choice"));
        }
        let choices = choices.into_iter().map(|choice| parse_choice(choice, names)).collect::<Result<_, _>>()?;
        let default = fields.text("Default")?;
        let default = default.map(|name| names.target(&name, &fields.place("Default")));
        Ok(Self { filters: Filters::parse(fields)?, choices, default: default.transpose()? })
    }

    pub(super) fn successors(&self) -> Vec<StateId> {
        let chosen = self.choices.iter().map(|(_, next)| *next);
        chosen.chain(self.default).collect()
    }

    pub(super) fn run(&self, raw: &Value, visit: &Visit<'_>) -> Result<Exit, Fault> {
        let context = visit.context(None);
        let filtered = visit.evaluate(raw, &context, |data| self.filters.input(data))?;
        let next = visit.evaluate(&filtered, &context, |data| {
            for (rule, next) in &self.choices {
                if rule.holds(data)? {
                    return Ok(*next);
                }
            }
            // What the specification calls States.NoChoiceMatched.
            self.default.ok_or_else(|| {
                "Failed to transition out of the state. The state does not point to a next state.".to_owned()
            })
        })?;
        let output = visit.evaluate(&filtered, &context, |data| self.filters.output(data))?;
        Ok(Exit { transition: Transition::Next(next), output })
    }
}

fn parse_choice(mut fields: Fields, names: &StateNames) -> Result<(Rule, StateId), DefinitionError> {
    let next = fields.required_text("Next")?;
    let next = names.target(&next, &fields.place("Next"))?;
    Ok((Rule::parse(fields)?, next))
}
