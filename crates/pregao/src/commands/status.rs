//! `pregao status`: prints one line per day: its raw files, what is published, and what to do next.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use chrono::{DateTime, NaiveDate, Utc};
use lake_client::days::{self, Day, Facts, Next, Snapshots, State};
use market::partition::{DateRange, InvalidDateRange};
use strum::VariantArray as _;

use crate::args::{Global, OutputFormat, StatusArgs};
use crate::color;
use crate::endpoint::{Use, with_lake};
use crate::error_report::Hint;
use crate::progress::Progress;
use crate::tabular::{self, Row};
use crate::{format, migrate, output};

/// Exit code of `--check` if a day needs attention. 1 is that of an error, 2 that of an invalid command line.
pub(crate) const ATTENTION: u8 = 3;

/// Prints the days of the lake.
pub(crate) fn status(global: &Global, args: &StatusArgs) -> anyhow::Result<ExitCode> {
    const HINT: &str = "pregao status --from FIRST --to LAST";
    with_lake(global, Use::Questions, async |lake| {
        let now = Utc::now();
        let asked = args.from.zip(args.to).map(|(from, to)| DateRange::new(from, to)).transpose().hint(HINT)?;
        migrate::ensure(lake).await?;
        let facts = Facts::read(lake, asked).await?;
        let shown = match asked {
            Some(range) => Some(range),
            None => span(&facts, args, now).hint(HINT)?,
        };
        let found = shown.map(|range| days::judge(&lake.config, range, &facts, now)).unwrap_or_default();
        let program = global.program();
        match args.format {
            OutputFormat::Json => {
                output::print(&found.iter().map(|day| output::Day::new(day, &program)).collect::<Vec<_>>())?;
            }
            OutputFormat::Table => print_text(&found, shown, &program)?,
        }
        if let (None, false, Some(range)) = (args.to, args.check, shown)
            && range.to() < yesterday(now)
        {
            let next = range.to().succ_opt().unwrap_or(range.to());
            Progress::new().line(&format!(
                "{} is the last day of which there is anything; the days behind it: {program} status --from {next} --to {}",
                range.to(),
                yesterday(now)
            ));
        }
        let attention = found.iter().any(|day| day.attention);
        Ok(if args.check && attention { ExitCode::from(ATTENTION) } else { ExitCode::SUCCESS })
    })
}

fn yesterday(now: DateTime<Utc>) -> NaiveDate {
    let today = days::today(now);
    today.pred_opt().unwrap_or(today)
}

/// Returns the range if not both ends are given: from the first to the last day with any data. A check extends to yesterday,
/// because a feed that has stopped leaves no data.
fn span(facts: &Facts, args: &StatusArgs, now: DateTime<Utc>) -> Result<Option<DateRange>, InvalidDateRange> {
    let known = facts.span();
    let last = known.map(DateRange::to);
    let last = if args.check { last.max(Some(yesterday(now))) } else { last };
    let first = args.from.or(known.map(DateRange::from)).or(args.to);
    let last = args.to.or(last).or(args.from);
    // A default end moves if the given end is beyond it.
    match (args.from, args.to, first, last) {
        (Some(from), None, _, Some(last)) => DateRange::new(from, last.max(from)).map(Some),
        (None, Some(to), Some(first), _) => DateRange::new(first.min(to), to).map(Some),
        (_, _, Some(first), Some(last)) => DateRange::new(first.min(last), last).map(Some),
        _ => Ok(None),
    }
}

fn print_text(found: &[Day], shown: Option<DateRange>, program: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if found.is_empty() {
        return match shown {
            None => writeln!(out, "there is nothing here yet: {program} upload DIR, then {program} run --from DATE"),
            Some(range) => writeln!(out, "there is nothing of {range}"),
        };
    }
    let columns = tabular::columns([
        ("day", "varchar"),
        ("quotes", "varchar"),
        ("options", "varchar"),
        ("state", "varchar"),
        ("rows", "bigint"),
        ("rejects", "bigint"),
        ("age", "varchar"),
        ("run", "varchar"),
        ("why", "varchar"),
    ]);
    let lines: Vec<Row> = found.iter().map(line).collect();
    let table = tabular::table(&columns, &lines, tabular::terminal_width());
    writeln!(out, "{}", tabular::coloured(&table, "state", color::for_status))?;
    writeln!(out, "\n{}", summary(found))?;
    for line in commands(found, program) {
        writeln!(out, "next: {line}")?;
    }
    Ok(())
}

fn line(day: &Day) -> Row {
    let raw = |of: &Snapshots| {
        let extra = of.files.saturating_sub(of.present);
        let extra = if extra > 0 { format!("+{extra}") } else { String::new() };
        format!("{}{extra}/{}", of.present, of.expected)
    };
    let published = day.published.as_ref();
    let count = |rows: Option<u64>| rows.map(format::count).unwrap_or_default();
    let rows = published.map(|published| published.quotes.unwrap_or_default() + published.options.unwrap_or_default());
    [
        day.day.to_string(),
        raw(&day.quotes),
        raw(&day.options),
        day.state.as_str().to_owned(),
        count(rows),
        count(published.and_then(|published| published.rejects)),
        published.map(|published| age(published.age)).unwrap_or_default(),
        published.map(|published| published.run.to_string()).unwrap_or_default(),
        why(day),
    ]
    .map(Some)
    .to_vec()
}

