//! Time zones: texts with a zone, `AT TIME ZONE`, and timestamps between zones.
//!
//! In memory a zone belongs to a column and not to a value. So a zone has to be written out in the statement. A text of
//! a column may have the zone UTC, and with another one it is refused: its hour would be another one.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Date32Array, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Date32Type, TimestampMillisecondType};
use datafusion::common::{DataFusionError, Result, ScalarValue};

use super::row_function::invalid;
use crate::error::{ErrorKind, QueryError};

/// The zone of a session.
pub(crate) const UTC: &str = "UTC";

/// A local time, and its zone if the text has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) local: NaiveDateTime,
    pub(crate) zone: Option<Arc<str>>,
    /// Digits behind the second.
    pub(crate) precision: usize,
}

impl Moment {
    /// Parses `2020-04-01 10:20:30.123 America/Sao_Paulo`: the time to the minute or more, or none; the zone or none.
    /// Rounds to milliseconds.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (date, rest) = text.split_once(' ').map_or((text, ""), |(date, rest)| (date, rest.trim_start()));
        let date = date.parse::<NaiveDate>().ok()?;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').unwrap_or(rest.len());
        let (time, zone) = rest.split_at(end);
        let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
        let clock = match clock.split(':').count() {
            1 if clock.is_empty() && fraction.is_empty() => NaiveTime::MIN,
            2 => NaiveTime::parse_from_str(clock, "%H:%M").ok().filter(|_| fraction.is_empty())?,
            _ => NaiveTime::parse_from_str(clock, "%H:%M:%S").ok()?,
        };
        let local = date.and_time(clock).checked_add_signed(TimeDelta::milliseconds(milliseconds(fraction)?))?;
        let zone = match zone.trim() {
            "" => None,
            zone => Some(parse_zone(zone)?),
        };
        Some(Self { local, zone, precision: fraction.len() })
    }

    /// Parses `2020-04-01T10:20:30.123-03:00`: the date; the time or not; the zone or not.
    pub(crate) fn parse_iso(text: &str) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        if rest.is_empty() {
            return Self::parse(date);
        }
        let rest = rest.strip_prefix('T')?;
        let end = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
        let (time, zone) = rest.split_at(end);
        let time = if time.len() == 2 { format!("{time}:00") } else { time.to_owned() };
        Self::parse(&format!("{date} {time} {zone}"))
    }

    /// Returns the value of a timestamp, with a zone if the text has one.
    pub(crate) fn scalar(&self) -> Option<ScalarValue> {
        let Some(zone) = &self.zone else {
            return Some(ScalarValue::TimestampMillisecond(Some(self.local.and_utc().timestamp_millis()), None));
        };
        let instant = instant(self.local, zone.parse().ok()?);
        Some(ScalarValue::TimestampMillisecond(Some(instant), Some(Arc::clone(zone))))
    }
}

/// Returns the digits behind a second as milliseconds, rounded.
fn milliseconds(fraction: &str) -> Option<i64> {
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || fraction.len() > 12 {
        return None;
    }
    let picoseconds: i64 = format!("{fraction:0<12}").parse().ok()?;
    Some((picoseconds + 500_000_000) / 1_000_000_000)
}

/// Returns the name of a zone as Athena shows it: `UTC`, `-03:00`, `America/Sao_Paulo`; `None` if there is no such zone.
pub(crate) fn parse_zone(text: &str) -> Option<Arc<str>> {
    if let Some(sign) = text.chars().next().filter(|c| matches!(c, '+' | '-')) {
        let (hours, minutes) = match text[1..].split_once(':') {
            Some((hours, minutes)) => (hours, minutes),
            None if text.len() == 5 => text[1..].split_at(2),
            None => (&text[1..], "0"),
        };
        let part = |text: &str| text.parse::<u8>().ok().filter(|_| matches!(text.len(), 1 | 2));
        let (hours, minutes) = (part(hours)?, part(minutes)?);
        let fits = hours < 14 && minutes < 60 || hours == 14 && minutes == 0;
        return match (hours, minutes) {
            (0, 0) => Some(UTC.into()),
            _ => fits.then(|| format!("{sign}{hours:02}:{minutes:02}").into()),
        };
    }
    if ["Z", "UTC", "GMT", "UT"].iter().any(|utc| utc.eq_ignore_ascii_case(text)) {
        return Some(UTC.into());
    }
    text.parse::<Tz>().ok().map(|_| text.into())
}

