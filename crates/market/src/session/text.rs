//! Serde formats for times and dates as users write them in a configuration file.

use chrono::NaiveTime;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

fn parse_time(text: &str) -> Result<NaiveTime, String> {
    NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| format!("{text:?} is not a time HH:MM"))
}

/// A time of day, `HH:MM`. An empty text is `None`, because TOML has no null.
pub(super) mod time {
    use super::{Deserialize, Deserializer, Error, NaiveTime, Serializer, parse_time, required_time};

    pub(crate) fn serialize<S: Serializer>(time: &Option<NaiveTime>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => required_time::serialize(time, serializer),
            None => serializer.serialize_str(""),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveTime>, D::Error> {
        let text = String::deserialize(deserializer)?;
        (!text.is_empty()).then(|| parse_time(&text).map_err(D::Error::custom)).transpose()
    }
}

/// A time of day, `HH:MM`.
pub(super) mod required_time {
    use super::{Deserialize, Deserializer, Error, NaiveTime, Serializer, parse_time};

    pub(crate) fn serialize<S: Serializer>(time: &NaiveTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&time.format("%H:%M"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveTime, D::Error> {
        parse_time(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A date, as text `"2020-11-03"` or as TOML's own `2020-11-03`.
pub(super) mod date {
    use std::fmt;

    use chrono::NaiveDate;
    use serde::de::{MapAccess, Visitor};

    use super::{Deserializer, Error, Serializer};

    pub(crate) fn serialize<S: Serializer>(date: &NaiveDate, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(date)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveDate, D::Error> {
        deserializer.deserialize_any(Date)
    }

    struct Date;

    impl<'de> Visitor<'de> for Date {
        type Value = NaiveDate;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("a date YYYY-MM-DD")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<NaiveDate, E> {
            NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .map_err(|_| E::custom(format!("{text:?} is not a date YYYY-MM-DD")))
        }

        /// The crate `toml` passes a TOML date as a map of one text.
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NaiveDate, A::Error> {
            match map.next_entry::<String, String>()? {
                Some((_, text)) => self.visit_str(&text),
                None => Err(A::Error::custom("an empty table is not a date YYYY-MM-DD")),
            }
        }
    }
}

/// An optional [`date`].
pub(super) mod optional_date {
    use chrono::NaiveDate;

    use super::{Deserializer, Serializer, date};

    pub(crate) fn serialize<S: Serializer>(date: &Option<NaiveDate>, serializer: S) -> Result<S::Ok, S::Error> {
        match date {
            Some(date) => date::serialize(date, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
        date::deserialize(deserializer).map(Some)
    }
}
