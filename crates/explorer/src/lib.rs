//! The explorer: a web application that shows the market, its data quality and the runs.
//!
//! An HTTP server on the loopback interface serves the page, which is embedded in the binary, and a JSON API for it. The
//! server calls Athena, Glue, S3 and Step Functions through the AWS SDK, so the same code shows the lake of a laptop and
//! that of an AWS account.
//!
//! | module | contents |
//! |---|---|
//! | [`serve`] | the server |
//! | `app` | the state that all request handlers share |
//! | `api` | the JSON API, a module for each view of the page |
//! | `params` | query parameters of a request |
//! | `error` | errors of the API |
//! | `statement` | a builder of SELECTs that cannot omit the partition keys |
//! | `sql_guard` | refuses statements that are not read-only, and finds full scans |
//! | `published_days` | the published days of each table, in a TTL cache |
//! | `name_lists` | the instruments and underlyings for autocompletion, in a TTL cache |
//! | `suggestions` | suggestions for an instrument or underlying that was not found |
//! | `execution_cache` | an LRU cache of execution histories |
//! | `time_axis` | the slots of the charts: snapshots that exist, and those that are missing |
//! | `calendar` | the raw files of a day, compared with the session |
//! | `objects` | objects as text: logs, reports, reasons |
//! | `download`, `parquet_file` | complete query results as CSV or Parquet files |
//! | `assets` | the files of the page |
//! | `origin_guard` | refuses requests of foreign web pages |

mod api;
mod app;
mod assets;
mod calendar;
mod download;
mod error;
mod execution_cache;
mod freshness;
mod name_lists;
mod objects;
mod origin_guard;
mod params;
mod parquet_file;
mod published_days;
mod sql_guard;
mod statement;
mod suggestions;
mod time_axis;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request};
use axum::http::HeaderMap;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use lake::Lake;
use tokio::net::TcpListener;
use tracing::field::Empty;
use tracing::{Instrument, debug_span};

use app::App;

/// Serves the explorer of a lake until `stop` completes. Connections that are open then are dropped. `program` is the
/// beginning of the commands that the page shows: `pregao --home h`.
///
/// # Errors
/// An I/O error of the listener.
pub async fn serve(
    lake: Lake,
    program: String,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let address = listener.local_addr()?;
    let router = router(Arc::new(App::new(lake, program)), address);
    tokio::select! {
        served = axum::serve(listener, router) => served,
        () = stop => Ok(()),
    }
}

fn router(app: Arc<App>, address: SocketAddr) -> Router {
    let index = async |request: HeaderMap| assets::serve(assets::INDEX, &request);
    let mut router = Router::new().route("/", get(index));
    for view in assets::VIEWS {
        router = router.route(&format!("/{view}"), get(index));
    }
    router
        .route(
            "/assets/{*path}",
            get(async |Path(path): Path<String>, headers: HeaderMap| assets::serve(&path, &headers)),
        )
        .nest("/api", api::routes())
        .with_state(app)
        .layer(middleware::from_fn_with_state(address, origin_guard::guard))
        .layer(middleware::from_fn(in_span))
}

/// Handles a request in a span of its own.
async fn in_span(request: Request, next: Next) -> Response {
    let span = debug_span!("page_request", method = %request.method(), path = request.uri().path(), status = Empty);
    let response = next.run(request).instrument(span.clone()).await;
    span.record("status", response.status().as_u16());
    response
}
