//! The protocol of EMR Serverless (`restJson1`): the operation is the method and the path, input and output are JSON objects, and
//! the name of an error is in a header.

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use s3s::Body;
use serde_json::json;

use crate::aws_json::AwsResult;

/// The header with the name of an error.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Writes a result as an HTTP response.
pub(crate) fn respond(result: AwsResult) -> Response<Body> {
    let (status, body, code) = match result {
        Ok(output) => (StatusCode::OK, output, None),
        Err(error) => (error.status(), json!({ "message": error.message() }), Some(error.code())),
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(code) = code {
        headers.insert(ERROR_TYPE, HeaderValue::from_static(code));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws_json::AwsError;

    #[test]
    fn errors_are_named_in_the_head() {
        let error = AwsError::new("ResourceNotFoundException", "no \"job\" run").with_status(StatusCode::NOT_FOUND);
        let response = respond(Err(error));
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()["x-amzn-errortype"], "ResourceNotFoundException");
        assert_eq!(response.body().bytes().unwrap(), r#"{"message":"no \"job\" run"}"#);
        let response = respond(Ok(json!({ "jobRunId": "a" })));
        assert_eq!((response.status(), response.headers().get(ERROR_TYPE)), (StatusCode::OK, None));
    }
}
