//! The protocol that Step Functions, Athena, Glue and EMR share (`awsJson1.0` and `1.1`): the operation is in a
//! header, input and output are JSON objects, and an error is an object with its name under `__type`.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use s3s::Body;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// An error of a service, with the service's own code.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AwsError {
    code: &'static str,
    message: String,
    status: StatusCode,
    details: Map<String, Value>,
}

impl AwsError {
    /// An error of the caller, status 400.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> AwsError {
        AwsError { code, message: message.into(), status: StatusCode::BAD_REQUEST, details: Map::new() }
    }

    /// An error of the endpoint or of its disk, status 500.
    pub(crate) fn internal(error: impl std::fmt::Display) -> AwsError {
        let error = AwsError::new("InternalServerException", error.to_string());
        AwsError { status: StatusCode::INTERNAL_SERVER_ERROR, ..error }
    }

    /// The state cannot be stored, status 507. SDKs do not retry it, unlike a 500.
    pub(crate) fn storage(error: impl std::fmt::Display) -> AwsError {
        AwsError { status: StatusCode::INSUFFICIENT_STORAGE, ..AwsError::internal(error) }
    }

    /// A request from a host or an origin that is not allowed, status 403.
    pub(crate) fn access_denied(reason: &str) -> AwsError {
        AwsError { status: StatusCode::FORBIDDEN, ..AwsError::new("AccessDeniedException", reason) }
    }

    /// Returns the error with another status, for protocols in which it depends on the error.
    pub(crate) fn with_status(self, status: StatusCode) -> AwsError {
        AwsError { status, ..self }
    }

    /// Adds a member to the error object.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> AwsError {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn unknown_operation(operation: &str) -> AwsError {
        AwsError::new("UnknownOperationException", format!("{operation} is not an operation of this endpoint"))
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
}

/// An error of reading or writing the state.
impl From<rusqlite::Error> for AwsError {
    fn from(error: rusqlite::Error) -> AwsError {
        AwsError::internal(format!("the state of the endpoint: {error}"))
    }
}

/// The output of an operation of the JSON services, or its error.
pub(crate) type AwsResult = Result<Value, AwsError>;

/// Deserializes the input of an operation. Ignores members that the type does not have, as AWS does.
pub(crate) fn input<T: DeserializeOwned>(value: Value) -> Result<T, AwsError> {
    serde_json::from_value(value).map_err(|error| {
        AwsError::new("ValidationException", format!("1 validation error detected: the input does not fit: {error}"))
    })
}

/// Serializes the output of an operation.
pub(crate) fn output(value: &impl Serialize) -> AwsResult {
    serde_json::to_value(value).map_err(AwsError::internal)
}

/// Parses the body of a request, a JSON object or empty.
pub(crate) fn parse(body: &[u8]) -> Result<Value, AwsError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(AwsError::new("SerializationException", "the input is not a JSON object")),
        Err(error) => Err(AwsError::new("SerializationException", format!("the input is not JSON: {error}"))),
    }
}

/// The version of the protocol. An error's text is in `message` in `awsJson1.0`, and in `Message` in the services of `1.1` here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1_0,
    V1_1,
}

impl Version {
    /// The version of the service of a target, `<service>.<operation>`.
    pub(crate) fn from_target(target: &str) -> Version {
        if target.starts_with("AWSStepFunctions.") { Version::V1_0 } else { Version::V1_1 }
    }

    /// Writes a result as an HTTP response.
    pub(crate) fn respond(self, result: AwsResult) -> Response<Body> {
        self.respond_text(result.map(|output| output.to_string()))
    }

    /// Writes a result that is JSON text already.
    pub(crate) fn respond_text(self, result: Result<String, AwsError>) -> Response<Body> {
        let (status, body) = match result {
            Ok(output) => (StatusCode::OK, output),
            Err(error) => (error.status, self.error_body(error).to_string()),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, self.content_type());
        response
    }

    fn error_body(self, error: AwsError) -> Value {
        let text = match self {
            Version::V1_0 => "message",
            Version::V1_1 => "Message",
        };
        let mut body = Map::new();
        body.insert("__type".to_owned(), error.code.into());
        body.insert(text.to_owned(), error.message.into());
        body.extend(error.details);
        Value::Object(body)
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Version::V1_0 => "application/x-amz-json-1.0",
            Version::V1_1 => "application/x-amz-json-1.1",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_protocols_shape() {
        let error = AwsError::new("InvalidArn", "no ARN").with("Detail", 7);
        let old = Version::V1_0.error_body(error.clone());
        assert_eq!(old, json!({"__type": "InvalidArn", "message": "no ARN", "Detail": 7}));
        assert_eq!(Version::V1_1.error_body(error)["Message"], "no ARN");
    }

    #[test]
    fn bodies_are_objects() {
        assert_eq!(parse(b"").unwrap(), json!({}));
        assert_eq!(parse(br#"{"a": 1}"#).unwrap(), json!({"a": 1}));
        for bad in [&b"[]"[..], b"{", b"\xff"] {
            assert_eq!(parse(bad).unwrap_err().code, "SerializationException", "{bad:?}");
        }
    }
}
