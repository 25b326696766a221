//! Time series of instruments: micro-price, bid, ask, last price, and the quantity traded between snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use chrono::NaiveDate;
use lake::athena::QueryResult;
use market::table::TableName::Quotes;
use serde::Serialize;
use serde_json::Value;

use super::ApiResult;
use crate::app::App;
use crate::error::ApiError;
use crate::name_lists::NameKind;
use crate::params::Params;
use crate::published_days::DateRangeParams;
use crate::statement::{Statement, literal, literals};
use crate::suggestions::{self, Suggestions};
use crate::time_axis::TimeAxis;

/// The micro-price: bid and ask, each weighted by the quantity of the other side. It estimates the price of the next trade.
/// NULL when a price is missing or both quantities are zero.
const MICRO_PRICE: &str = "(qty_bid * ask + qty_ask * bid) / nullif(qty_bid + CAST(qty_ask AS double), 0)";

/// The quantity traded since the previous snapshot of the same day; for the first snapshot, since the beginning of the day.
const TRADED: &str = "qty_total - coalesce(lag(qty_total) IGNORE NULLS OVER (PARTITION BY ticker, year, month, day \
                      ORDER BY intdate), 0)";

/// The values of an instrument, with their SQL expressions. They follow `intdate` and `ticker` in the result.
const VALUES: [(&str, &str); 9] = [
    ("micro", MICRO_PRICE),
    ("bid", "bid"),
    ("ask", "ask"),
    ("last", "last"),
    ("qty_bid", "qty_bid"),
    ("qty_ask", "qty_ask"),
    ("trades", "num_trades"),
    ("total", "qty_total"),
    ("traded", TRADED),
];

/// The most instruments of one chart, so that their colours can be told apart.
const MAX_INSTRUMENTS: usize = 6;
/// The number of days in a response to a request without dates.
const DEFAULT_DAYS: usize = 5;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/series", get(series))
}

#[derive(Serialize)]
struct SeriesResponse {
    /// All published days.
    published: Vec<NaiveDate>,
    /// The slots of the requested days. Every list of values has one value for each slot.
    days: TimeAxis,
    instruments: Vec<Instrument>,
    absent: Vec<Suggestions>,
    spread: Option<Spread>,
    /// The statements that were run on Athena, and the bytes that they scanned.
    statements: Vec<String>,
    scanned_bytes: u64,
}

#[derive(Serialize, Default)]
struct Instrument {
    ticker: String,
    values: BTreeMap<&'static str, Vec<Value>>,
    /// The `intdate`s of snapshots with several different rows of the instrument. Their values are null.
    contradictions: BTreeSet<i64>,
}

/// The difference of two instruments' micro-prices, `a - ratio * b`.
#[derive(Serialize)]
struct Spread {
    a: String,
    b: String,
    ratio: f64,
    values: Vec<Value>,
}

/// The requested series.
struct SeriesQuery {
    tickers: Vec<String>,
    days: Vec<NaiveDate>,
    ratio: Option<f64>,
}

impl SeriesQuery {
    fn parse(params: &Params, published: &BTreeSet<NaiveDate>) -> Result<Self, ApiError> {
        let date = |name| params.parse(name, "2020-04-01");
        let days = DateRangeParams { from: date("from")?, to: date("to")? }.select(published, DEFAULT_DAYS)?;
        let mut tickers: Vec<String> = Vec::new();
        for ticker in params.all("ticker") {
            if !tickers.iter().any(|known| known == ticker) {
                tickers.push(ticker.to_owned());
            }
        }
        if tickers.len() > MAX_INSTRUMENTS {
            return Err(ApiError::invalid(format!("{} instruments are too many for one picture", tickers.len()))
                .hint(format!("Choose at most {MAX_INSTRUMENTS}.")));
        }
        let ratio = params.parse::<f64>("ratio", "1.5")?;
        if ratio.is_some_and(|ratio| !ratio.is_finite()) {
            return Err(ApiError::invalid("the ratio of a spread has to be a number").hint("It is written 1.5."));
        }
        Ok(Self { tickers, days, ratio })
    }

    /// Selects the rows of the instruments. The default is the instrument with the highest volume on the last day.
    fn prices(&self) -> Statement {
        let chosen = match self.days.last() {
            Some(last) if self.tickers.is_empty() => NameKind::Instruments.top(*last, 1),
            _ => literals(self.tickers.iter().map(String::as_str)),
        };
        let values = VALUES.map(|(name, sql)| if name == sql { sql.to_owned() } else { format!("{sql} AS {name}") });
        let columns =
            "DISTINCT intdate, ticker, bid, ask, last, qty_bid, qty_ask, num_trades, qty_total, year, month, day";
        // Identical rows are removed, and different rows of the same snapshot are counted.
        let rows = Statement::select(columns, Quotes, &self.days).and(&format!("ticker IN {chosen}"));
        let versions = "count(*) OVER (PARTITION BY ticker, intdate) AS versions";
        Statement::select_from(&format!("intdate, ticker, {},\n  {versions}", values.join(",\n  ")), &rows)
            .then("ORDER BY ticker, intdate")
    }

