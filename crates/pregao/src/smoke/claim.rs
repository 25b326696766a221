//! The claim of `pregao smoke` on its days.
//!
//! Before it puts anything into the lake, `pregao smoke` writes an object with the names of all files that it will upload. It
//! removes the object last. So a later one knows what an interrupted one has left, and refuses everything else in these days. In
//! an account, the object is renewed while the program runs, so that a second one does not take it for abandoned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use lake::failed::FailedAudit;
use lake::objects::{self, Conditional, PutIf};
use lake::record;
use lake::{Error, Lake, keys};
use lake_client::days::quarantined;
use market::snapshot::{Feed, SnapshotName};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::PREFIX;
use crate::args;
use crate::error_report::fail;
use crate::progress::Progress;

/// How often a claim is renewed, and after which time without a renewal it is abandoned.
const RENEWAL: Duration = Duration::from_secs(15);
const ABANDONED: Duration = Duration::from_mins(1);

/// The object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// The version of the program.
    program: String,
    /// The days.
    pub days: Vec<NaiveDate>,
    /// The names of the files, each with the sizes of its versions.
    files: BTreeMap<String, Vec<u64>>,
    /// When it was written or renewed.
    at: DateTime<Utc>,
}

impl Claim {
    pub(crate) fn new(days: Vec<NaiveDate>, files: BTreeMap<String, Vec<u64>>) -> Claim {
        Claim { program: args::VERSION.to_owned(), days, files, at: Utc::now() }
    }

    /// Whether a file is one of the claim.
    fn knows(&self, name: SnapshotName, bytes: u64) -> bool {
        self.files.get(&name.to_string()).is_some_and(|sizes| sizes.contains(&bytes))
    }

    /// Adds days and files of an earlier claim.
    fn with(mut self, earlier: Claim) -> Claim {
        self.days.extend(earlier.days);
        self.days.sort_unstable();
        self.days.dedup();
        for (name, sizes) in earlier.files {
            self.files.entry(name).or_default().extend(sizes);
        }
        self
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a claim is JSON")
    }
}

/// Reads the claim, with the ETag of its object.
pub(crate) async fn read(lake: &Lake) -> anyhow::Result<Option<(Claim, String)>> {
    let bucket = &lake.config.buckets.lake;
    let Some((bytes, etag)) = objects::get_version(lake, bucket, keys::SMOKE_CLAIM).await? else { return Ok(None) };
    match serde_json::from_slice(&bytes) {
        Ok(claim) => Ok(Some((claim, etag))),
        Err(error) => fail(
            format!("{} is not a claim that this version reads: {error}", keys::uri(bucket, keys::SMOKE_CLAIM)),
            "run pregao smoke --clean with the version that wrote it",
        ),
    }
}

/// A claim that this process holds.
pub(crate) struct Held {
    claim: Claim,
    /// Whether an abandoned claim was taken over.
    is_taken_over: bool,
    is_lost: Arc<AtomicBool>,
    renewal: Option<JoinHandle<()>>,
}

/// Takes the claim, unless somebody else holds it or the days contain something that no claim knows. An abandoned claim is taken
/// over, with its days and files.
///
/// `is_exclusive`: no other process uses the lake.
///
/// # Errors
/// If another process renews the claim, or the days have foreign files or records.
pub(crate) async fn take(lake: &Lake, claim: Claim, is_exclusive: bool, progress: &Progress) -> anyhow::Result<Held> {
    let earlier = read(lake).await?;
    let (claim, condition) = match earlier {
        None => (claim, None),
        Some((earlier, etag)) => {
            if !is_exclusive {
                progress.line("an earlier pregao smoke has not cleaned up: waiting a minute, in case it still runs");
                tokio::time::sleep(ABANDONED).await;
                if read(lake).await?.is_none_or(|(_, now)| now != etag) {
                    return fail("another pregao smoke uses this lake", "wait until it has ended");
                }
            }
            (claim.with(earlier), Some(etag))
        }
    };
    let found = foreign(lake, &claim).await?;
    if let Some(first) = found.first() {
        let (days, count) = (named(&claim.days), found.len());
        return fail(
            format!(
                "{days} are for pregao smoke alone, and contain {count} things that it did not write, such as {first}"
            ),
            "move them away; or test a stack of its own: --set aws.stack=NAME",
        );
    }
    let is_taken_over = condition.is_some();
    let condition = condition.as_deref().map_or(PutIf::Absent, PutIf::Is);
    let bucket = &lake.config.buckets.lake;
    match objects::put_if(lake, bucket, keys::SMOKE_CLAIM, JSON, claim.bytes(), condition).await? {
        Conditional::Written { etag } => {
            let mut held = Held::new(lake, claim, etag, is_exclusive);
            held.is_taken_over = is_taken_over;
            Ok(held)
        }
        Conditional::Unmet => fail("another pregao smoke uses this lake", "wait until it has ended"),
    }
}

const JSON: &str = "application/json";

