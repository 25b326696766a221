//! Folders of runs that the catalog does not point to: superseded, failed or aborted.

use std::collections::{BTreeMap, BTreeSet};

use lake::{Lake, keys, objects};
use market::table::TableName;

use super::Findings;
use super::published::Published;
use crate::output::Note;

/// Counts what lies in such folders, by run.
pub async fn check(lake: &Lake, published: &Published, findings: &mut Findings) {
    let bucket = &lake.config.buckets.lake;
    let mut orphans: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for table in TableName::ALL {
        let prefix = keys::table(table);
        let objects = match objects::list(lake, bucket, &prefix).await {
            Ok(objects) => objects,
            Err(error) => {
                findings.unanswered(keys::uri(bucket, &prefix), &error, "verify again");
                continue;
            }
        };
        let current: BTreeSet<String> = published
            .runs
            .iter()
            .filter(|((of, _), _)| *of == table)
            .map(|((_, date), run)| keys::run_folder(table, (*date).into(), run))
            .collect();
        for object in objects {
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
