//! Removes what `pregao smoke` made: its days, and the files of its runs.
//!
//! No other command removes a published day, because no operator should. Here the order is: end what runs, remove the records, then
//! the partitions, then what is derived from the records, then the files. A reader meanwhile sees the day as it was, or no day. The
//! claim is removed last, so that an interrupted removal is completed by the next one.

use std::time::Duration;

use anyhow::Context;
use chrono::{Datelike, NaiveDate};
use lake::lease::Lease;
use lake::objects::Object;
use lake::{Error, Lake, backoff, catalog, cluster, keys, objects, partitions, record};
use lake_client::days::quarantined;
use market::partition::{DateRange, Partition};
use market::snapshot::{Feed, SnapshotName};
use market::table::TableName;
use serde_json::json;

use super::PREFIX;
use super::claim::Claim;
use crate::progress::Progress;
use crate::watch_execution::{Ending, watch};
use crate::workflow::{self, Workflow};

/// How long to wait for the end of executions that were stopped, or that a rule has started.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long to wait for the lease of a table.
const LEASE_PATIENCE: Duration = Duration::from_mins(5);

/// Removes everything of the days of a claim, and all runs of `pregao smoke`. Returns the number of removed objects.
pub(super) async fn clean(lake: &Lake, claim: &Claim, progress: &Progress) -> anyhow::Result<u64> {
    let days = &claim.days;
    end_executions(lake).await?;
    end_clusters(lake).await?;
    let mut removed = remove(lake, Bucket::Lake, records(lake, days).await?).await?;
    unpublish(lake, days, progress).await?;
    removed += remove(lake, Bucket::Raw, raw_files(lake, days).await?).await?;
    removed += remove(lake, Bucket::Lake, runs(lake).await?).await?;
    Ok(removed)
}

/// Returns what is left of the days, and of the runs of `pregao smoke`: URIs of objects, and partitions.
pub(super) async fn left(lake: &Lake, days: &[NaiveDate]) -> Result<Vec<String>, Error> {
    let (raw, lake_bucket, database) =
        (&lake.config.buckets.raw, &lake.config.buckets.lake, lake.config.athena.database.as_str());
    let mut left: Vec<String> = raw_files(lake, days).await?.iter().map(|key| keys::uri(raw, key)).collect();
    left.extend(runs(lake).await?.iter().map(|key| keys::uri(lake_bucket, key)));
    for day in days {
        if record::read(lake, *day).await?.is_some() {
            left.push(keys::uri(lake_bucket, &keys::record(*day)));
        }
    }
    for table in TableName::ALL {
        if catalog::table(lake, database, table.as_str()).await?.is_some() {
            let partitions = partitions::list(lake, database, table.as_str()).await?;
            let ours = partitions.keys().filter(|partition| days.contains(&partition.date()));
            left.extend(ours.map(|partition| format!("the partition {partition} of {database}.{table}")));
        }
    }
    Ok(left)
}

#[derive(Clone, Copy)]
enum Bucket {
    Raw,
    Lake,
}

async fn remove(lake: &Lake, bucket: Bucket, found: Vec<String>) -> Result<u64, Error> {
    let buckets = &lake.config.buckets;
    let bucket = match bucket {
        Bucket::Raw => &buckets.raw,
        Bucket::Lake => &buckets.lake,
    };
    let count = found.len() as u64;
    objects::delete_all(lake, bucket, found).await?;
    Ok(count)
}

/// Stops the runs of `pregao smoke`, and waits until no upload or update runs that may still write to its days.
async fn end_executions(lake: &Lake) -> anyhow::Result<()> {
    /// More than run at once.
    const MOST: usize = 1_000;
    let machines = workflow::machines(lake).await?;
    for machine in machines.iter().filter(|machine| machine.workflow == Workflow::CreateDatalake) {
        for execution in workflow::executions(lake, machine, Some("RUNNING"), MOST).await? {
            if execution.name.starts_with(PREFIX) {
                stop(lake, &execution.execution_arn).await?;
            }
        }
    }
    let ended = backoff::poll_until(PATIENCE, || async {
        for machine in &machines {
            let running = workflow::executions(lake, machine, Some("RUNNING"), MOST).await?;
            let is_ours = |name: &str| machine.workflow != Workflow::CreateDatalake || name.starts_with(PREFIX);
            if running.iter().any(|execution| is_ours(&execution.name)) {
                return Ok::<_, Error>(None);
            }
        }
        Ok(Some(()))
    });
    // Uploads of others may run all the time: they write to other days.
    ended.await.map(drop).map_err(Into::into)
}

