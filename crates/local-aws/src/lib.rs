//! The embedded AWS endpoint: one loopback port that answers the wire protocols of S3, Step Functions, Lambda, EMR,
//! Athena and Glue's catalog, so that the AWS CLI, boto3, PyAthena and the AWS SDKs work against a folder on this machine.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use local_aws::{Endpoint, Owner};
//!
//! let home = std::path::Path::new(".pregao");
//! match Owner::find(home)? {
//!     Some(owner) => println!("already answering on {}", owner.url()),
//!     None => {
//!         let endpoint = Endpoint::start(home, lake::Config::default(), local_aws::Options::default()).await?;
//!         println!("export AWS_ENDPOINT_URL={}", endpoint.url());
//!         endpoint.shutdown().await;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The one idea: a service here is the real service's API over local files and one SQLite database. Objects are plain files,
//! functions run in this process, state machines are interpreted, Spark steps run on the Rust engine, queries on
//! DataFusion. What is not supported answers with the service's own error and never with a made-up success.

mod athena;
mod aws_json;
pub mod check;
mod clock;
mod emr;
mod endpoint;
mod faults;
mod foreign;
mod glue;
mod home;
mod identity;
mod in_process;
mod lambda;
mod paging;
mod private;
mod protocol;
mod s3;
mod s3_uri;
mod seal;
mod server;
mod state;
mod step_functions;
mod unread;

pub use emr::{NoSpark, SparkEngine, SparkSql};
pub use endpoint::{Endpoint, Options, StartError};
pub use faults::{FaultPlan, FaultPlanError};
pub use home::{HomeError, Owner};
pub use identity::{ACCOUNT, REGION, function_arn, state_machine_arn};
pub use seal::Damaged;
pub use state::{Broken, StateError};

/// What the fuzz targets call. No part of the interface.
#[doc(hidden)]
pub mod fuzzing {
    /// An `aws-chunked` body, in the pieces in which it came, as its bytes and its trailers, or why it is none.
    pub async fn decode_chunks(pieces: Vec<bytes::Bytes>) -> Result<(Vec<u8>, http::HeaderMap), String> {
        crate::s3::decode_chunks(pieces).await
    }
}