/// Formats an age: `5m`, `7h`, `12d`.
fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{}s", seconds.max(0)),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Returns details of a day other than its state.
fn why(day: &Day) -> String {
    let mut parts = Vec::new();
    if let Some(stale) = &day.stale {
        parts.push(stale.to_string());
    }
    if let Some(held) = &day.held {
        parts.push(format!("held by {} since {}", held.by, held.at.format("%Y-%m-%d")));
    }
    if let Some(failed) = &day.failed {
        let again = if failed.again { ", other raw files since" } else { "" };
        let first = failed.failures.first().map(|first| format!(": {first}")).unwrap_or_default();
        parts.push(format!("run {} failed{again}{first}", failed.run));
    }
    if let Some(accepted) = &day.accepted {
        parts.push(format!("missing files accepted by {}", accepted.by));
    }
    if day.landing > 0 {
        parts.push(format!("{} not taken in", format::counted(day.landing as u64, "file")));
    }
    if day.quarantined > 0 {
        parts.push(format!("{} in quarantine", format::counted(day.quarantined as u64, "file")));
    }
    parts.join("; ")
}

/// Returns the summary `250 days: 2 stale, 1 missing, 247 published`.
fn summary(found: &[Day]) -> String {
    let counted = State::VARIANTS.iter().filter_map(|state| {
        let count = found.iter().filter(|day| day.state == *state).count() as u64;
        (count > 0).then(|| format!("{} {}", format::count(count), state.as_str()))
    });
    format!("{}: {}", format::counted(found.len() as u64, "day"), counted.collect::<Vec<_>>().join(", "))
}

/// Returns the commands to run next, each once with its number of days.
fn commands(found: &[Day], program: &str) -> Vec<String> {
    let mut days: BTreeMap<(u8, String), Vec<&Day>> = BTreeMap::new();
    for day in found {
        let (order, command) = match &day.next {
            None => continue,
            Some(Next::Run { .. }) => (0, "run --stale".to_owned()),
            Some(next @ Next::Inspect { .. }) => (1, next.arguments()),
            Some(next @ Next::Upload) => (2, next.arguments()),
            // The command that releases the hold.
            Some(Next::Release { .. }) => continue,
        };
        days.entry((order, command)).or_default().push(day);
    }
    let mut lines = Vec::new();
    for ((_, command), days) in &days {
        let named: Vec<String> = days.iter().take(3).map(|day| day.day.to_string()).collect();
        let more = if days.len() > named.len() { ", ..." } else { "" };
        lines.push(format!("{program} {command}    # {}{more}", named.join(", ")));
    }
    let missing = found.iter().find(|day| matches!(day.state, State::Missing | State::Incomplete) && day.attention);
    lines.extend(
        missing.map(|day| format!("{program} run --accept-missing {}    # when there is nothing to upload", day.day)),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    fn args(from: Option<&str>, to: Option<&str>, check: bool) -> StatusArgs {
        StatusArgs { from: from.map(day), to: to.map(day), check, format: OutputFormat::Table }
    }

    #[test]
    fn the_whole_lake_is_shown_unless_days_are_named() {
        let now = "2020-07-10T12:00:00Z".parse().expect("a time");
        let mut facts = Facts::default();
        let told = |facts: &Facts, from, to, check| {
            span(facts, &args(from, to, check), now).map(|range| range.map(|range| range.to_string()))
        };
        assert_eq!(told(&facts, None, None, false), Ok(None));
        assert_eq!(told(&facts, Some("2020-04-01"), None, false), Ok(Some("2020-04-01".to_owned())));
        assert_eq!(told(&facts, None, None, true), Ok(None));
        facts.files = ["2020-01-15", "2020-06-30"].map(|date| (day(date), Vec::new())).into();
        for (from, to, check, expected) in [
            (None, None, false, "2020-01-15 to 2020-06-30"),
            // A feed that has stopped leaves no data.
            (None, None, true, "2020-01-15 to 2020-07-09"),
            (None, Some("2020-03-10"), true, "2020-01-15 to 2020-03-10"),
            (None, Some("2019-03-10"), false, "2019-03-10"),
            (Some("2020-02-01"), None, false, "2020-02-01 to 2020-06-30"),
            (Some("2020-07-02"), None, false, "2020-07-02"),
            (Some("2020-07-02"), None, true, "2020-07-02 to 2020-07-09"),
        ] {
            assert_eq!(told(&facts, from, to, check), Ok(Some(expected.to_owned())), "{from:?} {to:?} {check}");
        }
    }

    #[test]
    fn an_age_is_shown_in_its_largest_unit() {
        for (seconds, text) in [(-3, "0s"), (59, "59s"), (60, "1m"), (7_199, "1h"), (172_799, "47h"), (172_800, "2d")] {
            assert_eq!(age(seconds), text);
        }
    }
}
