//! Functions that extract parts of dates and timestamps, and arithmetic in calendar units.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, TimeDelta, Timelike};

use super::row_function::Kind::{Double, Integer, Moment, Text};
use super::row_function::{Args, Outcome, Returns, RowFunction, invalid, some};
use crate::error::QueryError;

const MOMENT: &[&[super::row_function::Kind]] = &[&[Moment]];

/// Defines a function that returns one part of a date or timestamp as a bigint.
macro_rules! part {
    ($name:literal, $moment:ident => $part:expr) => {
        RowFunction {
            name: $name,
            forms: MOMENT,
            returns: Returns::Bigint,
            body: |args| {
                let $moment = args.moment(0)?;
                some($part)
            },
        }
    };
}

pub(super) fn functions() -> Vec<RowFunction> {
    vec![
        part!("year", m => i64::from(m.year())),
        part!("quarter", m => m.month0() / 3 + 1),
        part!("month", m => m.month()),
        part!("week", m => m.iso_week().week()),
        part!("week_of_year", m => m.iso_week().week()),
        part!("year_of_week", m => i64::from(m.iso_week().year())),
        part!("yow", m => i64::from(m.iso_week().year())),
        part!("day", m => m.day()),
        part!("day_of_month", m => m.day()),
        part!("day_of_week", m => m.weekday().number_from_monday()),
        part!("dow", m => m.weekday().number_from_monday()),
        part!("day_of_year", m => m.ordinal()),
        part!("doy", m => m.ordinal()),
        part!("hour", m => m.hour()),
        part!("minute", m => m.minute()),
        part!("second", m => m.second()),
        part!("millisecond", m => m.and_utc().timestamp_subsec_millis()),
        RowFunction {
            name: "last_day_of_month",
            forms: MOMENT,
            returns: Returns::Date,
            body: |args| some(last_day(args.moment(0)?.date())?),
        },
        RowFunction { name: "date_trunc", forms: &[&[Text, Moment]], returns: Returns::SameAs(1), body: date_trunc },
        RowFunction {
            name: "date_add",
            forms: &[&[Text, Integer, Moment]],
            returns: Returns::SameAs(2),
            body: date_add,
        },
        RowFunction { name: "date_diff", forms: &[&[Text, Moment, Moment]], returns: Returns::Bigint, body: date_diff },
        RowFunction { name: "from_unixtime", forms: &[&[Double]], returns: Returns::Utc, body: from_unixtime },
        RowFunction {
            name: "to_unixtime",
            forms: MOMENT,
            returns: Returns::Double,
            body: |args| some(args.unix_seconds(0)),
        },
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
enum Unit {
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    fn parse(text: &str) -> Result<Self, QueryError> {
        let unit = text.to_lowercase().parse();
        unit.map_err(|_| invalid(format_args!("'{text}' is not a valid time field")))
    }

    /// Parses the unit. Refuses units smaller than a day if the value is a date.
    fn for_argument(args: &Args<'_>, moment: usize) -> Result<Self, QueryError> {
        let unit = Self::parse(args.text(0))?;
        if args.is_date(moment) && unit < Self::Day {
            let text = args.text(0);
            return Err(invalid(format_args!("'{text}' is not a valid DATE field")));
        }
        Ok(unit)
    }

    fn months(self) -> Option<i64> {
        match self {
            Self::Month => Some(1),
            Self::Quarter => Some(3),
            Self::Year => Some(12),
            _ => None,
        }
    }

    /// Returns the length of a unit of fixed length, in milliseconds.
    fn millis(self) -> i64 {
        match self {
            Self::Millisecond => 1,
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day | Self::Month | Self::Quarter | Self::Year => 86_400_000,
            Self::Week => 7 * 86_400_000,
        }
    }
}

fn out_of_range() -> QueryError {
    invalid("the date is out of range")
}

fn last_day(date: NaiveDate) -> Result<NaiveDate, QueryError> {
    let first = date.with_day(1);
    first
        .and_then(|first| first.checked_add_months(Months::new(1)))
        .and_then(|next| next.pred_opt())
        .ok_or_else(out_of_range)
}

fn date_trunc(args: &Args<'_>) -> Outcome {
    let unit = Unit::for_argument(args, 1)?;
    let moment = args.moment(1)?;
    let (date, time) = (moment.date(), moment.time());
    let clock = |hour, minute, second, milli| date.and_hms_milli_opt(hour, minute, second, milli);
    let millis = time.nanosecond() / 1_000_000 % 1_000;
    let midnight = |date: Option<NaiveDate>| date.map(NaiveDateTime::from);
    let truncated = match unit {
        Unit::Millisecond => clock(time.hour(), time.minute(), time.second(), millis),
        Unit::Second => clock(time.hour(), time.minute(), time.second(), 0),
        Unit::Minute => clock(time.hour(), time.minute(), 0, 0),
        Unit::Hour => clock(time.hour(), 0, 0, 0),
        Unit::Day => midnight(Some(date)),
        Unit::Week => {
            let since_monday = date.weekday().num_days_from_monday();
            midnight(date.checked_sub_days(Days::new(since_monday.into())))
        }
        Unit::Month => midnight(date.with_day(1)),
        Unit::Quarter => {
            let first = date.month0() / 3 * 3 + 1;
            midnight(NaiveDate::from_ymd_opt(date.year(), first, 1))
        }
        Unit::Year => midnight(NaiveDate::from_ymd_opt(date.year(), 1, 1)),
    };
    some(truncated.ok_or_else(out_of_range)?)
}

fn date_add(args: &Args<'_>) -> Outcome {
    let unit = Unit::for_argument(args, 2)?;
    let (amount, moment) = (args.integer(1), args.moment(2)?);
    let moved = match unit.months() {
        Some(months) => add_months(moment, amount.checked_mul(months)),
        None => amount
            .checked_mul(unit.millis())
            .and_then(TimeDelta::try_milliseconds)
            .and_then(|delta| moment.checked_add_signed(delta)),
    };
    some(moved.ok_or_else(out_of_range)?)
}

fn add_months(moment: NaiveDateTime, months: Option<i64>) -> Option<NaiveDateTime> {
    let months = months?;
    let count = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    if months < 0 { moment.checked_sub_months(count) } else { moment.checked_add_months(count) }
}

fn date_diff(args: &Args<'_>) -> Outcome {
    let unit = Unit::for_argument(args, 1)?;
    let (from, to) = (args.moment(1)?, args.moment(2)?);
    some(match unit.months() {
        Some(months) => whole_months(from, to) / months,
        None => (to - from).num_milliseconds() / unit.millis(),
    })
}

/// Returns the number of whole months between two timestamps; negative if `to` is the earlier.
fn whole_months(from: NaiveDateTime, to: NaiveDateTime) -> i64 {
    if to < from {
        return -whole_months(to, from);
    }
    let of = |m: NaiveDateTime| i64::from(m.year()) * 12 + i64::from(m.month0());
    let months = of(to) - of(from);
    let reached = add_months(from, Some(months)).is_some_and(|moved| moved <= to);
    if reached { months } else { months - 1 }
}

fn from_unixtime(args: &Args<'_>) -> Outcome {
    let millis = (args.double(0) * 1000.0).round();
    if millis.is_nan() || millis.abs() > 1e17 {
        return Err(out_of_range());
    }
    let moment = DateTime::from_timestamp_millis(millis as i64).ok_or_else(out_of_range)?;
    some(moment.naive_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_months_count_only_full_ones() {
        let at = |text: &str| text.parse::<NaiveDateTime>().unwrap();
        for (from, to, months) in [
            ("2020-01-31T00:00:00", "2020-02-29T00:00:00", 1),
            ("2020-01-15T10:00:00", "2020-02-15T09:59:59", 0),
            ("2020-01-15T10:00:00", "2021-01-15T10:00:00", 12),
            ("2020-03-15T00:00:00", "2020-01-15T00:00:00", -2),
            ("2020-03-15T00:00:00", "2020-01-16T00:00:00", -1),
        ] {
            assert_eq!(whole_months(at(from), at(to)), months, "{from} {to}");
        }
    }
}
