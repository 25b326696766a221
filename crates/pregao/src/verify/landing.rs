//! Checks for uploaded files that are not ingested yet.

use lake::{Lake, keys, objects};

use super::{Findings, Options};
use crate::output::FindingKind;

/// Reports the files in `landing/`.
pub(super) async fn check(lake: &Lake, options: &Options, findings: &mut Findings) {
    let bucket = &lake.config.buckets.raw;
    match objects::list(lake, bucket, keys::LANDING).await {
        Ok(files) => {
            for file in files.iter().filter(|file| !file.is_folder_marker()) {
                let repair = format!("{} upload FOLDER, with the folder that it was sent from", options.program);
                let found = format!("{} bytes that no upload has finished with", file.bytes);
                findings.add(
                    FindingKind::Landing,
                    keys::uri(bucket, &file.key),
                    "nothing in landing/",
                    &found,
                    &repair,
                );
            }
        }
        Err(error) => findings.unanswered(keys::uri(bucket, keys::LANDING), &error, "verify again"),
    }
}