fn named(days: &[NaiveDate]) -> String {
    days.iter().map(NaiveDate::to_string).collect::<Vec<_>>().join(" and ")
}

impl Held {
    fn new(lake: &Lake, claim: Claim, etag: String, is_exclusive: bool) -> Held {
        let is_lost = Arc::new(AtomicBool::new(false));
        let renewal =
            (!is_exclusive).then(|| tokio::spawn(renew(lake.clone(), claim.clone(), etag, Arc::clone(&is_lost))));
        Held { claim, is_taken_over: false, is_lost, renewal }
    }

    pub(crate) fn is_taken_over(&self) -> bool {
        self.is_taken_over
    }

    pub(crate) fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Fails if another process has taken the claim over.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.is_lost.load(Ordering::Acquire) {
            return fail("another pregao smoke has taken over the days of this one", "run one at a time");
        }
        Ok(())
    }

    /// Removes the object. Everything else has to be removed before.
    pub(crate) async fn release(mut self, lake: &Lake) -> Result<(), Error> {
        if let Some(renewal) = self.renewal.take() {
            renewal.abort();
            // A renewal in flight must not write the object again.
            let _ = renewal.await;
        }
        objects::delete_all(lake, &lake.config.buckets.lake, vec![keys::SMOKE_CLAIM.to_owned()]).await
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(renewal) = &self.renewal {
            renewal.abort();
        }
    }
}

async fn renew(lake: Lake, mut claim: Claim, mut etag: String, is_lost: Arc<AtomicBool>) {
    let bucket = &lake.config.buckets.lake;
    loop {
        tokio::time::sleep(RENEWAL).await;
        claim.at = Utc::now();
        match objects::put_if(&lake, bucket, keys::SMOKE_CLAIM, JSON, claim.bytes(), PutIf::Is(&etag)).await {
            Ok(Conditional::Written { etag: now }) => etag = now,
            // The response of a renewal may have been lost, so that the object is this one's nevertheless.
            Ok(Conditional::Unmet) => match read(&lake).await {
                Ok(Some((found, now))) if found == claim => etag = now,
                _ => return is_lost.store(true, Ordering::Release),
            },
            Err(error) => tracing::warn!(%error, "the claim of pregao smoke was not renewed"),
        }
    }
}

/// Returns what the days of a claim contain that no `pregao smoke` wrote.
pub(crate) async fn foreign(lake: &Lake, claim: &Claim) -> Result<Vec<String>, Error> {
    let (raw, lake_bucket) = (&lake.config.buckets.raw, &lake.config.buckets.lake);
    let mut found = Vec::new();
    for day in &claim.days {
        for feed in Feed::ALL {
            for object in objects::list(lake, raw, &keys::raw_day(feed, *day)).await? {
                let name = keys::file_name(&object.key).parse::<SnapshotName>();
                if !name.is_ok_and(|name| claim.knows(name, object.bytes)) {
                    found.push(keys::uri(raw, &object.key));
                }
            }
        }
        let is_ours = |run: &str| run.starts_with(PREFIX);
        let record = match record::read(lake, *day).await {
            Ok(record) => record.map(|stored| match (stored.record.run(), &stored.record.removed_runs) {
                (Some(run), _) => is_ours(run.as_str()),
                // A vacuum has removed the files of runs that were never published.
                (None, removed) => !removed.is_empty() && removed.iter().all(|run| is_ours(run.as_str())),
            }),
            Err(Error::Record { .. }) => Some(false),
            Err(error) => return Err(error),
        };
        if record == Some(false) {
            found.push(keys::uri(lake_bucket, &keys::record(*day)));
        }
        if FailedAudit::read(lake, *day).await?.is_some_and(|failed| !is_ours(failed.run.as_str())) {
            found.push(keys::uri(lake_bucket, &keys::failed_audit(*day)));
        }
    }
    for prefix in [keys::LANDING, keys::QUARANTINE] {
        for object in objects::list(lake, raw, prefix).await? {
            let name = quarantined(keys::file_name(&object.key));
            if name.is_some_and(|name| claim.days.contains(&name.time.date()) && !claim.knows(name, object.bytes)) {
                found.push(keys::uri(raw, &object.key));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_is_taken_over_knows_the_files_of_both() {
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");
        let name = "199007021000_options.csv";
        let claim = |days: &[&str], bytes| {
            Claim::new(days.iter().map(|text| day(text)).collect(), BTreeMap::from([(name.to_owned(), vec![bytes])]))
        };
        let both = claim(&["1990-07-03"], 1).with(claim(&["1990-07-02", "1990-07-03"], 2));
        assert_eq!(both.days, [day("1990-07-02"), day("1990-07-03")]);
        let name: SnapshotName = name.parse().expect("a name");
        assert_eq!([1, 2, 3].map(|bytes| both.knows(name, bytes)), [true, true, false]);
        assert!(!both.knows(SnapshotName { feed: Feed::Quotes, ..name }, 1));
        assert_eq!(serde_json::from_slice::<Claim>(&both.bytes()).expect("a claim"), both);
    }
}
