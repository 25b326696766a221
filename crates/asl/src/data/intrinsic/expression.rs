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

/// Why a call has no value.
enum Fault {
    /// A path selects nothing, or too much.
    Path(String),
    /// A function refuses its arguments: the innermost call, and the reason.
    Arguments(String),
}

impl Expression {
    /// Returns the names of the variables that the expression reads.
    pub(crate) fn variables(&self) -> Vec<&str> {
        match self {
            Self::Path(path) => path.variable().into_iter().collect(),
            Self::Call(call) => call.arguments.iter().flat_map(Self::variables).collect(),
            Self::Text { .. } | Self::Literal(_) => Vec::new(),
        }
    }

    fn evaluate(&self, data: &Data<'_>) -> Result<Value, Fault> {
        match self {
            Self::Path(path) => path.find(data).map_err(Fault::Path)?.ok_or_else(|| {
                Fault::Path(format!(
                    "The JsonPath argument for the field '{path}' could not be found in the input '{}'",
                    data.input
                ))
            }),
            Self::Text { value, .. } => Ok(Value::from(value.as_str())),
            Self::Literal(value) => Ok(value.clone()),
            Self::Call(call) => call.evaluate_inner(data),
        }
    }
}

impl Call {
    /// Evaluates the arguments and calls the function.
    ///
    /// # Errors
    /// Returns the message of AWS for any failure: a path that selects nothing, or an invalid argument.
    pub(crate) fn evaluate(&self, data: &Data<'_>) -> Result<Value, String> {
        self.evaluate_inner(data).map_err(|fault| match fault {
            Fault::Path(why) => format!("The function '{}' had the following error: {why}", self.source),
            Fault::Arguments(why) => format!("There was an error while evaluating the intrinsic function: {why}"),
        })
    }

    fn evaluate_inner(&self, data: &Data<'_>) -> Result<Value, Fault> {
        let values = self.arguments.iter().map(|argument| argument.evaluate(data)).collect::<Result<Vec<_>, _>>()?;
        self.call(&values)
            .map_err(|why| Fault::Arguments(format!("{}. Invalid arguments in {}: {why}", self.source, self.function)))
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
