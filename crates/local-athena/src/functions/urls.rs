//! Functions of URLs, by the parts that RFC 3986 names.

use std::sync::LazyLock;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use regex::Regex;

use super::row_function::Kind::Text;
use super::row_function::{Args, Outcome, Returns, RowFunction, some};

/// The scheme, authority, path, query and fragment of a URL: appendix B of RFC 3986.
static PARTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$").expect("a regular expression")
});

/// What `application/x-www-form-urlencoded` escapes; a blank becomes a plus sign.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'*').remove(b'_').remove(b' ');

pub(super) fn functions() -> Vec<RowFunction> {
    let part = |name, body| RowFunction { name, forms: &[&[Text]], returns: Returns::Text, body };
    vec![
        part("url_extract_protocol", |args| found(args, |parts| parts.scheme)),
        part("url_extract_host", |args| found(args, |parts| parts.host())),
        part("url_extract_path", |args| found(args, |parts| parts.path)),
        part("url_extract_query", |args| found(args, |parts| parts.query)),
        part("url_extract_fragment", |args| found(args, |parts| parts.fragment)),
        RowFunction {
            name: "url_extract_port",
            forms: &[&[Text]],
            returns: Returns::Bigint,
            body: |args| {
                let port = Parts::read(args.text(0)).and_then(|parts| parts.port());
                Ok(port.map(Into::into))
            },
        },
        RowFunction {
            name: "url_extract_parameter",
            forms: &[&[Text, Text]],
            returns: Returns::Text,
            body: |args| {
                let Some(parts) = Parts::read(args.text(0)) else { return Ok(None) };
                let pairs =
                    parts.query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
                let mut pairs = pairs.map(|(key, value)| (decoded(key), decoded(value)));
                Ok(pairs.find(|(key, _)| key == args.text(1)).map(|(_, value)| value.into()))
            },
        },
        part("url_encode", |args| some(utf8_percent_encode(args.text(0), ESCAPED).to_string().replace(' ', "+"))),
        part("url_decode", |args| some(decoded(args.text(0)))),
    ]
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

fn found(args: &Args<'_>, part: for<'a> fn(&Parts<'a>) -> Option<&'a str>) -> Outcome {
    let parts = Parts::read(args.text(0));
    Ok(parts
        .as_ref()
        .map(|parts| percent_decode_str(part(parts).unwrap_or_default()).decode_utf8_lossy().into_owned().into()))
}

/// The parts of a URL.
struct Parts<'a> {
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    path: Option<&'a str>,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Returns the parts; `None` for a text with a character that no URL has.
    fn read(text: &'a str) -> Option<Self> {
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || "\"<>\\^`{|}".contains(c)) {
            return None;
        }
        let captures = PARTS.captures(text)?;
        let part = |at| captures.get(at).map(|part: regex::Match<'a>| part.as_str());
        Some(Self { scheme: part(1), authority: part(2), path: part(3), query: part(4), fragment: part(5) })
    }

    fn host_and_port(&self) -> (Option<&'a str>, Option<&'a str>) {
        let Some(authority) = self.authority else { return (None, None) };
        let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        match place.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (Some(host), Some(port)),
            _ => (Some(place), None),
        }
    }

    fn host(&self) -> Option<&'a str> {
        self.host_and_port().0
    }

    fn port(&self) -> Option<i64> {
        self.host_and_port().1?.parse().ok()
    }
}
