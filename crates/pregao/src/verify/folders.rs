//! Listings with modification times, which functions do not need.

use std::collections::BTreeSet;

use aws_sdk_s3::primitives::DateTime;
use chrono::NaiveDate;
use lake::config::BucketName;
use lake::{Error, Lake, keys, objects};
use market::snapshot::{Feed, SnapshotName};

/// Lists the objects below a prefix: key, size, and modification time.
pub(super) async fn dated(
    lake: &Lake,
    bucket: &BucketName,
    prefix: &str,
) -> Result<Vec<(String, u64, DateTime)>, Error> {
    let mut pages = lake.s3.list_objects_v2().bucket(bucket.as_str()).prefix(prefix).into_paginator().send();
    let mut objects = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(Error::aws(format!("listing {}", keys::uri(bucket, prefix))))?;
        for object in page.contents.unwrap_or_default() {
            let bytes = object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
            let time = object.last_modified.unwrap_or(DateTime::from_secs(0));
            objects.push((object.key.unwrap_or_default(), bytes, time));
        }
    }
    Ok(objects)
}

/// Lists the days that have a folder of raw files.
pub(super) async fn raw_days(lake: &Lake) -> Result<BTreeSet<NaiveDate>, Error> {
    let mut days = BTreeSet::new();
    for feed in Feed::ALL {
        let folders = objects::folders(lake, &lake.config.buckets.raw, &keys::raw_feed(feed)).await?;
        days.extend(folders.into_iter().filter_map(|folder| folder.parse::<NaiveDate>().ok()));
    }
    Ok(days)
}

/// Lists all accepted raw files.
pub(super) async fn raw_files(lake: &Lake) -> Result<Vec<(SnapshotName, DateTime)>, Error> {
    let mut files = Vec::new();
    for feed in Feed::ALL {
        for (key, _, time) in dated(lake, &lake.config.buckets.raw, &keys::raw_feed(feed)).await? {
            let name = keys::file_name(&key).parse::<SnapshotName>();
            files.extend(name.ok().filter(|name| keys::raw(*name) == key).map(|name| (name, time)));
        }
    }
    Ok(files)
}
