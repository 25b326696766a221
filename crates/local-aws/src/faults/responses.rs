//! Faults as HTTP responses: a service's own error, a truncated response, or none.

use std::io;

use futures::{StreamExt as _, stream};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use s3s::Body;

use super::{CallOutcome, Refusal, Service, ServiceCall};
use crate::aws_json::{AwsError, Version};
use crate::rest_json;
use crate::sts;

const MESSAGE: &str = "as the fault plan of this endpoint has it";

impl CallOutcome<Response<Body>> {
    /// Returns the response for the client. `None`: the connection breaks without a response.
    pub(crate) async fn into_response(self, call: &ServiceCall) -> Option<Response<Body>> {
        match self {
            CallOutcome::Answered(response) => Some(response),
            CallOutcome::Truncated(response) => truncate(response).await,
            CallOutcome::Refused(refusal) => error_response(call, refusal),
        }
    }
}

/// Returns the response with half of its body, after which the connection breaks. `None` if the body is empty.
async fn truncate(response: Response<Body>) -> Option<Response<Body>> {
    let (parts, body) = response.into_parts();
    let bytes = BodyExt::collect(body).await.ok()?.to_bytes();
    if bytes.is_empty() {
        return None;
    }
    let half = Frame::data(bytes.slice(..bytes.len() / 2));
    let broken = async {
        // Yields once, so that the server sends the first half before it sees the error.
        tokio::task::yield_now().await;
        Err(io::Error::new(io::ErrorKind::ConnectionReset, MESSAGE))
    };
    let frames = stream::once(async { Ok(half) }).chain(stream::once(broken));
    Some(Response::from_parts(parts, Body::http_body(StreamBody::new(frames))))
}

/// An error response in the form of the service. `None` for [`Refusal::Reset`].
fn error_response(call: &ServiceCall, refusal: Refusal) -> Option<Response<Body>> {
    if refusal == Refusal::Reset {
        return None;
    }
    Some(match call.service {
        Service::S3 => {
            let (status, code) = match refusal {
                Refusal::Throttle => (StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
                Refusal::Deny => (StatusCode::FORBIDDEN, "AccessDenied"),
                Refusal::Internal | Refusal::Reset => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
            };
            let text = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{code}, {MESSAGE}</Message></Error>"
            );
            let body = if call.operation.starts_with("Head") { Body::empty() } else { Body::from(text) };
            response(status, "application/xml", body)
        }
        Service::Lambda => {
            let (status, code) = match refusal {
                Refusal::Throttle => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException"),
                Refusal::Deny => (StatusCode::FORBIDDEN, "AccessDeniedException"),
                Refusal::Internal | Refusal::Reset => (StatusCode::INTERNAL_SERVER_ERROR, "ServiceException"),
            };
            let text = serde_json::json!({ "Type": "Service", "Message": MESSAGE }).to_string();
            let mut response = response(status, "application/json", Body::from(text));
            response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(code));
            response
        }
        Service::Sts => {
            let (status, code) = match refusal {
                Refusal::Throttle => (StatusCode::BAD_REQUEST, "Throttling"),
                Refusal::Deny => (StatusCode::FORBIDDEN, "AccessDenied"),
                Refusal::Internal | Refusal::Reset => (StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure"),
            };
            sts::error(status, code, MESSAGE, "")
        }
        Service::EmrServerless => {
            let status = match refusal {
                Refusal::Throttle => StatusCode::TOO_MANY_REQUESTS,
                Refusal::Deny => StatusCode::FORBIDDEN,
                Refusal::Internal | Refusal::Reset => StatusCode::INTERNAL_SERVER_ERROR,
            };
            rest_json::respond(Err(json_error(refusal).with_status(status)))
        }
        Service::Athena | Service::Glue | Service::StepFunctions | Service::Emr | Service::Spark | Service::Events => {
            let error = json_error(refusal);
            let version = if call.service == Service::StepFunctions { Version::V1_0 } else { Version::V1_1 };
            version.respond(Err(error))
        }
    })
}

/// The error of the services whose input and output are JSON.
fn json_error(refusal: Refusal) -> AwsError {
    match refusal {
        Refusal::Throttle => AwsError::new("ThrottlingException", format!("Rate exceeded, {MESSAGE}")),
        Refusal::Deny => AwsError::new("AccessDeniedException", format!("User is not authorized, {MESSAGE}")),
        Refusal::Internal | Refusal::Reset => AwsError::internal(MESSAGE),
    }
}

fn response(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_refuses_in_its_own_form() {
        let answer =
            |service, operation: &str, refusal| error_response(&ServiceCall::new(service, operation, ""), refusal);
        for (service, statuses) in [
            (Service::S3, [503, 500, 403]),
            (Service::Lambda, [429, 500, 403]),
            (Service::EmrServerless, [429, 500, 403]),
            (Service::Sts, [400, 500, 403]),
            (Service::Athena, [400, 500, 400]),
        ] {
            for (refusal, status) in [Refusal::Throttle, Refusal::Internal, Refusal::Deny].into_iter().zip(statuses) {
                assert_eq!(answer(service, "X", refusal).unwrap().status(), status, "{service:?} {refusal:?}");
            }
            assert!(answer(service, "X", Refusal::Reset).is_none());
        }
        let head = answer(Service::S3, "HeadObject", Refusal::Deny).unwrap().into_body();
        assert!(hyper::body::Body::is_end_stream(&head), "the answer to a HEAD has no body");
    }

    #[tokio::test]
    async fn half_an_answer_ends_in_an_error() {
        let mut body = truncate(Response::new(Body::from("0123456789".to_owned()))).await.unwrap().into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "01234");
        assert!(body.frame().await.unwrap().is_err());
        assert!(truncate(Response::new(Body::empty())).await.is_none());
    }
}
