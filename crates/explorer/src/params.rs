//! Query parameters of a request.

use std::fmt::Display;
use std::str::FromStr;

use serde::Deserialize;

use crate::error::ApiError;

/// Names and values in the order of the query string. A name may occur several times.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Returns all values of `name`, trimmed, without the empty ones.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.trim()).filter(|v| !v.is_empty())
    }

    /// Returns the first value of `name`.
    pub(crate) fn first<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// Parses the first value of `name`. `example` is a valid value, for the error's hint.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&self, name: &str, example: &str) -> Result<Option<T>, ApiError> {
        let parse = |text: &str| {
            text.parse().map_err(|error| {
                ApiError::invalid(format!("{name}: {text:?}: {error}")).hint(format!("It is written {example}."))
            })
        };
        self.first(name).map(parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_stand_more_than_once() {
        let pairs = [("ticker", " PETR4 "), ("ratio", "1.5"), ("ticker", ""), ("ticker", "VALE3"), ("day", "soon")];
        let params = Params(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert_eq!(params.all("ticker").collect::<Vec<_>>(), ["PETR4", "VALE3"]);
        assert_eq!(params.parse::<f64>("ratio", "1.5").ok(), Some(Some(1.5)));
        assert_eq!(params.parse::<f64>("nothing", "1.5").ok(), Some(None));
        assert!(params.parse::<chrono::NaiveDate>("day", "2020-04-01").is_err());
    }
}
