//! Clusters: rows of the state, and the operations on them. A cluster has no machines. It is a queue of steps, with the states
//! of a real one.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strum::{EnumString, IntoStaticStr};

use super::reason::StateChangeReason;
use super::step::{Step, StepConfig};
use super::{Emr, invalid_request, validation};
use crate::aws_json::{AwsError, AwsResult, output};
use crate::clock::{epoch_seconds, now_millis};
use crate::identity::{ACCOUNT, REGION};
use crate::paging::PageRequest;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS emr_clusters (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    created INTEGER NOT NULL,
    ready INTEGER,
    ended INTEGER,
    request TEXT NOT NULL
) STRICT;
";

/// EMR's states of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ClusterState {
    Starting,
    Bootstrapping,
    Running,
    Waiting,
    Terminating,
    Terminated,
    TerminatedWithErrors,
}

impl ClusterState {
    pub(super) fn name(self) -> &'static str {
        self.into()
    }

    /// Whether steps may be added.
    pub(super) fn is_alive(self) -> bool {
        !matches!(self, ClusterState::Terminating | ClusterState::Terminated | ClusterState::TerminatedWithErrors)
    }
}

/// The input of `RunJobFlow`, without what has no effect here. It is stored as the description of the cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RunJobFlow {
    pub(super) name: String,
    #[serde(default)]
    pub(super) release_label: Option<String>,
    #[serde(default)]
    pub(super) log_uri: Option<String>,
    pub(super) instances: Instances,
    #[serde(default, skip_serializing)]
    steps: Vec<StepConfig>,
    #[serde(default, skip_serializing)]
    bootstrap_actions: Vec<Value>,
    #[serde(default)]
    applications: Vec<Value>,
    #[serde(default)]
    configurations: Vec<Value>,
    #[serde(default)]
    tags: Vec<Value>,
    #[serde(default)]
    service_role: Option<String>,
    #[serde(default)]
    job_flow_role: Option<String>,
    #[serde(default)]
    visible_to_all_users: Option<bool>,
    #[serde(default)]
    step_concurrency_level: Option<u32>,
    #[serde(default)]
    pub(super) auto_termination_policy: Option<AutoTerminationPolicy>,
    #[serde(default)]
    scale_down_behavior: Option<String>,
    #[serde(default, skip_serializing)]
    security_configuration: Option<Value>,
    #[serde(default, skip_serializing)]
    kerberos_attributes: Option<Value>,
    #[serde(default, skip_serializing)]
    managed_scaling_policy: Option<Value>,
    #[serde(default, skip_serializing)]
    custom_ami_id: Option<Value>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Instances {
    pub(super) keep_job_flow_alive_when_no_steps: bool,
    pub(super) termination_protected: bool,
    ec2_subnet_id: Option<String>,
    ec2_key_name: Option<String>,
    master_instance_type: Option<String>,
    slave_instance_type: Option<String>,
    instance_count: Option<u32>,
    instance_groups: Vec<InstanceGroup>,
    instance_fleets: Vec<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceGroup {
    name: Option<String>,
    instance_role: String,
    instance_type: String,
    instance_count: u32,
    market: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AutoTerminationPolicy {
    /// Seconds.
    pub(super) idle_timeout: Option<u64>,
}

impl RunJobFlow {
    fn check(&self) -> Result<(), AwsError> {
        if !self.bootstrap_actions.is_empty() {
            return Err(validation("This endpoint has no machines to run bootstrap actions on: leave them out"));
        }
        if self.step_concurrency_level.is_some_and(|level| level != 1) {
            return Err(validation(
                "This endpoint runs the steps of a cluster in turn: StepConcurrencyLevel has to be 1",
            ));
        }
        let idle = self.auto_termination_policy.as_ref().and_then(|policy| policy.idle_timeout);
        if idle.is_some_and(|seconds| !(60..=604_800).contains(&seconds)) {
            return Err(validation("IdleTimeout is 60 to 604800 seconds"));
        }
        self.check_values()?;
        self.refuse_other_members()
    }

    fn check_values(&self) -> Result<(), AwsError> {
        if let Some(label) = self.release_label.as_deref().filter(|label| !is_release(label)) {
            return Err(validation(format!("The supplied release label is invalid: {label}.")));
        }
        if let Some(behavior) = &self.scale_down_behavior {
            one_of("scaleDownBehavior", behavior, &["TERMINATE_AT_TASK_COMPLETION", "TERMINATE_AT_INSTANCE_HOUR"])?;
        }
        for group in &self.instances.instance_groups {
            one_of("instances.instanceGroups.instanceRole", &group.instance_role, &["MASTER", "TASK", "CORE"])?;
            if let Some(market) = &group.market {
                one_of("instances.instanceGroups.market", market, &["ON_DEMAND", "SPOT"])?;
            }
        }
        Ok(())
    }

    /// Refuses what would have an effect on machines, which there are not.
    fn refuse_other_members(&self) -> Result<(), AwsError> {
        let given = [
            ("SecurityConfiguration", &self.security_configuration),
            ("KerberosAttributes", &self.kerberos_attributes),
            ("ManagedScalingPolicy", &self.managed_scaling_policy),
            ("CustomAmiId", &self.custom_ami_id),
        ];
        match given.into_iter().find(|(_, value)| value.is_some()) {
            None => Ok(()),
            Some((name, _)) => {
                Err(validation(format!("{name}: the clusters of this endpoint have no machines, leave it out")))
            }
        }
    }
}

/// Whether a label has the form of EMR's releases: `emr-7.1.0`. The first that had a label was `emr-4.0.0`.
fn is_release(label: &str) -> bool {
    let Some(version) = label.strip_prefix("emr-") else { return false };
    let numbers: Vec<Option<u32>> = version.split('.').map(|number| number.parse().ok()).collect();
    matches!(numbers[..], [Some(4..), Some(_), Some(_)])
}

fn one_of(member: &str, value: &str, names: &[&str]) -> Result<(), AwsError> {
    match names.contains(&value) {
        true => Ok(()),
        false => Err(validation(format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must satisfy enum \
             value set: [{}]",
            names.join(", ")
        ))),
    }
}

/// A row of the state: a cluster.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) id: String,
    pub(super) state: ClusterState,
    pub(super) reason: StateChangeReason,
    created: i64,
    ready: Option<i64>,
    ended: Option<i64>,
    pub(super) request: RunJobFlow,
}

