//! `pregao cluster`: the standing cluster, so that several runs do not each wait for the start of a cluster.

use std::io::{self, Write};
use std::process::ExitCode;

use aws_sdk_emr::types::ClusterSummary;
use lake::cluster::{self, Purpose};
use lake::config::EmrKind;
use lake::{Error, Lake};

use crate::args::{ClusterAction, Global, OutputFormat};
use crate::endpoint::{Use, with_lake};
use crate::error_report::fail;
use crate::output::{Cluster, Timestamp};
use crate::tabular::{self, Row};
use crate::{color, format, output};

/// Starts, shows or ends clusters of the lake.
pub(crate) fn cluster(global: &Global, action: ClusterAction) -> anyhow::Result<ExitCode> {
    // Starting a cluster uses its settings in the configuration, like a run.
    let use_ = match action {
        ClusterAction::Start | ClusterAction::Stop => Use::Workflows,
        ClusterAction::Status { .. } => Use::Questions,
    };
    with_lake(global, use_, async |lake| {
        match action {
            ClusterAction::Start => start(lake).await?,
            ClusterAction::Status { format } => status(lake, format).await?,
            ClusterAction::Stop => stop(lake).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn start(lake: &Lake) -> anyhow::Result<()> {
    if lake.config.emr.kind == EmrKind::Serverless {
        return fail("emr.kind is \"serverless\": runs use no cluster", "a run starts its own job, within a minute");
    }
    if let Some(id) = &lake.config.emr.cluster_id {
        return fail(
            format!("emr.cluster_id is {id}: all runs use that cluster"),
            "empty it in confs/pregao.toml, and pregao deploy, to have one started here",
        );
    }
    let standing = cluster::standing(lake);
    let alive = cluster::list(lake, &cluster::ALIVE).await?;
    if let Some(there) = alive.iter().find(|cluster| cluster.name() == Some(&standing)) {
        writeln!(io::stdout(), "there is one already: {} {}", id(there), state(there))?;
        return Ok(());
    }
    let started = cluster::start(lake, Purpose::Standing).await?;
    let idle = format::counted(lake.config.emr.idle_minutes.get().into(), "minute");
    writeln!(
        io::stdout(),
        "{started} is starting: runs use it from now on, and {idle} without a step end it\n\
         pregao cluster status shows it, and pregao cluster stop ends it"
    )?;
    Ok(())
}

async fn status(lake: &Lake, format: OutputFormat) -> anyhow::Result<()> {
    let clusters = cluster::list_alive(lake).await?;
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let described = clusters.iter().map(|cluster| output::Cluster {
        id: id(cluster).to_owned(),
        name: name(cluster).to_owned(),
        state: state(cluster).to_owned(),
        created: created(cluster).map(Timestamp::from_millis),
        reason: cluster.status().and_then(|status| text(status.state_change_reason()?.message()?)),
    });
    let clusters = output::Clusters { clusters: described.collect() };
    if format == OutputFormat::Json {
        return output::print(&clusters);
    }
    let mut out = io::stdout().lock();
    if clusters.clusters.is_empty() {
        writeln!(out, "no cluster of this lake is alive")?;
        return Ok(());
    }
    let columns = tabular::columns(["id", "state", "since", "cluster", "reason"].map(|name| (name, "varchar")));
    let lines: Vec<Row> = clusters
        .clusters
        .into_iter()
        .map(|Cluster { id, name, state, created, reason }| {
            let since = created.map(|created| created.local().to_string());
            [id, state, since.unwrap_or_default(), name, reason.unwrap_or_default()].map(Some).to_vec()
        })
        .collect();
    let table = tabular::table(&columns, &lines, tabular::terminal_width());
    writeln!(out, "{}", tabular::coloured(&table, "state", color::for_status))?;
    Ok(())
}

async fn stop(lake: &Lake) -> anyhow::Result<()> {
    let clusters = cluster::list_alive(lake).await?;
    end(lake, &clusters).await?;
    if clusters.is_empty() {
        writeln!(io::stdout(), "no cluster of this lake is alive")?;
    }
    Ok(())
}

/// Terminates clusters, and prints their ids.
pub(crate) async fn end(lake: &Lake, clusters: &[ClusterSummary]) -> Result<(), Error> {
    for cluster in clusters {
        cluster::end(lake, id(cluster)).await?;
        // Terminated before printing: a closed pipe must not leave a cluster running.
        let _ = writeln!(io::stdout(), "ending {} ({})", id(cluster), name(cluster));
    }
    Ok(())
}

/// Returns when it was started, in milliseconds since 1970.
fn created(cluster: &ClusterSummary) -> Option<i64> {
    cluster.status()?.timeline()?.creation_date_time()?.to_millis().ok()
}

fn id(cluster: &ClusterSummary) -> &str {
    cluster.id().unwrap_or_default()
}

fn name(cluster: &ClusterSummary) -> &str {
    cluster.name().unwrap_or_default()
}

fn state(cluster: &ClusterSummary) -> &str {
    cluster.status().and_then(|status| status.state()).map_or("", |state| state.as_str())
}
