//! What the page is told when something cannot be done: what is wrong, and what to do.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A question that cannot be answered.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    /// The name of the error, as state machines and Athena have it: `NotFound`, `InvalidInput`, `AthenaError`.
    error: String,
    message: String,
    /// What to do about it.
    hint: Option<String>,
}

impl Failure {
    /// The question makes no sense.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidInput", message)
    }

    /// What is asked for is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// The question comes from where it may not.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    /// It can be done, once whoever asks for it says so again.
    pub fn unconfirmed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "Unconfirmed", message)
    }

    fn new(status: StatusCode, error: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, error: error.into(), message: message.into(), hint: None }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<lake::Error> for Failure {
    fn from(error: lake::Error) -> Self {
        let (name, no_table) = (error.name().to_owned(), error.is_missing_table());
        match error {
            lake::Error::Unavailable { doing, message } => {
                Self::new(StatusCode::BAD_GATEWAY, name, format!("{doing}: {message}"))
                    .hint("Does the lake's endpoint still run? This page asks again when it is reloaded.")
            }
            // What is wrong with a statement is between its author and Athena.
            lake::Error::Athena { reason, .. } => {
                let failure = Self::new(StatusCode::BAD_REQUEST, name, reason);
                if no_table {
                    failure
                        .hint("Nothing has been published yet: upload raw files, and start create_datalake under Runs.")
                } else {
                    failure
                }
            }
            lake::Error::Refused { code, message, .. } if code == "InvalidRequestException" => {
                Self::new(StatusCode::BAD_REQUEST, name, message)
            }
            error => Self::new(StatusCode::BAD_GATEWAY, name, error.to_string()),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "message": self.message, "hint": self.hint });
        (self.status, Json(body)).into_response()
    }
}
