//! The chain of an underlying at a snapshot: all its options, with the market's prices and those of Black and Scholes.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use chrono::NaiveDate;
use market::snapshot::SnapshotTime;
use market::table::TableName::Options;
use serde::Serialize;
use serde_json::Value;

use super::Answer;
use crate::absent::{self, Absent};
use crate::app::App;
use crate::error::Failure;
use crate::listing::Subject;
use crate::params::Params;
use crate::statement::{Statement, literal};

/// What is shown of an option. `intdate` and the underlying come first.
const COLUMNS: [&str; 19] = [
    "intdate",
    "optn_ua",
    "ticker",
    "optn_tp",
    "optn_style",
    "optn_expn_date",
    "optn_expn_days",
    "optn_strike",
    "optn_mkt_bid",
    "optn_mkt_ask",
    "optn_bs_bid",
    "optn_bs_ask",
    "optn_bs_delta",
    "bid_volimp",
    "ask_volimp",
    "bid_volcone",
    "ask_volcone",
    "ua_mkt_bid",
    "ua_mkt_ask",
];

pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/options", get(options))
}

#[derive(Serialize, Default)]
struct Chain {
    /// All published days.
    published: Vec<NaiveDate>,
    day: Option<NaiveDate>,
    underlying: Option<String>,
    /// The snapshots of the day in which the underlying has options: `intdate`s, ascending.
    snapshots: Vec<i64>,
    /// The one that is shown.
    at: Option<i64>,
    columns: Vec<&'static str>,
    /// By expiry, strike and ticker. A record that was saved twice is one.
    rows: Vec<Vec<Value>>,
    absent: Option<Absent>,
    /// What Athena was asked, and what it read for it.
    statements: Vec<String>,
    scanned_bytes: u64,
}

/// Which options are asked for; without an underlying those of the one that has most of them, without a time the last
/// snapshot of the day.
struct Question {
    day: NaiveDate,
    underlying: Option<String>,
    at: Option<SnapshotTime>,
}

impl Question {
    fn whose(&self) -> String {
        let column = Subject::Underlyings.column();
        match &self.underlying {
            Some(underlying) => format!("{column} = {}", literal(underlying)),
            None => format!("{column} IN {}", Subject::Underlyings.first(self.day, 1)),
        }
    }

    fn snapshots(&self) -> Statement {
        Statement::of("DISTINCT intdate", Options, &[self.day]).and(&self.whose()).then("ORDER BY intdate")
    }

    fn chain(&self) -> Statement {
        let when = match self.at {
            Some(at) => at.intdate().to_string(),
            None => format!("({})", Statement::of("max(intdate)", Options, &[self.day]).and(&self.whose()).sql()),
        };
        Statement::of(&format!("DISTINCT {}", COLUMNS.join(", ")), Options, &[self.day])
            .and(&self.whose())
            .and(&format!("intdate = {when}"))
            .then("ORDER BY optn_expn_date, optn_strike, optn_tp, ticker")
    }
}

async fn options(State(app): State<Arc<App>>, Query(params): Query<Params>) -> Answer<Chain> {
    let published = app.days.of(&app.lake, Options).await?;
    let at = params.parsed::<SnapshotTime>("at", "202004011320")?;
    let asked = params.parsed::<NaiveDate>("day", "2020-04-01")?;
    if let (Some(at), Some(day)) = (at, asked)
        && at.date() != day
    {
        return Err(Failure::invalid(format!("the snapshot {} is not of {day}", at.intdate()))
            .hint("Leave out either the day or the snapshot."));
    }
    let day = at.map(SnapshotTime::date).or(asked).or_else(|| published.last().copied());
    let mut answer = Chain {
        published: published.iter().copied().collect(),
        day,
        underlying: params.text("underlying").map(str::to_owned),
        at: at.map(SnapshotTime::intdate),
        columns: COLUMNS.to_vec(),
        ..Chain::default()
    };
    let Some(day) = day.filter(|day| published.contains(day)) else { return Ok(Json(answer)) };

    let question = Question { day, underlying: answer.underlying.clone(), at };
    let (snapshots, chain) = (question.snapshots(), question.chain());
    let (times, rows) = futures::try_join!(app.ask(&snapshots), app.ask(&chain))?;
    answer.note(&snapshots, &times);
    answer.note(&chain, &rows);
    answer.snapshots = times.rows.iter().filter_map(|row| row[0].as_ref()?.parse().ok()).collect();
    answer.at = answer.at.or(answer.snapshots.last().copied());
    let json = |row: &Vec<Option<String>>| {
        rows.columns.iter().zip(row).map(|(column, cell)| column.page_json(cell.as_deref())).collect()
    };
    answer.rows = rows.rows.iter().map(json).collect();
    answer.underlying = answer.underlying.or_else(|| rows.rows.first()?[1].clone());
    if let (Some(name), true) = (&question.underlying, answer.snapshots.is_empty()) {
        let (statement, found, absent) = absent::search(&app, Subject::Underlyings, &published, &[name]).await?;
        answer.note(&statement, &found);
        answer.absent = absent.into_iter().next();
    }
    Ok(Json(answer))
}

impl Chain {
    fn note(&mut self, statement: &Statement, answer: &lake::athena::QueryResult) {
        self.statements.push(statement.sql().to_owned());
        self.scanned_bytes += answer.scanned_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_question_reads_other_days() {
        let question = Question { day: "2020-04-08".parse().expect("a day"), underlying: None, at: None };
        for statement in [question.snapshots(), question.chain()] {
            let sql = statement.sql();
            let [from, kept] = ["FROM options", "day IN (8)"].map(|text| sql.matches(text).count());
            assert!(from > 1 && from == kept, "{sql}");
        }
    }

    #[test]
    fn names_are_texts() {
        let underlying = Some("X' OR 'a' = 'a".to_owned());
        let question = Question { day: "2020-04-08".parse().expect("a day"), underlying, at: None };
        assert!(question.snapshots().sql().contains("optn_ua = 'X'' OR ''a'' = ''a'"));
    }
}
