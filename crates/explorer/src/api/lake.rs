//! What there is: the tables, their columns and their days.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use chrono::NaiveDate;
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
    partition: bool,
}

async fn lake(State(app): State<Arc<App>>) -> Answer<Lake> {
    let mut tables = Vec::new();
    for table in TableName::ALL {
        let columns = table.columns().iter().map(|column| (column.name, column.ty.hive_name(), false));
        let keys = KEYS.iter().map(|key| (*key, "int", true));
        tables.push(Table {
            name: table.as_str(),
            columns: columns.chain(keys).map(|(name, ty, partition)| Column { name, ty, partition }).collect(),
            days: app.days.of(&app.lake, table).await?.iter().copied().collect(),
        });
    }
    let config = &app.lake.config;
    Ok(Json(Lake { database: config.athena.database.as_str().to_owned(), session: config.session, tables }))
}
