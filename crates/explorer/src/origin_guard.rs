//! A middleware that refuses requests of foreign web pages.
//!
//! The server listens on the loopback interface only, and has no authentication. Any page in the user's browser could
//! reach it: by DNS rebinding, or by cross-site requests (CSRF) such as forms, images and scripts. All of them are refused
//! with 403 before any AWS service is called. The exception is a link: a top-level navigation to a view gets the page, as
//! when the user types the URL. A link can select a view and days, but the page does not run an SQL statement in its URL.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::assets::VIEWS;
use crate::error::ApiError;

/// Headers of every response: the page may load files of this server only, and cannot be shown in a frame.
const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    // For browsers that do not support `frame-ancestors`.
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Fetch metadata: browsers set these headers, and pages cannot change them.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Passes on requests of this server's own pages, and refuses all others.
pub(crate) async fn guard(State(address): State<SocketAddr>, request: Request<Body>, next: Next) -> Response {
    let checked = check(address, request.method(), request.uri().path(), request.headers());
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Checks `Host`, `Origin`, `Referer`, `Content-Type` and the fetch metadata.
fn check(address: SocketAddr, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), ApiError> {
    let port = address.port();
    let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")];
    let is_own_host = |host: &str| hosts.iter().any(|own| own == host);
    if !headers.contains_key(header::HOST) || !all(headers, &header::HOST, is_own_host) {
        let host = headers.get(header::HOST).map(|host| String::from_utf8_lossy(host.as_bytes())).unwrap_or_default();
        return Err(ApiError::forbidden(format!("this server does not answer to the name {host:?}"))
            .hint(format!("Open http://{}.", hosts[0])));
    }
    let is_own = |origin: &str| origin.strip_prefix("http://").is_some_and(is_own_host);
    let is_own_page = |page: &str| page.strip_prefix("http://").is_some_and(|page| is_own_host(before_path(page)));
    let is_same_origin = |site: &str| matches!(site, "none" | "same-origin");
    let comes_from_own_page = all(headers, &header::ORIGIN, is_own)
        && all(headers, &header::REFERER, is_own_page)
        && all(headers, &FETCH_SITE, is_same_origin);
    let reads = method == Method::GET || method == Method::HEAD;
    // A foreign page cannot send JSON without a CORS preflight, which this server never permits.
    let json = all(headers, &header::CONTENT_TYPE, |kind| kind.starts_with("application/json"))
        && headers.contains_key(header::CONTENT_TYPE);
    if comes_from_own_page && (reads || json) || is_navigation(method, path, headers) {
        return Ok(());
    }
    Err(ApiError::forbidden("only the pages of this server may ask for that")
        .hint(format!("To open the explorer, type its address: http://{}.", hosts[0])))
}

/// Whether the request is a top-level navigation to a view, such as a link on any page.
fn is_navigation(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let is_view = path.strip_prefix('/').is_some_and(|view| view.is_empty() || VIEWS.contains(&view));
    let has = |name: &HeaderName, word: &str| headers.contains_key(name) && all(headers, name, |value| value == word);
    method == Method::GET
        && is_view
        && has(&FETCH_MODE, "navigate")
        && has(&FETCH_DEST, "document")
        && !headers.contains_key(header::ORIGIN)
}

/// Whether all values of a header satisfy `predicate`. An absent header does; a value that is not ASCII does not.
fn all(headers: &HeaderMap, name: &HeaderName, predicate: impl Fn(&str) -> bool) -> bool {
    headers.get_all(name).iter().all(|value| value.to_str().is_ok_and(&predicate))
}

/// Returns `127.0.0.1:8080` of `127.0.0.1:8080/series?ticker=PETR4`.
fn before_path(address: &str) -> &str {
    address.split(['/', '?', '#']).next().unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed_at(path: &str, method: Method, headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        check(SocketAddr::from(([127, 0, 0, 1], 8080)), &method, path, &map).is_ok()
    }

    fn is_allowed(method: Method, headers: &[(&'static str, &'static str)]) -> bool {
        is_allowed_at("/api/lake", method, headers)
    }

    const OWN: (&str, &str) = ("host", "127.0.0.1:8080");
    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn only_its_own_names_are_answered() {
        for host in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"] {
            assert!(is_allowed(Method::GET, &[("host", host)]), "{host}");
        }
        for host in ["127.0.0.1:8081", "localhost", "evil.example:8080", ""] {
            assert!(!is_allowed(Method::GET, &[("host", host)]), "{host}");
            assert!(!is_allowed(Method::GET, &[OWN, ("host", host)]), "{host}");
        }
        assert!(!is_allowed(Method::GET, &[]));
    }

    #[test]
    fn only_its_own_pages_change_anything() {
        assert!(is_allowed(Method::POST, &[OWN, JSON]));
        assert!(is_allowed(Method::POST, &[OWN, JSON, ("origin", "http://127.0.0.1:8080")]));
        assert!(!is_allowed(Method::POST, &[OWN, JSON, ("origin", "http://evil.example")]));
        assert!(!is_allowed(Method::POST, &[OWN, ("content-type", "text/plain")]));
        assert!(!is_allowed(Method::POST, &[OWN, JSON, ("content-type", "text/plain")]));
        assert!(!is_allowed(Method::POST, &[OWN]));
    }

    /// Headers that browsers send for foreign pages.
    const FOREIGN: [&[(&str, &str)]; 11] = [
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[("origin", "https://127.0.0.1:8080")],
        &[("origin", "http://127.0.0.1:8081")],
        &[("origin", "http://127.0.0.1:8080"), ("origin", "http://evil.example")],
        &[("origin", "http://127.0.0.1:8080.evil.example")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
        &[("referer", "http://evil.example/page")],
        &[("referer", "http://127.0.0.1:8080@evil.example/")],
    ];

    #[test]
    fn foreign_pages_get_nothing() {
        for headers in FOREIGN {
            let headers = [headers, &[OWN]].concat();
            for path in ["/api/lake", "/api/sql/rows", "/", "/sql", "/assets/app.js"] {
                for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
                    assert!(!is_allowed_at(path, method.clone(), &headers), "{method} {path} {headers:?}");
                }
            }
            assert!(!is_allowed(Method::POST, &[&headers[..], &[JSON]].concat()), "{headers:?}");
        }
        for headers in [
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")][..],
            &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")],
            &[("referer", "http://localhost:8080/sql?statement=SELECT+1")],
        ] {
            assert!(is_allowed(Method::GET, &[headers, &[OWN]].concat()), "{headers:?}");
        }
    }

    #[test]
    fn a_link_opens_the_page_and_no_more() {
        let link =
            [OWN, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        let said_where = [&link[..], &[("referer", "https://chat.example/")]].concat();
        for path in ["/", "/series", "/sql", "/runs"] {
            assert!(is_allowed_at(path, Method::GET, &link), "{path}");
            assert!(is_allowed_at(path, Method::GET, &said_where), "{path}");
            assert!(!is_allowed_at(path, Method::POST, &[&link[..], &[JSON]].concat()), "{path}");
            assert!(!is_allowed_at(path, Method::GET, &[&link[..], &[("origin", "null")]].concat()), "{path}");
        }
        for path in ["/api/lake", "/api/sql/csv", "/assets/app.js", "/series/x", "//", "/api"] {
            assert!(!is_allowed_at(path, Method::GET, &link), "{path}");
        }
        for other in [("sec-fetch-dest", "iframe"), ("sec-fetch-dest", "object"), ("sec-fetch-mode", "no-cors")] {
            let asked = link.map(|(name, value)| if name == other.0 { other } else { (name, value) });
            assert!(!is_allowed_at("/", Method::GET, &asked), "{other:?}");
            assert!(!is_allowed_at("/", Method::GET, &[&link[..], &[other]].concat()), "{other:?}");
        }
    }
}
