//! Parallel: runs several workflows on the same input at the same time.

use std::collections::HashSet;

use super::frame::Frame;
use super::workflow::Workflow;
use crate::syntax::{DefinitionError, Fields, StateNames};

#[derive(Clone, Debug)]
pub(crate) struct Parallel {
    pub(crate) frame: Frame,
    pub(crate) branches: Vec<Workflow>,
}

impl Parallel {
    pub(super) fn parse(
        fields: &mut Fields,
        names: &StateNames,
        taken: &mut HashSet<String>,
    ) -> Result<Self, DefinitionError> {
        fields.require(&["Branches"])?;
        let branches = fields.objects("Branches")?;
        if branches.is_empty() {
            return Err(fields.error("Branches", "There must be at least one branch"));
        }
        let branches = branches.into_iter().map(|branch| parse_branch(branch, taken)).collect::<Result<_, _>>()?;
        let frame = Frame::parse(fields, names)?;
        Ok(Self { frame, branches })
    }
}

fn parse_branch(mut fields: Fields, taken: &mut HashSet<String>) -> Result<Workflow, DefinitionError> {
    let _comment = fields.text("Comment")?;
    let workflow = Workflow::parse(&mut fields, taken)?;
    fields.finish()?;
    Ok(workflow)
}
