//! Protection from web pages: only programs of this machine may call the endpoint (DNS rebinding and cross-site requests).
//!
//! The endpoint checks no credentials, so whatever reaches its port may do everything. A page in the user's browser can reach
//! it: by a host name of its own that resolves to this machine (DNS rebinding), or by requests that browsers send without a
//! CORS preflight, such as S3's `POST /bucket?delete` with a body of plain text (CSRF). Such a request is recognised by the
//! headers of the browser: the requested host (`Host`), and the origin of the page (`Origin`, `Sec-Fetch-Site`, in old
//! browsers `Referer`). Pages cannot omit or change these headers, and AWS clients send only `Host`.

use std::net::IpAddr;

use http::header::{
    CONTENT_SECURITY_POLICY, HOST, HeaderName, ORIGIN, REFERER, USER_AGENT, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

/// The header by which a browser says where a request comes from: `same-origin`, `same-site`, `cross-site`, or `none` if the
/// user opened the address.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request is refused by its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OriginError {
    /// It was sent to a host name that is not of this machine.
    #[error("this endpoint answers only requests to localhost or 127.0.0.1")]
    Host,
    /// A page in a browser sent it.
    #[error(
        "this endpoint does not answer pages of a web browser: ask with the AWS CLI, an AWS SDK or pregao, or open the \
         lake with `pregao explore`"
    )]
    BrowserPage,
}

/// Checks that a request is for this machine, and does not come from a web page of another origin.
pub(crate) fn check(head: &Parts) -> Result<(), OriginError> {
    if !names_this_machine(head) {
        return Err(OriginError::Host);
    }
    if is_of_foreign_page(&head.headers) { Err(OriginError::BrowserPage) } else { Ok(()) }
}

fn names_this_machine(head: &Parts) -> bool {
    let authority = head.uri.authority().is_none_or(|authority| is_loopback(authority.as_str()));
    authority && all(&head.headers, &HOST, is_loopback)
}

fn is_of_foreign_page(headers: &HeaderMap) -> bool {
    let own = headers.get(HOST).and_then(|host| host.to_str().ok()).map(|host| format!("http://{host}"));
    let is_own = |origin: &str| own.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(origin));
    let is_of_own = |address: &str| is_own(origin_of(address));
    let is_asked_by_own = |site: &str| matches!(site, "none" | "same-origin");
    // `Referer` counts only for browsers: Hadoop's S3 client writes audit data there, with an invented host.
    let may_refer = !is_browser(headers) || all(headers, &REFERER, is_of_own);
    !(all(headers, &ORIGIN, is_own) && all(headers, &FETCH_SITE, is_asked_by_own) && may_refer)
}

fn is_browser(headers: &HeaderMap) -> bool {
    headers.get(USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"))
}

/// Whether all values of a header satisfy a condition. True without values; a value that is not text never does.
fn all(headers: &HeaderMap, name: &HeaderName, holds: impl Fn(&str) -> bool) -> bool {
    headers.get_all(name).iter().all(|value| value.to_str().is_ok_and(&holds))
}

/// Returns the origin of a URL: `http://127.0.0.1:4566` of `http://127.0.0.1:4566/a/b?c`.
fn origin_of(address: &str) -> &str {
    let Some(begin) = address.find("://").map(|colon| colon + "://".len()) else { return address };
    let length = address[begin..].find(['/', '?', '#']).unwrap_or(address.len() - begin);
    &address[..begin + length]
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => {
            let name = name.to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

/// Adds headers that limit what a browser does with a response that the user opens there: no script runs, nothing is framed,
/// no type is guessed. So an object that is HTML cannot send requests with this endpoint's own origin.
pub(crate) fn add_security_headers(headers: &mut HeaderMap) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox; frame-ancestors 'none'"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asked(uri: &str, headers: &[(&str, &str)]) -> Result<(), OriginError> {
        let request = headers.iter().fold(Request::get(uri), |request, (name, value)| request.header(*name, *value));
        check(&request.body(()).unwrap().into_parts().0)
    }

    const BROWSER: (&str, &str) = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/80.0");

    #[test]
    fn only_this_machine_is_meant() {
        for host in ["127.0.0.1:4599", "localhost", "LocalHost:80", "[::1]:4599", "bucket.localhost:4599", "127.1.2.3"]
        {
            assert_eq!(asked("/", &[("host", host)]), Ok(()), "{host}");
            assert_eq!(asked(&format!("http://{host}/b"), &[]), Ok(()), "{host}");
        }
        for host in ["example.com", "10.0.0.1:4599", "localhost.example.com", "", "127.0.0.1.example.com:80"] {
            assert_eq!(asked("/", &[("host", host)]), Err(OriginError::Host), "{host}");
            assert_eq!(asked("/", &[("host", "localhost"), ("host", host)]), Err(OriginError::Host), "{host}");
        }
        assert_eq!(asked("http://example.com/b", &[("host", "localhost")]), Err(OriginError::Host));
    }

    #[test]
    fn programs_and_the_user_are_answered() {
        for headers in [
            &[][..],
            &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
            &[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:4566")],
            &[BROWSER, ("referer", "http://127.0.0.1:4566/pregao-raw?list-type=2")],
            // What a JavaScript runtime outside of a browser sends.
            &[("sec-fetch-mode", "cors"), ("accept-language", "*")],
            &[("referer", "https://audit.example.org/hadoop/1/op_open/"), ("user-agent", "Hadoop 3.4.1, aws-sdk-java")],
        ] {
            let headers = [headers, &[("host", "127.0.0.1:4566")]].concat();
            assert_eq!(asked("/b", &headers), Ok(()), "{headers:?}");
        }
    }

    #[test]
    fn pages_are_not() {
        for headers in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "NULL")],
            &[("origin", "")],
            &[("origin", "https://127.0.0.1:4566")],
            &[("origin", "http://127.0.0.1:4567")],
            &[("origin", "http://127.0.0.1")],
            &[("origin", "http://localhost:4566")],
            &[("origin", "http://127.0.0.1:4566.evil.example")],
            &[("origin", "file://")],
            &[("origin", "chrome-extension://abcdefghijklmnop")],
            &[("origin", "http://127.0.0.1:4566"), ("origin", "http://evil.example")],
            &[("origin", "http://127.0.0.1:4566"), ("sec-fetch-site", "cross-site")],
            &[("origin", "null"), ("sec-fetch-site", "none")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "Cross-Site")],
            &[("sec-fetch-site", "")],
            &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "none, cross-site")],
            &[BROWSER, ("referer", "http://evil.example/page")],
            &[BROWSER, ("referer", "http://127.0.0.1:4566.evil.example/")],
            &[BROWSER, ("referer", "http://127.0.0.1:4566@evil.example/")],
            &[BROWSER, ("referer", "about:blank")],
        ] {
            let headers = [headers, &[("host", "127.0.0.1:4566")]].concat();
            assert_eq!(asked("/b", &headers), Err(OriginError::BrowserPage), "{headers:?}");
        }
        let no_text = Request::get("/").header("origin", HeaderValue::from_bytes(b"http://\xff").unwrap());
        assert_eq!(check(&no_text.body(()).unwrap().into_parts().0), Err(OriginError::BrowserPage));
        assert_eq!(
            asked("/", &[("origin", "http://127.0.0.1:4566")]),
            Err(OriginError::BrowserPage),
            "own to no name at all"
        );
    }
}
