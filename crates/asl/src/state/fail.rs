//! Fail: the end of a workflow that went wrong.

use serde_json::Value;

use super::Visit;
use crate::DefinitionError;
use crate::context::Context;
use crate::definition::Fields;
use crate::failure::{Failure, Fault};
use crate::intrinsic::Expression;
use crate::template::evaluate;

#[derive(Clone, Debug)]
pub(super) struct Fail {
    error: Part,
    cause: Part,
}

/// The error's name or its cause: fixed, or from the input.
#[derive(Clone, Debug)]
enum Part {
    None,
    Text(String),
    Path { field: String, expression: Expression },
}

impl Fail {
    pub(super) fn parse(fields: &mut Fields) -> Result<Self, DefinitionError> {
        Ok(Self { error: Part::parse(fields, "Error")?, cause: Part::parse(fields, "Cause")? })
    }

    pub(super) fn run(&self, input: &Value, visit: &Visit<'_>) -> Fault {
        let context = visit.context(None);
        let failure = self.error.read(input, &context, visit).and_then(|error| {
            let cause = self.cause.read(input, &context, visit)?;
            Ok(Failure { error, cause })
        });
        failure.map_or_else(|fault| fault, Fault::Failed)
    }
}

impl Part {
    fn parse(fields: &mut Fields, field: &str) -> Result<Self, DefinitionError> {
        let path_field = format!("{field}Path");
        fields.at_most_one(&[field, &path_field])?;
        if let Some(text) = fields.text(field)? {
            return Ok(Self::Text(text));
        }
        let expression = fields.parsed(&path_field, Expression::parse)?;
        Ok(expression.map_or(Self::None, |expression| Self::Path { field: path_field, expression }))
    }

    fn read(&self, input: &Value, context: &Context<'_>, visit: &Visit<'_>) -> Result<Option<String>, Fault> {
        let (field, expression) = match self {
            Self::None => return Ok(None),
            Self::Text(text) => return Ok(Some(text.clone())),
            Self::Path { field, expression } => (field, expression),
        };
        visit.evaluate(input, context, |data| match evaluate(expression, field, data)? {
            Value::String(text) => Ok(Some(text)),
            other => Err(format!("The {field} parameter does not reference a string: {other}")),
        })
    }
}
