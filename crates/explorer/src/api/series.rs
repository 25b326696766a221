//! Time series of instruments: micro-price, bid and ask, last, and what was traded from snapshot to snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use chrono::NaiveDate;
use lake::athena;
use market::table::TableName::Quotes;
use serde::Serialize;
use serde_json::Value;

use super::Answer;
use crate::absent::{self, Absent};
use crate::app::App;
use crate::days::Asked;
use crate::error::Failure;
use crate::listing::Subject;
use crate::params::Params;
use crate::slots::Slots;
use crate::statement::{Statement, literal, literals};

/// The mean of bid and ask, each weighted by what is offered on the other side: where the next trade is to be expected.
/// NULL where one of them is missing, or nothing is offered on either side.
const MICRO_PRICE: &str = "(qty_bid * ask + qty_ask * bid) / nullif(qty_bid + CAST(qty_ask AS double), 0)";

/// What was traded since the snapshot before it on the same day; of a day's first snapshot, all that was traded before.
const TRADED: &str = "qty_total - coalesce(lag(qty_total) IGNORE NULLS OVER (PARTITION BY ticker, year, month, day \
                      ORDER BY intdate), 0)";

/// The columns of an instrument, behind its time and ticker.
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

/// As many instruments as can be told apart in one picture.
const MOST_INSTRUMENTS: usize = 6;
/// How many days are shown unless others are named.
const DAYS_SHOWN: usize = 5;

pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/series", get(series))
}

#[derive(Serialize)]
struct Series {
    /// All published days.
    published: Vec<NaiveDate>,
    /// Those that are asked for, with their slots; every list of values below has one for each slot.
    days: Slots,
    instruments: Vec<Instrument>,
    absent: Vec<Absent>,
    spread: Option<Spread>,
    /// What Athena was asked, and what it read for it.
    statements: Vec<String>,
    scanned_bytes: u64,
}

#[derive(Serialize, Default)]
struct Instrument {
    ticker: String,
    values: BTreeMap<&'static str, Vec<Value>>,
    /// Snapshots that have several rows of it which differ: none of them is given.
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

/// What the page asks for.
struct Question {
    tickers: Vec<String>,
    days: Vec<NaiveDate>,
    ratio: Option<f64>,
}

impl Question {
    fn of(params: &Params, published: &BTreeSet<NaiveDate>) -> Result<Self, Failure> {
        let date = |name| params.parsed(name, "2020-04-01");
        let days = Asked { from: date("from")?, to: date("to")? }.among(published, DAYS_SHOWN)?;
        let mut tickers: Vec<String> = Vec::new();
        for ticker in params.all("ticker") {
            if !tickers.iter().any(|known| known == ticker) {
                tickers.push(ticker.to_owned());
            }
        }
        if tickers.len() > MOST_INSTRUMENTS {
            return Err(Failure::invalid(format!("{} instruments are too many for one picture", tickers.len()))
                .hint(format!("Choose at most {MOST_INSTRUMENTS}.")));
        }
        let ratio = params.parsed::<f64>("ratio", "1.5")?;
        if ratio.is_some_and(|ratio| !ratio.is_finite()) {
            return Err(Failure::invalid("the ratio of a spread has to be a number").hint("It is written 1.5."));
        }
        Ok(Self { tickers, days, ratio })
    }

    /// The rows of the instruments; where none is named, of the one that is traded most on the last of the days.
    fn prices(&self) -> Statement {
        let chosen = match self.days.last() {
            Some(last) if self.tickers.is_empty() => Subject::Instruments.first(*last, 1),
            _ => literals(self.tickers.iter().map(String::as_str)),
        };
        let values = VALUES.map(|(name, sql)| if name == sql { sql.to_owned() } else { format!("{sql} AS {name}") });
        let columns =
            "DISTINCT intdate, ticker, bid, ask, last, qty_bid, qty_ask, num_trades, qty_total, year, month, day";
        // A record that was saved twice is one; records that contradict each other are counted.
        let rows = Statement::of(columns, Quotes, &self.days).and(&format!("ticker IN {chosen}"));
        let versions = "count(*) OVER (PARTITION BY ticker, intdate) AS versions";
        Statement::from(&format!("intdate, ticker, {},\n  {versions}", values.join(",\n  ")), &rows)
            .then("ORDER BY ticker, intdate")
    }