/// Stops an execution, and does nothing if it has ended.
pub(super) async fn stop(lake: &Lake, arn: &str) -> Result<(), Error> {
    let request = lake.sfn.stop_execution().execution_arn(arn).error("Smoke").cause("stopped by pregao smoke");
    request.send().await.map_err(Error::aws(format!("stopping {arn}"))).map(drop)
}

/// Terminates the clusters of the runs of `pregao smoke`. The rule of the stack has done so, if it works.
async fn end_clusters(lake: &Lake) -> Result<(), Error> {
    for found in cluster::list_alive(lake).await? {
        let run = found.name().and_then(cluster::run_of);
        if let (Some(id), Some(_)) = (found.id(), run.filter(|run| run.as_str().starts_with(PREFIX))) {
            cluster::end(lake, id).await?;
        }
    }
    Ok(())
}

/// The records of the days, with their histories and failed audits.
async fn records(lake: &Lake, days: &[NaiveDate]) -> Result<Vec<String>, Error> {
    let bucket = &lake.config.buckets.lake;
    let mut found = Vec::new();
    for day in days {
        // The current record first: a history without it is never read.
        found.push(keys::record(*day));
        let folder = format!("{}{}/", keys::PUBLISHED, Partition::from(*day));
        found.extend(objects::list(lake, bucket, &folder).await?.into_iter().map(|object| object.key));
    }
    Ok(found)
}

/// Removes the partitions of the days, and brings what is derived from the records up to date.
async fn unpublish(lake: &Lake, days: &[NaiveDate], progress: &Progress) -> anyhow::Result<()> {
    let database = lake.config.athena.database.as_str();
    let of_days: Vec<Partition> = days.iter().copied().map(Partition::from).collect();
    let mut is_published = false;
    for table in TableName::ALL {
        if catalog::table(lake, database, table.as_str()).await?.is_none() {
            continue;
        }
        is_published = true;
        let mut lease = Lease::take(lake, keys::catalog_lease(table), "pregao smoke", LEASE_PATIENCE).await?;
        let removed = lease.within(partitions::remove(lake, database, table.as_str(), &of_days)).await;
        lease.release().await?;
        removed?;
    }
    let (Some(first), Some(last)) = (days.iter().min(), days.iter().max()) else { return Ok(()) };
    if is_published {
        let name = workflow::new_name(&format!("{PREFIX}clean"))?;
        let range = DateRange::new(*first, *last)?;
        let arn = workflow::start(lake, Workflow::AthenaUpdate, &name, &json!(range)).await?;
        progress.line(&format!("athena_update {name}"));
        match watch(lake, &arn, progress).await? {
            Ending::Succeeded(_) => {}
            ending => workflow::succeeded(Workflow::AthenaUpdate, &name, ending)
                .map(drop)
                .context("the lists of published days were not updated")?,
        }
    }
    // Copies of records that are gone are never read; the object stays if the year has others.
    for year in [first.year(), last.year()] {
        let bucket = &lake.config.buckets.lake;
        if objects::list(lake, bucket, &keys::records_of_year(year)).await?.is_empty() {
            objects::delete_all(lake, bucket, vec![keys::record_copies(year)]).await?;
        }
    }
    Ok(())
}

/// The raw files of the days: accepted, landed and quarantined, these with their reasons.
async fn raw_files(lake: &Lake, days: &[NaiveDate]) -> Result<Vec<String>, Error> {
    let bucket = &lake.config.buckets.raw;
    let mut found = Vec::new();
    let is_of_days = |name: SnapshotName| days.contains(&name.time.date());
    let named = |objects: Vec<Object>| {
        objects.into_iter().map(|object| object.key).filter(|key| {
            let name = keys::file_name(key);
            quarantined(name.strip_suffix(keys::REASON_SUFFIX).unwrap_or(name)).is_some_and(is_of_days)
        })
    };
    for prefix in [keys::LANDING, keys::QUARANTINE] {
        found.extend(named(objects::list(lake, bucket, prefix).await?));
    }
    for day in days {
        for feed in Feed::ALL {
            let listed = objects::list(lake, bucket, &keys::raw_day(feed, *day)).await?;
            found.extend(listed.into_iter().map(|object| object.key));
        }
    }
    Ok(found)
}

/// The files and reports of all runs of `pregao smoke`.
async fn runs(lake: &Lake) -> Result<Vec<String>, Error> {
    let bucket = &lake.config.buckets.lake;
    let mut found = Vec::new();
    for prefix in [keys::RUNS, keys::QUALITY] {
        let listed = objects::list(lake, bucket, &format!("{prefix}run={PREFIX}")).await?;
        found.extend(listed.into_iter().map(|object| object.key));
    }
    Ok(found)
}
