//! The manifests of audited folders, as objects. A passed audit writes them; publication and all later checks use them.
//!
//! There is one in each folder of a run and a day, next to the files that it lists. The crate `manifest` defines its content.

use chrono::NaiveDate;
use market::run::RunId;
use market::table::TableName;

pub use ::manifest::{
    AuditedFile, ChecksumBuilder, Checksums, Damage, Difference, ListedFile, Manifest, NAME, PROPERTY,
};

use crate::error::Error;
use crate::objects::{self, Object};
use crate::{Lake, keys};

/// Reads the manifest of what `run` wrote for one day of a table, if there is one.
///
/// # Errors
/// [`Error::Quality`] if it cannot be read; whatever S3 refuses.
pub async fn read(lake: &Lake, table: TableName, date: NaiveDate, run: &RunId) -> Result<Option<Manifest>, Error> {
    let bucket = &lake.config.buckets.lake;
    let key = keys::manifest(table, date.into(), run);
    let Some(bytes) = objects::get(lake, bucket, &key).await? else { return Ok(None) };
    let uri = keys::uri(bucket, &key);
    let manifest = Manifest::from_json(&bytes);
    manifest.map(Some).map_err(|error| Error::Quality(format!("{uri} cannot be relied on: {error}. {}", again(date))))
}

/// Writes a manifest to its folder. Overwrites that of an earlier audit.
///
/// # Errors
/// Whatever S3 refuses.
pub async fn write(lake: &Lake, manifest: &Manifest) -> Result<(), Error> {
    let key = format!("{}{NAME}", manifest.folder);
    objects::put(lake, &lake.config.buckets.lake, &key, "application/json", manifest.to_json()).await
}

/// Compares the files that `run` wrote for one day of a table with their manifest. Returns the manifest.
///
/// # Errors
/// [`Error::Quality`] if there is no manifest, it cannot be read, or the files differ; whatever S3 refuses.
pub async fn check(lake: &Lake, table: TableName, date: NaiveDate, run: &RunId) -> Result<Manifest, Error> {
    let folder = keys::run_folder(table, date.into(), run);
    let Some(manifest) = read(lake, table, date, run).await? else {
        let uri = keys::uri(&lake.config.buckets.lake, &keys::manifest(table, date.into(), run));
        return Err(Error::Quality(format!(
            "there is no {uri}: run {run} was audited by a version that wrote none, or the manifest was removed. {}",
            again(date)
        )));
    };
    let found = objects::list_data(lake, &folder).await?;
    match manifest.check(&folder, listed(&folder, &found)) {
        Ok(()) => Ok(manifest),
        Err(difference) => Err(Error::Quality(format!(
            "the files of {table} that run {run} wrote for {date} are not those that were audited: {difference} ({}). {}",
            keys::uri(&lake.config.buckets.lake, &folder),
            again(date)
        ))),
    }
}

/// Converts objects of `folder` for comparison with a manifest.
pub fn listed<'a>(folder: &'a str, objects: &'a [Object]) -> impl Iterator<Item = ListedFile<'a>> {
    objects.iter().map(move |object| ListedFile {
        name: object.key.strip_prefix(folder).unwrap_or(&object.key),
        bytes: object.bytes,
        etag: Some(&object.etag),
    })
}

fn again(date: NaiveDate) -> String {
    format!("Start create_datalake for {date} again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_listed_by_their_names_in_the_folder() {
        let object = Object {
            key: "quotes/run=a/part-0.parquet".to_owned(),
            bytes: 7,
            etag: "e".to_owned(),
            last_modified: None,
        };
        let objects = [object];
        let listed: Vec<_> = listed("quotes/run=a/", &objects).collect();
        assert_eq!((listed[0].name, listed[0].bytes, listed[0].etag), ("part-0.parquet", 7, Some("e")));
    }

    #[test]
    fn the_tables_say_what_their_manifests_are_called() {
        let ddl = TableName::Quotes.create_table_ddl("pregao", "s3://lake/quotes/");
        assert!(ddl.ends_with(&format!("\nTBLPROPERTIES ('{PROPERTY}'='{NAME}')")), "{ddl}");
    }
}
