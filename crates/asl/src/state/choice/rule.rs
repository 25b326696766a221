//! A rule: one test of one value, or several rules put together.

use super::comparison::Comparison;
use crate::DefinitionError;
use crate::context::Data;
use crate::definition::Fields;
use crate::path::Path;

#[derive(Clone, Debug)]
pub(super) enum Rule {
    And(Vec<Rule>),
    Or(Vec<Rule>),
    Not(Box<Rule>),
    Test { variable: Path, comparison: Comparison },
}

impl Rule {
    /// Reads a rule from an object of which `Next` has been taken, where it may have one.
    pub(super) fn parse(mut fields: Fields) -> Result<Self, DefinitionError> {
        let _comment = fields.text("Comment")?;
        let rule = if fields.has("And") {
            Self::And(Self::parse_several(&mut fields, "And")?)
        } else if fields.has("Or") {
            Self::Or(Self::parse_several(&mut fields, "Or")?)
        } else if let Some(inner) = fields.take("Not") {
            let inner = Fields::of(inner, &fields.place("Not"))?;
            Self::Not(Box::new(Self::parse(inner)?))
        } else {
            fields.require(&["Variable"])?;
            let variable = fields.parsed("Variable", Path::parse_reference)?;
            Self::Test { variable: variable.unwrap_or_else(Path::root), comparison: Comparison::parse(&mut fields)? }
        };
        fields.finish()?;
        Ok(rule)
    }

    fn parse_several(fields: &mut Fields, field: &str) -> Result<Vec<Self>, DefinitionError> {
        let rules = fields.objects(field)?;
        if rules.is_empty() {
            return Err(fields.fault(field, "There must be at least one rule"));
        }
        rules.into_iter().map(Self::parse).collect()
    }

    /// Whether the rule holds. A rule about something that is not there is an error, but for `IsPresent`.
    pub(super) fn holds(&self, data: &Data<'_>) -> Result<bool, String> {
        match self {
            Self::And(rules) => {
                for rule in rules {
                    if !rule.holds(data)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Or(rules) => {
                for rule in rules {
                    if rule.holds(data)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(rule) => Ok(!rule.holds(data)?),
            Self::Test { variable, comparison } => comparison.holds(variable, data),
        }
    }
}

/// The value that a rule is about.
pub(super) fn read(path: &Path, data: &Data<'_>) -> Result<serde_json::Value, String> {
    path.find(data)?
        .ok_or_else(|| format!("Invalid path '{path}': The choice state's condition path references an invalid value."))
}
