//! Folders of runs that the catalog does not point to: superseded, failed or aborted.

use std::collections::{BTreeMap, BTreeSet};

use lake::{Lake, keys, objects};
use market::table::TableName;

use super::Findings;
use super::published::Published;
use crate::output::Note;

/// Counts objects and bytes of such folders, by run. Runs of older versions are below the tables' locations.
pub(super) async fn check(lake: &Lake, published: &Published, findings: &mut Findings) {
    let bucket = &lake.config.buckets.lake;
    let current: BTreeSet<&str> = published.folders.values().map(|folder| folder.key.as_str()).collect();
    let mut orphans: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for prefix in TableName::ALL.map(keys::table).into_iter().chain([keys::RUNS.to_owned()]) {
        let objects = match objects::list(lake, bucket, &prefix).await {
            Ok(objects) => objects,
            Err(error) => {
                findings.unanswered(keys::uri(bucket, &prefix), &error, "verify again");
                continue;
            }
        };
        for object in objects.iter().filter(|object| keys::is_of_table(&object.key)) {
            let folder = object.key.rfind('/').map_or("", |end| &object.key[..=end]);
            if current.contains(folder) {
                continue;
            }
            let run = object.key.split('/').find_map(|part| part.strip_prefix("run="));
            let (files, bytes) = orphans.entry(run.unwrap_or("none").to_owned()).or_default();
            *files += 1;
            *bytes += object.bytes;
        }
    }
    for (run, (files, bytes)) in orphans {
        let text = format!("run {run} has {files} files of {bytes} bytes that the catalog does not point to");
        findings.notes.push(Note { text });
    }
}
