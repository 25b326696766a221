//! The values of query parameters, by S3's rules. s3s reads numbers and enumerations in its own way, with errors of its own.

use http::Uri;
use http::request::Parts;
use http::uri::PathAndQuery;
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::errors::{invalid_argument, with_elements};
use crate::url_encoding::decode_query;

/// The parameters that are numbers. An empty one is none.
const NUMBERS: &[&str] = &["max-buckets", "max-keys", "max-parts", "max-uploads", "part-number-marker", "partNumber"];

/// Checks the values in the query, and removes the parameters that have none.
///
/// # Errors
/// `InvalidArgument`, with the name and the value of the parameter.
pub(super) fn normalize(head: &mut Parts) -> S3Result<()> {
    let Some(query) = head.uri.query() else { return Ok(()) };
    let mut kept = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // The allowlist has an error for what is not UTF-8.
        let (Some(name), Some(value)) = (decode_query(name), decode_query(value)) else {
            kept.push(pair);
            continue;
        };
        check(&name, &value)?;
        if !(value.is_empty() && NUMBERS.contains(&name.as_str())) {
            kept.push(pair);
        }
    }
    if kept.len() == query.split('&').count() {
        return Ok(());
    }
    let path =
        if kept.is_empty() { head.uri.path().to_owned() } else { format!("{}?{}", head.uri.path(), kept.join("&")) };
    let mut parts = head.uri.clone().into_parts();
    let invalid = |_| S3Error::new(S3ErrorCode::InvalidURI);
    parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(invalid)?);
    head.uri = Uri::from_parts(parts).map_err(|_| S3Error::new(S3ErrorCode::InvalidURI))?;
    Ok(())
}

fn check(name: &str, value: &str) -> S3Result<()> {
    match name {
        "encoding-type" if value != "url" => {
            Err(invalid_argument("Invalid Encoding Method specified in Request", name, value))
        }
        "list-type" if value != "2" => Err(invalid_argument("Invalid List Type specified in Request", name, value)),
        "versionId" if value.is_empty() => Err(invalid_argument("Version id cannot be the empty string", name, value)),
        "continuation-token" if value.is_empty() => {
            let message = "The continuation token provided is incorrect";
            Err(with_elements(S3Error::with_message(S3ErrorCode::InvalidArgument, message), &[("ArgumentName", name)]))
        }
        "partNumber" if !is_in(value, 1, 10_000) => {
            let message = "Part number must be an integer between 1 and 10000, inclusive";
            Err(invalid_argument(message, name, value))
        }
        "max-buckets" if !is_in(value, 1, 10_000) => {
            let message = "Argument max-buckets must be an integer between 1 and 10000";
            Err(invalid_argument(message, name, value))
        }
        _ if !NUMBERS.contains(&name) || is_in(value, 0, i32::MAX) => Ok(()),
        _ if value.parse::<i32>().is_ok() => {
            let name = if name == "max-keys" { "maxKeys" } else { name };
            let message = format!("Argument {name} must be an integer between 0 and 2147483647");
            let error = S3Error::with_message(S3ErrorCode::InvalidArgument, message);
            Err(with_elements(error, &[("ArgumentName", name), ("ArgumentValue", value)]))
        }
        _ => {
            let message = format!("Provided {name} not an integer or within integer range");
            let error = S3Error::with_message(S3ErrorCode::InvalidArgument, message);
            Err(with_elements(error, &[("ArgumentName", name), ("ArgumentValue", value)]))
        }
    }
}

/// Whether it is a number in the range, or empty.
fn is_in(value: &str, first: i32, last: i32) -> bool {
    value.is_empty() || value.parse().is_ok_and(|number: i32| (first..=last).contains(&number))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn normalized(query: &str) -> Result<String, String> {
        let request = Request::builder().uri(format!("/b?{query}"));
        let mut head = request.body(()).unwrap().into_parts().0;
        normalize(&mut head).map_err(|error| error.message().unwrap_or_default().to_owned())?;
        Ok(head.uri.query().unwrap_or_default().to_owned())
    }

    #[test]
    fn an_empty_number_is_none() {
        for (query, left) in [
            ("max-keys=", ""),
            ("list-type=2&max-keys=&prefix=", "list-type=2&prefix="),
            ("uploadId=u&part-number-marker&max-parts=", "uploadId=u"),
            ("max-keys=0&marker=a%2Fb", "max-keys=0&marker=a%2Fb"),
            ("encoding-type=url", "encoding-type=url"),
        ] {
            assert_eq!(normalized(query).as_deref(), Ok(left), "{query}");
        }
    }

    #[test]
    fn a_bad_value_is_refused_by_its_name() {
        for (query, message) in [
            ("max-keys=x", "Provided max-keys not an integer or within integer range"),
            ("max-keys=2147483648", "Provided max-keys not an integer or within integer range"),
            ("max-uploads=-1", "Argument max-uploads must be an integer between 0 and 2147483647"),
            ("max-buckets=0", "Argument max-buckets must be an integer between 1 and 10000"),
            ("partNumber=10001", "Part number must be an integer between 1 and 10000, inclusive"),
            ("encoding-type=value", "Invalid Encoding Method specified in Request"),
            ("encoding-type=", "Invalid Encoding Method specified in Request"),
            ("versionId=", "Version id cannot be the empty string"),
            ("list-type=3", "Invalid List Type specified in Request"),
            ("list-type=2&continuation-token=", "The continuation token provided is incorrect"),
        ] {
            assert_eq!(normalized(query), Err(message.to_owned()), "{query}");
        }
    }
}
