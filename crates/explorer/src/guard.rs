//! Who may ask: the pages of this server, and nobody else's.
//!
//! The server has no passwords, since it listens on the loopback interface only. So any page in the user's browser
//! could reach it: by a name of its own that resolves to this machine, or by a form that it sends here. Neither
//! gets an answer.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::Failure;

/// What the page may load: only what this server gives.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Lets through what comes from this server's own pages.
pub async fn guard(State(address): State<SocketAddr>, request: Request<Body>, next: Next) -> Response {
    if let Err(refusal) = check(address, request.method(), request.headers()) {
        return refusal.into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn check(address: SocketAddr, method: &Method, headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let port = address.port();
    let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")];
    let host = text(header::HOST).unwrap_or_default();
    if !hosts.iter().any(|own| own == host) {
        return Err(Failure::forbidden(format!("this server does not answer to the name {host:?}"))
            .hint(format!("Open http://{}.", hosts[0])));
    }
    if method == Method::GET || method == Method::HEAD {
        return Ok(());
    }
    let foreign = text(header::ORIGIN).is_some_and(|origin| !hosts.iter().any(|own| origin == format!("http://{own}")));
    // A form of another page can send no JSON without asking first, and it is not told that it may.
    let json = text(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"));
    if foreign || !json {
        return Err(Failure::forbidden("only the pages of this server may ask for that"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, headers: &[(header::HeaderName, &'static str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        check(SocketAddr::from(([127, 0, 0, 1], 8080)), &method, &headers).is_ok()
    }

    #[test]
    fn only_its_own_names_are_answered() {
        for host in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"] {
            assert!(asked(Method::GET, &[(header::HOST, host)]), "{host}");
        }
        for host in ["127.0.0.1:8081", "localhost", "evil.example:8080", ""] {
            assert!(!asked(Method::GET, &[(header::HOST, host)]), "{host}");
        }
        assert!(!asked(Method::GET, &[]));
    }

    #[test]
    fn only_its_own_pages_change_anything() {
        let own = (header::HOST, "127.0.0.1:8080");
        let json = (header::CONTENT_TYPE, "application/json");
        assert!(asked(Method::POST, &[own.clone(), json.clone()]));
        assert!(asked(Method::POST, &[own.clone(), json.clone(), (header::ORIGIN, "http://127.0.0.1:8080")]));
        assert!(!asked(Method::POST, &[own.clone(), json, (header::ORIGIN, "http://evil.example")]));
        assert!(!asked(Method::POST, &[own, (header::CONTENT_TYPE, "text/plain")]));
    }
}
