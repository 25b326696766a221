//! Errors in a definition, with the messages of AWS where they are known.

use thiserror::Error;

/// An error in a definition. Displays as in the message of `CreateStateMachine`, `Invalid State Machine Definition: '...'`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{code}: {message} at {location}")]
pub struct DefinitionError {
    /// The `code` in the diagnostics of `ValidateStateMachineDefinition`.
    pub code: DefinitionErrorCode,
    /// A description of the error.
    pub message: String,
    /// The path of the faulty field, such as `/States/Check/Next`; `/` for the definition itself, `line 3, column 7` if
    /// it is not JSON.
    pub location: String,
}

/// The kinds of errors in a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display)]
pub enum DefinitionErrorCode {
    /// The text is not JSON.
    #[strum(serialize = "INVALID_JSON_DESCRIPTION")]
    InvalidJson,
    /// A field is missing, unknown, or has an invalid value.
    #[strum(serialize = "SCHEMA_VALIDATION_FAILED")]
    Schema,
    /// The target of a transition does not exist, or a state is unreachable.
    #[strum(serialize = "MISSING_TRANSITION_TARGET")]
    MissingTarget,
    /// A workflow has no terminal state.
    #[strum(serialize = "MISSING_END_STATE")]
    MissingEnd,
    /// Two states have the same name.
    #[strum(serialize = "DUPLICATE_STATE_NAME")]
    DuplicateState,
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
