//! The JSON API of the page: a module for each view, with its requests, responses and routes.

mod autocomplete;
mod days;
mod fresh;
mod lake;
mod options;
mod quality;
mod runs;
mod series;
mod sql;

use std::sync::Arc;

use axum::Router;

use crate::app::App;
use crate::error::ApiError;

/// The result of a request handler.
type ApiResult<T> = Result<axum::Json<T>, ApiError>;

/// The routes of all modules.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .merge(lake::routes())
        .merge(days::routes())
        .merge(fresh::routes())
        .merge(quality::routes())
        .merge(runs::routes())
        .merge(sql::routes())
        .merge(autocomplete::routes())
        .merge(options::routes())
        .merge(series::routes())
        .fallback(async || ApiError::not_found("the page asked for something that this server does not have"))
}
