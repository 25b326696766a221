//! `pregao run --accept-missing`: records an operator's decision that a day has no more raw files.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::bail;
use chrono::{NaiveDate, Utc};
use lake::Lake;
use lake::record::{self, Cause, Decision, Record, Swap};
use lake_client::days::{self, Facts};
use market::partition::DateRange;
use market::session::is_business_day;

use crate::args::{Global, OutputFormat};
use crate::endpoint::{Use, with_lake};
use crate::error_report::{Hint, fail};
use crate::{migrate, operator, output};

/// Maximum number of attempts of the compare-and-swap.
const TRIES: usize = 10;

/// Writes a record that accepts the missing raw files of `day`. The published data does not change.
pub(crate) fn accept(
    global: &Global,
    day: NaiveDate,
    by: Option<&str>,
    format: OutputFormat,
) -> anyhow::Result<ExitCode> {
    if !is_business_day(day) {
        return fail(
            format!("{day} is no business day: the exchange is closed, and nothing is missing"),
            "name a business day",
        );
    }
    if day > days::today(Utc::now()) {
        return fail(format!("{day} has not begun"), "accept what is missing when the day is over");
    }
    let by = by.map_or_else(operator::name, str::to_owned);
    with_lake(global, Use::Questions, async |lake| {
        migrate::ensure(lake).await?;
        refuse_whole(lake, day).await?;
        let (record, decision, is_new) = write(lake, day, &by).await?;
        if format == OutputFormat::Json {
            output::print(&output::Accepted::new(&record, &decision))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut out = io::stdout().lock();
        if is_new {
            writeln!(out, "the missing raw files of {day} are accepted by {}", decision.by)?;
        } else {
            let at = decision.at.format("%Y-%m-%d %H:%M UTC");
            writeln!(out, "the missing raw files of {day} were accepted by {} at {at}", decision.by)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Refuses a day without missing raw files: an acceptance would silence the alarm if files were lost later.
async fn refuse_whole(lake: &Lake, day: NaiveDate) -> anyhow::Result<()> {
    let range = DateRange::day(day)?;
    let facts = Facts::read(lake, Some(range)).await?;
    let least = lake.config.least_snapshots(day).max(1);
    let is_whole = |day: &days::Day| day.quotes.files >= least && day.options.files >= least;
    match days::judge(&lake.config, range, &facts, Utc::now()).iter().find(|day| is_whole(day)) {
        None => Ok(()),
        Some(found) => Err(anyhow::anyhow!(
            "nothing is missing of {day}: it has {} and {} raw files of the feeds, and {least} of each are enough",
            found.quotes.files,
            found.options.files
        ))
        .hint(format!("pregao status --from {day} --to {day} shows what it is")),
    }
}

/// Writes the record, unless the day is accepted already. Returns the current record, the decision, and whether it is new.
async fn write(lake: &Lake, day: NaiveDate, by: &str) -> anyhow::Result<(Record, Decision, bool)> {
    for _ in 0..TRIES {
        let before = record::read(lake, day).await?;
        let current = before.as_ref().map(|stored| &stored.record);
        if let Some((record, decision)) = current.and_then(|record| Some((record, record.missing_accepted.as_ref()?))) {
            return Ok((record.clone(), decision.clone(), false));
        }
        let mut next = Record::following(current, day, Cause::MissingAccepted, &format!("accept-missing by {by}"));
        let decision = Decision { at: next.written_at, by: by.to_owned() };
        next.missing_accepted = Some(decision.clone());
        if let Swap::Written(stored) = record::compare_and_swap(lake, before.as_ref(), &next).await? {
            return Ok((stored.record, decision, true));
        }
    }
    bail!("the record of {day} was changed by others each of {TRIES} times that it was to be written; try again")
}
