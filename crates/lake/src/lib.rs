//! The lake, for the functions and for clients: the configuration, the AWS clients, object keys, the data model, and errors.
//! What only clients use is in `lake-client`.
//!
//! | module | content |
//! |---|---|
//! | [`config`] | the configuration file, with defaults for a laptop |
//! | [`keys`] | keys of objects |
//! | [`objects`] | operations on S3 objects: listing, and conditional reads, writes, copies and deletions |
//! | [`multipart`] | multipart uploads |
//! | [`concurrency`] | bounded concurrency |
//! | [`quarantine`] | names and reasons of quarantined files |
//! | [`raw_files`] | the accepted raw files of a range of days |
//! | [`added_columns`] | raw files with columns that are in no table |
//! | [`catalog`] | databases and tables of the catalog |
//! | [`partitions`] | partitions of tables in the catalog |
//! | [`quality`] | quality reports |
//! | [`catalog_lag`] | days that are published in their records and not yet in the catalog |
//! | [`manifest`] | manifests of audited files, as objects |
//! | [`record`] | publication records: what is published of each day, and from which raw files |
//! | [`migration`] | creates records for days that older versions published without one |
//! | [`scratch`] | temporary databases over folders other than the published ones |
//! | [`plan`] | what a run reads and publishes |
//! | [`engine`] | the engine of a run: the function `transform`, or EMR |
//! | [`slices`] | parts of a run that are audited and published one by one, and their outcomes |
//! | [`backfill`] | long ranges of days in chunks, each of which is a run |
//! | [`failed`] | the newest failed audit of each day |
//! | [`lease`] | leases: mutual exclusion with expiry |
//! | [`vacuum`] | removes the files of runs that no reader can reach |
//! | [`workflow_input`] | parses the input of a workflow |
//! | [`cluster`] | EMR clusters: starting and finding them |
//! | [`job_run`] | job runs of EMR Serverless |
//! | [`athena`] | runs statements on Athena |
//! | [`backoff`] | delays between polls |
//! | [`result_csv`] | reads the CSV object of a query result |
//! | [`workflow`] | state machines and their executions |
//! | [`lambda`] | runs a handler as a Lambda function |
//! | [`invocation`] | the tracing span of an invocation of a function |
//! | [`metrics`] | CloudWatch metrics |
//! | [`price`] | unit prices of AWS |
//! | [`truncated_list`] | lists that are cut to their first items |
//! | [`error`] | errors, with names that state machines match |
//!
//! No module depends on whether it runs on AWS or on a laptop: only the endpoint of the clients differs.

pub mod added_columns;
pub mod athena;
pub mod backfill;
pub mod backoff;
pub mod catalog;
pub mod catalog_lag;
pub mod cluster;
pub mod concurrency;
pub mod config;
pub mod engine;
pub mod error;
pub mod failed;
pub mod invocation;
pub mod job_run;
pub mod keys;
pub mod lambda;
pub mod lease;
pub mod manifest;
pub mod metrics;
pub mod migration;
pub mod multipart;
pub mod objects;
pub mod partitions;
pub mod plan;
pub mod price;
pub mod quality;
pub mod quarantine;
pub mod raw_files;
pub mod record;
pub mod result_csv;
pub mod scratch;
pub mod slices;
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
use market::run::RunId;
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
    /// Job runs of EMR Serverless.
    pub emr_serverless: aws_sdk_emrserverless::Client,
    /// Queries.
    pub athena: aws_sdk_athena::Client,
    /// The catalog: tables and their partitions.
    pub glue: aws_sdk_glue::Client,
    /// Executions of the state machines.
    pub sfn: aws_sdk_sfn::Client,
    /// Destination of metrics. Discards them by default; deployed functions write them to their log.
    pub metrics: Metrics,
    /// The delays between polls of a query.
    pub query_polls: athena::PollDelays,
    /// The run that the current invocation works for, if it is known. Queries name it.
    pub run: Option<RunId>,
    /// Factor by which delays and leases are shortened. Always 1, except in tests that inject faults.
    pub speed: u32,
}

/// The region of an embedded endpoint.
pub const LOCAL_REGION: &str = "us-east-1";

/// Loads the settings of AWS clients: the standard credential and region chain, overridden by region and profile of
/// the configuration. Like every AWS SDK, it honours `AWS_ENDPOINT_URL`.
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

/// Creates an HTTPS client with the system's certificates and the proxy of the environment, like the default client of the
/// SDKs. Unlike theirs it uses *ring*, which is a quarter of a megabyte smaller than aws-lc.
fn https() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
    })
}

/// Creates a connector with the certificates and the proxy of the clients of [`sdk`], for services that have no client here.
pub fn connector() -> Connector {
    let connector = Connector::builder().proxy_config(ProxyConfig::from_env());
    connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
}

impl Lake {
    /// Creates clients with the settings of [`sdk`].
    pub async fn connect(config: Config) -> Self {
        let sdk = sdk(&config).await;
        Self::with_sdk(config, &sdk)
    }

    /// Creates clients of the embedded endpoint at `url` (`http://127.0.0.1:4599`). They use plain HTTP and read nothing from
    /// the environment, because a proxy that is set there must not receive local requests.
    pub fn at_endpoint(config: Config, url: &str) -> Self {
        Self::through(config, url, Builder::new().build_http(), 1)
    }

    /// [`Lake::at_endpoint`] with another HTTP client, and with the delays of retries divided by `speed`.
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

    /// Returns the lake for an invocation with this event: its queries name the run.
    pub fn for_event(&self, event: &serde_json::Value) -> Self {
        Self { run: invocation::run_of(event), ..self.clone() }
    }

    /// Creates clients with these settings.
    pub fn with_sdk(config: Config, sdk: &SdkConfig) -> Self {
        // A client has the URL of an endpoint if the endpoint is not that of AWS.
        let is_aws = sdk.endpoint_url().is_none();
        // Only AWS supports virtual-hosted addresses (`bucket.host`).
        let s3 = aws_sdk_s3::config::Builder::from(sdk).force_path_style(!is_aws).build();
        Self {
            config,
            s3: aws_sdk_s3::Client::from_conf(s3),
            emr: aws_sdk_emr::Client::new(sdk),
            emr_serverless: aws_sdk_emrserverless::Client::new(sdk),
            athena: aws_sdk_athena::Client::new(sdk),
            glue: aws_sdk_glue::Client::new(sdk),
            sfn: aws_sdk_sfn::Client::new(sdk),
            metrics: Metrics::default(),
            run: None,
            query_polls: if is_aws { athena::PollDelays::AWS } else { athena::PollDelays::LOCAL },
            speed: 1,
        }
    }
}
