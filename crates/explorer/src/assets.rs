//! The files of the page, which are embedded in the binary. The page loads nothing from other hosts.

use std::io::Read;

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode, header};
use explorer_page::ASSETS;
use flate2::read::GzDecoder;

/// The views of the page, by the first segment of their paths.
pub(crate) const VIEWS: [&str; 6] = ["series", "options", "quality", "runs", "sql", "days"];

/// The document that is served at the path of every view.
pub(crate) const INDEX: &str = "index.html";

/// Responds with a file, or with 304 when the browser has the current version.
pub(crate) fn serve(path: &str, request: &HeaderMap) -> Response<Body> {
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == path) else {
        return response(StatusCode::NOT_FOUND).body(Body::from("there is no such file\n")).expect("valid headers");
    };
    let with_cache_headers = |status| {
        response(status)
            .header(header::ETAG, asset.etag)
            // The browser revalidates each time, which costs a few bytes, so that a new version is used at once.
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::VARY, "accept-encoding")
    };
    let header_contains = |name, word: &str| {
        request.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(word))
    };
    if header_contains(header::IF_NONE_MATCH, asset.etag) {
        return with_cache_headers(StatusCode::NOT_MODIFIED).body(Body::empty()).expect("valid headers");
    }
    let response = with_cache_headers(StatusCode::OK).header(header::CONTENT_TYPE, asset.mime);
    if header_contains(header::ACCEPT_ENCODING, "gzip") {
        return response.header(header::CONTENT_ENCODING, "gzip").body(Body::from(asset.gzip)).expect("valid headers");
    }
    let mut plain = Vec::new();
    GzDecoder::new(asset.gzip).read_to_end(&mut plain).expect("the build script wrote valid gzip");
    response.body(Body::from(plain)).expect("valid headers")
}

fn response(status: StatusCode) -> axum::http::response::Builder {
    Response::builder().status(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that a browser with an empty cache loads, apart from the chart library.
    #[test]
    fn the_page_is_small() {
        let bytes: usize = ASSETS.iter().filter(|asset| asset.path != "echarts.js").map(|asset| asset.gzip.len()).sum();
        assert!(bytes > 0 && bytes < 500_000, "{bytes} bytes compressed");
    }

    #[test]
    fn every_file_that_the_page_names_is_there() {
        let index = serve(INDEX, &HeaderMap::new());
        assert_eq!(index.status(), StatusCode::OK);
        let text = |path: &str| {
            let asset = ASSETS.iter().find(|asset| asset.path == path).expect("it is there");
            let mut text = String::new();
            GzDecoder::new(asset.gzip).read_to_string(&mut text).expect("text");
            text
        };
        let page = text(INDEX);
        let named: Vec<&str> = page.split('"').filter_map(|part| part.strip_prefix("/assets/")).collect();
        assert!(named.len() >= 2, "{named:?}");
        for path in named {
            assert_eq!(serve(path, &HeaderMap::new()).status(), StatusCode::OK, "{path}");
        }
    }

    #[test]
    fn nothing_comes_from_elsewhere() {
        for asset in ASSETS.iter().filter(|asset| asset.path != "echarts.js") {
            let mut text = String::new();
            GzDecoder::new(asset.gzip).read_to_string(&mut text).expect("text");
            let foreign = text.match_indices("://").map(|(at, _)| &text[at.saturating_sub(8)..text.len().min(at + 40)]);
            let foreign: Vec<&str> = foreign.filter(|text| !text.contains("www.w3.org")).collect();
            assert!(foreign.is_empty(), "{}: {foreign:?}", asset.path);
        }
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let etag = ASSETS[0].etag;
        let request: HeaderMap = [(header::IF_NONE_MATCH, etag.parse().expect("a header"))].into_iter().collect();
        assert_eq!(serve(ASSETS[0].path, &request).status(), StatusCode::NOT_MODIFIED);
    }
}
