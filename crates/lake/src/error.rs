//! Errors, with names that state machines match.
//!
//! Of a failed function, Step Functions sees only a name and a message. The names are few and stable: one for each reaction
//! of a definition or a person (retry, correct the input, look at the data, look at the cluster).

use std::error::Error as StdError;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use lambda_runtime::Diagnostic;

/// The error of an SDK or of a stream that an [`Error`] was made from.
type Source = Box<dyn StdError + Send + Sync>;

/// An error of a function or of the command line. Its text includes the texts of its [`source`](StdError::source)s.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The event or the configuration is invalid.
    #[error("{message}")]
    InvalidInput {
        /// Why it is invalid.
        message: String,
        /// The error that this one was made from, if any.
        #[source]
        source: Option<Source>,
    },
    /// The data must not be published. The message says which check failed on what, and where the report is.
    #[error("{0}")]
    Quality(String),
    /// Uploaded files are not ingested yet. The message names them.
    #[error("{0}")]
    UploadPending(String),
    /// Raw files changed while a run read them, so that it is unknown which versions it read. The message names them.
    #[error("{0}")]
    RawFilesChanged(String),
    /// An older run of the same days is in progress. The message names it.
    #[error("{0}")]
    RunInProgress(String),
    /// Another run published a day after this run's audit had compared with it. The audit has to be repeated.
    #[error("{0}")]
    RecordChanged(String),
    /// A publication record is damaged or has another version.
    #[error("{message}")]
    Record {
        /// Which record, and what is wrong with it.
        message: String,
        /// The error that this one was made from, if any.
        #[source]
        source: Option<Source>,
    },
    /// EMR does not know the cluster or the step, or its response lacks a required field.
    #[error("{0}")]
    Emr(String),
    /// A query failed or was cancelled.
    #[error("Athena query {query} {state}: {reason}\nThe statement: {statement}")]
    Athena {
        /// The id of the query execution, as the Athena console lists it.
        query: String,
        /// `FAILED` or `CANCELLED`.
        state: String,
        /// The reason that Athena states.
        reason: String,
        /// The beginning of the statement.
        statement: String,
        /// Whether Athena says that a retry of the statement may succeed.
        retryable: bool,
    },
    /// A service was throttling, failed internally, or could not be reached, after the SDK's retries.
    #[error("{doing}: {message}")]
    Unavailable {
        /// The operation, for the message: `listing s3://bucket/prefix`.
        doing: String,
        /// The error message of the service.
        message: String,
        /// The error that this one was made from, if any.
        #[source]
        source: Option<Source>,
    },
    /// A service refused a request for a reason that a retry does not remove.
    #[error("{doing}: {code}: {message}")]
    Refused {
        /// The operation, for the message.
        doing: String,
        /// The error code of the service: `NoSuchBucket`, `AccessDenied`.
        code: String,
        /// The error message of the service.
        message: String,
        /// The error that this one was made from, if any.
        #[source]
        source: Option<Source>,
    },
}

impl Error {
    /// Creates an [`Error::InvalidInput`] without a source.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Error::InvalidInput { message: message.into(), source: None }
    }

    /// Creates an [`Error::InvalidInput`] from its source.
    pub fn malformed(message: impl Into<String>, source: impl StdError + Send + Sync + 'static) -> Self {
        Error::InvalidInput { message: message.into(), source: Some(Box::new(source)) }
    }

    /// Creates an [`Error::Record`] without a source.
    pub fn record(message: impl Into<String>) -> Self {
        Error::Record { message: message.into(), source: None }
    }

    /// Creates an [`Error::Unavailable`] without a source.
    pub fn unavailable(doing: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Unavailable { doing: doing.into(), message: message.into(), source: None }
    }

    /// Creates an [`Error::Refused`] without a source.
    pub fn refused(doing: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Refused { doing: doing.into(), code: code.into(), message: message.into(), source: None }
    }

    /// Returns the name that `Retry` and `Catch` match: `InvalidInput`, `QualityError`, `UploadPending`, `RawFilesChanged`,
    /// `RunInProgress`, `RecordChanged`, `RecordError`, `EmrError`, `AthenaError`, `ServiceUnavailable` (the one to retry), or the error code
    /// of the service that refused a request.
    pub fn name(&self) -> &str {
        match self {
            Error::InvalidInput { .. } => "InvalidInput",
            Error::Quality(_) => "QualityError",
            Error::UploadPending(_) => "UploadPending",
            Error::RawFilesChanged(_) => "RawFilesChanged",
            Error::RunInProgress(_) => "RunInProgress",
            Error::RecordChanged(_) => "RecordChanged",
            Error::Record { .. } => "RecordError",
            Error::Emr(_) => "EmrError",
            Error::Athena { retryable: false, .. } => "AthenaError",
            Error::Athena { retryable: true, .. } | Error::Unavailable { .. } => "ServiceUnavailable",
            Error::Refused { code, .. } => code,
        }
    }

    /// Whether Athena or Glue says that a table or its database does not exist: nothing has been published, or the name is
    /// wrong.
    pub fn is_missing_table(&self) -> bool {
        match self {
            Error::Athena { reason, .. } => NO_SUCH_TABLE.iter().any(|words| reason.contains(words)),
            Error::Refused { code, .. } => code == NO_SUCH_ENTITY,
            _ => false,
        }
    }

    /// Returns a function for `map_err` after a call of an AWS client. `doing` describes the call: `listing s3://b/p`.
    pub fn aws<E>(doing: impl Into<String>) -> impl FnOnce(SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let doing = doing.into();
        move |error| {
            let status = error.raw_response().map(|response| response.status().as_u16());
            let code = error.code().map(str::to_owned);
            let message = error.message().map_or_else(|| causes(&error), str::to_owned);
            let source: Option<Source> = Some(Box::new(error));
            match (status, code) {
                (Some(status), code) if is_final(status) && !is_transient(code.as_deref()) => {
                    Error::Refused { doing, code: code.unwrap_or_else(|| format!("Http{status}")), message, source }
                }
                (_, code) => {
                    let message = code.map_or(message.clone(), |code| format!("{code}: {message}"));
                    Error::Unavailable { doing, message, source }
                }
            }
        }
    }

    /// Returns a function for `map_err` after reading the body of an object. `name` is the object in the message.
    pub fn body<E: StdError + Send + Sync + 'static>(name: impl Into<String>) -> impl FnOnce(E) -> Error {
        let doing = format!("reading {}", name.into());
        move |error| Error::Unavailable { doing, message: causes(&error), source: Some(Box::new(error)) }
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Diagnostic { error_type: error.name().to_owned(), error_message: error.to_string() }
    }
}

