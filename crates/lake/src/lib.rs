//! What the functions and the command line share: the configuration, the AWS clients, the keys of objects, the inputs of
//! workflows, and the names of errors.
//!
//! | module | what it knows |
//! |---|---|
//! | [`config`] | what a user may decide, with defaults for a laptop |
//! | [`keys`] | where objects live |
//! | [`objects`] | how objects are moved so that nothing is lost |
//! | [`parallel`] | how many objects are worked on at once |
//! | [`raw`] | the accepted raw files of some days |
//! | [`catalog`] | databases and tables of the catalog |
//! | [`partitions`] | the partitions of tables in the catalog |
//! | [`quality`] | the report of an audit |
//! | [`manifest`] | the files that an audit passed, beside them |
//! | [`record`] | what is published of each day, and from which raw files |
//! | [`migration`] | records for what versions without records published |
//! | [`as_of`] | the tables as they were published at a moment |
//! | [`scratch`] | databases over other folders than the published ones |
//! | [`plan`] | what a run is to read and to publish |
//! | [`failed`] | the newest failed audit of each day |
//! | [`days`] | what each day is: published, stale, failed, missing, and what to do about it |
//! | [`lease`] | how only one of many works on something |
//! | [`vacuum`] | what may be removed of runs, and how |
//! | [`request`] | what the input of a workflow asks for |
//! | [`cluster`] | what EMR clusters are asked for with, and found again by |
//! | [`athena`] | how a statement is run to its end |
//! | [`polling`] | how long to wait before looking again |
//! | [`csv`] | CSV for others to read |
//! | [`result_csv`] | the CSV that Athena keeps of a result |
//! | [`workflow`] | the state machines, and their executions |
//! | [`history`] | what happened in an execution, state by state |
//! | [`lambda`] | how a handler becomes a Lambda function |
//! | [`metrics`] | what is measured, for alarms |
//! | [`excerpt`] | long lists in small answers |
//! | [`error`] | what can go wrong, under names that state machines match |
//!
//! Nothing here knows whether it talks to AWS or to a laptop: only the endpoint of the clients differs.

pub mod as_of;
pub mod athena;
pub mod backoff;
pub mod catalog;
pub mod cluster;
pub mod concurrency;
pub mod config;
pub mod csv;
pub mod days;
pub mod error;
pub mod execution_history;
pub mod failed;
pub mod keys;
pub mod lambda;
pub mod lease;
pub mod manifest;
pub mod metrics;
pub mod migration;
pub mod objects;
pub mod partitions;
pub mod plan;
pub mod quality;
pub mod raw_files;
pub mod record;
pub mod result_csv;
pub mod scratch;
#[cfg(test)]
mod state_machines;
pub mod truncated_list;
pub mod vacuum;
pub mod workflow;
pub mod workflow_input;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};

pub use config::Config;
pub use error::Error;
use metrics::Metrics;

/// The lake: its configuration, and a client for each service. The only place that builds AWS clients.
#[derive(Debug, Clone)]
pub struct Lake {
    /// The configuration.
    pub config: Config,
    /// Objects.
    pub s3: aws_sdk_s3::Client,
    /// Clusters and steps.
    pub emr: aws_sdk_emr::Client,
    /// Queries.
    pub athena: aws_sdk_athena::Client,
    /// The catalog: tables and their partitions.
    pub glue: aws_sdk_glue::Client,
    /// Executions of the state machines.
    pub sfn: aws_sdk_sfn::Client,
    /// Where metrics go: nowhere, until a deployed function says otherwise.
    pub metrics: Metrics,
    /// How many times as fast as elsewhere pauses and leases pass: 1, but for tests of what happens when calls fail.
    pub speed: u32,
}

/// The region of an endpoint that is not AWS.
pub const LOCAL_REGION: &str = "us-east-1";

/// What AWS clients are made from: the standard credential and region chain, with the region and the profile of the
/// configuration where it has them. `AWS_ENDPOINT_URL` is heeded, as every AWS SDK does.
pub async fn sdk(config: &Config) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(https());
    if let Some(region) = &config.aws.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &config.aws.profile {
        loader = loader.profile_name(profile);
    }
    loader.load().await
}

/// HTTPS, by the certificates that this machine trusts and through the proxy that its environment names: as the SDKs'
/// own client does it, and with a smaller library of ciphers than theirs.
fn https() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
    })
}

impl Lake {
    /// Clients as [`sdk`] sets them up.
    pub async fn connect(config: Config) -> Self {
        let sdk = sdk(&config).await;
        Self::with_sdk(config, &sdk)
    }

    /// Clients of the endpoint at `url` (`http://127.0.0.1:4599`) for all services, with the credentials that an
    /// embedded endpoint takes. Plain HTTP, and nothing is read from the environment: a proxy that is set there must not
    /// get what is meant for this machine.
    pub fn at_endpoint(config: Config, url: &str) -> Self {
        Self::through(config, url, Builder::new().build_http(), 1)
    }

    /// The same by another way than plain HTTP, with pauses before another try that pass `speed` times as fast as the SDK's.
    pub fn through(config: Config, url: &str, network: SharedHttpClient, speed: u32) -> Self {
        let retries = RetryConfig::standard()
            .with_initial_backoff(Duration::from_secs(1) / speed)
            .with_max_backoff(Duration::from_secs(20) / speed);
        let credentials = Credentials::new("local", "local", None, None, "pregao");
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(LOCAL_REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(url)
            .http_client(network)
            .retry_config(retries)
            .build();
        Self { speed, ..Self::with_sdk(config, &sdk) }
    }

    /// Clients that share one set-up.
    pub fn with_sdk(config: Config, sdk: &SdkConfig) -> Self {
        // Only AWS itself answers at `bucket.host`.
        let s3 = aws_sdk_s3::config::Builder::from(sdk).force_path_style(sdk.endpoint_url().is_some()).build();
        Self {
            config,
            s3: aws_sdk_s3::Client::from_conf(s3),
            emr: aws_sdk_emr::Client::new(sdk),
            athena: aws_sdk_athena::Client::new(sdk),
            glue: aws_sdk_glue::Client::new(sdk),
            sfn: aws_sdk_sfn::Client::new(sdk),
            metrics: Metrics::default(),
            speed: 1,
        }
    }
}
