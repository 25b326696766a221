//! Operations on steps: the work of clusters, in the order in which it was added.

use rusqlite::{Connection, params};
use serde::Deserialize;
use serde_json::{Value, json};

use super::clusters::Cluster;
use super::reason::StateChangeReason;
use super::step::{Step, StepConfig, StepState};
use super::{Emr, invalid_request, validation};
use crate::aws_json::{AwsError, AwsResult};
use crate::constraints::{Member, Rule, violated};
use crate::paging::PageRequest;

/// EMR's limit for the ids of one listing.
const MAX_LISTED_IDS: usize = 10;

/// EMR's limit for the pending and running steps of a cluster.
const MAX_ACTIVE: i64 = 256;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AddJobFlowSteps {
    job_flow_id: String,
    steps: Vec<StepConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeStep {
    cluster_id: String,
    step_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListSteps {
    cluster_id: String,
    #[serde(default)]
    step_states: Vec<String>,
    #[serde(default)]
    step_ids: Vec<String>,
    marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CancelSteps {
    cluster_id: String,
    step_ids: Vec<String>,
}

impl Emr {
    pub(super) fn add_steps(&self, add: AddJobFlowSteps) -> AwsResult {
        let cluster = add.job_flow_id;
        let steps: Vec<Step> =
            add.steps.into_iter().map(|config| Step::new(&cluster, config)).collect::<Result<_, _>>()?;
        self.state.write(|rows| {
            if !Cluster::find_job_flow(rows, &cluster)?.state.is_alive() {
                return Err(validation("A job flow that is shutting down, terminated, or finished may not be modified."));
            }
            let active: i64 = rows
                .query_row("SELECT count(*) FROM emr_steps WHERE cluster = ?1 AND ended IS NULL", [&cluster], |row| row.get(0))?;
            if active.saturating_add_unsigned(steps.len() as u64) > MAX_ACTIVE {
                return Err(validation("Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') for cluster exceeded."));
            }
            Ok(steps.iter().try_for_each(|step| step.insert(rows))?)
        })?;
        self.wake(&cluster);
        let ids: Vec<&str> = steps.iter().map(|step| step.id.as_str()).collect();
        Ok(json!({ "StepIds": ids }))
    }

    pub(super) fn describe_step(&self, named: &DescribeStep) -> AwsResult {
        let step = find_step(&self.state.lock(), &named.cluster_id, &named.step_id)?;
        Ok(json!({ "Step": step.description() }))
    }

    pub(super) fn list_steps(&self, list: &ListSteps) -> AwsResult {
        if let Some(state) = list.step_states.iter().find(|state| state.parse::<StepState>().is_err()) {
            // States of EMR that steps never have here.
            if !matches!(state.as_str(), "CANCEL_PENDING" | "INTERRUPTED") {
                return Err(validation(format!("'{state}' is no state of a step")));
            }
        }
        let ids = Member { name: "StepIds", rule: Rule::Length(0, MAX_LISTED_IDS) };
        if let Some(message) = violated(&json!({ "StepIds": list.step_ids }), &[ids]) {
            return Err(validation(message));
        }
        let page = PageRequest::new(None, 50, 50, list.marker.as_deref()).map_err(invalid_request)?;
        let rows = self.state.lock();
        Cluster::find(&rows, &list.cluster_id)?;
        let sql = format!(
            "SELECT {}, number FROM emr_steps WHERE cluster = ?1 AND number < coalesce(?2, 9223372036854775807) ORDER BY number DESC",
            Step::COLUMNS
        );
        let mut statement = rows.prepare(&sql)?;
        let steps = statement
            .query_map(params![list.cluster_id, page.after()], |row| Ok((row.get("number")?, Step::from_row(row)?)))?;
        let steps: Vec<(i64, Step)> = steps.collect::<Result<_, _>>()?;
        let is_listed = |step: &Step| {
            (list.step_states.is_empty() || list.step_states.iter().any(|state| state == step.state.name()))
                && (list.step_ids.is_empty() || list.step_ids.contains(&step.id))
        };
        let listed = steps.iter().filter(|(_, step)| is_listed(step));
        let listed =
            listed.take(page.query_limit() as usize).map(|(number, step)| (*number, step.description())).collect();
        Ok(page.into_output("Steps", "Marker", listed))
    }

    pub(super) fn cancel_steps(&self, cancel: &CancelSteps) -> AwsResult {
        let infos = self.state.write(|rows| {
            let mut infos: Vec<Value> = Vec::new();
            for id in &cancel.step_ids {
                let step = find_step(rows, &cancel.cluster_id, id)?;
                let refusal = match step.state {
                    // A running step polls whether it was cancelled. What it wrote until then is discarded.
                    StepState::Pending | StepState::Running => {
                        let reason =
                            StateChangeReason { code: None, message: Some("Cancelled by user request".to_owned()) };
                        Step::end(rows, id, StepState::Cancelled, &reason, None)?;
                        None
                    }
                    _ => Some("The step has ended"),
                };
                infos.push(match refusal {
                    None => json!({ "StepId": id, "Status": "SUBMITTED" }),
                    Some(reason) => json!({ "StepId": id, "Status": "FAILED", "Reason": reason }),
                });
            }
            Ok::<_, AwsError>(infos)
        })?;
        Ok(json!({ "CancelStepsInfoList": infos }))
    }
}

fn find_step(rows: &Connection, cluster: &str, id: &str) -> Result<Step, AwsError> {
    Cluster::find(rows, cluster)?;
    Step::find(rows, cluster, id)
}