/// Texts of Athena for a table or a database that does not exist: queries have an error name, DDL has Hive's message.
const NO_SUCH_TABLE: [&str; 4] = ["TABLE_NOT_FOUND", "SCHEMA_NOT_FOUND", "Table not found", "Database does not exist"];

/// Error code of Glue for a table or a database that does not exist.
pub(crate) const NO_SUCH_ENTITY: &str = "EntityNotFoundException";

/// Creates the error of one item of a batch request that succeeded as a whole.
pub(crate) fn for_batch_item(doing: String, code: &str, message: String) -> Error {
    // It is the partition that does not exist: without the table, Glue would have refused the whole request.
    let code = if code == NO_SUCH_ENTITY { "PartitionNotFound" } else { code };
    if is_transient(Some(code)) {
        return Error::unavailable(doing, format!("{code}: {message}"));
    }
    Error::refused(doing, code, message)
}

/// Whether a retry would have the same result: the request itself is invalid, or a disk is full (507).
fn is_final(status: u16) -> bool {
    status == 507 || (status < 500 && status != 429)
}

/// Whether an error code means a transient error. Some services send status 400 for throttling, and Glue for a timeout or
/// a concurrent change.
fn is_transient(code: Option<&str>) -> bool {
    const CODES: [&str; 7] = [
        "TooManyRequestsException",
        "SlowDown",
        "RequestLimitExceeded",
        "OperationTimeoutException",
        "ConcurrentModificationException",
        "InternalServiceException",
        "ResourceNotReadyException",
    ];
    code.is_some_and(|code| code.contains("Throttl") || CODES.contains(&code))
}

/// Returns the texts of an error and its sources, in one line. The text of an SDK error alone is "dispatch failure".
fn causes(error: &dyn StdError) -> String {
    let chain = std::iter::successors(Some(error), |error| (*error).source());
    let mut texts: Vec<String> = chain.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_mend_itself_is_tried_again() {
        for status in [301, 400, 403, 404, 412, 507] {
            assert!(is_final(status), "{status}");
        }
        for status in [429, 500, 502, 503, 504] {
            assert!(!is_final(status), "{status}");
        }
        for code in ["ThrottlingException", "SlowDown", "OperationTimeoutException", "ConcurrentModificationException"]
        {
            assert!(is_transient(Some(code)), "{code}");
        }
        assert!(!is_transient(Some("AccessDenied")) && !is_transient(None));
        let item = |code: &str| for_batch_item("adding a partition".to_owned(), code, "as it is".to_owned());
        assert_eq!(item("InternalServiceException").name(), "ServiceUnavailable");
        let missing = item("EntityNotFoundException");
        assert_eq!(missing.to_string(), "adding a partition: PartitionNotFound: as it is");
        assert!(!missing.is_missing_table(), "the table is there, and one of its partitions is not");
    }

    #[test]
    fn the_error_of_a_stream_is_the_source_and_in_the_text() {
        let error = Error::body("s3://b/k")(std::io::Error::other("the connection was reset"));
        assert_eq!(error.to_string(), "reading s3://b/k: the connection was reset");
        let source = error.source().expect("a source");
        assert!(source.is::<std::io::Error>(), "{source:?}");
        assert!(Error::unavailable("reading", "nothing").source().is_none());
    }

    #[test]
    fn a_missing_table_is_recognized_in_errors_of_athena_and_glue() {
        for (reason, missing) in [
            ("TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.pregao.quotas' does not exist", true),
            ("SCHEMA_NOT_FOUND: line 1:15: Schema 'market' does not exist", true),
            ("FAILED: SemanticException [Error 10001]: Table not found pregao.quotas", true),
            ("FAILED: SemanticException [Error 10072]: Database does not exist: market", true),
            ("CATALOG_NOT_FOUND: line 1:15: Catalog 'hive' does not exist", false),
            ("COLUMN_NOT_FOUND: line 1:8: Column 'tickr' cannot be resolved", false),
            ("The specified bucket does not exist", false),
        ] {
            let error = Error::Athena {
                query: "q".to_owned(),
                state: "FAILED".to_owned(),
                reason: reason.to_owned(),
                statement: String::new(),
                retryable: false,
            };
            assert_eq!(error.is_missing_table(), missing, "{reason}");
        }
        // Of a refused request, only the code is compared.
        let refused = |code: &str, message: &str| Error::refused("asking", code, message);
        assert!(!refused("InvalidRequestException", "TABLE_NOT_FOUND").is_missing_table());
        assert!(refused("EntityNotFoundException", "Table quotes not found.").is_missing_table());
    }
}