    /// Selects the spread of the first two instruments at each snapshot.
    fn spread(&self) -> Option<(Statement, [&str; 2], f64)> {
        let (Some(ratio), [a, b, ..]) = (self.ratio, self.tickers.as_slice()) else { return None };
        let micro = |ticker: &str| {
            Statement::select(&format!("DISTINCT intdate, {MICRO_PRICE} AS micro"), Quotes, &self.days)
                .and(&format!("ticker = {}", literal(ticker)))
        };
        let columns = format!("a.intdate, a.micro - {ratio:e} * b.micro AS spread");
        Some((Statement::join(&columns, &micro(a), &micro(b), "a.intdate = b.intdate"), [a, b], ratio))
    }
}

async fn series(State(app): State<Arc<App>>, Query(params): Query<Params>) -> ApiResult<SeriesResponse> {
    let published = app.published_days(Quotes).await?;
    let query = SeriesQuery::parse(&params, &published)?;
    let mut response = SeriesResponse {
        published: published.iter().copied().collect(),
        days: TimeAxis::new(&app.lake.config.session, &query.days, &BTreeSet::new()),
        instruments: Vec::new(),
        absent: Vec::new(),
        spread: None,
        statements: Vec::new(),
        scanned_bytes: 0,
    };
    if query.days.is_empty() {
        return Ok(Json(response));
    }
    let spread = query.spread();
    let spread_rows = async {
        match &spread {
            Some((statement, ..)) => statement.run(&app.lake).await.map(Some),
            None => Ok(None),
        }
    };
    let prices = query.prices();
    let (rows, differences) = futures::try_join!(prices.run(&app.lake), spread_rows)?;
    response.note(&prices, &rows);

    let present = rows.rows.iter().filter_map(|row| intdate(row)).collect();
    response.days = TimeAxis::new(&app.lake.config.session, &query.days, &present);
    let positions = response.days.positions();
    response.instruments = instruments(&rows, &positions);
    if let (Some((statement, [a, b], ratio)), Some(differences)) = (&spread, differences) {
        response.note(statement, &differences);
        let values = column(&differences, 1, &positions);
        response.spread = Some(Spread { a: (*a).to_owned(), b: (*b).to_owned(), ratio: *ratio, values });
    }
    // In the order of the request.
    response.instruments.sort_by_key(|i| query.tickers.iter().position(|ticker| *ticker == i.ticker));
    let absent = query.tickers.iter().filter(|ticker| response.instruments.iter().all(|i| i.ticker != **ticker));
    let absent: Vec<&str> = absent.map(String::as_str).collect();
    if !absent.is_empty() {
        let (statement, result, suggestions) =
            suggestions::search(&app, NameKind::Instruments, &published, &absent).await?;
        response.note(&statement, &result);
        response.absent = suggestions;
    }
    Ok(Json(response))
}

impl SeriesResponse {
    /// Records a statement and its scanned bytes.
    fn note(&mut self, statement: &Statement, result: &QueryResult) {
        self.statements.push(statement.sql().to_owned());
        self.scanned_bytes += result.scanned_bytes;
    }
}

fn intdate(row: &[Option<String>]) -> Option<i64> {
    row.first()?.as_ref()?.parse().ok()
}

/// Groups the rows of [`SeriesQuery::prices`], by instrument and slot.
fn instruments(result: &QueryResult, positions: &BTreeMap<i64, usize>) -> Vec<Instrument> {
    let mut instruments: BTreeMap<&str, Instrument> = BTreeMap::new();
    for row in &result.rows {
        let (Some(intdate), Some(ticker)) = (intdate(row), row[1].as_deref()) else { continue };
        let Some(position) = positions.get(&intdate) else { continue };
        let instrument = instruments.entry(ticker).or_insert_with(|| Instrument {
            ticker: ticker.to_owned(),
            values: VALUES.map(|(name, _)| (name, vec![Value::Null; positions.len()])).into(),
            contradictions: BTreeSet::new(),
        });
        if row.last().and_then(Option::as_deref) != Some("1") {
            instrument.contradictions.insert(intdate);
            continue;
        }
        for (at, (name, _)) in VALUES.iter().enumerate() {
            let values = instrument.values.get_mut(name).expect("the map has all names of VALUES");
            values[*position] = result.columns[at + 2].page_json(row[at + 2].as_deref());
        }
    }
    instruments.into_values().collect()
}

/// Returns the values of a column by slot. A slot with several rows has null.
fn column(result: &QueryResult, at: usize, positions: &BTreeMap<i64, usize>) -> Vec<Value> {
    let mut values = vec![Value::Null; positions.len()];
    let mut seen = BTreeSet::new();
    for row in &result.rows {
        let Some((intdate, position)) = intdate(row).and_then(|intdate| Some((intdate, *positions.get(&intdate)?)))
        else {
            continue;
        };
        values[position] =
            if seen.insert(intdate) { result.columns[at].page_json(row[at].as_deref()) } else { Value::Null };
    }
    values
}
