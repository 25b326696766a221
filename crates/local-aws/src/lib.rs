//! The embedded AWS endpoint: one loopback port that answers the wire protocols of S3, Step Functions, Lambda, EMR, EMR
//! Serverless, Athena and Glue's catalog, so that the AWS CLI, boto3, PyAthena and the AWS SDKs work against a folder on this
//! machine.
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
//! Each service has the API of the real one, over local files and one SQLite database. Objects are plain files, functions
//! run in this process, state machines are interpreted, Spark jobs run on the Rust engine, queries on DataFusion. What is not
//! supported returns the service's own error, never a success without an effect.

mod abandoned_leases;
mod athena;
mod aws_json;
pub mod check;
mod clock;
mod constraints;
mod drain;
mod emr;
mod emr_serverless;
mod endpoint;
mod faults;
mod glue;
mod home;
mod identity;
mod in_process;
mod lambda;
mod landing;
mod origin;
mod paging;
mod permissions;
mod protocol;
mod rest_json;
mod rules;
mod s3;
mod s3_uri;
mod seal;
mod server;
mod spark;
mod state;
mod step_functions;
mod sts;
mod url_encoding;

pub use emr_serverless::APPLICATION;
pub use endpoint::{Endpoint, Landed, Options, StartError};
pub use faults::{FaultPlan, FaultPlanError};
pub use home::{HomeError, Owner};
pub use identity::{ACCOUNT, REGION, function_arn, state_machine_arn};
pub use seal::Damaged;
pub use spark::{NoSpark, SparkEngine, SparkSql};
pub use state::{StateError, StorageFailure};

/// Entry points of the fuzz targets. Not part of the public API.
#[doc(hidden)]
pub mod fuzzing {
    /// Decodes an `aws-chunked` body, given as the pieces in which it arrived, into its bytes and its trailers.
    ///
    /// # Errors
    /// A description of the first error of the body.
    pub async fn decode_chunks(pieces: Vec<bytes::Bytes>) -> Result<(Vec<u8>, http::HeaderMap), String> {
        crate::s3::decode_chunks(pieces).await
    }
}
