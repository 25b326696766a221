//! Suggestions for a name that is being typed.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use chrono::NaiveDate;
use serde::Serialize;

use super::Answer;
use crate::app::App;
use crate::listing::{Listed, Subject};
use crate::params::Params;

/// As many as fit below a field.
const MOST: usize = 10;

pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/instruments", get(async |State(app), Query(params)| suggest(app, params, Subject::Instruments).await))
        .route("/underlyings", get(async |State(app), Query(params)| suggest(app, params, Subject::Underlyings).await))
}

#[derive(Serialize)]
struct Suggestions {
    /// The day on which they are listed.
    day: Option<NaiveDate>,
    names: Vec<Listed>,
}

async fn suggest(app: Arc<App>, params: Params, subject: Subject) -> Answer<Suggestions> {
    let listing = app.listings.latest(&app, subject).await?;
    let names = listing.suggest(params.text("typed").unwrap_or_default(), MOST).into_iter().cloned().collect();
    Ok(Json(Suggestions { day: listing.day, names }))
}
