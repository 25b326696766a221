//! What is wrong with a definition, in AWS's words where AWS has some.

use std::fmt;

use thiserror::Error;

/// Why a definition was refused. Displays as CreateStateMachine words it inside `Invalid State Machine Definition: '...'`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{code}: {message} at {location}")]
pub struct DefinitionError {
    /// What kind of fault it is: the `code` of ValidateStateMachineDefinition's diagnostics.
    pub code: DefinitionErrorCode,
    /// What is wrong.
    pub message: String,
    /// Where: `/States/Check/Next`, `/` for the definition itself, `line 3, column 7` if it is not JSON.
    pub location: String,
}

/// The kinds of faults that a definition can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DefinitionErrorCode {
    /// `INVALID_JSON_DESCRIPTION`: the text is not JSON.
    InvalidJson,
    /// `SCHEMA_VALIDATION_FAILED`: a field is missing, not known, or has a value that it cannot have.
    Schema,
    /// `MISSING_TRANSITION_TARGET`: a transition leads nowhere, or no transition leads to a state.
    MissingTarget,
    /// `MISSING_END_STATE`: the workflow cannot end.
    MissingEnd,
    /// `DUPLICATE_STATE_NAME`: two states have one name.
    DuplicateState,
}

impl fmt::Display for DefinitionErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidJson => "INVALID_JSON_DESCRIPTION",
            Self::Schema => "SCHEMA_VALIDATION_FAILED",
            Self::MissingTarget => "MISSING_TRANSITION_TARGET",
            Self::MissingEnd => "MISSING_END_STATE",
            Self::DuplicateState => "DUPLICATE_STATE_NAME",
        })
    }
}

impl DefinitionError {
    fn new(code: DefinitionErrorCode, location: &str, message: impl Into<String>) -> Self {
        let location = if location.is_empty() { "/" } else { location };
        Self { code, message: message.into(), location: location.to_owned() }
    }

    pub(crate) fn schema(location: &str, message: impl Into<String>) -> Self {
        Self::new(DefinitionErrorCode::Schema, location, message)
    }

    pub(super) fn json(why: &serde_json::Error) -> Self {
        let location = format!("line {}, column {}", why.line(), why.column());
        Self::new(DefinitionErrorCode::InvalidJson, &location, why.to_string())
    }

    pub(super) fn missing_target(location: &str, name: &str) -> Self {
        let message = format!("Missing 'Next' target: {name}");
        Self::new(DefinitionErrorCode::MissingTarget, location, message)
    }

    pub(super) fn unreachable(states: &str, name: &str) -> Self {
        let message = format!("State \"{name}\" is not reachable.");
        Self::new(DefinitionErrorCode::MissingTarget, &format!("{states}/{name}"), message)
    }

    pub(super) fn no_end(states: &str) -> Self {
        Self::new(DefinitionErrorCode::MissingEnd, states, "Workflow has no terminal state")
    }

    pub(super) fn duplicate(location: &str, name: &str) -> Self {
        let message = format!("The name \"{name}\" is taken by another state");
        Self::new(DefinitionErrorCode::DuplicateState, location, message)
    }
}
