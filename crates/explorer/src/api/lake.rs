//! The tables of the lake, their columns and their published days.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use chrono::NaiveDate;
use futures::future::try_join_all;
use market::partition::KEYS;
use market::session::Session;
use market::table::TableName;
use serde::Serialize;

use super::ApiResult;
use crate::app::App;
use crate::error::ApiError;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/lake", get(lake))
}

#[derive(Serialize)]
struct LakeResponse {
    database: String,
    session: Session,
    tables: Vec<Table>,
}

#[derive(Serialize)]
struct Table {
    name: &'static str,
    columns: Vec<Column>,
    /// The published days, ascending.
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

/// Descriptions of the partition keys, in the style of those of the columns.
const KEY_MEANINGS: [&str; KEYS.len()] = ["year of the snapshot", "month, from 1", "day of the month, from 1"];

async fn lake(State(app): State<Arc<App>>) -> ApiResult<LakeResponse> {
    // Concurrently: on AWS each call takes up to a second.
    let tables = try_join_all(TableName::ALL.map(|table| describe(&app, table))).await?;
    let config = &app.lake.config;
    let database = config.athena.database.as_str().to_owned();
    Ok(Json(LakeResponse { database, session: config.session.clone(), tables }))
}

async fn describe(app: &App, table: TableName) -> Result<Table, ApiError> {
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
        days: app.published_days(table).await?.iter().copied().collect(),
    })
}
