//! Tests of the endpoint by the AWS SDKs, on a home in a temporary folder.

mod athena;
mod athena_model;
mod emr;
mod emr_model;
mod emr_serverless;
mod faults;
mod glue;
mod glue_clients;
mod in_process;
mod kept_or_refused;
mod landing;
mod leases;
mod nothing_is_kept;
mod pages;
mod protocols;
mod publication;
mod rules;
mod s3;
mod s3_answers;
mod s3_completions;
mod step_functions;
mod step_functions_as_recorded;
mod step_functions_test_state;
mod step_functions_variables;
mod step_functions_versions;
mod sts;
mod transform;
mod uploads;
mod vacuum;
mod yearly;

use std::fmt::{Debug, Write as _};
use std::panic::Location;
use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use lake::{Config, Lake};
use local_aws::{Endpoint, FaultPlan, Options, SparkEngine};
use market::snapshot::Feed;

/// An endpoint on a free port, with the clients that the functions use.
struct World {
    endpoint: Endpoint,
    lake: Lake,
    home: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        World::on(SparkEngine::Embedded).await
    }

    /// Starts an endpoint with a fault plan.
    async fn failing(plan: &str) -> World {
        let home = tempfile::tempdir().expect("a temporary folder");
        let faults = Some(plan.parse::<FaultPlan>().expect("a plan"));
        let (endpoint, lake) = start_with(home.path(), Options { faults, ..Options::default() }).await;
        World { endpoint, lake, home }
    }

    /// Starts an endpoint with another engine for Spark steps.
    async fn on(engine: SparkEngine) -> World {
        let home = tempfile::tempdir().expect("a temporary folder");
        let (endpoint, lake) = start(home.path(), engine).await;
        World { endpoint, lake, home }
    }

    /// Shuts the endpoint down, and starts another one on its home.
    async fn restarted(self) -> World {
        let World { endpoint, home, .. } = self;
        endpoint.shutdown().await;
        let (endpoint, lake) = start(home.path(), SparkEngine::Embedded).await;
        World { endpoint, lake, home }
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    async fn put(&self, bucket: &str, key: &str, bytes: impl Into<Vec<u8>>) {
        let body = ByteStream::from(bytes.into());
        self.lake.s3.put_object().bucket(bucket).key(key).body(body).send().await.expect("the object is put");
    }

    async fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let page = self.lake.s3.list_objects_v2().bucket(bucket).prefix(prefix).send().await.expect("a listing");
        page.contents().iter().map(|object| object.key().expect("a key").to_owned()).collect()
    }

    /// Uploads a day of raw quotes: `lines` records of one snapshot.
    async fn put_raw_quotes(&self, lines: usize) {
        let mut text = format!("202004011320,{}\n", Feed::Quotes.raw_columns().join(","));
        for line in 0..lines {
            let cells = "10.0,10.0,10.5,11.0,9.5,10.4,10.6,100.0,200.0,10.0,10.5,1,30.0,Nome,300.0,0,,3000.0";
            writeln!(text, "T{line:05},{cells}").expect("a String takes all");
        }
        self.put("pregao-raw", "quotes/date=2020-04-01/202004011320_flashpanel.csv", text).await;
    }
}

async fn start(home: &Path, engine: SparkEngine) -> (Endpoint, Lake) {
    start_with(home, Options { engine, ..Options::default() }).await
}

async fn start_with(home: &Path, options: Options) -> (Endpoint, Lake) {
    let endpoint = Endpoint::start(home, Config::default(), options).await.expect("a home of our own");
    let lake = Lake::at_endpoint(Config::default(), &endpoint.url());
    (endpoint, lake)
}

/// Returns the error code of a service's error.
fn code<T: Debug, E: ProvideErrorMetadata>(result: Result<T, SdkError<E>>) -> String {
    result.expect_err("refused").code().unwrap_or("no code").to_owned()
}

/// The time after which a wait has failed: no test waits for a tenth of it, even on a busy machine.
const LONGEST_WAIT: Duration = Duration::from_mins(3);

/// Polls `look` until it returns a value. Panics at the place of the call if that takes longer than [`LONGEST_WAIT`].
#[track_caller]
fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let place = Location::caller();
    let poll = async move {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    async move {
        let found = tokio::time::timeout(LONGEST_WAIT, poll).await;
        found.unwrap_or_else(|_| panic!("what {place} waits for has not happened in {LONGEST_WAIT:?}"))
    }
}
