//! The parameters in the query of a request.

use std::str::FromStr;

use chrono::DateTime;

use super::validation;
use crate::aws_json::AwsError;
use crate::paging::PageRequest;
use crate::url_encoding::decode_query;

/// The maximum number of items of a page.
const MAX_RESULTS: u32 = 50;

/// Names and values, in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Result<Query, AwsError> {
        let parameter = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decode_query(name)?, decode_query(value)?))
        };
        let parts = text.split('&').filter(|part| !part.is_empty());
        let parameters: Option<_> = parts.map(parameter).collect();
        parameters.map(Query).ok_or_else(|| validation(format!("'{text}' is not the query of a URL, percent-encoded")))
    }

    /// The values of a parameter that may be repeated.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of a parameter that may be repeated, by their names.
    pub(super) fn parsed<T: FromStr>(&self, name: &str, what: &str) -> Result<Vec<T>, AwsError> {
        let parse = |value: &str| value.parse().map_err(|_| validation(format!("'{value}' is no {what}: {name}")));
        self.all(name).map(parse).collect()
    }

    /// A date and time, in milliseconds since the Unix epoch.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, AwsError> {
        let parse = |text| {
            let time = DateTime::parse_from_rfc3339(text);
            time.map(|time| time.timestamp_millis())
                .map_err(|error| validation(format!("{name} is a date and time as 2020-04-01T13:20:00Z: {error}")))
        };
        self.get(name).map(parse).transpose()
    }

    /// The requested page of a listing: `maxResults` and `nextToken`.
    pub(super) fn page(&self) -> Result<PageRequest<i64>, AwsError> {
        let limit: Option<u32> = self.parsed("maxResults", "number of results")?.first().copied();
        if limit == Some(0) {
            return Err(validation(format!("maxResults is 1 to {MAX_RESULTS}")));
        }
        PageRequest::new(limit, MAX_RESULTS, MAX_RESULTS, self.get("nextToken")).map_err(validation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query =
            Query::parse("states=RUNNING&createdAtAfter=2020-04-01T13%3A20%3A00.5Z&states=SUCCESS&flag").unwrap();
        assert_eq!(query.all("states").collect::<Vec<_>>(), ["RUNNING", "SUCCESS"]);
        assert_eq!(query.time("createdAtAfter").unwrap(), Some(1_585_747_200_500));
        assert_eq!((query.get("flag"), query.get("other")), (Some(""), None));
        assert_eq!(query.time("other").unwrap(), None);
        assert_eq!(Query::parse("").unwrap(), Query(Vec::new()));
    }

    #[test]
    fn wrong_parameters_are_refused() {
        assert_eq!(Query::parse("a=%zz").unwrap_err().code(), "ValidationException");
        let refused = |text: &str| Query::parse(text).unwrap().page().unwrap_err().message().to_owned();
        assert_eq!(refused("maxResults=0"), "maxResults is 1 to 50");
        assert_eq!(refused("maxResults=ten"), "'ten' is no number of results: maxResults");
        assert!(refused("maxResults=51").contains("at most 50 rows"));
        assert!(refused("nextToken=x").contains("Invalid Token"));
        let error = Query::parse("createdAtAfter=yesterday").unwrap().time("createdAtAfter").unwrap_err();
        assert!(error.message().starts_with("createdAtAfter is a date and time as"), "{}", error.message());
    }
}
