//! Errors in a definition, with the messages of AWS where they are known.

use std::fmt;

use thiserror::Error;

use super::json::JsonFault;

/// An error in a definition. Displays as in the message of `CreateStateMachine`, `Invalid State Machine Definition: '...'`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct DefinitionError {
    /// The `code` in the diagnostics of `ValidateStateMachineDefinition`.
    pub code: DefinitionErrorCode,
    /// A description of the error.
    pub message: String,
    /// The path of the faulty field, such as `/States/Check/Next`; `/` for the definition itself, the place in the text
    /// if it is not JSON, and empty if it is no object.
    pub location: String,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, message, location } = self;
        // The message of a text that is not JSON has the place already.
        match location.is_empty() || *code == DefinitionErrorCode::InvalidJson {
            true => write!(f, "{code}: {message}"),
            false => write!(f, "{code}: {message} at {location}"),
        }
    }
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

    pub(crate) fn json(why: &JsonFault) -> Self {
        Self::new(DefinitionErrorCode::InvalidJson, why.location(), why.to_string())
    }

    pub(crate) fn not_an_object() -> Self {
        let message = "Definition must be a valid JSON object".to_owned();
        Self { code: DefinitionErrorCode::Schema, message, location: String::new() }
    }

    /// An error in the `Resource` of a Task state.
    pub fn resource(location: &str, message: impl Into<String>) -> Self {
        Self::schema(location, message)
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
