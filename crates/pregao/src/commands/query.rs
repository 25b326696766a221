//! `pregao query`: a statement on Athena.

use std::io::{self, BufWriter};
use std::process::ExitCode;

use anyhow::Context;
use lake::athena::Query;
use lake::{Error, Lake};

use crate::args::{Format, Global, QueryArgs};
use crate::commands::as_of;
use crate::endpoint::{Use, with_lake};
use crate::hint::{fail, hinted};
use crate::human;
use crate::interrupt::{Interrupted, Listener};
use crate::progress::Progress;
use crate::rows::{self, Writer};

/// Asks, and writes the answer.
pub fn query(global: &Global, args: &QueryArgs) -> anyhow::Result<ExitCode> {
    let sql = args.sql.as_deref().map(statement).transpose()?.unwrap_or_default();
    with_lake(global, Use::Questions, async |lake| {
        if let Some(moment) = args.as_of {
            return match args.print_database {
                true => as_of::print_database(lake, moment).await,
                false => as_of::answer(lake, &sql, moment, args.format).await,
            };
        }
        let database = args.database.as_deref().unwrap_or(lake.config.athena.database.as_str());
        answer(lake, &sql, database, args.format).await
    })
}

/// The statement itself, or what comes in for `-`.
fn statement(sql: &str) -> anyhow::Result<String> {
    let sql = match sql {
        "-" => io::read_to_string(io::stdin().lock()).context("cannot read the statement from the standard input")?,
        sql => sql.to_owned(),
    };
    if sql.trim().is_empty() {
        return fail("there is no statement", "pregao query 'SELECT count(*) FROM quotes'");
    }
    Ok(sql)
}

/// Runs a statement and writes its rows to the standard output, how many they were to the standard error.
pub async fn answer(lake: &Lake, sql: &str, database: &str, format: Format) -> anyhow::Result<ExitCode> {
    answer_if(lake, sql, database, format, async || Ok(())).await
}

/// [`answer`], of which nothing is written where `confirm` fails when the statement has been executed.
pub async fn answer_if(
    lake: &Lake,
    sql: &str,
    database: &str,
    format: Format,
    confirm: impl AsyncFnOnce() -> Result<(), Error>,
) -> anyhow::Result<ExitCode> {
    let query = Query::start(lake, sql, database).await.map_err(in_athenas_words)?;
    tracing::debug!(id = query.id(), database, "the query is started");
    let listener = Listener::new();
    let finished = tokio::select! {
        finished = query.finished() => finished.map_err(in_athenas_words)?,
        signal = listener.signal() => {
            query.cancel().await?;
            return Err(Interrupted(signal).into());
        }
    };
    drop(listener);
    confirm().await?;
    let mut pages = query.pages(&finished);
    let mut page = pages.next().await?.context("Athena gave no page of rows")?;
    let out = BufWriter::new(io::stdout().lock());
    let mut writer = Writer::new(out, format, page.columns, rows::terminal_width())?;
    loop {
        writer.page(&page.rows)?;
        // Part of the answer has been written: nobody may take this for a question that can be asked again.
        match pages
            .next()
            .await
            .map_err(|error| anyhow::anyhow!("{error}; what was written is not the whole answer"))?
        {
            Some(next) => page = next,
            None => break,
        }
    }
    let rows = writer.end()?;
    Progress::new().line(&format!(
        "{} in {}, {} scanned",
        human::counted(rows, "row"),
        human::duration(finished.took),
        human::bytes(finished.scanned_bytes)
    ));
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with a statement is between its author and Athena: how it was asked is of no use to them.
fn in_athenas_words(error: Error) -> anyhow::Error {
    let no_table = error.is_missing_table();
    let is_empty =
        matches!(&error, Error::Athena { reason, .. } if NO_DATABASE.iter().any(|words| reason.contains(words)));
    let message = match error {
        Error::Refused { message, .. } => message,
        Error::Athena { reason, .. } => reason,
        error => return error.into(),
    };
    let error = anyhow::anyhow!(message);
    if is_empty {
        hinted(error, "nothing is published here yet: pregao upload DIR, then pregao run --from DATE, make the tables")
    } else if no_table {
        hinted(error, "pregao query 'SHOW TABLES' lists the tables; pregao run makes them")
    } else {
        error
    }
}

/// The words of Athena for a database that is not there, which the first run creates.
const NO_DATABASE: [&str; 2] = ["SCHEMA_NOT_FOUND", "Database does not exist"];