impl Cluster {
    const COLUMNS: &str = "id, state, reason, created, ready, ended, request";

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Cluster> {
        let state: String = row.get(1)?;
        Ok(Cluster {
            id: row.get(0)?,
            state: state.parse().map_err(|_| rusqlite::Error::InvalidQuery)?,
            reason: super::json::<StateChangeReason>(row, 2)?.without_empty_code(),
            created: row.get(3)?,
            ready: row.get(4)?,
            ended: row.get(5)?,
            request: super::json(row, 6)?,
        })
    }

    pub(super) fn find(rows: &Connection, id: &str) -> Result<Cluster, AwsError> {
        rows.query_row(&format!("SELECT {} FROM emr_clusters WHERE id = ?1", Cluster::COLUMNS), [id], Cluster::from_row)
            .optional()?
            .ok_or_else(|| {
                invalid_request(format!("Cluster id '{id}' is not valid.")).with("ErrorCode", "NoSuchCluster")
            })
    }

    /// Finds a cluster for the operations of the older part of the API, whose error has another name.
    pub(super) fn find_job_flow(rows: &Connection, id: &str) -> Result<Cluster, AwsError> {
        Cluster::find(rows, id).map_err(|error| match error.code() {
            "InvalidRequestException" => validation("Specified job flow ID does not exist."),
            _ => error,
        })
    }

    /// Returns the clusters that have not ended.
    pub(super) fn alive(rows: &Connection) -> rusqlite::Result<Vec<Cluster>> {
        let sql = format!("SELECT {} FROM emr_clusters WHERE ended IS NULL", Cluster::COLUMNS);
        rows.prepare(&sql)?.query_map([], Cluster::from_row)?.collect()
    }

    /// Sets the state of a cluster, and the times that follow from it.
    pub(super) fn set_state(
        rows: &Connection,
        id: &str,
        state: ClusterState,
        reason: &StateChangeReason,
    ) -> rusqlite::Result<()> {
        let ended = matches!(state, ClusterState::Terminated | ClusterState::TerminatedWithErrors).then(now_millis);
        let ready = matches!(state, ClusterState::Running | ClusterState::Waiting).then(now_millis);
        rows.execute(
            "UPDATE emr_clusters SET state = ?2, reason = ?3, ready = coalesce(ready, ?4), ended = ?5 WHERE id = ?1",
            params![id, state.name(), super::to_json(reason)?, ready, ended],
        )
        .map(|_| ())
    }

