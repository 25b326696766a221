//! STS, in the query protocol: a form with the operation under `Action`, and answers in XML. Every caller has the same identity.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use s3s::Body;

use crate::identity::ACCOUNT;
use crate::url_encoding::decode_lossy;

const SERVICE: &str = "sts";
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The name and the id of the caller.
const USER: (&str, &str) = ("pregao-local", "AIDAPREGAOLOCAL000000");

/// Whether a request with these headers is for this service: its credential scope names it, or it is a form for no bucket.
pub(crate) fn is_addressed(headers: &HeaderMap, path: &str) -> bool {
    credential_service(headers) == Some(SERVICE) || (path == "/" && is_form(headers))
}

/// Returns the service in the credential scope of a signature, `DATE/REGION/SERVICE/aws4_request`.
pub(crate) fn credential_service(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = authorization.split_once("Credential=")?;
    credential.split([',', ' ']).next()?.rsplit('/').nth(1)
}

/// Whether the body is a form of the query protocol. It is also what curl says of any body.
fn is_form(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"))
}

/// Answers a request by its query or its form.
pub(crate) fn respond(query: &str, form: &[u8], id: &str) -> Response<Body> {
    let form = String::from_utf8_lossy(form);
    let action = [&form, query].into_iter().find_map(action).unwrap_or_default();
    match action.as_str() {
        "GetCallerIdentity" => {
            let (name, user) = USER;
            let result = format!(
                "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\"><GetCallerIdentityResult>\
                 <Arn>arn:aws:iam::{ACCOUNT}:user/{name}</Arn><UserId>{user}</UserId><Account>{ACCOUNT}</Account>\
                 </GetCallerIdentityResult><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>\
                 </GetCallerIdentityResponse>"
            );
            xml(StatusCode::OK, result)
        }
        "" => error(StatusCode::BAD_REQUEST, "MissingAction", "The request has no Action", id),
        other => {
            let message = format!("{other} is not an operation of this endpoint");
            error(StatusCode::BAD_REQUEST, "InvalidAction", &message, id)
        }
    }
}

/// An error in the form of the query protocol.
pub(crate) fn error(status: StatusCode, code: &str, message: &str, id: &str) -> Response<Body> {
    let kind = if status.is_server_error() { "Receiver" } else { "Sender" };
    let message = message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let body = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>{id}</RequestId></ErrorResponse>"
    );
    xml(status, body)
}

/// Returns the `Action` of a query or a form.
pub(crate) fn action(form: &str) -> Option<String> {
    form.split('&').find_map(|pair| pair.strip_prefix("Action=")).map(decode_lossy)
}

fn xml(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(response: &Response<Body>) -> String {
        String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn the_caller_is_always_the_same() {
        let response = respond("", b"Version=2011-06-15&Action=GetCallerIdentity", "i");
        let answer = text(&response);
        assert_eq!(response.status(), 200);
        for part in [
            "<Account>000000000000</Account>",
            "<Arn>arn:aws:iam::000000000000:user/pregao-local</Arn>",
            "<RequestId>i<",
        ] {
            assert!(answer.contains(part), "{part} in {answer}");
        }
        assert_eq!(respond("Action=GetCallerIdentity&Version=2011-06-15", b"", "i").status(), 200);
    }

    #[test]
    fn other_operations_are_named() {
        let response = respond("", b"Action=Assume%3CRole&RoleArn=x", "i");
        assert_eq!(response.status(), 400);
        let answer = text(&response);
        let expected =
            "<Code>InvalidAction</Code><Message>Assume&lt;Role is not an operation of this endpoint</Message>";
        assert!(answer.contains(expected), "{answer}");
        assert!(text(&respond("", b"", "i")).contains("<Code>MissingAction</Code>"));
    }
}
