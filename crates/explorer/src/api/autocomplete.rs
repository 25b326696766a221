//! Autocompletion of instruments and underlyings.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use chrono::NaiveDate;
use serde::Serialize;

use super::ApiResult;
use crate::app::App;
use crate::name_lists::{NameKind, RankedName};
use crate::params::Params;

/// The most names in a response: they fit below an input field.
const MAX_NAMES: usize = 10;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(
            "/instruments",
            get(async |State(app), Query(params)| complete(app, params, NameKind::Instruments).await),
        )
        .route(
            "/underlyings",
            get(async |State(app), Query(params)| complete(app, params, NameKind::Underlyings).await),
        )
}

#[derive(Serialize)]
struct NamesResponse {
    /// The published day of the names; `None` when no day is published.
    day: Option<NaiveDate>,
    names: Vec<RankedName>,
}

async fn complete(app: Arc<App>, params: Params, kind: NameKind) -> ApiResult<NamesResponse> {
    let list = app.latest_names(kind).await?;
    let names = list.complete(params.first("typed").unwrap_or_default(), MAX_NAMES).into_iter().cloned().collect();
    Ok(Json(NamesResponse { day: list.day, names }))
}
