//! Errors of the API: the cause, and what the user can do.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error response.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    /// The name of the error, as in state machines and Athena: `NotFound`, `InvalidInput`, `AthenaError`.
    error: String,
    message: String,
    /// What the user can do about it.
    hint: Option<String>,
}

impl ApiError {
    /// 400: the request is invalid.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidInput", message)
    }

    /// 404: the requested object does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// 403: the request is not allowed.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    /// 409: the request is executed only when the user confirms it.
    pub(crate) fn unconfirmed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "Unconfirmed", message)
    }

    fn new(status: StatusCode, error: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, error: error.into(), message: message.into(), hint: None }
    }

    /// Sets the hint.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<lake::Error> for ApiError {
    fn from(error: lake::Error) -> Self {
        let (name, no_table) = (error.name().to_owned(), error.is_missing_table());
        match error {
            lake::Error::Unavailable { doing, message, .. } => {
                Self::new(StatusCode::BAD_GATEWAY, name, format!("{doing}: {message}"))
                    .hint("Does the lake's endpoint still run? This page asks again when it is reloaded.")
            }
            // Athena's reason alone: the author of the statement knows the statement and its id.
            lake::Error::Athena { reason, .. } => {
                let error = Self::new(StatusCode::BAD_REQUEST, name, reason);
                if no_table {
                    error
                        .hint("Nothing has been published yet: upload raw files, and start create_datalake under Runs.")
                } else {
                    error
                }
            }
            lake::Error::Refused { code, message, .. } if code == "InvalidRequestException" => {
                Self::new(StatusCode::BAD_REQUEST, name, message)
            }
            error => Self::new(StatusCode::BAD_GATEWAY, name, error.to_string()),
        }
    }
}

/// Callers that share one failed computation of a cache entry share its error.
impl From<Arc<ApiError>> for ApiError {
    fn from(error: Arc<ApiError>) -> Self {
        Arc::unwrap_or_clone(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "message": self.message, "hint": self.hint });
        (self.status, Json(body)).into_response()
    }
}
