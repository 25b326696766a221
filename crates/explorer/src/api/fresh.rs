//! The newest published snapshot, which every page shows, and the version of what is published, which it polls.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use super::ApiResult;
use crate::app::App;
use crate::freshness::Freshness;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/fresh", get(fresh))
}

async fn fresh(State(app): State<Arc<App>>) -> ApiResult<Freshness> {
    Ok(Json(app.freshness().await?))
}
