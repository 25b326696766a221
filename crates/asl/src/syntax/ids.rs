//! States of a workflow by name and by index.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::error::DefinitionError;

/// The maximum length of a state's name, in characters.
const MAX_STATE_NAME: usize = 80;

/// The index of a state in its workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StateId(pub(crate) usize);

/// The ids of a workflow's states by name, to resolve the targets of transitions.
pub(crate) struct StateNames(HashMap<String, StateId>);

impl StateNames {
    /// Assigns an id to each state of a `States` field, in order. `taken` holds the names of all states of the machine
    /// so far, because AWS requires unique names across branches too.
    pub(crate) fn new(
        states: &Map<String, Value>,
        location: &str,
        taken: &mut HashSet<String>,
    ) -> Result<Self, DefinitionError> {
        if states.is_empty() {
            return Err(DefinitionError::schema(location, "There must be at least one state"));
        }
        let mut names = HashMap::with_capacity(states.len());
        for (index, name) in states.keys().enumerate() {
            let location = format!("{location}/{name}");
            if name.is_empty() || name.chars().count() > MAX_STATE_NAME {
                let message = format!("A state's name has 1 to {MAX_STATE_NAME} characters");
                return Err(DefinitionError::schema(&location, message));
            }
            if !taken.insert(name.clone()) {
                return Err(DefinitionError::duplicate(&location, name));
            }
            names.insert(name.clone(), StateId(index));
        }
        Ok(Self(names))
    }

    /// Returns the state that the transition at `location` names.
    pub(crate) fn target(&self, name: &str, location: &str) -> Result<StateId, DefinitionError> {
        self.0.get(name).copied().ok_or_else(|| DefinitionError::missing_target(location, name))
    }
}
