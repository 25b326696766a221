//! Checks of a home on this machine: its databases, and its objects as files.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

use chrono::NaiveDate;
use lake::Config;
use lake::manifest::{self, Difference, Manifest};
use local_aws::check::{self, Damaged, Problem, ProblemKind};
use market::partition::Partition;
use market::snapshot::Feed;
use market::table::TableName;

use super::{Findings, Options};
use crate::output::FindingKind;

/// Checks databases and objects of a home before it is opened. Returns whether it can be opened.
///
/// Databases of a home that another process owns are skipped: it checked them when it opened them, and changes them now.
pub(crate) fn check(home: &Path, config: &Config, options: &Options, is_owned: bool, findings: &mut Findings) -> bool {
    let damaged = if is_owned { Vec::new() } else { check::databases(home) };
    findings.checked.databases = if is_owned { 0 } else { 2 };
    for database in &damaged {
        let (file, found) = (database.file.display().to_string(), database.found.clone());
        let repair = repair_of_database(home, config, options, database);
        findings.add(FindingKind::Database, file, "the database as it was closed", &found, &repair);
    }
    if !home.join("state.db").exists() {
        return damaged.is_empty();
    }
    match check::objects(home, options.deep) {
        Ok(problems) => {
            for problem in &problems {
                add_problem(home, config, options, problem, findings);
            }
        }
        Err(Damaged { file, found }) => {
            if !damaged.iter().any(|database| database.file == file) {
                findings.add(
                    FindingKind::Database,
                    file.display().to_string(),
                    "an index of all objects",
                    &found,
                    "restore a copy of it",
                );
            }
            // Without an index, the manifests next to the files are used.
            check_manifests(&home.join("s3").join(config.buckets.lake.as_str()), options, findings);
        }
    }
    damaged.is_empty()
}

/// Returns the command that restores a database.
fn repair_of_database(home: &Path, config: &Config, options: &Options, damaged: &Damaged) -> String {
    let days = raw_days(&home.join("s3").join(config.buckets.raw.as_str()));
    let range = days.first().zip(days.last());
    let away = format!("{}.damaged", home.display());
    let home = home.display();
    if damaged.file.file_name().is_some_and(|name| name == "catalog.db") {
        let run = range.map(|(from, to)| format!(" && {} run --from {from} --to {to}", options.program));
        return format!("mkdir -p {away} && mv {home}/catalog.db* {away}/{}", run.unwrap_or_default());
    }
    let run = range.map(|(from, to)| format!(" && {} run --from {from} --to {to}", options.program));
    let raw = config.buckets.raw.as_str();
    let uploads = Feed::ALL.map(|feed| format!(" && {} upload {away}/s3/{raw}/{feed}", options.program)).concat();
    format!("mv {home} {away}{uploads}{}", run.unwrap_or_default())
}

/// Returns the first and last day that have a folder of raw files.
fn raw_days(bucket: &Path) -> BTreeSet<NaiveDate> {
    let folders = Feed::ALL.into_iter().filter_map(|feed| fs::read_dir(bucket.join(feed.to_string())).ok());
    let names = folders.flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.strip_prefix("date=")?.parse().ok()).collect()
}

fn add_problem(home: &Path, config: &Config, options: &Options, problem: &Problem, findings: &mut Findings) {
    let (expected, found) = match &problem.kind {
        ProblemKind::Missing { expected } => (format!("{expected} bytes"), "no file".to_owned()),
        ProblemKind::Size { expected, found } => (format!("{expected} bytes"), format!("{found} bytes")),
        ProblemKind::Bytes { expected, found } => (expected.clone(), found.clone()),
        ProblemKind::Unreadable { reason } => ("a file that can be read".to_owned(), reason.clone()),
        ProblemKind::Additional => ("no file, by the index".to_owned(), "a file".to_owned()),
    };
    let file = problem.file.display();
    let repair = match &problem.object {
        None => format!("rm '{file}'"),
        Some((bucket, key)) => repair_of_object(home, config, options, bucket, key, &problem.file),
    };
    findings.add(FindingKind::Object, file.to_string(), &expected, &found, &repair);
}

/// Returns the command that restores an object: files of tables by a run, others by an upload from their source.
fn repair_of_object(home: &Path, config: &Config, options: &Options, bucket: &str, key: &str, file: &Path) -> String {
    if bucket == config.buckets.raw.as_str() {
        return format!("cp ORIGINAL '{}', with the file as it was sent", file.display());
    }
    let remove = format!(
        "{} local --port 4566, and beside it aws --endpoint-url http://127.0.0.1:4566 s3 rm 's3://{bucket}/{key}'",
        options.program
    );
    match day_of(key) {
        Some(date) if bucket == config.buckets.lake.as_str() => {
            format!("{} if it is published, else {remove}", options.run(date))
        }
        _ if bucket == config.buckets.lake.as_str() => {
            let days = raw_days(&home.join("s3").join(config.buckets.raw.as_str()));
            match days.first().zip(days.last()) {
                Some((from, to)) => format!("{} run --from {from} --to {to}, then {remove}", options.program),
                None => remove,
            }
        }
        _ => remove,
    }
}

/// Parses the day in a key of the lake bucket.
fn day_of(key: &str) -> Option<NaiveDate> {
    let at = TableName::ALL
        .iter()
        .find_map(|table| key.find(&format!("{table}/year=")).map(|at| at + table.as_str().len() + 1));
    let parts: Vec<&str> = key[at?..].split('/').take(3).collect();
    Some(parts.join("/").parse::<Partition>().ok()?.date())
}

/// Compares each manifest with the files next to it: the check of tables that works without an index.
fn check_manifests(folder: &Path, options: &Options, findings: &mut Findings) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            check_manifests(&path, options, findings);
        } else if path.file_name().is_some_and(|name| name == manifest::NAME)
            && let Err((file, found)) = check_manifest(&path, folder)
        {
            let repair = day_of(&folder.join("").display().to_string()).map(|date| options.run(date));
            let repair = repair.unwrap_or_else(|| "restore a copy of it".to_owned());
            findings.add(FindingKind::Files, file, "the files that were audited", &found, &repair);
        }
    }
}

fn check_manifest(path: &Path, folder: &Path) -> Result<(), (String, String)> {
    let said = |path: &Path| path.display().to_string();
    let failed = |path: &Path| {
        let file = said(path);
        move |error: io::Error| (file, error.to_string())
    };
    let bytes = fs::read(path).map_err(failed(path))?;
    let manifest = Manifest::from_json(&bytes).map_err(|reason| (said(path), reason.to_string()))?;
    if !format!("{}/", folder.display()).ends_with(&manifest.folder) {
        return Err((said(path), Difference::OtherFolder(manifest.folder).to_string()));
    }
    for audited in &manifest.files {
        let file = folder.join(&audited.name);
        let bytes = fs::read(&file).map_err(failed(&file))?;
        audited.verify(&bytes).map_err(|damage| (said(&file), damage.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_in_the_key() {
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");
        for (key, date) in [
            ("quotes/year=2020/month=4/day=1/run=a/part-0.parquet", Some(day("2020-04-01"))),
            ("runs/run=a/rejects/year=2020/month=12/day=31/_manifest.json", Some(day("2020-12-31"))),
            ("quality/run=a/quotes.json", None),
            ("quotes/year=2020/month=13/day=1/run=a/x", None),
            ("quotes/year=", None),
        ] {
            assert_eq!(day_of(key), date, "{key}");
        }
    }
}
