//! Fail: ends the workflow with a failure.

use crate::data::Expression;
use crate::syntax::{DefinitionError, Fields};

#[derive(Clone, Debug)]
pub(crate) struct Fail {
    pub(crate) error: FailField,
    pub(crate) cause: FailField,
}

/// The error name or the cause, fixed or from the input.
#[derive(Clone, Debug)]
pub(crate) enum FailField {
    None,
    Text(String),
    Path { field: String, expression: Expression },
}

impl Fail {
    pub(super) fn parse(fields: &mut Fields) -> Result<Self, DefinitionError> {
        Ok(Self { error: FailField::parse(fields, "Error")?, cause: FailField::parse(fields, "Cause")? })
    }
}

impl FailField {
    fn parse(fields: &mut Fields, field: &str) -> Result<Self, DefinitionError> {
        let path_field = format!("{field}Path");
        fields.at_most_one(&[field, &path_field])?;
        if let Some(text) = fields.text(field)? {
            return Ok(Self::Text(text));
        }
        let expression = fields.parsed(&path_field, Expression::parse)?;
        Ok(expression.map_or(Self::None, |expression| Self::Path { field: path_field, expression }))
    }
}
