//! Serves the explorer for an endpoint that is already running, for its development:
//!
//! ```sh
//! pregao local --port 4566
//! cargo run --release -p explorer --example serve -- http://127.0.0.1:4566 8080
//! ```

use std::env;

use lake::{Config, Lake};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = env::args().skip(1);
    let (Some(endpoint), Some(port)) = (arguments.next(), arguments.next().and_then(|port| port.parse().ok())) else {
        eprintln!("usage: serve URL PORT");
        std::process::exit(2);
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    explorer::serve(
        Lake::at_endpoint(Config::default(), &endpoint),
        "pregao".to_owned(),
        listener,
        std::future::pending(),
    )
    .await
}
