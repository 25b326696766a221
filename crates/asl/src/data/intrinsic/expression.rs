//! Expressions and their evaluation.

use serde_json::Value;

use super::arguments::Arguments;
use super::format;
use super::function::Function;
use crate::data::context::Data;
use crate::data::path::Path;

/// A path, a literal or a call.
#[derive(Clone, Debug)]
pub(crate) enum Expression {
    Path(Path),
    /// A string in single quotes. `source` still has its escapes, because `States.Format` has others.
    Text {
        value: String,
        source: String,
    },
    /// A number, `true`, `false` or `null`.
    Literal(Value),
    Call(Call),
}

/// A call of an intrinsic function.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(super) function: Function,
    pub(super) arguments: Vec<Expression>,
    /// The text of the call, for messages.
    pub(super) source: String,
}

impl Expression {
    fn evaluate(&self, data: &Data<'_>, source: &str) -> Result<Value, String> {
        match self {
            Self::Path(path) => path.find(data)?.ok_or_else(|| {
                format!(
                    "There was an error while evaluating the intrinsic function: {source}. The JsonPath argument for the field '{path}' could not be found in the input '{}'",
                    data.input
                )
            }),
            Self::Text { value, .. } => Ok(Value::from(value.as_str())),
            Self::Literal(value) => Ok(value.clone()),
            Self::Call(call) => call.evaluate(data),
        }
    }
}

impl Call {
    /// Evaluates the arguments and calls the function.
    ///
    /// # Errors
    /// Returns the message of AWS for any failure: a path that selects nothing, or an invalid argument.
    pub(crate) fn evaluate(&self, data: &Data<'_>) -> Result<Value, String> {
        let values = self
            .arguments
            .iter()
            .map(|argument| argument.evaluate(data, &self.source))
            .collect::<Result<Vec<_>, _>>()?;
        self.call(&values).map_err(|why| {
            format!(
                "There was an error while evaluating the intrinsic function: {}. Invalid arguments in {}: {why}",
                self.source, self.function
            )
        })
    }

    fn call(&self, values: &[Value]) -> Result<Value, String> {
        match (self.function, self.arguments.first()) {
            (Function::Format, Some(Expression::Text { source, .. })) => {
                format::format(source, values.get(1..).unwrap_or_default())
            }
            _ => self.function.call(Arguments(values)),
        }
    }
}