    pub(super) fn arn(&self) -> String {
        format!("arn:aws:elasticmapreduce:{REGION}:{ACCOUNT}:cluster/{}", self.id)
    }

    fn status(&self) -> Value {
        let mut timeline = json!({ "CreationDateTime": epoch_seconds(self.created) });
        for (name, date) in [("ReadyDateTime", self.ready), ("EndDateTime", self.ended)] {
            if let Some(date) = date {
                timeline[name] = epoch_seconds(date);
            }
        }
        json!({ "State": self.state.name(), "StateChangeReason": self.reason, "Timeline": timeline })
    }

    fn summary(&self) -> Value {
        json!({
            "Id": self.id,
            "Name": self.request.name,
            "ClusterArn": self.arn(),
            "Status": self.status(),
            "NormalizedInstanceHours": 0,
        })
    }

    fn description(&self) -> AwsResult {
        let request = &self.request;
        let mut cluster = self.summary();
        let more = json!({
            "ReleaseLabel": request.release_label,
            "LogUri": request.log_uri,
            "Applications": request.applications,
            "Configurations": request.configurations,
            "Tags": request.tags,
            "ServiceRole": request.service_role,
            "AutoTerminate": !request.instances.keep_job_flow_alive_when_no_steps,
            "TerminationProtected": request.instances.termination_protected,
            "VisibleToAllUsers": request.visible_to_all_users.unwrap_or(true),
            "InstanceCollectionType": if request.instances.instance_fleets.is_empty() { "INSTANCE_GROUP" } else { "INSTANCE_FLEET" },
            "StepConcurrencyLevel": 1,
            "ScaleDownBehavior": request.scale_down_behavior,
            "Ec2InstanceAttributes": present(json!({
                "Ec2SubnetId": request.instances.ec2_subnet_id,
                "Ec2KeyName": request.instances.ec2_key_name,
                "IamInstanceProfile": request.job_flow_role,
            })),
        });
        if let (Value::Object(cluster), Value::Object(more)) = (&mut cluster, present(more)) {
            cluster.extend(more);
        }
        Ok(json!({ "Cluster": cluster }))
    }

    /// The requested instance groups. None of their machines exists.
    fn instance_groups(&self) -> Vec<InstanceGroup> {
        let instances = &self.request.instances;
        if !instances.instance_groups.is_empty() {
            return instances.instance_groups.clone();
        }
        let group = |role: &str, kind: &Option<String>, count: u32| {
            kind.clone().filter(|_| count > 0).map(|instance_type| InstanceGroup {
                name: None,
                instance_role: role.to_owned(),
                instance_type,
                instance_count: count,
                market: None,
            })
        };
        let cores = instances.instance_count.unwrap_or(1).saturating_sub(1);
        let groups =
            [group("MASTER", &instances.master_instance_type, 1), group("CORE", &instances.slave_instance_type, cores)];
        groups.into_iter().flatten().collect()
    }
}

/// Returns an object without the members that are null.
fn present(object: Value) -> Value {
    match object {
        Value::Object(members) => members.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    }
}

