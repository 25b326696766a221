//! A state machine's definition: reading it, and the checks that make running it safe.
//!
//! Whatever can be known before the first execution is checked here, once: a [`StateMachine`] has no transition to a
//! state that does not exist, no path or intrinsic function that cannot be read, and no field that is ignored.

mod error;
mod fields;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::{Map, Value};

pub use error::{DefinitionError, DefinitionErrorCode};
pub(crate) use fields::Fields;

use crate::state::State;

/// The longest that anything may take or wait, in seconds (about three years).
pub(crate) const MAX_SECONDS: u64 = 99_999_999;

/// How long a state's name may be, in characters.
const MAX_STATE_NAME: usize = 80;

/// A state machine that has been read and checked.
#[derive(Clone, Debug)]
pub struct StateMachine {
    comment: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) workflow: Workflow,
}

impl StateMachine {
    /// Reads a definition in the Amazon States Language (JSON) and checks it as CreateStateMachine does.
    ///
    /// # Errors
    /// The first fault found, with the state and field that have it.
    ///
    /// ```
    /// let error = asl::StateMachine::parse(
    ///     r#"{ "StartAt": "Look", "States": { "Look": { "Type": "Pass", "Next": "Leap" } } }"#,
    /// )
    /// .unwrap_err();
    /// assert_eq!(error.location, "/States/Look/Next");
    /// assert_eq!(
    ///     error.to_string(),
    ///     "MISSING_TRANSITION_TARGET: Missing 'Next' target: Leap at /States/Look/Next"
    /// );
    /// ```
    pub fn parse(definition: &str) -> Result<Self, DefinitionError> {
        let json = serde_json::from_str(definition).map_err(|why| DefinitionError::json(&why))?;
        let mut fields = Fields::of(json, "")?;
        let comment = fields.text("Comment")?;
        fields.query_language()?;
        if let Some(version) = fields.text("Version")?
            && version != "1.0"
        {
            let message = format!("Version '{version}' is not known: use '1.0'");
            return Err(fields.fault("Version", message));
        }
        let timeout = fields.whole("TimeoutSeconds", 1..=MAX_SECONDS)?;
        let workflow = Workflow::parse(&mut fields, &mut HashSet::new())?;
        fields.finish()?;
        Ok(Self { comment, timeout: timeout.map(Duration::from_secs), workflow })
    }

    /// The definition's top-level `Comment`.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }
}

/// States and where they start: a state machine, a branch of a Parallel state, or the item processor of a Map state.
#[derive(Clone, Debug)]
pub(crate) struct Workflow {
    start: StateId,
    states: Vec<State>,
}

/// A state of the workflow that made the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StateId(usize);

/// The names of a workflow's states, for looking up what transitions name.
pub(crate) struct StateNames(HashMap<String, StateId>);

impl StateNames {
    /// The state that the transition at `location` names.
    pub(crate) fn target(&self, name: &str, location: &str) -> Result<StateId, DefinitionError> {
        self.0.get(name).copied().ok_or_else(|| DefinitionError::missing_target(location, name))
    }
}

impl Workflow {
    /// Takes `StartAt` and `States` from `fields`. `taken` has the names of all states of the machine so far, because
    /// AWS wants them unique across branches too.
    pub(crate) fn parse(fields: &mut Fields, taken: &mut HashSet<String>) -> Result<Self, DefinitionError> {
        fields.require(&["States", "StartAt"])?;
        let location = fields.place("States");
        let states = fields.object("States")?.unwrap_or_default();
        let names = state_names(&states, &location, taken)?;
        let start = fields.text("StartAt")?.unwrap_or_default();
        let start = names.target(&start, &fields.place("StartAt"))?;
        let states = states
            .into_iter()
            .map(|(name, value)| {
                let place = format!("{location}/{name}");
                State::parse(name, value, &place, &names, taken)
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

    /// An id is made for a place in `states` and given to this workflow only, so the state is there.
    pub(crate) fn state(&self, id: StateId) -> &State {
        &self.states[id.0]
    }

    fn check_reachable(&self, location: &str) -> Result<(), DefinitionError> {
        let mut reached = HashSet::from([self.start]);
        let mut open = vec![self.start];
        while let Some(id) = open.pop() {
            let next = self.state(id).successors().into_iter();
            open.extend(next.filter(|next| reached.insert(*next)));
        }
        let lost = (0..self.states.len()).find(|at| !reached.contains(&StateId(*at)));
        match lost.and_then(|at| self.states.get(at)) {
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

fn state_names(
    states: &Map<String, Value>,
    location: &str,
    taken: &mut HashSet<String>,
) -> Result<StateNames, DefinitionError> {
    if states.is_empty() {
        return Err(DefinitionError::schema(location, "There must be at least one state"));
    }
    let mut names = HashMap::with_capacity(states.len());
    for (at, name) in states.keys().enumerate() {
        let place = format!("{location}/{name}");
        if name.is_empty() || name.chars().count() > MAX_STATE_NAME {
            let message = format!("A state's name has 1 to {MAX_STATE_NAME} characters");
            return Err(DefinitionError::schema(&place, message));
        }
        if !taken.insert(name.clone()) {
            return Err(DefinitionError::duplicate(&place, name));
        }
        names.insert(name.clone(), StateId(at));
    }
    Ok(StateNames(names))
}

#[cfg(test)]
mod tests;
