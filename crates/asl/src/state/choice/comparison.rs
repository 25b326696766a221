//! The comparison operators: `StringEquals`, `NumericLessThanPath`, `IsPresent` and the others.
//!
//! An operator's name is put together from what is compared, how, and where the other side comes from, and it is taken
//! apart here in the same way. A comparison with a value of another type does not hold; it is no error.

use std::cmp::Ordering;

use serde_json::Value;

use super::pattern::Pattern;
use super::rule::read;
use crate::DefinitionError;
use crate::clock::parse_timestamp;
use crate::context::Data;
use crate::definition::Fields;
use crate::path::Path;

#[derive(Clone, Debug)]
pub(super) enum Comparison {
    /// `IsPresent`
    Present(bool),
    /// `IsNull`, `IsString`, ...
    Is(Kind, bool),
    /// `StringMatches`
    Matches(Pattern),
    /// Everything else.
    Compare { kind: Kind, relation: Relation, other: Operand },
}

/// What a value is, or is compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Boolean,
    Numeric,
    String,
    Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equals,
    LessThan,
    LessThanEquals,
    GreaterThan,
    GreaterThanEquals,
}

/// The other side of a comparison.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Constant(Value),
    Path(Path),
}

impl Comparison {
    /// Takes the one operator that is left in a rule.
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
        Self::of(operator, value).map_err(|why| fields.fault(operator, why))
    }

    fn of(operator: &str, value: Value) -> Result<Self, String> {
        if let Some(what) = operator.strip_prefix("Is") {
            let expected = value.as_bool().ok_or("Value must be true or false")?;
            return match Kind::named(what) {
                Some(kind) => Ok(Self::Is(kind, expected)),
                None if what == "Present" => Ok(Self::Present(expected)),
                None => Err(unknown(operator)),
            };
        }
        if operator == "StringMatches" {
            let pattern = value.as_str().ok_or("Value must be a string")?;
            return Pattern::parse(pattern).map(Self::Matches);
        }
        let (kind, relation, is_path) = take_apart(operator).ok_or_else(|| unknown(operator))?;
        let other = match is_path {
            true => Operand::Path(Path::parse_reference(value.as_str().ok_or("Value must be a path")?)?),
            false if kind.has(&value) => Operand::Constant(value),
            false => return Err(format!("Value must be a {}", kind.noun())),
        };
        Ok(Self::Compare { kind, relation, other })
    }

    pub(super) fn holds(&self, variable: &Path, data: &Data<'_>) -> Result<bool, String> {
        if let Self::Present(expected) = self {
            return Ok(variable.find(data)?.is_some() == *expected);
        }
        let value = read(variable, data)?;
        match self {
            Self::Present(expected) => Ok(*expected),
            Self::Is(kind, expected) => Ok(kind.has(&value) == *expected),
            Self::Matches(pattern) => Ok(value.as_str().is_some_and(|text| pattern.matches(text))),
            Self::Compare { kind, relation, other } => {
                let ordering = match other {
                    Operand::Constant(constant) => kind.compare(&value, constant),
                    Operand::Path(path) => kind.compare(&value, &read(path, data)?),
                };
                Ok(ordering.is_some_and(|ordering| relation.allows(ordering)))
            }
        }
    }
}

fn unknown(operator: &str) -> String {
    format!("'{operator}' is not a comparison operator")
}

/// `NumericLessThanPath` is numeric, less than, and a path.
fn take_apart(operator: &str) -> Option<(Kind, Relation, bool)> {
    let (name, is_path) = match operator.strip_suffix("Path") {
        Some(name) => (name, true),
        None => (operator, false),
    };
    let kinds = [Kind::Boolean, Kind::Numeric, Kind::String, Kind::Timestamp];
    let (kind, relation) = kinds.into_iter().find_map(|kind| Some((kind, name.strip_prefix(kind.name())?)))?;
    let relation = match relation {
        "Equals" => Relation::Equals,
        _ if kind == Kind::Boolean => return None,
        "LessThan" => Relation::LessThan,
        "LessThanEquals" => Relation::LessThanEquals,
        "GreaterThan" => Relation::GreaterThan,
        "GreaterThanEquals" => Relation::GreaterThanEquals,
        _ => return None,
    };
    Some((kind, relation, is_path))
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Null => "Null",
            Self::Boolean => "Boolean",
            Self::Numeric => "Numeric",
            Self::String => "String",
            Self::Timestamp => "Timestamp",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Numeric => "number",
            Self::String => "string",
            Self::Timestamp => "timestamp such as '2020-04-01T10:00:00Z'",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let kinds = [Self::Null, Self::Boolean, Self::Numeric, Self::String, Self::Timestamp];
        kinds.into_iter().find(|kind| kind.name() == name)
    }

    fn has(self, value: &Value) -> bool {
        match self {
            Self::Null => value.is_null(),
            Self::Boolean => value.is_boolean(),
            Self::Numeric => value.is_number(),
            Self::String => value.is_string(),
            Self::Timestamp => value.as_str().and_then(parse_timestamp).is_some(),
        }
    }

    /// How two values stand to one another; `None` if they are not both of this kind.
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
    fn allows(self, ordering: Ordering) -> bool {
        match self {
            Self::Equals => ordering.is_eq(),
            Self::LessThan => ordering.is_lt(),
            Self::LessThanEquals => ordering.is_le(),
            Self::GreaterThan => ordering.is_gt(),
            Self::GreaterThanEquals => ordering.is_ge(),
        }
    }
}

#[cfg(test)]
mod tests;
