//! Choice rules: a comparison of a value, or rules combined by `And`, `Or` and `Not`.

mod comparison;
mod pattern;

use self::comparison::Comparison;
use super::context::Data;
use super::path::Path;
use crate::syntax::{DefinitionError, Fields};

/// A Boolean expression over the data of a Choice state.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    And(Vec<Rule>),
    Or(Vec<Rule>),
    Not(Box<Rule>),
    Compare { variable: Path, comparison: Comparison },
}

impl Rule {
    /// Parses a rule. The caller has taken `Next` and `Assign`, which only a rule at the top level may have.
    pub(crate) fn parse(mut fields: Fields) -> Result<Self, DefinitionError> {
        let _comment = fields.text("Comment")?;
        fields.refuse_query_fields()?;
        let rule = if fields.has("And") {
            Self::And(Self::parse_operands(&mut fields, "And")?)
        } else if fields.has("Or") {
            Self::Or(Self::parse_operands(&mut fields, "Or")?)
        } else if let Some(inner) = fields.take("Not") {
            let inner = Fields::parse(inner, &fields.location_of("Not"))?;
            Self::Not(Box::new(Self::parse(inner)?))
        } else {
            fields.require(&["Variable"])?;
            let variable = fields.parsed("Variable", Path::parse_reference)?;
            Self::Compare { variable: variable.unwrap_or_else(Path::root), comparison: Comparison::parse(&mut fields)? }
        };
        fields.finish()?;
        Ok(rule)
    }

    fn parse_operands(fields: &mut Fields, field: &str) -> Result<Vec<Self>, DefinitionError> {
        let rules = fields.objects(field)?;
        if rules.is_empty() {
            return Err(fields.error(field, "There must be at least one rule"));
        }
        rules.into_iter().map(Self::parse).collect()
    }

    /// Returns whether the rule matches.
    ///
    /// # Errors
    /// Returns a message if a path selects nothing, except in `IsPresent`.
    pub(crate) fn matches(&self, data: &Data<'_>) -> Result<bool, String> {
        match self {
            Self::And(rules) => {
                for rule in rules {
                    if !rule.matches(data)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Or(rules) => {
                for rule in rules {
                    if rule.matches(data)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(rule) => Ok(!rule.matches(data)?),
            Self::Compare { variable, comparison } => comparison.matches(variable, data),
        }
    }
}
