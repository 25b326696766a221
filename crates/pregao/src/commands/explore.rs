//! `pregao explore`: serves the web application.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use lake::Lake;
use local_aws::{Endpoint, Landed, Options, Owner};
use tokio::net::TcpListener;

use crate::args::{ExploreArgs, Global};
use crate::endpoint::{configuration, is_on_aws, runtime};
use crate::error_report::Hint;
use crate::faults;
use crate::interrupt::Listener;
use crate::stack;

/// Serves the web application until it is interrupted, for the lake of the account, of another process, or, like `pregao
/// local`, of the home.
pub(crate) fn explore(global: &Global, args: &ExploreArgs) -> anyhow::Result<ExitCode> {
    let config = configuration(global)?;
    runtime()?.block_on(async {
        let port = args.port.unwrap_or_default();
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .with_context(|| format!("cannot listen at 127.0.0.1:{port}"))
            .hint("choose another port with --port, or leave it out for a free one")?;
        if is_on_aws(global, &config) {
            return serve(global, stack::lake(&config).await?, listener).await;
        }
        if let Some(owner) = Owner::find(&global.home)? {
            return serve(global, Lake::at_endpoint(config, &owner.url()), listener).await;
        }
        let faults = faults::from_environment()?;
        let options = Options { faults, landed: Landed::Processed, ..Options::default() };
        let endpoint = Endpoint::start(&global.home, config.clone(), options).await?;
        let result = tokio::select! {
            biased;
            result = serve(global, Lake::at_endpoint(config, &endpoint.url()), listener) => result,
            failure = endpoint.storage_failed() => Err(failure.into()),
        };
        endpoint.shutdown().await;
        result
    })
}

async fn serve(global: &Global, lake: Lake, listener: TcpListener) -> anyhow::Result<ExitCode> {
    // Once the address is printed, a signal is the normal end.
    let signals = Listener::new();
    // The first line is for scripts.
    let mut out = io::stdout().lock();
    writeln!(out, "http://{}\n\nOpen it in a browser. Ctrl-C ends it.", listener.local_addr()?)?;
    out.flush()?;
    drop(out);
    explorer::serve(lake, global.program(), listener, async {
        signals.signal().await;
    })
    .await
    .context("the explorer broke")?;
    Ok(ExitCode::SUCCESS)
}
