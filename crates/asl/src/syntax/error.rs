//! Errors in a definition, with the messages of AWS where they are known.

use std::fmt;

use thiserror::Error;

/// An error in a definition. Displays as in the message of CreateStateMachine, `Invalid State Machine Definition: '...'`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{code}: {message} at {location}")]
pub struct DefinitionError {
    /// The `code` in the diagnostics of ValidateStateMachineDefinition.
    pub code: DefinitionErrorCode,
    /// A description of the error.
    pub message: String,
    /// The path of the faulty field, such as `/States/Check/Next`; `/` for the definition itself, `line 3, column 7` if
    /// it is not JSON.
    pub location: String,
}

/// The kinds of errors in a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DefinitionErrorCode {
    /// `INVALID_JSON_DESCRIPTION`: the text is not JSON.
    InvalidJson,
    /// `SCHEMA_VALIDATION_FAILED`: a field is missing, unknown, or has an invalid value.
    Schema,
    /// `MISSING_TRANSITION_TARGET`: the target of a transition does not exist, or a state is unreachable.
    MissingTarget,
    /// `MISSING_END_STATE`: a workflow has no terminal state.
    MissingEnd,
    /// `DUPLICATE_STATE_NAME`: two states have the same name.
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

    pub(crate) fn json(why: &serde_json::Error) -> Self {
        let location = format!("line {}, column {}", why.line(), why.column());
        Self::new(DefinitionErrorCode::InvalidJson, &location, why.to_string())
    }

    pub(super) fn missing_target(location: &str, name: &str) -> Self {
        let message = format!("Missing 'Next' target: {name}");
        Self::new(DefinitionErrorCode::MissingTarget, location, message)
    }

    pub(crate) fn unreachable(states: &str, name: &str) -> Self {
        let message = format!("State \"{name}\" is not reachable.");
        Self::new(DefinitionErrorCode::MissingTarget, &format!("{states}/{name}"), message)
    }

    pub(crate) fn no_end(states: &str) -> Self {
        Self::new(DefinitionErrorCode::MissingEnd, states, "Workflow has no terminal state")
    }

    pub(super) fn duplicate(location: &str, name: &str) -> Self {
        let message = format!("The name \"{name}\" is taken by another state");
        Self::new(DefinitionErrorCode::DuplicateState, location, message)
    }
}
