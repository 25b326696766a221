//! The questions of the page. Every answer is JSON; every error says what is wrong and what to do.

mod days;
mod lake;
mod listed;
mod options;
mod quality;
mod runs;
mod series;
mod sql;

use std::sync::Arc;

use axum::Router;

use crate::app::App;
use crate::error::Failure;

/// An answer to the page.
type Answer<T> = Result<axum::Json<T>, Failure>;

/// All of them.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .merge(lake::routes())
        .merge(days::routes())
        .merge(quality::routes())
        .merge(runs::routes())
        .merge(sql::routes())
        .merge(listed::routes())
        .merge(options::routes())
        .merge(series::routes())
        .fallback(async || Failure::not_found("the page asked for something that this server does not have"))
}
