//! Workflows: the states of a machine, of a branch or of an item processor.

use std::collections::HashSet;

use super::resource::Resource;
use super::state::{State, StateKind};
use crate::syntax::{DefinitionError, Fields, StateId, StateNames};

/// States and the one to start with: a state machine, a branch of a Parallel state, or the item processor of a Map state.
#[derive(Clone, Debug)]
pub(crate) struct Workflow {
    start: StateId,
    states: Vec<State>,
}

impl Workflow {
    /// Takes `StartAt` and `States` from `fields`. `taken` holds the names of all states of the machine so far, because
    /// AWS requires unique names across branches too.
    pub(crate) fn parse(fields: &mut Fields, taken: &mut HashSet<String>) -> Result<Self, DefinitionError> {
        fields.require(&["States", "StartAt"])?;
        let location = fields.location_of("States");
        let states = fields.object("States")?.unwrap_or_default();
        let names = StateNames::new(&states, &location, taken)?;
        let start = fields.text("StartAt")?.unwrap_or_default();
        let start = names.target(&start, &fields.location_of("StartAt"))?;
        let states = states
            .into_iter()
            .map(|(name, value)| {
                let location = format!("{location}/{name}");
                State::parse(name, value, &location, &names, taken)
            })
            .collect::<Result<_, _>>()?;
        let workflow = Self { start, states };
        workflow.check_reachable(&location)?;
        workflow.check_terminal(&location)?;
        Ok(workflow)
    }

    pub(crate) fn start(&self) -> StateId {
        self.start
    }

    /// Returns the state with an id of this workflow.
    pub(crate) fn state(&self, id: StateId) -> &State {
        &self.states[id.0]
    }

    /// Returns the id of a state by its name; not of one in a branch or an item processor.
    pub(crate) fn find(&self, name: &str) -> Option<StateId> {
        self.states.iter().position(|state| state.name == name).map(StateId)
    }

    /// Returns the state of a name and its workflow, also if it is in a branch or an item processor.
    pub(crate) fn find_anywhere(&self, name: &str) -> Option<(&Self, StateId)> {
        let own = self.find(name).map(|id| (self, id));
        own.or_else(|| {
            let mut inner = self.states.iter().flat_map(State::workflows);
            inner.find_map(|workflow| workflow.find_anywhere(name))
        })
    }

    /// Returns the resources of the Task states, also of those in branches and item processors, with their locations.
    pub(crate) fn resources(&self) -> Vec<(&str, &Resource)> {
        self.states.iter().flat_map(resources_of).collect()
    }

    fn check_reachable(&self, location: &str) -> Result<(), DefinitionError> {
        let mut reached = HashSet::from([self.start]);
        let mut open = vec![self.start];
        while let Some(id) = open.pop() {
            let next = self.state(id).successors().into_iter();
            open.extend(next.filter(|next| reached.insert(*next)));
        }
        let unreached = (0..self.states.len()).find(|index| !reached.contains(&StateId(*index)));
        match unreached.and_then(|index| self.states.get(index)) {
            Some(state) => Err(DefinitionError::unreachable(location, &state.name)),
            None => Ok(()),
        }
    }

    fn check_terminal(&self, location: &str) -> Result<(), DefinitionError> {
        match self.states.iter().any(State::is_terminal) {
            true => Ok(()),
            false => Err(DefinitionError::no_end(location)),
        }
    }
}

fn resources_of(state: &State) -> Vec<(&str, &Resource)> {
    match &state.kind {
        StateKind::Task(task) => vec![(task.resource_location.as_str(), &task.resource)],
        _ => state.workflows().into_iter().flat_map(Workflow::resources).collect(),
    }
}
