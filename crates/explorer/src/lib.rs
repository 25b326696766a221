//! The web application: the market, the quality of its data, and the runs that make it, in a browser.
//!
//! A small server on the loopback interface gives the page, which is in the binary, and answers its questions as JSON. It
//! only speaks Athena, S3 and Step Functions, through the SDK: so the same code shows the lake of a laptop and that of an
//! AWS account.
//!
//! | module | what is in it |
//! |---|---|
//! | [`serve`] | the server |
//! | `api` | the questions of the page, a module for each of its views |
//! | `statement` | SELECTs that cannot be written without their days |
//! | `reading` | what statements that people write would do |
//! | `download`, `parquet_file` | whole answers as files |
//! | `days` | which days are published |
//! | `calendar` | the raw files of days, held against the session |
//! | `watched` | the executions that somebody looks at |
//! | `documents` | objects that a person reads: logs, reports |
//! | `remembered` | answers that are good for a while |
//! | `slots` | the time axis: snapshots that are there, and those that ought to be |
//! | `listing` | instruments and underlyings to choose from |
//! | `absent` | what is known of an instrument that is not there |
//! | `params` | what the page asks with |
//! | `assets` | the files of the page |
//! | `guard` | who may ask |
//! | `error` | what the page is told when something cannot be done |

mod absent;
mod api;
mod app;
mod assets;
mod calendar;
mod days;
mod documents;
mod download;
mod error;
mod guard;
mod listing;
mod params;
mod parquet_file;
mod reading;
mod remembered;
mod slots;
mod statement;
mod watched;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::middleware;
use axum::routing::get;
use lake::Lake;
use tokio::net::TcpListener;

use app::App;

/// The views of the page, by the first part of their addresses.
const VIEWS: [&str; 6] = ["series", "options", "quality", "runs", "sql", "days"];

/// Serves the explorer of a lake until `stop` is ready; connections that are open then are not waited for. `program` is what
/// a command on this lake begins with: `pregao --home h`.
///
/// # Errors
/// When the listener breaks.
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
    for view in VIEWS {
        router = router.route(&format!("/{view}"), get(index));
    }
    router
        .route(
            "/assets/{*path}",
            get(async |Path(path): Path<String>, headers: HeaderMap| assets::serve(&path, &headers)),
        )
        .nest("/api", api::routes())
        .with_state(app)
        .layer(middleware::from_fn_with_state(address, guard::guard))
}
