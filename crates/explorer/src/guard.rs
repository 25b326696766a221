//! Who may ask: the pages of this server, and nobody else's.
//!
//! The server has no passwords, since it listens on the loopback interface only. So any page in the user's browser
//! could reach it: by a name of its own that resolves to this machine, or by a form, an image or a script that it
//! takes from here. None gets an answer, and nothing is asked of the lake for it. One thing a foreign page may do, which
//! is to link here: a browser that goes to a view, as the whole of a tab, gets the page. By an address alone the page
//! runs no statement of anybody's; it shows days, as it does for who types the address.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::Failure;

/// What the page may load: only what this server gives. And who may show it: nobody, in no frame.
const CONTAINED: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    // Browsers that do not know `frame-ancestors`.
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// What a browser says of a request by itself: which page asks, and what for. No page can change these.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Lets through what comes from this server's own pages.
pub async fn guard(State(address): State<SocketAddr>, request: Request<Body>, next: Next) -> Response {
    let checked = check(address, request.method(), request.uri().path(), request.headers());
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in CONTAINED {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn check(address: SocketAddr, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Failure> {
    let port = address.port();
    let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")];
    let is_own_host = |host: &str| hosts.iter().any(|own| own == host);
    if !headers.contains_key(header::HOST) || !all(headers, &header::HOST, is_own_host) {
        let host = headers.get(header::HOST).map(|host| String::from_utf8_lossy(host.as_bytes())).unwrap_or_default();
        return Err(Failure::forbidden(format!("this server does not answer to the name {host:?}"))
            .hint(format!("Open http://{}.", hosts[0])));
    }
    let is_own = |origin: &str| origin.strip_prefix("http://").is_some_and(is_own_host);
    let is_of_own = |page: &str| page.strip_prefix("http://").is_some_and(|page| is_own_host(before_path(page)));
    let is_asked_by_own = |site: &str| matches!(site, "none" | "same-origin");
    let is_ours = all(headers, &header::ORIGIN, is_own)
        && all(headers, &header::REFERER, is_of_own)
        && all(headers, &FETCH_SITE, is_asked_by_own);
    let reads = method == Method::GET || method == Method::HEAD;
    // A form of another page can send no JSON without asking first, and it gets no permission.
    let json = all(headers, &header::CONTENT_TYPE, |kind| kind.starts_with("application/json"))
        && headers.contains_key(header::CONTENT_TYPE);
    if is_ours && (reads || json) || is_visit(method, path, headers) {
        return Ok(());
    }
    Err(Failure::forbidden("only the pages of this server may ask for that")
        .hint(format!("To open the explorer, type its address: http://{}.", hosts[0])))
}

/// A tab that goes to a view, by a link of whatever page.
fn is_visit(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let is_view = path.strip_prefix('/').is_some_and(|view| view.is_empty() || crate::VIEWS.contains(&view));
    let says = |name: &HeaderName, word: &str| headers.contains_key(name) && all(headers, name, |value| value == word);
    method == Method::GET
        && is_view
        && says(&FETCH_MODE, "navigate")
        && says(&FETCH_DEST, "document")
        && !headers.contains_key(header::ORIGIN)
}

/// Whether all values of a header hold; where there is none, they do. What is no text does not.
fn all(headers: &HeaderMap, name: &HeaderName, holds: impl Fn(&str) -> bool) -> bool {
    headers.get_all(name).iter().all(|value| value.to_str().is_ok_and(&holds))
}

/// `127.0.0.1:8080` of `127.0.0.1:8080/series?ticker=PETR4`.
fn before_path(address: &str) -> &str {
    address.split(['/', '?', '#']).next().unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_for(path: &str, method: Method, headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        check(SocketAddr::from(([127, 0, 0, 1], 8080)), &method, path, &map).is_ok()
    }

    fn asked(method: Method, headers: &[(&'static str, &'static str)]) -> bool {
        asked_for("/api/lake", method, headers)
    }

    const OWN: (&str, &str) = ("host", "127.0.0.1:8080");
    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn only_its_own_names_are_answered() {
        for host in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"] {
            assert!(asked(Method::GET, &[("host", host)]), "{host}");
        }
        for host in ["127.0.0.1:8081", "localhost", "evil.example:8080", ""] {
            assert!(!asked(Method::GET, &[("host", host)]), "{host}");
            assert!(!asked(Method::GET, &[OWN, ("host", host)]), "{host}");
        }
        assert!(!asked(Method::GET, &[]));
    }

    #[test]
    fn only_its_own_pages_change_anything() {
        assert!(asked(Method::POST, &[OWN, JSON]));
        assert!(asked(Method::POST, &[OWN, JSON, ("origin", "http://127.0.0.1:8080")]));
        assert!(!asked(Method::POST, &[OWN, JSON, ("origin", "http://evil.example")]));
        assert!(!asked(Method::POST, &[OWN, ("content-type", "text/plain")]));
        assert!(!asked(Method::POST, &[OWN, JSON, ("content-type", "text/plain")]));
        assert!(!asked(Method::POST, &[OWN]));
    }

    /// What browsers say of pages that are not ours.
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
                    assert!(!asked_for(path, method.clone(), &headers), "{method} {path} {headers:?}");
                }
            }
            assert!(!asked(Method::POST, &[&headers[..], &[JSON]].concat()), "{headers:?}");
        }
        for headers in [
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")][..],
            &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")],
            &[("referer", "http://localhost:8080/sql?statement=SELECT+1")],
        ] {
            assert!(asked(Method::GET, &[headers, &[OWN]].concat()), "{headers:?}");
        }
    }

    #[test]
    fn a_link_opens_the_page_and_no_more() {
        let link =
            [OWN, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        let said_where = [&link[..], &[("referer", "https://chat.example/")]].concat();
        for path in ["/", "/series", "/sql", "/runs"] {
            assert!(asked_for(path, Method::GET, &link), "{path}");
            assert!(asked_for(path, Method::GET, &said_where), "{path}");
            assert!(!asked_for(path, Method::POST, &[&link[..], &[JSON]].concat()), "{path}");
            assert!(!asked_for(path, Method::GET, &[&link[..], &[("origin", "null")]].concat()), "{path}");
        }
        for path in ["/api/lake", "/api/sql/csv", "/assets/app.js", "/series/x", "//", "/api"] {
            assert!(!asked_for(path, Method::GET, &link), "{path}");
        }
        for other in [("sec-fetch-dest", "iframe"), ("sec-fetch-dest", "object"), ("sec-fetch-mode", "no-cors")] {
            let asked = link.map(|(name, value)| if name == other.0 { other } else { (name, value) });
            assert!(!asked_for("/", Method::GET, &asked), "{other:?}");
            assert!(!asked_for("/", Method::GET, &[&link[..], &[other]].concat()), "{other:?}");
        }
    }
}
