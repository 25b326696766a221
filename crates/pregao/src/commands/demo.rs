//! `pregao demo`: everything once, on a sample.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use chrono::{Datelike, NaiveDate};
use lake::Lake;
use market::partition::DateRange;

use crate::args::{Format, Global};
use crate::commands::{query, run, sample, upload};
use crate::endpoint::{Use, refuse_aws, with_lake};
use crate::folder;
use crate::progress::{self, Progress};
use crate::sample::Sample;

/// The day of the sample: the first one of the recordings with which all this began.
const DAY: (i32, u32, u32) = (2020, 4, 1);

/// Sample, upload, run, query.
pub fn demo(global: &Global) -> anyhow::Result<ExitCode> {
    refuse_aws(global, "demo")?;
    with_lake(global, Use::Workflows, async |lake| demonstrate(lake, &global.home).await)
}

async fn demonstrate(lake: &Lake, home: &Path) -> anyhow::Result<ExitCode> {
    let progress = Progress::new();
    let (year, month, day) = DAY;
    let date = NaiveDate::from_ymd_opt(year, month, day).expect("a day of the calendar");
    let folder = home.join("sample");

    headline("1. pregao sample: a day of raw files, in all the mess of the real ones")?;
    let made = Sample { from: date, days: 1, seed: 1, session: lake.config.session.clone() };
    let summary = sample::write(&made, &folder, &progress)?;
    writeln!(io::stdout(), "{}", sample::headline(&summary, &folder))?;

    headline("2. pregao upload: to S3, checked, and each in its place")?;
    let files = folder::files(&folder)?;
    let delivered = upload::deliver(lake, &folder, &files, &progress).await?;
    delivered.tell(lake)?;
    if let Some(refused) = delivered.refused() {
        return Err(refused);
    }

    headline("3. pregao run: cleaned, audited, published")?;
    run::publish(lake, Some(DateRange::day(date)?), &progress).await?.tell(lake, Some(home))?;

    headline("4. pregao query: the most traded stocks of the day, by its last snapshot")?;
    let sql = most_traded(date);
    writeln!(io::stdout(), "{sql}\n")?;
    let answered = query::answer(lake, &sql, lake.config.athena.database.as_str(), Format::Table).await?;
    if progress::notes_are_wanted() {
        whats_next(lake, home, date)?;
    }
    Ok(answered)
}

fn headline(text: &str) -> io::Result<()> {
    if !progress::notes_are_wanted() {
        return Ok(());
    }
    writeln!(io::stdout(), "\n{text}")
}

/// A first query: its average price has to lie between `min` and `max`, which holds only if every number is read right.
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

fn whats_next(lake: &Lake, home: &Path, date: NaiveDate) -> io::Result<()> {
    let option = if home == Path::new(".pregao") { String::new() } else { format!(" --home {}", home.display()) };
    let tables = home.join("s3").join(lake.config.buckets.lake.as_str());
    writeln!(
        io::stdout(),
        "\n\
         The tables are Parquet files under {tables}/ (quotes, options, rejects).\n\
         \n\
         Next:\n  \
         pregao{option} query \"SELECT reason, count(*) AS cells FROM rejects GROUP BY reason\"\n  \
         pregao{option} upload DIR              # raw files of your own\n  \
         pregao{option} run --from {date}   # their day; --to for a range\n  \
         pregao{option} runs                    # what ran\n  \
         pregao{option} explore                 # prices, quality and runs in a browser\n  \
         pregao{option} local                   # the same lake for the AWS CLI and boto3",
        tables = tables.display(),
    )
}