    /// The spread of the first two instruments, point for point.
    fn spread(&self) -> Option<(Statement, [&str; 2], f64)> {
        let (Some(ratio), [a, b, ..]) = (self.ratio, self.tickers.as_slice()) else { return None };
        let micro = |ticker: &str| {
            Statement::of(&format!("DISTINCT intdate, {MICRO_PRICE} AS micro"), Quotes, &self.days)
                .and(&format!("ticker = {}", literal(ticker)))
        };
        let columns = format!("a.intdate, a.micro - {ratio:e} * b.micro AS spread");
        Some((Statement::join(&columns, &micro(a), &micro(b), "a.intdate = b.intdate"), [a, b], ratio))
    }
}

async fn series(State(app): State<Arc<App>>, Query(params): Query<Params>) -> Answer<Series> {
    let published = app.days.of(&app.lake, Quotes).await?;
    let question = Question::of(&params, &published)?;
    let mut answer = Series {
        published: published.iter().copied().collect(),
        days: Slots::new(&app.lake.config.session, &question.days, &BTreeSet::new()),
        instruments: Vec::new(),
        absent: Vec::new(),
        spread: None,
        statements: Vec::new(),
        scanned_bytes: 0,
    };
    if question.days.is_empty() {
        return Ok(Json(answer));
    }
    let spread = question.spread();
    let asked = async {
        match &spread {
            Some((statement, ..)) => app.ask(statement).await.map(Some),
            None => Ok(None),
        }
    };
    let prices = question.prices();
    let (rows, differences) = futures::try_join!(app.ask(&prices), asked)?;
    answer.note(&prices, &rows);

    let present = rows.rows.iter().filter_map(|row| intdate(row)).collect();
    answer.days = Slots::new(&app.lake.config.session, &question.days, &present);
    let places = answer.days.places();
    answer.instruments = instruments(&rows, &places);
    if let (Some((statement, [a, b], ratio)), Some(differences)) = (&spread, differences) {
        answer.note(statement, &differences);
        let values = column(&differences, 1, &places);
        answer.spread = Some(Spread { a: (*a).to_owned(), b: (*b).to_owned(), ratio: *ratio, values });
    }
    // In the order in which they were asked for.
    answer.instruments.sort_by_key(|i| question.tickers.iter().position(|ticker| *ticker == i.ticker));
    let absent = question.tickers.iter().filter(|ticker| answer.instruments.iter().all(|i| i.ticker != **ticker));
    let absent: Vec<&str> = absent.map(String::as_str).collect();
    if !absent.is_empty() {
        let (statement, found, absent) = absent::search(&app, Subject::Instruments, &published, &absent).await?;
        answer.note(&statement, &found);
        answer.absent = absent;
    }
    Ok(Json(answer))
}

impl Series {
    fn note(&mut self, statement: &Statement, answer: &athena::QueryResult) {
        self.statements.push(statement.sql().to_owned());
        self.scanned_bytes += answer.scanned_bytes;
    }
}

fn intdate(row: &[Option<String>]) -> Option<i64> {
    row.first()?.as_ref()?.parse().ok()
}

/// The rows of [`Question::prices`], by instrument and slot.
fn instruments(answer: &athena::QueryResult, places: &BTreeMap<i64, usize>) -> Vec<Instrument> {
    let mut instruments: BTreeMap<&str, Instrument> = BTreeMap::new();
    for row in &answer.rows {
        let (Some(intdate), Some(ticker)) = (intdate(row), row[1].as_deref()) else { continue };
        let Some(place) = places.get(&intdate) else { continue };
        let instrument = instruments.entry(ticker).or_insert_with(|| Instrument {
            ticker: ticker.to_owned(),
            values: VALUES.map(|(name, _)| (name, vec![Value::Null; places.len()])).into(),
            contradictions: BTreeSet::new(),
        });
        if row.last().and_then(Option::as_deref) != Some("1") {
            instrument.contradictions.insert(intdate);
            continue;
        }
        for (at, (name, _)) in VALUES.iter().enumerate() {
            let values = instrument.values.get_mut(name).expect("all of them are there");
            values[*place] = answer.columns[at + 2].page_json(row[at + 2].as_deref());
        }
    }
    instruments.into_values().collect()
}

/// A column's values by slot; none where rows of the same slot differ.
fn column(answer: &athena::QueryResult, at: usize, places: &BTreeMap<i64, usize>) -> Vec<Value> {
    let mut values = vec![Value::Null; places.len()];
    let mut seen = BTreeSet::new();
    for row in &answer.rows {
        let Some((intdate, place)) = intdate(row).and_then(|intdate| Some((intdate, *places.get(&intdate)?))) else {
            continue;
        };
        values[place] =
            if seen.insert(intdate) { answer.columns[at].page_json(row[at].as_deref()) } else { Value::Null };
    }
    values
}
