//! Files that were sent and not yet accepted or refused.

use lake::{Lake, keys, objects};

use super::{Asked, Findings};
use crate::output::FindingKind;

/// Names what lies in `landing/`.
pub async fn check(lake: &Lake, asked: &Asked, findings: &mut Findings) {
    let bucket = &lake.config.buckets.raw;
    match objects::list(lake, bucket, keys::LANDING).await {
        Ok(files) => {
            for file in files.iter().filter(|file| !file.is_folder_marker()) {
                let repair = format!("{} upload FOLDER, with the folder that it was sent from", asked.program);
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
