//! What the page asks with: the parameters of an address.

use std::fmt::Display;
use std::str::FromStr;

use serde::Deserialize;

use crate::error::Failure;

/// Names with their values, as they came. A name may stand more than once.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// All that is given for `name`, without blanks around it; empty ones are left out.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.trim()).filter(|v| !v.is_empty())
    }

    /// What is given for `name` first.
    pub fn text<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// The same, as what it has to be; `form` says how it is written.
    pub fn parsed<T: FromStr<Err: Display>>(&self, name: &str, form: &str) -> Result<Option<T>, Failure> {
        let parse = |text: &str| {
            text.parse().map_err(|error| {
                Failure::invalid(format!("{name}: {text:?}: {error}")).hint(format!("It is written {form}."))
            })
        };
        self.text(name).map(parse).transpose()
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
        assert_eq!(params.parsed::<f64>("ratio", "1.5").ok(), Some(Some(1.5)));
        assert_eq!(params.parsed::<f64>("nothing", "1.5").ok(), Some(None));
        assert!(params.parsed::<chrono::NaiveDate>("day", "2020-04-01").is_err());
    }
}
