//! What can go wrong, under names that state machines can match.
//!
//! Step Functions sees of a failed function only a name and a message. The names are few and stable: one for each
//! decision that a definition or a person takes (try again, mend the input, look at the data, look at the cluster).

use std::error::Error as StdError;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use lambda_runtime::Diagnostic;

/// Why a function did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The event or the configuration is not one that the function takes.
    #[error("{0}")]
    InvalidInput(String),
    /// The data is not fit to be published. The message says which check failed on what, and where the report is.
    #[error("{0}")]
    Quality(String),
    /// Files are uploaded and not taken in yet. The message names them.
    #[error("{0}")]
    UploadPending(String),
    /// Raw files changed while a run read them, so that nobody knows which versions it read. The message names them.
    #[error("{0}")]
    RawFilesChanged(String),
    /// Another run published a day after this run's audit compared with it. The audit has to be repeated.
    #[error("{0}")]
    RecordChanged(String),
    /// A publication record is damaged, or of another version. The message names it.
    #[error("{0}")]
    Record(String),
    /// The cluster or the step is not one that EMR knows, or EMR answered with something that is neither.
    #[error("{0}")]
    Emr(String),
    /// A query ended without an answer.
    #[error("Athena query {query} {state}: {reason}\nThe statement: {statement}")]
    Athena {
        /// The id of the query execution, as the Athena console lists it.
        query: String,
        /// `FAILED` or `CANCELLED`.
        state: String,
        /// Athena's words.
        reason: String,
        /// The beginning of the statement.
        statement: String,
        /// Whether Athena says that the same statement may succeed later.
        retryable: bool,
    },
    /// A service asked to be left alone for a while, failed inside, or could not be reached, after the SDK's retries.
    #[error("{doing}: {message}")]
    Unavailable {
        /// What was being done.
        doing: String,
        /// The service's words.
        message: String,
    },
    /// A service refused a request for a reason that trying again does not mend.
    #[error("{doing}: {code}: {message}")]
    Refused {
        /// What was being done.
        doing: String,
        /// The service's own name of the error: `NoSuchBucket`, `AccessDenied`.
        code: String,
        /// The service's words.
        message: String,
    },
}

impl Error {
    /// The name that `Retry` and `Catch` match: `InvalidInput`, `QualityError`, `UploadPending`, `RawFilesChanged`,
    /// `RecordChanged`, `RecordError`, `EmrError`, `AthenaError`, `ServiceUnavailable` (the one to retry), or the name that a
    /// service gave its refusal.
    pub fn name(&self) -> &str {
        match self {
            Error::InvalidInput(_) => "InvalidInput",
            Error::Quality(_) => "QualityError",
            Error::UploadPending(_) => "UploadPending",
            Error::RawFilesChanged(_) => "RawFilesChanged",
            Error::RecordChanged(_) => "RecordChanged",
            Error::Record(_) => "RecordError",
            Error::Emr(_) => "EmrError",
            Error::Athena { retryable: false, .. } => "AthenaError",
            Error::Athena { retryable: true, .. } | Error::Unavailable { .. } => "ServiceUnavailable",
            Error::Refused { code, .. } => code,
        }
    }

    /// Whether it is the word of Athena or of Glue that a table, or its database, is not there: nothing has been
    /// published, or the name is wrong.
    pub fn is_missing_table(&self) -> bool {
        match self {
            Error::Athena { reason, .. } => NO_SUCH_TABLE.iter().any(|words| reason.contains(words)),
            Error::Refused { code, .. } => code == NO_SUCH_ENTITY,
            _ => false,
        }
    }

    /// For `map_err` behind a call of an AWS client: `doing` says what the call was for, such as `listing s3://b/p`.
    pub fn aws<E>(doing: impl Into<String>) -> impl FnOnce(SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let doing = doing.into();
        move |error| {
            let status = error.raw_response().map(|response| response.status().as_u16());
            let code = error.code().map(str::to_owned);
            let message = error.message().map(str::to_owned).unwrap_or_else(|| causes(&error));
            match (status, code) {
                (Some(status), code) if is_final(status) && !is_passing(code.as_deref()) => {
                    Error::Refused { doing, code: code.unwrap_or_else(|| format!("Http{status}")), message }
                }
                (_, code) => {
                    let message = code.map_or(message.clone(), |code| format!("{code}: {message}"));
                    Error::Unavailable { doing, message }
                }
            }
        }
    }

    /// For `map_err` behind reading the body of an object at `place`.
    pub fn body<E: StdError + 'static>(place: impl Into<String>) -> impl FnOnce(E) -> Error {
        let doing = format!("reading {}", place.into());
        move |error| Error::Unavailable { doing, message: causes(&error) }
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Diagnostic { error_type: error.name().to_owned(), error_message: error.to_string() }
    }
}

/// Athena's words for a table or a database that is not there: queries have a name for it, DDL has Hive's words.
const NO_SUCH_TABLE: [&str; 4] = ["TABLE_NOT_FOUND", "SCHEMA_NOT_FOUND", "Table not found", "Database does not exist"];

/// Glue's word for it.
pub(crate) const NO_SUCH_ENTITY: &str = "EntityNotFoundException";

/// What a service says of a part of a request that it took as a whole.
pub(crate) fn of_part(doing: String, code: &str, message: String) -> Error {
    // Of a table that is not there it would have refused the whole.
    let code = if code == NO_SUCH_ENTITY { "PartitionNotFound" } else { code };
    if is_passing(Some(code)) {
        return Error::Unavailable { doing, message: format!("{code}: {message}") };
    }
    Error::Refused { doing, code: code.to_owned(), message }
}

/// Whether the same request would be answered in the same way: it is at fault itself, or a disk is full (507).
fn is_final(status: u16) -> bool {
    status == 507 || (status < 500 && status != 429)
}

/// What passes by itself. Some services answer with a 400 for it: when they ask to be left alone for a while, and Glue when
/// it took too long, or met another change.
fn is_passing(code: Option<&str>) -> bool {
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

/// An error and what is behind it, in one line. An SDK error alone says no more than "dispatch failure".
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
            assert!(is_passing(Some(code)), "{code}");
        }
        assert!(!is_passing(Some("AccessDenied")) && !is_passing(None));
        let of_part = |code: &str| of_part("adding a partition".to_owned(), code, "as it is".to_owned());
        assert_eq!(of_part("InternalServiceException").name(), "ServiceUnavailable");
        let missing = of_part("EntityNotFoundException");
        assert_eq!(missing.to_string(), "adding a partition: PartitionNotFound: as it is");
        assert!(!missing.is_missing_table(), "the table is there, and one of its partitions is not");
    }

    #[test]
    fn a_missing_table_is_told_by_athena_and_by_glue() {
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
        // Of a request the code counts, and no words.
        let refused = |code: &str, message: &str| Error::Refused {
            doing: "asking".to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
        };
        assert!(!refused("InvalidRequestException", "TABLE_NOT_FOUND").is_missing_table());
        assert!(refused("EntityNotFoundException", "Table quotes not found.").is_missing_table());
    }
}
