//! `pregao cluster`: a cluster that takes the steps of all runs, so that a day of work does not wait for one each time.

use std::io::{self, Write};
use std::process::ExitCode;

use aws_sdk_emr::types::ClusterSummary;
use chrono::{DateTime, Local};
use lake::cluster::{self, Purpose};
use lake::{Error, Lake};

use crate::args::{ClusterAction, Global};
use crate::endpoint::{Use, with_lake};
use crate::hint::fail;
use crate::rows::{self, Row};

/// Starts, shows or ends clusters of the lake.
pub fn cluster(global: &Global, action: ClusterAction) -> anyhow::Result<ExitCode> {
    with_lake(global, Use::Workflows, async |lake| {
        match action {
            ClusterAction::Start => start(lake).await?,
            ClusterAction::Status => status(lake).await?,
            ClusterAction::Stop => stop(lake).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn start(lake: &Lake) -> anyhow::Result<()> {
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
    let idle = lake.config.emr.idle_minutes;
    writeln!(
        io::stdout(),
        "{started} is starting: runs use it from now on, and {idle} minutes without a step end it\n\
         pregao cluster status shows it, and pregao cluster stop ends it"
    )?;
    Ok(())
}

async fn status(lake: &Lake) -> anyhow::Result<()> {
    let clusters = cluster::of_lake(lake).await?;
    let mut out = io::stdout().lock();
    if clusters.is_empty() {
        writeln!(out, "no cluster of this lake is alive")?;
        return Ok(());
    }
    let columns = rows::columns(["id", "state", "since", "cluster", "reason"].map(|name| (name, "varchar")));
    let lines: Vec<Row> = clusters
        .iter()
        .map(|cluster| {
            let created = cluster.status().and_then(|status| status.timeline()?.creation_date_time());
            let created = created.and_then(|time| DateTime::from_timestamp_millis(time.to_millis().ok()?));
            let since = created.map(|time| time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string());
            let reason = cluster.status().and_then(|status| status.state_change_reason()?.message());
            let cells =
                [id(cluster), state(cluster), &since.unwrap_or_default(), name(cluster), reason.unwrap_or_default()];
            cells.map(|cell| Some(cell.to_owned())).to_vec()
        })
        .collect();
    writeln!(out, "{}", rows::table(&columns, &lines, rows::terminal_width()))?;
    Ok(())
}

async fn stop(lake: &Lake) -> anyhow::Result<()> {
    let clusters = cluster::of_lake(lake).await?;
    end(lake, &clusters).await?;
    if clusters.is_empty() {
        writeln!(io::stdout(), "no cluster of this lake is alive")?;
    }
    Ok(())
}

/// Ends clusters, and says so.
pub async fn end(lake: &Lake, clusters: &[ClusterSummary]) -> Result<(), Error> {
    for cluster in clusters {
        cluster::end(lake, id(cluster)).await?;
        // What it costs ends now, whether anybody reads this or not.
        let _ = writeln!(io::stdout(), "ending {} ({})", id(cluster), name(cluster));
    }
    Ok(())
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
