//! `pregao recatalog`: rebuilds the catalog from the publication records.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use chrono::{Datelike, NaiveDate};
use lake::record;
use market::partition::DateRange;
use serde::Deserialize;

use crate::args::Global;
use crate::endpoint::{Use, with_lake};
use crate::error_report::fail;
use crate::format;
use crate::migrate;
use crate::progress::Progress;
use crate::watch_execution::watch;
use crate::workflow::{self, Workflow};

/// The output of `athena_update`.
#[derive(Debug, Deserialize)]
struct Updated {
    partitions: u64,
    rows: u64,
}

/// Creates database, tables, partitions and lists, year by year. What is correct is not changed.
pub(crate) fn recatalog(global: &Global) -> anyhow::Result<ExitCode> {
    with_lake(global, Use::Workflows, async |lake| {
        migrate::ensure(lake).await?;
        let records = record::read_all(lake, None).await?;
        let days: Vec<NaiveDate> =
            records.iter().filter(|(_, stored)| stored.record.published.is_some()).map(|(day, _)| *day).collect();
        if days.is_empty() {
            return fail(
                "there is no record of a published day",
                format!("{} upload DIR, then {0} run --from DATE, make the tables", global.program()),
            );
        }
        let progress = Progress::new();
        let (mut partitions, mut rows) = (0, 0);
        for range in years(&days)? {
            let name = workflow::new_name(&format!("{}_{}", range.from(), range.to()))?;
            progress.line(&format!("athena_update {name}"));
            let arn = workflow::start(lake, Workflow::AthenaUpdate, &name, &serde_json::json!(range)).await?;
            let ending = watch(lake, &arn, &progress).await?;
            let output = workflow::succeeded(Workflow::AthenaUpdate, &name, ending)?;
            let updated = Updated::deserialize(output).context("athena_update gave an output of another form")?;
            partitions += updated.partitions;
            rows += updated.rows;
        }
        writeln!(
            io::stdout().lock(),
            "the catalog has {} of {} with {}",
            format::counted(partitions, "partition"),
            format::counted(days.len() as u64, "day"),
            format::counted(rows, "row")
        )?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Splits days into one range per year.
fn years(days: &[NaiveDate]) -> anyhow::Result<Vec<DateRange>> {
    let of_year = days.chunk_by(|one, other| one.year() == other.year());
    let ranges = of_year.filter_map(|days| Some((*days.first()?, *days.last()?)));
    Ok(ranges.map(|(first, last)| DateRange::new(first, last)).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_of_one_year() {
        let days = ["2019-12-30", "2020-01-02", "2020-12-30", "2022-06-01"].map(|day| day.parse().expect("a day"));
        let ranges: Vec<String> = years(&days).expect("ranges").iter().map(DateRange::to_string).collect();
        assert_eq!(ranges, ["2019-12-30", "2020-01-02 to 2020-12-30", "2022-06-01"]);
    }
}
