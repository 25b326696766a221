//! Runs that an upload has started, one at a time for each day. A run waits while an older run processes its days, so that files
//! that arrive during that run are in the next one, and a burst of files causes few runs.

use lake::plan::Plan;
use lake::workflow::{self, Machine, Workflow};
use lake::{Error, Lake};
use market::partition::DateRange;
use market::run::RunId;

/// Maximum number of running executions that are considered. Others are newer, or process other days.
const CONSIDERED: usize = 1_000;

/// Refuses while an execution that is older than `execution`, which is the ARN of the caller, processes days of `range`.
///
/// An older execution that has not planned yet counts too: its plan would have files that this one has seen.
///
/// # Errors
/// [`Error::RunInProgress`] with the name of the older execution; [`Error::InvalidInput`] if the ARN is not that of an execution;
/// whatever Step Functions and S3 refuse.
pub(crate) async fn refuse(lake: &Lake, execution: &str, range: DateRange) -> Result<(), Error> {
    let machine = Machine::of_execution(Workflow::CreateDatalake, execution)?;
    let mut running = workflow::executions(lake, &machine, Some("RUNNING"), CONSIDERED).await?;
    // Executions that start in the same millisecond are in the order of their names, so that of two, one waits.
    running
        .sort_by(|one, other| (one.start_date.as_nanos(), &one.name).cmp(&(other.start_date.as_nanos(), &other.name)));
    for older in running.into_iter().take_while(|older| older.execution_arn != execution) {
        if processes(lake, &older.name, range).await? {
            return Err(Error::RunInProgress(format!(
                "the run {} of days in {range} is in progress, and this one waits for its end",
                older.name
            )));
        }
    }
    Ok(())
}

/// Whether a running execution publishes days of a range.
async fn processes(lake: &Lake, execution: &str, range: DateRange) -> Result<bool, Error> {
    // A name that no run can have: PlanRun refuses it.
    let Ok(run) = execution.parse::<RunId>() else { return Ok(false) };
    let Some(plan) = Plan::find(lake, &run).await? else { return Ok(true) };
    Ok(plan.to_publish().any(|day| range.contains(day.day)))
}
