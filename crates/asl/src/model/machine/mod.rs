//! The top level of a definition.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use super::resource::Resource;
use super::variables::{References, check_scopes, references};
use super::workflow::Workflow;
use crate::syntax::{DefinitionError, Fields, MAX_SECONDS, parse_json};

/// A parsed and checked state machine.
#[derive(Clone, Debug)]
pub struct StateMachine {
    comment: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) workflow: Workflow,
    references: References,
}

impl StateMachine {
    /// Parses a definition in the Amazon States Language (JSON) and checks it as `CreateStateMachine` does.
    ///
    /// # Errors
    /// Returns the first error found, with the location of its field.
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
        if definition.trim().is_empty() {
            return Err(DefinitionError::not_an_object());
        }
        let json = parse_json(definition).map_err(|why| DefinitionError::json(&why))?;
        if !json.is_object() {
            return Err(DefinitionError::not_an_object());
        }
        check_scopes(&json, "", &BTreeSet::new())?;
        let references = references(&json);
        let mut fields = Fields::parse(json, "")?;
        let comment = fields.text("Comment")?;
        fields.query_language()?;
        if let Some(version) = fields.text("Version")?
            && version != "1.0"
        {
            let message = format!("Version '{version}' is not known: use '1.0'");
            return Err(fields.error("Version", message));
        }
        let timeout = fields.whole("TimeoutSeconds", 1..=MAX_SECONDS)?;
        let workflow = Workflow::parse(&mut fields, &mut HashSet::new())?;
        fields.finish()?;
        Ok(Self { comment, timeout: timeout.map(Duration::from_secs), workflow, references })
    }

    /// Returns the resources of all Task states, also in branches and item processors, each with its location in the
    /// definition.
    ///
    /// ```
    /// let machine = asl::StateMachine::parse(
    ///     r#"{ "StartAt": "Put", "States": { "Put": { "Type": "Task", "Resource": "arn:aws:states:::dynamodb:putItem", "End": true } } }"#,
    /// )
    /// .unwrap();
    /// let (location, resource) = machine.resources()[0];
    /// assert_eq!((location, resource.arn()), ("/States/Put/Resource", "arn:aws:states:::dynamodb:putItem"));
    /// ```
    pub fn resources(&self) -> Vec<(&str, &Resource)> {
        self.workflow.resources()
    }

    /// Returns the names of the variables that each state reads, by the state's name: `variableReferences` of AWS's API.
    ///
    /// ```
    /// let machine = asl::StateMachine::parse(
    ///     r#"{ "StartAt": "Wait", "States": { "Wait": { "Type": "Wait", "SecondsPath": "$delay", "End": true } } }"#,
    /// )
    /// .unwrap();
    /// assert_eq!(machine.variable_references()["Wait"].iter().collect::<Vec<_>>(), ["delay"]);
    /// ```
    pub fn variable_references(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.references
    }

    /// Returns the definition's top-level `Comment`.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }
}

#[cfg(test)]
mod tests;
