//! Choice: continues with the first rule that matches.

use crate::data::{Assign, Filters, Rule};
use crate::syntax::{DefinitionError, Fields, StateId, StateNames};

#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) filters: Filters,
    pub(crate) choices: Vec<(Rule, Chosen)>,
    pub(crate) default: Option<Chosen>,
}

/// What follows from a rule that matches, or from none.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) next: StateId,
    pub(crate) assign: Option<Assign>,
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
        let default = default.map(|name| names.target(&name, &fields.location_of("Default"))).transpose()?;
        let assign = Assign::parse(fields)?;
        let default = default.map(|next| Chosen { next, assign });
        Ok(Self { filters: Filters::parse(fields)?, choices, default })
    }

    pub(super) fn successors(&self) -> Vec<StateId> {
        let chosen = self.choices.iter().map(|(_, chosen)| chosen);
        chosen.chain(&self.default).map(|chosen| chosen.next).collect()
    }
}

fn parse_choice(mut fields: Fields, names: &StateNames) -> Result<(Rule, Chosen), DefinitionError> {
    let next = fields.required_text("Next")?;
    let next = names.target(&next, &fields.location_of("Next"))?;
    let assign = Assign::parse(&mut fields)?;
    Ok((Rule::parse(fields)?, Chosen { next, assign }))
}