/// The input of operations on one cluster.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ClusterId {
    pub(super) cluster_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListClusters {
    #[serde(default)]
    cluster_states: Vec<String>,
    created_after: Option<f64>,
    created_before: Option<f64>,
    marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TerminateJobFlows {
    job_flow_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SetTerminationProtection {
    job_flow_ids: Vec<String>,
    termination_protected: bool,
}

impl Emr {
    pub(super) fn run_job_flow(&self, request: RunJobFlow) -> AwsResult {
        request.check()?;
        let id = super::new_id("j-");
        let steps: Vec<Step> =
            request.steps.iter().map(|config| Step::new(&id, config.clone())).collect::<Result<_, _>>()?;
        let cluster = self.state.write(|rows| {
            rows.execute(
                "INSERT INTO emr_clusters (id, state, reason, created, request) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    id,
                    ClusterState::Starting.name(),
                    super::to_json(&StateChangeReason::default())?,
                    now_millis(),
                    super::to_json(&request)?
                ],
            )?;
            for step in &steps {
                step.insert(rows)?;
            }
            Cluster::find(rows, &id)
        })?;
        self.start_worker(&id);
        Ok(json!({ "JobFlowId": cluster.id, "ClusterArn": cluster.arn() }))
    }

    pub(super) fn describe_cluster(&self, named: &ClusterId) -> AwsResult {
        Cluster::find(&self.state.lock(), &named.cluster_id)?.description()
    }

    pub(super) fn list_clusters(&self, list: &ListClusters) -> AwsResult {
        if let Some(state) = list.cluster_states.iter().find(|state| state.parse::<ClusterState>().is_err()) {
            return Err(validation(format!("'{state}' is no state of a cluster")));
        }
        let page = PageRequest::new(None, 50, 50, list.marker.as_deref()).map_err(invalid_request)?;
        let rows = self.state.lock();
        let sql = format!(
            "SELECT {}, number FROM emr_clusters WHERE number < coalesce(?1, 9223372036854775807) ORDER BY number DESC",
            Cluster::COLUMNS
        );
        let mut statement = rows.prepare(&sql)?;
        let clusters = statement.query_map([page.after()], |row| Ok((row.get("number")?, Cluster::from_row(row)?)))?;
        let clusters: Vec<(i64, Cluster)> = clusters.collect::<Result<_, _>>()?;
        let is_listed = |cluster: &Cluster| {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of any real date are exact in a double")]
            let created = cluster.created as f64 / 1000.0;
            (list.cluster_states.is_empty() || list.cluster_states.iter().any(|state| state == cluster.state.name()))
                && list.created_after.is_none_or(|instant| created >= instant)
                && list.created_before.is_none_or(|instant| created <= instant)
        };
        let listed = clusters.iter().filter(|(_, cluster)| is_listed(cluster));
        let listed =
            listed.take(page.query_limit() as usize).map(|(number, cluster)| (*number, cluster.summary())).collect();
        Ok(page.into_output("Clusters", "Marker", listed))
    }

    pub(super) fn terminate(&self, terminate: &TerminateJobFlows) -> AwsResult {
        let clusters = self.state.write(|rows| {
            let clusters: Vec<Cluster> =
                terminate.job_flow_ids.iter().map(|id| Cluster::find_job_flow(rows, id)).collect::<Result<_, _>>()?;
            if clusters
                .iter()
                .any(|cluster| cluster.state.is_alive() && cluster.request.instances.termination_protected)
            {
                return Err(validation(
                    "Could not shut down one or more job flows since they are termination protected.",
                ));
            }
            for cluster in clusters.iter().filter(|cluster| cluster.state.is_alive()) {
                let reason = StateChangeReason::new("USER_REQUEST", "Terminated by user request");
                Cluster::set_state(rows, &cluster.id, ClusterState::Terminating, &reason)?;
                Step::cancel_all(rows, &cluster.id, "The cluster was terminated")?;
            }
            Ok(clusters)
        })?;
        for cluster in &clusters {
            self.wake(&cluster.id);
        }
        Ok(json!({}))
    }

    pub(super) fn protect(&self, protect: &SetTerminationProtection) -> AwsResult {
        self.state.write(|rows| {
            for id in &protect.job_flow_ids {
                let mut cluster = Cluster::find_job_flow(rows, id)?;
                cluster.request.instances.termination_protected = protect.termination_protected;
                let request = super::to_json(&cluster.request)?;
                rows.execute("UPDATE emr_clusters SET request = ?2 WHERE id = ?1", [id, &request])?;
            }
            Ok(json!({}))
        })
    }

    pub(super) fn list_instance_groups(&self, named: &ClusterId) -> AwsResult {
        let cluster = Cluster::find(&self.state.lock(), &named.cluster_id)?;
        let group = |(number, group): (usize, &InstanceGroup)| {
            json!({
                "Id": format!("ig-{}{number}", &cluster.id[2..]),
                "Name": group.name.as_ref().unwrap_or(&group.instance_role),
                "InstanceGroupType": group.instance_role,
                "InstanceType": group.instance_type,
                "Market": group.market.as_deref().unwrap_or("ON_DEMAND"),
                "RequestedInstanceCount": group.instance_count,
                // There are no machines.
                "RunningInstanceCount": 0,
            })
        };
        let groups: Vec<Value> = cluster.instance_groups().iter().enumerate().map(group).collect();
        Ok(json!({ "InstanceGroups": groups }))
    }

    /// Returns an empty list: `RunJobFlow` refuses bootstrap actions.
    pub(super) fn list_bootstrap_actions(&self, named: &ClusterId) -> AwsResult {
        Cluster::find(&self.state.lock(), &named.cluster_id)?;
        output(&json!({ "BootstrapActions": [] }))
    }
}
