//! `pregao query`: runs a statement on Athena.

use std::io::{self, BufWriter};
use std::process::ExitCode;

use anyhow::Context;
use lake::athena::Query;
use lake::{Error, Lake};

use crate::args::{Format, Global, QueryArgs};
use crate::commands::as_of;
use crate::endpoint::{Use, with_lake};
use crate::error_report::{fail, hinted};
use crate::format;
use crate::interrupt::{Interrupted, Listener};
use crate::progress::Progress;
use crate::tabular::{self, Writer};

/// Runs the statement, and writes its result.
pub(crate) fn query(global: &Global, args: &QueryArgs) -> anyhow::Result<ExitCode> {
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

/// Returns the statement; for `-`, reads it from stdin.
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

/// Runs a statement, and writes its rows to stdout and their number to stderr.
pub(crate) async fn answer(lake: &Lake, sql: &str, database: &str, format: Format) -> anyhow::Result<ExitCode> {
    answer_if(lake, sql, database, format, async || Ok(())).await
}

/// [`answer`], which writes nothing if `confirm` fails after the execution of the statement.
pub(crate) async fn answer_if(
    lake: &Lake,
    sql: &str,
    database: &str,
    format: Format,
    confirm: impl AsyncFnOnce() -> Result<(), Error>,
) -> anyhow::Result<ExitCode> {
    let query = Query::start(lake, sql, database).await.map_err(in_athenas_words)?;
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
    let mut writer = Writer::new(out, format, page.columns, tabular::terminal_width())?;
    loop {
        writer.page(&page.rows)?;
        // Part of the result has been written, so the command must not be repeated: the error hides `Error::Unavailable`.
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
        format::counted(rows, "row"),
        format::duration(finished.took),
        format::bytes(finished.scanned_bytes)
    ));
    Ok(ExitCode::SUCCESS)
}

/// Reduces an error of a statement to Athena's message: the operation is of no use to its author.
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

/// Athena's messages for a database that does not exist. The first run creates it.
const NO_DATABASE: [&str; 2] = ["SCHEMA_NOT_FOUND", "Database does not exist"];
