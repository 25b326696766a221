//! `Catch`: the state that follows a failure.

use super::error_names::ErrorNames;
use crate::data::{Assign, ResultPath};
use crate::syntax::{DefinitionError, Fields, StateId, StateNames};

/// One clause of a `Catch`.
#[derive(Clone, Debug)]
pub(crate) struct Catcher {
    pub(crate) errors: ErrorNames,
    pub(crate) next: StateId,
    /// The node of the state's raw input that the error output replaces.
    pub(crate) result_path: ResultPath,
    /// Reads the error output.
    pub(crate) assign: Option<Assign>,
}

impl Catcher {
    pub(crate) fn parse_all(fields: &mut Fields, names: &StateNames) -> Result<Vec<Self>, DefinitionError> {
        let clauses = fields.objects("Catch")?;
        let count = clauses.len();
        let clauses = clauses.into_iter().enumerate();
        clauses.map(|(at, clause)| Self::parse(clause, at + 1 == count, names)).collect()
    }

    fn parse(mut fields: Fields, last: bool, names: &StateNames) -> Result<Self, DefinitionError> {
        let _comment = fields.text("Comment")?;
        let errors = ErrorNames::parse(&mut fields, last)?;
        let result_path = ResultPath::parse(&mut fields)?;
        let assign = Assign::parse(&mut fields)?;
        let next = fields.required_text("Next")?;
        let next = names.target(&next, &fields.location_of("Next"))?;
        fields.finish()?;
        Ok(Self { errors, next, result_path, assign })
    }
}
