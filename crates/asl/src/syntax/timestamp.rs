//! Timestamps in the formats of the States Language.

use chrono::{DateTime, SecondsFormat, Utc};

/// Formats a time as the context object does: `2020-04-01T10:00:00.123Z`.
pub(crate) fn format_timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Parses a timestamp in the profile of the States Language: RFC 3339 with an uppercase `T`, and `Z` or an offset.
pub(crate) fn parse_timestamp(text: &str) -> Option<DateTime<Utc>> {
    let strict = text.as_bytes().get(10) == Some(&b'T') && !text.ends_with('z');
    let time = strict.then(|| DateTime::parse_from_rfc3339(text).ok())??;
    Some(time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339_in_its_strict_profile() {
        for text in ["2016-03-14T01:59:00Z", "2016-03-14T01:59:00.000000Z", "2016-03-13T22:59:00-03:00"] {
            assert!(parse_timestamp(text).is_some(), "{text}");
        }
        for text in [
            "",
            "2016-03-14",
            "2016-03-14T01:59:00",
            "2016-03-14t01:59:00Z",
            "2016-03-14T01:59:00z",
            "2016-03-14 01:59:00Z",
            "2016-13-14T01:59:00Z",
            "2016-03-1é01:59:00Z",
            "1583719140",
        ] {
            assert!(parse_timestamp(text).is_none(), "{text}");
        }
        assert_eq!(parse_timestamp("2016-03-13T22:59:00-03:00"), parse_timestamp("2016-03-14T01:59:00Z"));
    }
}
