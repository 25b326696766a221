//! The option chain of an underlying at a snapshot, with market prices and Black-Scholes prices.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use chrono::NaiveDate;
use lake::athena::QueryResult;
use market::snapshot::SnapshotTime;
use market::table::TableName::Options;
use serde::Serialize;
use serde_json::Value;

use super::ApiResult;
use crate::app::App;
use crate::error::ApiError;
use crate::name_lists::NameKind;
use crate::params::Params;
use crate::statement::{Statement, literal};
use crate::suggestions::{self, Suggestions};

/// The columns of a response. `intdate` and the underlying are first.
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

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/options", get(option_chain))
}

#[derive(Serialize, Default)]
struct ChainResponse {
    /// All published days.
    published: Vec<NaiveDate>,
    day: Option<NaiveDate>,
    underlying: Option<String>,
    /// The `intdate`s of the snapshots of `day` in which the underlying has options, ascending.
    snapshots: Vec<i64>,
    /// The `intdate` of the snapshot in `rows`.
    at: Option<i64>,
    columns: Vec<&'static str>,
    /// Distinct options, ordered by expiry, strike and ticker.
    rows: Vec<Vec<Value>>,
    absent: Option<Suggestions>,
    /// The statements that were run on Athena, and the bytes that they scanned.
    statements: Vec<String>,
    scanned_bytes: u64,
}

/// The requested chain. The default underlying is the one with the most options, and the default snapshot the last one of
/// the day.
struct ChainQuery {
    day: NaiveDate,
    underlying: Option<String>,
    at: Option<SnapshotTime>,
}

impl ChainQuery {
    /// The condition on the underlying.
    fn underlying_condition(&self) -> String {
        let column = NameKind::Underlyings.column();
        match &self.underlying {
            Some(underlying) => format!("{column} = {}", literal(underlying)),
            None => format!("{column} IN {}", NameKind::Underlyings.top(self.day, 1)),
        }
    }

    /// Selects the snapshots of the day.
    fn snapshots(&self) -> Statement {
        Statement::select("DISTINCT intdate", Options, &[self.day])
            .and(&self.underlying_condition())
            .then("ORDER BY intdate")
    }

    /// Selects the chain.
    fn chain(&self) -> Statement {
        let when = match self.at {
            Some(at) => at.intdate().to_string(),
            None => format!(
                "({})",
                Statement::select("max(intdate)", Options, &[self.day]).and(&self.underlying_condition()).sql()
            ),
        };
        Statement::select(&format!("DISTINCT {}", COLUMNS.join(", ")), Options, &[self.day])
            .and(&self.underlying_condition())
            .and(&format!("intdate = {when}"))
            .then("ORDER BY optn_expn_date, optn_strike, optn_tp, ticker")
    }
}

async fn option_chain(State(app): State<Arc<App>>, Query(params): Query<Params>) -> ApiResult<ChainResponse> {
    let published = app.published_days(Options).await?;
    let at = params.parse::<SnapshotTime>("at", "202004011320")?;
    let requested_day = params.parse::<NaiveDate>("day", "2020-04-01")?;
    if let (Some(at), Some(day)) = (at, requested_day)
        && at.date() != day
    {
        return Err(ApiError::invalid(format!("the snapshot {} is not of {day}", at.intdate()))
            .hint("Leave out either the day or the snapshot."));
    }
    let day = at.map(SnapshotTime::date).or(requested_day).or_else(|| published.last().copied());
    let mut response = ChainResponse {
        published: published.iter().copied().collect(),
        day,
        underlying: params.first("underlying").map(str::to_owned),
        at: at.map(SnapshotTime::intdate),
        columns: COLUMNS.to_vec(),
        ..ChainResponse::default()
    };
    let Some(day) = day.filter(|day| published.contains(day)) else { return Ok(Json(response)) };

    let query = ChainQuery { day, underlying: response.underlying.clone(), at };
    let (snapshots, chain) = (query.snapshots(), query.chain());
    let (times, rows) = futures::try_join!(snapshots.run(&app.lake), chain.run(&app.lake))?;
    response.note(&snapshots, &times);
    response.note(&chain, &rows);
    response.snapshots = times.rows.iter().filter_map(|row| row[0].as_ref()?.parse().ok()).collect();
    response.at = response.at.or(response.snapshots.last().copied());
    let json = |row: &Vec<Option<String>>| {
        rows.columns.iter().zip(row).map(|(column, cell)| column.page_json(cell.as_deref())).collect()
    };
    response.rows = rows.rows.iter().map(json).collect();
    response.underlying = response.underlying.or_else(|| rows.rows.first()?[1].clone());
    if let (Some(name), true) = (&query.underlying, response.snapshots.is_empty()) {
        let (statement, result, suggestions) =
            suggestions::search(&app, NameKind::Underlyings, &published, &[name]).await?;
        response.note(&statement, &result);
        response.absent = suggestions.into_iter().next();
    }
    Ok(Json(response))
}

impl ChainResponse {
    /// Records a statement and its scanned bytes.
    fn note(&mut self, statement: &Statement, result: &QueryResult) {
        self.statements.push(statement.sql().to_owned());
        self.scanned_bytes += result.scanned_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_question_reads_other_days() {
        let query = ChainQuery { day: "2020-04-08".parse().expect("a day"), underlying: None, at: None };
        for statement in [query.snapshots(), query.chain()] {
            let sql = statement.sql();
            let [from, kept] = ["FROM options", "day IN (8)"].map(|text| sql.matches(text).count());
            assert!(from > 1 && from == kept, "{sql}");
        }
    }

    #[test]
    fn names_are_texts() {
        let underlying = Some("X' OR 'a' = 'a".to_owned());
        let query = ChainQuery { day: "2020-04-08".parse().expect("a day"), underlying, at: None };
        assert!(query.snapshots().sql().contains("optn_ua = 'X'' OR ''a'' = ''a'"));
    }
}
