//! `pregao query --as-of`: runs a statement on the tables as they were published at a time.

use std::io::{self, Write};
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use lake::Lake;
use lake::scratch;
use lake_client::as_of::{self, AsOf};

use crate::args::Format;
use crate::commands::query;
use crate::error_report::{Hint, fail};
use crate::migrate;

/// First words of read-only statements.
const READING: [&str; 8] = ["SELECT", "WITH", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN"];

/// Runs a statement on the tables of a time.
pub(crate) async fn answer(lake: &Lake, sql: &str, moment: DateTime<Utc>, format: Format) -> anyhow::Result<ExitCode> {
    if !reads(sql) {
        return fail("--as-of is for statements that read", "SELECT, WITH, VALUES, SHOW, DESCRIBE or EXPLAIN");
    }
    if as_of::names_published_tables(lake, sql) {
        return fail(
            format!("the statement names the database {}, whose tables are those of now", lake.config.athena.database),
            "write the names of tables without a database: they are then those of the moment",
        );
    }
    let tables = prepare(lake, moment).await?;
    let answered = query::answer_if(lake, sql, &tables.database, format, async || tables.confirm(lake).await).await;
    let ended = tables.end(lake).await;
    let code = answered?;
    ended?;
    Ok(code)
}

/// Creates the tables of a time, and prints the name of their database.
pub(crate) async fn print_database(lake: &Lake, moment: DateTime<Utc>) -> anyhow::Result<ExitCode> {
    if !as_of::is_settled(moment) && moment <= Utc::now() {
        return fail(
            format!("{moment} has only just passed: a record of it may still be written"),
            "name a moment that is 15 minutes ago, or ask with pregao query --as-of TIME SQL",
        );
    }
    let tables = prepare(lake, moment).await?;
    // From now on a vacuum sees the database in the catalog and keeps its files. A vacuum that listed the catalog before has
    // already marked what it removes, which `confirm` detects.
    tables.confirm(lake).await?;
    writeln!(io::stdout().lock(), "{}", tables.database)?;
    Ok(ExitCode::SUCCESS)
}

async fn prepare(lake: &Lake, moment: DateTime<Utc>) -> anyhow::Result<AsOf> {
    migrate::ensure(lake).await?;
    scratch::drop_old(lake, Utc::now(), false).await?;
    AsOf::prepare(lake, moment).await.hint("pregao history DAY shows what was published of a day, and when")
}

/// Whether a statement is read-only, by its first word. Comments and parentheses may precede it.
fn reads(sql: &str) -> bool {
    let mut rest = sql.trim_start_matches(|character: char| character.is_whitespace() || character == '(');
    loop {
        let behind = match rest {
            _ if rest.starts_with("--") => rest.split_once('\n').map(|(_, behind)| behind),
            _ if rest.starts_with("/*") => rest.split_once("*/").map(|(_, behind)| behind),
            _ => break,
        };
        rest = behind.unwrap_or_default();
        rest = rest.trim_start_matches(|character: char| character.is_whitespace() || character == '(');
    }
    let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
    READING.iter().any(|reading| word.eq_ignore_ascii_case(reading))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_something_is_no_question() {
        for sql in ["SELECT 1", " ( select 1)", "-- x\n/* y */ WITH a AS (SELECT 1) SELECT * FROM a", "show tables"] {
            assert!(reads(sql), "{sql}");
        }
        for sql in ["DROP TABLE quotes", "ALTER TABLE x", "", "-- SELECT", "/* SELECT", "CREATE VIEW v AS SELECT 1"] {
            assert!(!reads(sql), "{sql}");
        }
    }
}
