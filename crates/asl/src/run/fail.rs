//! Running a Fail state.

use serde_json::Value;

use super::fault::Fault;
use super::visit::Visit;
use crate::data::{Context, evaluate};
use crate::model::{Fail, FailField};
use crate::syntax::Failure;

impl Fail {
    pub(super) fn run(&self, input: &Value, visit: &Visit<'_>) -> Fault {
        let context = visit.context(None);
        visit.note("afterInputPath", input);
        let failure = self.error.read(input, &context, visit).and_then(|error| {
            let cause = self.cause.read(input, &context, visit)?;
            Ok(Failure { error, cause })
        });
        failure.map_or_else(|fault| fault, Fault::Failed)
    }
}

impl FailField {
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
