//! What there is: the tables, their columns and their days.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use chrono::NaiveDate;
use futures::future::try_join_all;
use lake::Error;
use market::partition::KEYS;
use market::session::Session;
use market::table::TableName;
use serde::Serialize;

use super::Answer;
use crate::app::App;

pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/lake", get(lake))
}

#[derive(Serialize)]
struct Lake {
    database: String,
    session: Session,
    tables: Vec<Table>,
}

#[derive(Serialize)]
struct Table {
    name: &'static str,
    columns: Vec<Column>,
    /// The published days, in order.
    days: Vec<NaiveDate>,
}

#[derive(Serialize)]
struct Column {
    name: &'static str,
    #[serde(rename = "type")]
    ty: &'static str,
    meaning: &'static str,
    partition: bool,
}

/// What the partition keys are, in the words that the columns' own meanings have.
const KEY_MEANINGS: [&str; KEYS.len()] = ["year of the snapshot", "month, from 1", "day of the month, from 1"];

async fn lake(State(app): State<Arc<App>>) -> Answer<Lake> {
    // All at once: on AWS each of them is a second.
    let tables = try_join_all(TableName::ALL.map(|table| described(&app, table))).await?;
    let config = &app.lake.config;
    Ok(Json(Lake { database: config.athena.database.as_str().to_owned(), session: config.session.clone(), tables }))
}

async fn described(app: &App, table: TableName) -> Result<Table, Error> {
    let columns = table.columns().iter().map(|column| Column {
        name: column.name,
        ty: column.ty.hive_name(),
        meaning: column.meaning,
        partition: false,
    });
    let keys = KEYS.into_iter().zip(KEY_MEANINGS);
    let keys = keys.map(|(name, meaning)| Column { name, ty: "int", meaning, partition: true });
    Ok(Table {
        name: table.as_str(),
        columns: columns.chain(keys).collect(),
        days: app.days.of(&app.lake, table).await?.iter().copied().collect(),
    })
}
