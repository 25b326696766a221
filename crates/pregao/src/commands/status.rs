//! `pregao status`: one line a day, of its raw files and of what is published of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::process::ExitCode;

use chrono::{Datelike, Months, NaiveDate};
use futures::future::try_join_all;
use futures::try_join;
use lake::raw::{self, RawFile};
use lake::{Error, Lake, athena, keys, objects, partitions};
use market::partition::{DateRange, Partition};
use market::session::{Session, is_business_day};
use market::snapshot::{Feed, SnapshotTime};
use market::table::TableName;

use crate::args::{Global, OutputFormat, StatusArgs};
use crate::color;
use crate::endpoint::{Use, with_lake};
use crate::hint::Hint;
use crate::output::{self, Day, DayState, Days, PublishedDay, RawFiles, Status};
use crate::progress::Progress;
use crate::rows::{self, Row};

/// How many months are shown when no days are given.
const MONTHS: u32 = 3;

/// Tells the days of the lake.
pub fn status(global: &Global, args: &StatusArgs) -> anyhow::Result<ExitCode> {
    with_lake(global, Use::Questions, async |lake| {
        let known = Known::of(lake).await?;
        let status = match known.range(args.from, args.to).hint("pregao status --from FIRST --to LAST")? {
            Some(range) => of_days(lake, &known, range).await?,
            None => Status { days: None, status: Vec::new() },
        };
        if args.format == OutputFormat::Json {
            output::print(&status)?;
            return Ok(ExitCode::SUCCESS);
        }
        tell(&status)?;
        if let (None, Some(first), Some(days)) = (args.from, known.days().next(), &status.days)
            && first.to_string() < days.from
        {
            Progress::new().line(&format!("earlier days: {} status --from {first}", global.program()));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The days of which there is anything.
struct Known {
    /// Those with raw files.
    raw: BTreeSet<NaiveDate>,
    /// Those with a partition, by table.
    published: BTreeMap<TableName, BTreeSet<NaiveDate>>,
}

impl Known {
    /// Asks S3 and Athena, without a look at any file.
    async fn of(lake: &Lake) -> Result<Known, Error> {
        let folders =
            Feed::ALL.map(async |feed| objects::folders(lake, &lake.config.buckets.raw, &keys::raw_feed(feed)).await);
        let tables = TableName::ALL.map(async |table| Ok((table, published(lake, table).await?)));
        let (folders, tables) = try_join!(try_join_all(folders), try_join_all(tables))?;
        let raw = folders.into_iter().flatten().filter_map(|folder| folder.parse().ok()).collect();
        Ok(Known { raw, published: tables.into_iter().collect() })
    }

    fn days(&self) -> impl Iterator<Item = NaiveDate> {
        let all: BTreeSet<NaiveDate> = self.raw.iter().chain(self.published.values().flatten()).copied().collect();
        all.into_iter()
    }

    /// The days to tell: those that are asked for, else the last months of which there is anything.
    fn range(
        &self,
        from: Option<NaiveDate>,
        to: Option<NaiveDate>,
    ) -> Result<Option<DateRange>, market::partition::InvalidDateRange> {
        let Some((first, last)) = self.days().next().zip(self.days().last()) else {
            return from.zip(to).map(|(from, to)| DateRange::new(from, to)).transpose();
        };
        let to = to.unwrap_or_else(|| from.map_or(last, |from| from.max(last)));
        let months = to.with_day(1).and_then(|month| month.checked_sub_months(Months::new(MONTHS - 1)));
        let from = from.unwrap_or_else(|| months.unwrap_or(to).max(first.min(to)));
        DateRange::new(from, to).map(Some)
    }
}

/// The days of which a table has a partition; none where there is no table yet.
async fn published(lake: &Lake, table: TableName) -> Result<BTreeSet<NaiveDate>, Error> {
    match partitions::list(lake, lake.config.athena.database.as_str(), table.as_str()).await {
        Ok(partitions) => Ok(partitions.into_iter().map(Partition::date).collect()),
        Err(error) if error.is_missing_table() => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// The runs that the partitions of some days point to. The catalog does not tell a partition's place by any statement for
/// many days at once, but every row knows the file that it is in; no column is read for it.
async fn runs(
    lake: &Lake,
    table: TableName,
    days: impl Iterator<Item = NaiveDate>,
) -> Result<BTreeMap<NaiveDate, String>, Error> {
    let days: Vec<NaiveDate> = days.collect();
    if days.is_empty() {
        return Ok(BTreeMap::new());
    }
    let statement = format!(
        "SELECT year, month, day, min(\"$path\") AS path FROM {table} WHERE {} GROUP BY year, month, day",
        partitions::condition(days)
    );
    let answer = athena::run(lake, &statement).await?;
    Ok(answer.rows.into_iter().filter_map(run_of_row).collect())
}

/// The day and the run of a row of year, month, day and path.
fn run_of_row(row: Vec<Option<String>>) -> Option<(NaiveDate, String)> {
    let [year, month, day, path] = <[Option<String>; 4]>::try_from(row).ok()?;
    let date = NaiveDate::from_ymd_opt(year?.parse().ok()?, month?.parse().ok()?, day?.parse().ok()?)?;
    let run = path?.split('/').find_map(|part| part.strip_prefix("run=").map(str::to_owned))?;
    Some((date, run))
}

async fn of_days(lake: &Lake, known: &Known, range: DateRange) -> Result<Status, Error> {
    let files = async { raw::look(lake, range).await?.present() };
    let runs = try_join_all(TableName::ALL.map(async |table| {
        let days = known.published.get(&table).into_iter().flatten().copied();
        Ok::<_, Error>((table, runs(lake, table, days.filter(|date| range.contains(*date))).await?))
    }));
    let (files, runs) = try_join!(files, runs)?;
    let runs: BTreeMap<TableName, BTreeMap<NaiveDate, String>> = runs.into_iter().collect();
    let mut times: BTreeMap<(NaiveDate, Feed), Vec<SnapshotTime>> = BTreeMap::new();
    for RawFile { name, .. } in &files {
        times.entry((name.time.date(), name.feed)).or_default().push(name.time);
    }
    let day = |date: NaiveDate| {
        let raw = |feed| raw_files(&lake.config.session, date, times.get(&(date, feed)).map_or(&[][..], Vec::as_slice));
        let tables = TableName::ALL.into_iter().filter(|table| known.published[table].contains(&date));
        let tables: Vec<TableName> = tables.collect();
        let (quotes, options) = (raw(Feed::Quotes), raw(Feed::Options));
        let feeds: Vec<Feed> = [(Feed::Quotes, &quotes), (Feed::Options, &options)]
            .into_iter()
            .filter_map(|(feed, raw)| (raw.files > 0).then_some(feed))
            .collect();
        let business_day = is_business_day(date);
        let state = state(&feeds, &tables, business_day)?;
        let published =
            tables.iter().map(|table| PublishedDay { table: table.to_string(), run: runs[table].get(&date).cloned() });
        Some(Day { date: date.to_string(), business_day, quotes, options, published: published.collect(), state })
    };
    Ok(Status { days: Some(Days::of(range)), status: range.days().filter_map(day).collect() })
}

fn raw_files(session: &Session, date: NaiveDate, times: &[SnapshotTime]) -> RawFiles {
    let expected = session.expected(date).len();
    RawFiles { files: times.len(), snapshots: expected - session.missing(date, times).len(), expected }
}

/// What a day is that has raw files of these feeds and these tables published; none for a day of which nothing is to be
/// told.
fn state(feeds: &[Feed], published: &[TableName], business_day: bool) -> Option<DayState> {
    match (feeds, published) {
        ([], []) => business_day.then_some(DayState::Missing),
        ([], _) => Some(DayState::WithoutRawFiles),
        (_, []) => Some(DayState::RawOnly),
        _ => {
            // A run writes a partition for the table of each feed that has files, and for rejects.
            let mut wanted = feeds.iter().map(|feed| TableName::from(*feed)).chain([TableName::Rejects]);
            let all = wanted.all(|table| published.contains(&table));
            Some(if all { DayState::Published } else { DayState::PartlyPublished })
        }
    }
}

fn tell(status: &Status) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if status.status.is_empty() {
        return match &status.days {
            None => writeln!(out, "there is nothing here yet: pregao upload DIR, then pregao run --from DATE"),
            Some(days) => writeln!(out, "there is nothing of {} to {}", days.from, days.to),
        };
    }
    let columns = rows::columns([
        ("date", "varchar"),
        ("quotes", "bigint"),
        ("options", "bigint"),
        ("state", "varchar"),
        ("published", "varchar"),
        ("run", "varchar"),
    ]);
    let lines: Vec<Row> = status.status.iter().map(line).collect();
    let table = rows::table(&columns, &lines, rows::terminal_width());
    writeln!(out, "{}", rows::coloured(&table, "state", color::of_status))
}

fn line(day: &Day) -> Row {
    let raw = |raw: &RawFiles| {
        let extra = raw.files - raw.snapshots;
        let extra = if extra > 0 { format!("+{extra}") } else { String::new() };
        format!("{}{extra}/{}", raw.snapshots, raw.expected)
    };
    let tables: Vec<&str> = day.published.iter().map(|published| published.table.as_str()).collect();
    let named = day.published.iter().filter_map(|published| Some((&published.table, published.run.as_ref()?)));
    let named: Vec<(&String, &String)> = named.collect();
    let mut runs: Vec<&str> = named.iter().map(|(_, run)| run.as_str()).collect();
    runs.dedup();
    let runs = match runs[..] {
        [] => String::new(),
        [run] => run.to_owned(),
        // Somebody published one table by hand.
        _ => named.iter().map(|(table, run)| format!("{table}: {run}")).collect::<Vec<_>>().join("\n"),
    };
    let cells =
        [day.date.clone(), raw(&day.quotes), raw(&day.options), day.state.as_str().to_owned(), tables.join(" "), runs];
    cells.map(Some).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn a_state_says_what_raw_files_and_tables_mean_together() {
        use TableName::{Options, Quotes, Rejects};
        const BOTH: &[Feed] = &[Feed::Quotes, Feed::Options];
        for (feeds, tables, business_day, expected) in [
            (BOTH, &[Quotes, Options, Rejects][..], true, Some(DayState::Published)),
            (BOTH, &[Quotes, Rejects], true, Some(DayState::PartlyPublished)),
            (BOTH, &[], true, Some(DayState::RawOnly)),
            // A feed without files has no table.
            (&[Feed::Quotes], &[Quotes, Rejects], true, Some(DayState::Published)),
            (&[Feed::Quotes], &[Quotes], true, Some(DayState::PartlyPublished)),
            (&[Feed::Quotes], &[], false, Some(DayState::RawOnly)),
            (&[], &[Quotes, Options, Rejects], true, Some(DayState::WithoutRawFiles)),
            (&[], &[], true, Some(DayState::Missing)),
            (&[], &[], false, None),
        ] {
            assert_eq!(state(feeds, tables, business_day), expected, "{feeds:?} {tables:?}");
        }
    }

    #[test]
    fn the_last_months_are_told_unless_days_are_named() {
        let raw = ["2020-01-15", "2020-06-30"].map(day).into();
        let known = Known { raw, published: BTreeMap::new() };
        let told = |from: Option<&str>, to: Option<&str>| {
            known.range(from.map(day), to.map(day)).map(|range| range.expect("days").to_string())
        };
        assert_eq!(told(None, None).as_deref(), Ok("2020-04-01 to 2020-06-30"));
        assert_eq!(told(None, Some("2020-03-10")).as_deref(), Ok("2020-01-15 to 2020-03-10"));
        assert_eq!(told(Some("2020-02-01"), None).as_deref(), Ok("2020-02-01 to 2020-06-30"));
        assert_eq!(told(Some("2020-07-02"), None).as_deref(), Ok("2020-07-02"));
        assert!(told(Some("2020-05-02"), Some("2020-05-01")).is_err());
        let nothing = Known { raw: BTreeSet::new(), published: BTreeMap::new() };
        assert_eq!(nothing.range(None, None), Ok(None));
    }

    #[test]
    fn the_run_is_in_the_path_of_a_file() {
        let row = |path: &str| vec![Some("2020".into()), Some("4".into()), Some("1".into()), Some(path.to_owned())];
        for path in [
            "s3://lake/runs/run=2020-04-01_x-1/quotes/year=2020/month=4/day=1/part-0.parquet",
            "s3://lake/quotes/year=2020/month=4/day=1/run=2020-04-01_x-1/part-0.parquet",
        ] {
            assert_eq!(run_of_row(row(path)), Some((day("2020-04-01"), "2020-04-01_x-1".to_owned())));
        }
        assert_eq!(run_of_row(row("s3://lake/quotes/part-0.parquet")), None);
    }
}
