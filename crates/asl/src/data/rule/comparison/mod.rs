//! The comparison operators: `StringEquals`, `NumericLessThanPath`, `IsPresent` and the others.
//!
//! The name of an operator consists of the type, the relation and the kind of operand: `NumericLessThanPath` is
//! `Numeric`, `LessThan` and `Path`. A comparison of values of different types does not match, and is not an error.

use std::cmp::Ordering;

use serde_json::Value;
use strum::{EnumString, IntoStaticStr};

use super::pattern::Pattern;
use crate::data::context::Data;
use crate::data::path::Path;
use crate::syntax::{DefinitionError, Fields, parse_timestamp};

#[derive(Clone, Debug)]
pub(crate) enum Comparison {
    /// `IsPresent`
    Present(bool),
    /// `IsNull`, `IsString`, ...
    Is(ValueType, bool),
    /// `StringMatches`
    Matches(Pattern),
    /// All other operators.
    Relation { value_type: ValueType, relation: Relation, operand: Operand },
}

/// The type that a value has, or as which it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
pub(crate) enum ValueType {
    Null,
    Boolean,
    Numeric,
    String,
    Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString)]
pub(crate) enum Relation {
    Equals,
    LessThan,
    LessThanEquals,
    GreaterThan,
    GreaterThanEquals,
}

/// The right side of a comparison.
#[derive(Clone, Debug)]
pub(crate) enum Operand {
    Constant(Value),
    Path(Path),
}

impl Comparison {
    /// Takes the operator, which is the only field left in a rule.
    pub(super) fn parse(fields: &mut Fields) -> Result<Self, DefinitionError> {
        let operators: Vec<String> = fields.names().map(str::to_owned).collect();
        let [operator] = operators.as_slice() else {
            let message = match operators.is_empty() {
                true => "A comparison operator is required".to_owned(),
                false => format!("Only one comparison operator may be given: [{}]", operators.join(", ")),
            };
            return Err(DefinitionError::schema(fields.location(), message));
        };
        let value = fields.take(operator).unwrap_or_default();
        Self::from_operator(operator, value).map_err(|why| fields.error(operator, why))
    }

    fn from_operator(operator: &str, value: Value) -> Result<Self, String> {
        if let Some(name) = operator.strip_prefix("Is") {
            let expected = value.as_bool().ok_or("Value must be true or false")?;
            return match name.parse() {
                Ok(value_type) => Ok(Self::Is(value_type, expected)),
                Err(_) if name == "Present" => Ok(Self::Present(expected)),
                Err(_) => Err(unknown(operator)),
            };
        }
        if operator == "StringMatches" {
            let pattern = value.as_str().ok_or("Value must be a string")?;
            return Pattern::parse(pattern).map(Self::Matches);
        }
        let (value_type, relation, is_path) = parse_operator(operator).ok_or_else(|| unknown(operator))?;
        let operand = match is_path {
            true => Operand::Path(Path::parse_reference(value.as_str().ok_or("Value must be a path")?)?),
            false if value_type.includes(&value) => Operand::Constant(value),
            false if value_type == ValueType::Timestamp && value.is_string() => {
                return Err("String does not match RFC3339 timestamp".to_owned());
            }
            false => return Err(format!("Value must be a {}", value_type.noun())),
        };
        Ok(Self::Relation { value_type, relation, operand })
    }

    /// Returns whether the comparison of the value at `variable` matches.
    pub(super) fn matches(&self, variable: &Path, data: &Data<'_>) -> Result<bool, String> {
        if let Self::Present(expected) = self {
            return Ok(variable.find(data)?.is_some() == *expected);
        }
        let value = find(variable, data)?;
        match self {
            Self::Present(expected) => Ok(*expected),
            Self::Is(value_type, expected) => Ok(value_type.includes(&value) == *expected),
            Self::Matches(pattern) => Ok(value.as_str().is_some_and(|text| pattern.matches(text))),
            Self::Relation { value_type, relation, operand } => {
                let ordering = match operand {
                    Operand::Constant(constant) => value_type.compare(&value, constant),
                    Operand::Path(path) => value_type.compare(&value, &find(path, data)?),
                };
                Ok(ordering.is_some_and(|ordering| relation.includes(ordering)))
            }
        }
    }
}

fn unknown(operator: &str) -> String {
    format!("'{operator}' is not a comparison operator")
}

/// Splits `NumericLessThanPath` into type, relation and whether the operand is a path.
fn parse_operator(operator: &str) -> Option<(ValueType, Relation, bool)> {
    let (name, is_path) = match operator.strip_suffix("Path") {
        Some(name) => (name, true),
        None => (operator, false),
    };
    let types = [ValueType::Boolean, ValueType::Numeric, ValueType::String, ValueType::Timestamp];
    let (value_type, relation) =
        types.into_iter().find_map(|each| Some((each, name.strip_prefix(<&str>::from(each))?)))?;
    let relation = relation.parse().ok()?;
    let is_ordered = value_type != ValueType::Boolean;
    (is_ordered || relation == Relation::Equals).then_some((value_type, relation, is_path))
}

impl ValueType {
    fn noun(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Numeric => "number",
            Self::String => "string",
            Self::Timestamp => "timestamp such as '2020-04-01T10:00:00Z'",
        }
    }

    fn includes(self, value: &Value) -> bool {
        match self {
            Self::Null => value.is_null(),
            Self::Boolean => value.is_boolean(),
            Self::Numeric => value.is_number(),
            Self::String => value.is_string(),
            Self::Timestamp => value.as_str().and_then(parse_timestamp).is_some(),
        }
    }

    /// Returns the order of two values, or `None` if they are not both of this type.
    fn compare(self, left: &Value, right: &Value) -> Option<Ordering> {
        match self {
            Self::Null => (left.is_null() && right.is_null()).then_some(Ordering::Equal),
            Self::Boolean => Some(left.as_bool()?.cmp(&right.as_bool()?)),
            Self::String => Some(left.as_str()?.cmp(right.as_str()?)),
            Self::Timestamp => Some(parse_timestamp(left.as_str()?)?.cmp(&parse_timestamp(right.as_str()?)?)),
            Self::Numeric => match (left.as_i64(), right.as_i64()) {
                (Some(left), Some(right)) => Some(left.cmp(&right)),
                _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
            },
        }
    }
}

impl Relation {
    fn includes(self, ordering: Ordering) -> bool {
        match self {
            Self::Equals => ordering.is_eq(),
            Self::LessThan => ordering.is_lt(),
            Self::LessThanEquals => ordering.is_le(),
            Self::GreaterThan => ordering.is_gt(),
            Self::GreaterThanEquals => ordering.is_ge(),
        }
    }
}

/// Returns the value that `path` selects.
fn find(path: &Path, data: &Data<'_>) -> Result<Value, String> {
    path.find(data)?
        .ok_or_else(|| format!("Invalid path '{path}': The choice state's condition path references an invalid value."))
}

#[cfg(test)]
mod tests;
