//! `Next` and `End`.

use crate::syntax::{DefinitionError, Fields, StateId, StateNames};

/// The state after a state, or the end of the workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    Next(StateId),
    End,
}

impl Transition {
    /// Takes `Next` or `End`.
    pub(crate) fn parse(fields: &mut Fields, names: &StateNames) -> Result<Self, DefinitionError> {
        fields.at_most_one(&["Next", "End"])?;
        if let Some(next) = fields.text("Next")? {
            return names.target(&next, &fields.location_of("Next")).map(Self::Next);
        }
        match fields.boolean("End")? {
            Some(true) => Ok(Self::End),
            Some(false) => Err(fields.error("End", "Value must be true")),
            None => Err(DefinitionError::schema(fields.location(), "One of these fields is required: [Next, End]")),
        }
    }

    pub(crate) fn successor(self) -> Option<StateId> {
        match self {
            Self::Next(id) => Some(id),
            Self::End => None,
        }
    }
}
