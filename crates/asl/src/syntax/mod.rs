//! Leaves of the module tree: reading the fields of a definition, errors, ids, limits and timestamps.
//!
//! The layers are `syntax <- data <- model <- run`; each imports only those to its left.

mod error;
mod failure;
mod fields;
mod ids;
mod json;
mod limits;
mod scanner;
mod timestamp;

pub use error::{DefinitionError, DefinitionErrorCode};
pub use failure::Failure;
pub(crate) use failure::name as error_name;
pub(crate) use fields::Fields;
pub(crate) use ids::{StateId, StateNames};
pub use json::{JsonFault, parse_json};
pub(crate) use limits::{MAX_NESTING, MAX_SECONDS};
pub(crate) use scanner::unquoted;
pub(crate) use timestamp::{format_timestamp, parse_timestamp};
