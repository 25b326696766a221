//! The protocols of the services: how a request names its service, how an error is written, and where the request id is.

use std::sync::LazyLock;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use s3s::{Body, S3Error, S3ErrorCode};
use uuid::Uuid;

use crate::aws_json::{AwsError, Version};
use crate::{emr_serverless, lambda, rest_json, sts};

/// The protocol of a request, by its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Step Functions, Athena, Glue, EMR: `<service>.<operation>` in a header.
    Json(String),
    /// EMR Serverless's REST API.
    EmrServerless,
    /// Lambda's REST API. The text is the path after [`lambda::PATH`].
    Lambda(String),
    /// STS's query API.
    Sts,
    S3,
}

impl Protocol {
    pub(crate) fn from_head(head: &Parts) -> Protocol {
        if let Some(target) = head.headers.get("x-amz-target") {
            return Protocol::Json(String::from_utf8_lossy(target.as_bytes()).into_owned());
        }
        if emr_serverless::is_addressed(&head.headers) {
            return Protocol::EmrServerless;
        }
        if sts::is_addressed(&head.headers, head.uri.path()) {
            return Protocol::Sts;
        }
        match head.uri.path().strip_prefix(lambda::PATH) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Protocol::Lambda(rest.to_owned()),
            _ => Protocol::S3,
        }
    }

    /// An error response with status 403, in the form of the protocol.
    pub(crate) fn deny(&self, reason: &str) -> Response<Body> {
        match self {
            Protocol::Json(target) => Version::from_target(target).respond(Err(AwsError::access_denied(reason))),
            Protocol::EmrServerless => rest_json::respond(Err(AwsError::access_denied(reason))),
            Protocol::Lambda(_) => lambda::error_response(StatusCode::FORBIDDEN, "AccessDeniedException", reason),
            Protocol::Sts => sts::error(StatusCode::FORBIDDEN, "AccessDenied", reason, ""),
            Protocol::S3 => s3_error(S3ErrorCode::AccessDenied, reason),
        }
    }

    /// Returns a new request id, in the form of the protocol.
    pub(crate) fn new_request_id(&self) -> String {
        let id = Uuid::new_v4();
        match self {
            Protocol::Json(_) | Protocol::EmrServerless | Protocol::Lambda(_) | Protocol::Sts => id.to_string(),
            Protocol::S3 => format!("{:016X}", id.as_u64_pair().0),
        }
    }

    /// Adds the request id, where clients of the protocol look for it.
    pub(crate) fn stamp(&self, mut response: Response<Body>, id: &str) -> Response<Body> {
        if *self != Protocol::S3 {
            response.headers_mut().insert(JSON_ID, header(id));
            return response;
        }
        response.headers_mut().insert(S3_ID, header(id));
        response.headers_mut().insert(S3_HOST_ID, header(&HOST_ID));
        if response.status().is_client_error() || response.status().is_server_error() {
            add_ids_to_body(&mut response, id);
        }
        response
    }
}

const JSON_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const S3_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const S3_HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// S3's id of the host: one for the life of the process.
static HOST_ID: LazyLock<String> = LazyLock::new(|| {
    let bytes = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
    base64_simd::STANDARD.encode_to_string(bytes)
});

fn header(text: &str) -> HeaderValue {
    // Hexadecimal and base64 are always valid in headers.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// An error response of S3.
pub(crate) fn s3_error(code: S3ErrorCode, text: &str) -> Response<Body> {
    let error = S3Error::with_message(code, text.to_owned());
    let status = error.status_code().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response
    })
}

/// Adds the ids to the XML of an S3 error, whose body is in memory.
fn add_ids_to_body(response: &mut Response<Body>, id: &str) {
    const END: &[u8] = b"</Error>";
    if !is_xml(response.headers()) {
        return;
    }
    let Some(text) = response.body().bytes() else { return };
    let Some(inside) = text.trim_ascii_end().strip_suffix(END) else { return };
    let ids = format!("<RequestId>{id}</RequestId><HostId>{}</HostId>", *HOST_ID);
    let body = [inside, ids.as_bytes(), END].concat();
    if response.headers().contains_key(CONTENT_LENGTH) {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    *response.body_mut() = Body::from(body);
}

fn is_xml(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/xml"))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parsed(uri: &str, target: Option<&str>) -> Protocol {
        let request = target.into_iter().fold(Request::get(uri), |request, name| request.header("x-amz-target", name));
        Protocol::from_head(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_request_is_for_one_service() {
        assert_eq!(
            parsed("/", Some("AmazonAthena.ListWorkGroups")),
            Protocol::Json("AmazonAthena.ListWorkGroups".into())
        );
        assert_eq!(parsed("/2015-03-31/functions", None), Protocol::Lambda(String::new()));
        assert_eq!(parsed("/2015-03-31/functions/a/invocations?x", None), Protocol::Lambda("/a/invocations".into()));
        assert_eq!(parsed("/2015-03-31/functions-of-mine", None), Protocol::S3);
        assert_eq!(parsed("/b/k", None), Protocol::S3);
    }

    #[test]
    fn a_form_is_for_sts_and_so_is_what_is_signed_for_it() {
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let signed =
            ("authorization", "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/sts/aws4_request, Signature=a");
        for (name, value) in [form, signed] {
            let request = Request::post("/").header(name, value).body(()).unwrap();
            assert_eq!(Protocol::from_head(&request.into_parts().0), Protocol::Sts, "{name}");
        }
        for (path, kind) in [("/b", "multipart/form-data; boundary=x"), ("/b?delete", form.1)] {
            let request = Request::post(path).header("content-type", kind).body(()).unwrap();
            assert_eq!(Protocol::from_head(&request.into_parts().0), Protocol::S3, "{path}");
        }
    }

    #[test]
    fn a_path_of_emr_serverless_is_that_of_an_object_unless_it_is_signed_for_it() {
        for (service, expected) in [("emr-serverless", Protocol::EmrServerless), ("s3", Protocol::S3)] {
            let signature =
                format!("AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/{service}/aws4_request, Signature=a");
            let request = Request::get("/applications/a1/jobruns").header("authorization", signature).body(());
            assert_eq!(Protocol::from_head(&request.unwrap().into_parts().0), expected);
        }
        assert_eq!(parsed("/applications/a1/jobruns", None), Protocol::S3);
    }

    #[test]
    fn an_id_is_in_the_head_and_in_the_error() {
        let id = Protocol::S3.new_request_id();
        let response = Protocol::S3.stamp(s3_error(S3ErrorCode::NoSuchKey, "a & b"), &id);
        assert_eq!(response.headers()["x-amz-request-id"], id);
        assert_eq!(id.len(), 16);
        let text = String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap();
        assert!(text.contains(&format!("<RequestId>{id}</RequestId><HostId>")), "{text}");
        assert!(text.ends_with("</Error>"), "{text}");
    }
}
