//! `pregao demo`: runs the whole pipeline on a sample, in a home of its own.
//!
//! The sample has the file names of real snapshots and would replace them. So the demo only works in a home that it has
//! created itself, and that contains no other files.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use ::sample::Sample;
use anyhow::Context;
use chrono::{Datelike, NaiveDate};
use lake::{Lake, keys, objects};
use market::partition::DateRange;
use market::snapshot::Feed;

use crate::args::{Format, Global};
use crate::commands::{query, run, sample, upload};
use crate::dedup;
use crate::endpoint::{Use, on_aws, refuse_aws, with_lake};
use crate::error_report::fail;
use crate::own_home::OwnHome;
use crate::progress::{self, Progress};
use crate::raw_folder::{self, File};

/// The day of the sample: the first day of the real recordings.
const DAY: (i32, u32, u32) = (2020, 4, 1);

/// The home of a demo.
const HOME: OwnHome = OwnHome {
    what: "demo",
    marker: "demo.txt",
    text: "This folder is a lake of generated numbers, made by `pregao demo`. Delete it when you like.\n",
};

/// Runs sample, upload, run and query.
pub(crate) fn demo(global: &Global) -> anyhow::Result<ExitCode> {
    refuse_aws(global, "demo")?;
    if on_aws(global)? {
        return fail(
            "pregao demo runs on this machine, and the configuration has aws.always",
            "--set aws.always=false",
        );
    }
    HOME.claim(&global.home)?;
    with_lake(global, Use::Workflows, async |lake| demonstrate(lake, global).await)
}

/// Refuses a lake with other raw files.
async fn refuse_other_files(lake: &Lake, home: &Path, sample: &[File]) -> anyhow::Result<()> {
    let named = |file: &File| Some((file.path.file_name()?.to_str()?.to_owned(), file.clone()));
    let sample: HashMap<String, File> = sample.iter().filter_map(named).collect();
    let bucket = &lake.config.buckets.raw;
    for prefix in Feed::ALL.map(keys::raw_feed).iter().map(String::as_str).chain([keys::LANDING]) {
        for object in objects::list(lake, bucket, prefix).await? {
            let is_of_sample = match sample.get(keys::file_name(&object.key)) {
                Some(file) if file.bytes == object.bytes => {
                    dedup::md5_of(&file.path).with_context(|| format!("cannot read {}", file.path.display()))?
                        == object.etag
                }
                _ => object.is_folder_marker(),
            };
            if !is_of_sample {
                return fail(
                    format!(
                        "the lake in {} holds {}, which is not of the demo",
                        home.display(),
                        keys::uri(bucket, &object.key)
                    ),
                    "name another folder with --home, which is empty or not there",
                );
            }
        }
    }
    Ok(())
}

async fn demonstrate(lake: &Lake, global: &Global) -> anyhow::Result<ExitCode> {
    let home = global.home.as_path();
    let progress = Progress::new();
    let (year, month, day) = DAY;
    let date = NaiveDate::from_ymd_opt(year, month, day).expect("a day of the calendar");
    let folder = home.join("sample");

    headline("1. pregao sample: a day of raw files, in all the mess of the real ones")?;
    let made = Sample { from: date, days: 1, seed: 1, session: lake.config.session.clone() };
    let summary = sample::write(&made, &folder, &progress)?;
    writeln!(io::stdout(), "{}", sample::headline(&summary, &folder))?;

    headline("2. pregao upload: to S3, checked, and each in its place")?;
    let files = raw_folder::scan(&folder)?.files;
    refuse_other_files(lake, home, &files).await?;
    let delivered = upload::deliver(lake, &folder, &files, &progress).await?;
    delivered.print_text(lake)?;
    if let Some(refused) = delivered.refused() {
        return Err(refused);
    }

    headline("3. pregao run: cleaned, audited, published")?;
    run::publish(lake, Some(DateRange::day(date)?), None, &progress).await?.print_text(lake, Some(home))?;

    headline("4. pregao query: the most traded stocks of the day, by its last snapshot")?;
    let sql = most_traded(date);
    writeln!(io::stdout(), "{sql}\n")?;
    let answered = query::answer(lake, &sql, lake.config.athena.database.as_str(), Format::Table).await?;
    if progress::notes_are_wanted() {
        whats_next(global, date)?;
    }
    Ok(answered)
}

fn headline(text: &str) -> io::Result<()> {
    if !progress::notes_are_wanted() {
        return Ok(());
    }
    writeln!(io::stdout(), "\n{text}")
}

/// An example query. Its average price must be between `min` and `max`, which holds only if all numbers are parsed correctly.
fn most_traded(date: NaiveDate) -> String {
    let day = format!("year = {} AND month = {} AND day = {}", date.year(), date.month(), date.day());
    format!(
        "SELECT ticker, min, round(total_volume / qty_total, 2) AS average, max, last,\n       \
         round(total_volume / 1e6, 1) AS million_brl\n\
         FROM quotes\n\
         WHERE {day}\n  \
         AND intdate = (SELECT max(intdate) FROM quotes WHERE {day})\n\
         ORDER BY total_volume DESC NULLS LAST\n\
         LIMIT 8"
    )
}

fn whats_next(global: &Global, date: NaiveDate) -> io::Result<()> {
    let program = global.program();
    writeln!(
        io::stdout(),
        "\n\
         Next:\n  \
         {program} query \"SELECT reason, count(*) AS cells FROM rejects GROUP BY reason\"\n  \
         {program} runs                    # what ran\n  \
         {program} explore                 # prices, quality and runs in a browser\n  \
         {program} files quotes --paths    # the Parquet files that are published, and no others\n  \
         {program} local                   # the same lake for the AWS CLI and boto3\n\
         \n\
         With raw files of your own, in a lake of their own (.pregao):\n  \
         pregao upload DIR\n  \
         pregao run --from {date}   # their day; --to for a range",
    )
}
