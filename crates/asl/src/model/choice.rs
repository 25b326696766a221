//! Choice: continues with the first rule that matches.

use crate::data::{Filters, Rule};
use crate::syntax::{DefinitionError, Fields, StateId, StateNames};

#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) filters: Filters,
    pub(crate) choices: Vec<(Rule, StateId)>,
    pub(crate) default: Option<StateId>,
}

impl Choice {
    pub(super) fn parse(fields: &mut Fields, names: &StateNames) -> Result<Self, DefinitionError> {
        fields.require(&["Choices"])?;
        let choices = fields.objects("Choices")?;
        if choices.is_empty() {
            return Err(fields.error("Choices", "There must be at least one choice"));
        }
        let choices = choices.into_iter().map(|choice| parse_choice(choice, names)).collect::<Result<_, _>>()?;
        let default = fields.text("Default")?;
        let default = default.map(|name| names.target(&name, &fields.location_of("Default")));
        Ok(Self { filters: Filters::parse(fields)?, choices, default: default.transpose()? })
    }

    pub(super) fn successors(&self) -> Vec<StateId> {
        let chosen = self.choices.iter().map(|(_, next)| *next);
        chosen.chain(self.default).collect()
    }
}

fn parse_choice(mut fields: Fields, names: &StateNames) -> Result<(Rule, StateId), DefinitionError> {
    let next = fields.required_text("Next")?;
    let next = names.target(&next, &fields.location_of("Next"))?;
    Ok((Rule::parse(fields)?, next))
}