/// Converts a local time to milliseconds since 1970; to the earlier of two when clocks were set back, and over the gap
/// when they were set forward.
pub(super) fn instant(local: NaiveDateTime, zone: Tz) -> i64 {
    let found = zone.from_local_datetime(&local).earliest();
    let found = found.or_else(|| {
        let before = zone.from_local_datetime(&local.checked_sub_signed(TimeDelta::hours(3))?).earliest()?;
        before.checked_add_signed(TimeDelta::hours(3))
    });
    found.map_or_else(|| local.and_utc().timestamp_millis(), |found| found.timestamp_millis())
}

/// Returns the local times of zoned timestamps.
pub(super) fn local_times(array: &ArrayRef) -> Result<TimestampMillisecondArray> {
    let DataType::Timestamp(_, Some(zone)) = array.data_type() else {
        return Err(DataFusionError::Internal(format!("{} has no zone", array.data_type())));
    };
    let zone: Tz = zone.parse()?;
    let local = array.as_primitive::<TimestampMillisecondType>().iter().map(|instant| {
        let Some(instant) = instant else { return Ok(None) };
        let instant = DateTime::from_timestamp_millis(instant);
        let instant = instant.ok_or_else(|| external(invalid("a point in time is out of range")))?;
        Ok(Some(instant.with_timezone(&zone).naive_local().and_utc().timestamp_millis()))
    });
    local.collect()
}

/// Returns the days of timestamps, in their zone.
pub(super) fn dates(local: &TimestampMillisecondArray) -> Date32Array {
    const DAY: i64 = 86_400_000;
    let days = local.iter().map(|millis| millis.map(|millis| millis.div_euclid(DAY) as i32));
    days.collect::<datafusion::arrow::array::PrimitiveArray<Date32Type>>()
}

/// Returns the instant of a text of a column.
///
/// # Errors
/// The text has a zone other than UTC.
pub(super) fn instant_of(text: &str, moment: &Moment) -> std::result::Result<i64, QueryError> {
    match &moment.zone {
        Some(zone) if &**zone != UTC => Err(QueryError::new(
            ErrorKind::NotSupported,
            format_args!(
                "'{text}' has a zone other than UTC: the embedded Athena supports these in a text that is written out, and in \
                 a column not"
            ),
        )),
        _ => Ok(moment.local.and_utc().timestamp_millis()),
    }
}

fn external(error: QueryError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_one_name() {
        let zone = |text| parse_zone(text).as_deref().map(str::to_owned);
        for (text, name) in [
            ("-03:00", "-03:00"),
            ("-3", "-03:00"),
            ("+0530", "+05:30"),
            ("+00:00", "UTC"),
            ("z", "UTC"),
            ("America/Sao_Paulo", "America/Sao_Paulo"),
        ] {
            assert_eq!(zone(text).as_deref(), Some(name), "{text}");
        }
        for wrong in ["+15:00", "+1:2:3", "-", "Nowhere/City", "+03:60"] {
            assert_eq!(zone(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn moments_are_rounded_to_milliseconds() {
        let moment = |text: &str| Moment::parse(text).map(|moment| moment.local.to_string());
        assert_eq!(moment("2020-05-01 12:34:56.5555 UTC").as_deref(), Some("2020-05-01 12:34:56.556"));
        assert_eq!(moment("2020-05-01 23:59:59.9999").as_deref(), Some("2020-05-02 00:00:00"));
        assert_eq!(moment("2020-05-01").as_deref(), Some("2020-05-01 00:00:00"));
        for wrong in
            ["2020-05-01 12", "2020-05-01 12:34.5", "20200501", "2020-05-01 12:34 Nowhere/City", "2020-05-01 1é"]
        {
            assert_eq!(moment(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_gap_of_the_clock_is_passed_over() {
        // Brazil's clocks went from 0:00 to 1:00.
        let zone: Tz = "America/Sao_Paulo".parse().unwrap();
        let local = Moment::parse("2018-11-04 00:30:00").unwrap().local;
        assert_eq!(
            instant(local, zone),
            Moment::parse("2018-11-04 03:30:00").unwrap().local.and_utc().timestamp_millis()
        );
    }
}
