//! Formats and parses dates and timestamps by MySQL patterns (`date_format`, `date_parse`), Joda patterns
//! (`format_datetime`, `parse_datetime`) and ISO 8601.
//!
//! Both pattern languages are translated to a list of [`PatternItem`]s, which can be formatted and parsed.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Weekday};

use super::row_function::Kind::{Moment, Text};
use super::row_function::{Outcome, Returns, RowFunction, invalid, some};
use super::zones;
use crate::error::QueryError;

pub(super) fn functions() -> Vec<RowFunction> {
    let format = |name, body| RowFunction { name, forms: &[&[Moment, Text]], returns: Returns::Text, body };
    let parse = |name, returns, body| RowFunction { name, forms: &[&[Text, Text]], returns, body };
    let iso = |name, returns, body| RowFunction { name, forms: &[&[Text]], returns, body };
    vec![
        format("date_format", |args| some(write(&mysql(args.text(1))?, args.moment(0)?))),
        format("format_datetime", |args| some(write(&joda(args.text(1))?, args.moment(0)?))),
        parse("date_parse", Returns::Timestamp, |args| some(read(&mysql(args.text(1))?, args.text(0))?)),
        parse("parse_datetime", Returns::Utc, |args| some(read(&joda(args.text(1))?, args.text(0))?)),
        iso("from_iso8601_date", Returns::Date, |args| {
            let date = args.text(0).parse::<NaiveDate>();
            some(date.map_err(|_| malformed(args.text(0)))?)
        }),
        iso("from_iso8601_timestamp", Returns::Utc, |args| from_iso(args.text(0))),
        RowFunction {
            name: "to_iso8601",
            forms: &[&[Moment]],
            returns: Returns::Text,
            body: |args| {
                let form = if args.is_date(0) { "%Y-%m-%d" } else { "%Y-%m-%dT%H:%M:%S%.3f" };
                some(args.moment(0)?.format(form).to_string())
            },
        },
    ]
}

/// One item of a pattern. A width is the minimum number of digits to write and the maximum to read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PatternItem {
    Literal(String),
    Year,
    /// The last two digits of a year from 1970 to 2069.
    ShortYear,
    Month(usize),
    MonthName,
    ShortMonthName,
    Day(usize),
    DayOfYear,
    WeekdayName,
    ShortWeekdayName,
    WeekdayNumber,
    Week(usize),
    WeekYear,
    /// 0 to 23.
    Hour(usize),
    /// 1 to 12.
    Hour12(usize),
    Minute,
    Second,
    /// A fraction of a second with this many digits.
    Fraction(usize),
    AmPm,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn malformed(text: &str) -> QueryError {
    invalid(format_args!("Invalid format: \"{text}\" is malformed"))
}

/// Parses a MySQL pattern: `%Y-%m-%d %H:%i:%s`.
fn mysql(pattern: &str) -> Result<Vec<PatternItem>, QueryError> {
    let mut items = Vec::new();
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            items.push(PatternItem::Literal(c.to_string()));
            continue;
        }
        match characters.next() {
            Some('T') => items.extend(mysql("%H:%i:%s")?),
            Some('r') => items.extend(mysql("%h:%i:%s %p")?),
            Some(code) => items.push(mysql_code(code)?),
            None => return Err(invalid("the pattern ends with '%'")),
        }
    }
    Ok(items)
}

fn mysql_code(code: char) -> Result<PatternItem, QueryError> {
    Ok(match code {
        'a' => PatternItem::ShortWeekdayName,
        'b' => PatternItem::ShortMonthName,
        'c' => PatternItem::Month(1),
        'd' => PatternItem::Day(2),
        'e' => PatternItem::Day(1),
        'f' => PatternItem::Fraction(6),
        'H' => PatternItem::Hour(2),
        'h' | 'I' => PatternItem::Hour12(2),
        'i' => PatternItem::Minute,
        'j' => PatternItem::DayOfYear,
        'k' => PatternItem::Hour(1),
        'l' => PatternItem::Hour12(1),
        'M' => PatternItem::MonthName,
        'm' => PatternItem::Month(2),
        'p' => PatternItem::AmPm,
        'S' | 's' => PatternItem::Second,
        'v' => PatternItem::Week(2),
        'W' => PatternItem::WeekdayName,
        'x' => PatternItem::WeekYear,
        'Y' => PatternItem::Year,
        'y' => PatternItem::ShortYear,
        'D' | 'U' | 'u' | 'V' | 'w' | 'X' => {
            let message = format!("%{code} not supported in date format string");
            return Err(invalid(message));
        }
        other => PatternItem::Literal(other.to_string()),
    })
}

/// Parses a Joda pattern: `yyyy-MM-dd'T'HH:mm:ss`.
fn joda(pattern: &str) -> Result<Vec<PatternItem>, QueryError> {
    let mut items = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let run = rest.chars().take_while(|c| *c == first).count();
        let length = if first == '\'' {
            let (literal, length) = joda_quoted(rest)?;
            items.push(PatternItem::Literal(literal));
            length
        } else if first.is_ascii_alphabetic() {
            items.push(joda_letter(first, run)?);
            run
        } else {
            items.push(PatternItem::Literal(first.to_string()));
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    Ok(items)
}

/// Parses quoted text at the start of a pattern, in which `''` is a quote. Returns the text, and its length in the
/// pattern in bytes.
fn joda_quoted(pattern: &str) -> Result<(String, usize), QueryError> {
    if pattern.starts_with("''") {
        return Ok(("'".to_owned(), 2));
    }
    let mut text = String::new();
    let mut from = 1;
    loop {
        let Some(end) = pattern[from..].find('\'') else {
            return Err(invalid("the pattern has a quote that does not end"));
        };
        text.push_str(&pattern[from..from + end]);
        from += end + 1;
        if !pattern[from..].starts_with('\'') {
            return Ok((text, from));
        }
        text.push('\'');
        from += 1;
    }
}

fn joda_letter(letter: char, run: usize) -> Result<PatternItem, QueryError> {
    Ok(match (letter, run) {
        ('y' | 'Y', 2) => PatternItem::ShortYear,
        ('y' | 'Y', _) => PatternItem::Year,
        ('M', 3) => PatternItem::ShortMonthName,
        ('M', 4..) => PatternItem::MonthName,
        ('M', width) => PatternItem::Month(width),
        ('d', width) => PatternItem::Day(width),
        ('D', _) => PatternItem::DayOfYear,
        ('E', 4..) => PatternItem::WeekdayName,
        ('E', _) => PatternItem::ShortWeekdayName,
        ('e', _) => PatternItem::WeekdayNumber,
        ('w', width) => PatternItem::Week(width),
        ('x', _) => PatternItem::WeekYear,
        ('H', width) => PatternItem::Hour(width),
        ('h', width) => PatternItem::Hour12(width),
        ('m', _) => PatternItem::Minute,
        ('s', _) => PatternItem::Second,
        ('S', width) => PatternItem::Fraction(width),
        ('a', _) => PatternItem::AmPm,
        _ => return Err(invalid(format_args!("Illegal pattern component: {letter}"))),
    })
}

fn write(items: &[PatternItem], at: NaiveDateTime) -> String {
    items.iter().map(|item| write_item(item, at)).collect()
}

fn write_item(item: &PatternItem, at: NaiveDateTime) -> String {
    let weekday = at.weekday().num_days_from_monday() as usize;
    let month = at.month0() as usize;
    match item {
        PatternItem::Literal(text) => text.clone(),
        PatternItem::Year => format!("{:04}", at.year()),
        PatternItem::ShortYear => format!("{:02}", at.year().rem_euclid(100)),
        PatternItem::Month(width) => format!("{:0width$}", at.month()),
        PatternItem::MonthName => MONTHS[month].to_owned(),
        PatternItem::ShortMonthName => MONTHS[month][..3].to_owned(),
        PatternItem::Day(width) => format!("{:0width$}", at.day()),
        PatternItem::DayOfYear => format!("{:03}", at.ordinal()),
        PatternItem::WeekdayName => WEEKDAYS[weekday].to_owned(),
        PatternItem::ShortWeekdayName => WEEKDAYS[weekday][..3].to_owned(),
        PatternItem::WeekdayNumber => (weekday + 1).to_string(),
        PatternItem::Week(width) => format!("{:0width$}", at.iso_week().week()),
        PatternItem::WeekYear => format!("{:04}", at.iso_week().year()),
        PatternItem::Hour(width) => format!("{:0width$}", at.hour()),
        PatternItem::Hour12(width) => format!("{:0width$}", at.hour12().1),
        PatternItem::Minute => format!("{:02}", at.minute()),
        PatternItem::Second => format!("{:02}", at.second()),
        PatternItem::Fraction(width) => {
            let digits = format!("{:09}", at.nanosecond() % 1_000_000_000);
            format!("{digits:0<width$}")[..*width].to_owned()
        }
        PatternItem::AmPm => if at.hour12().0 { "PM" } else { "AM" }.to_owned(),
    }
}

/// The fields of a parsed timestamp. Missing fields default to those of 1970-01-01 00:00:00.
#[derive(Default)]
struct Parts {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    week: Option<u32>,
    weekday: Option<u32>,
    week_year: Option<i32>,
    hour: Option<u32>,
    hour12: Option<u32>,
    is_afternoon: Option<bool>,
    minute: u32,
    second: u32,
    nanos: u32,
}

fn read(items: &[PatternItem], text: &str) -> Result<NaiveDateTime, QueryError> {
    let mut parts = Parts::default();
    let mut rest = text;
    for item in items {
        rest = read_item(item, rest, &mut parts).ok_or_else(|| wrong_at(text, rest))?;
    }
    if !rest.is_empty() {
        return Err(wrong_at(text, rest));
    }
    parts.moment().ok_or_else(|| invalid(format_args!("Cannot parse \"{text}\": a value is out of its range")))
}

fn wrong_at(text: &str, rest: &str) -> QueryError {
    if rest.is_empty() {
        return invalid(format_args!("Invalid format: \"{text}\" is too short"));
    }
    invalid(format_args!("Invalid format: \"{text}\" is malformed at \"{rest}\""))
}

/// Parses one item at the start of the text. Returns the rest of the text, or `None` if it does not match.
fn read_item<'a>(item: &PatternItem, text: &'a str, parts: &mut Parts) -> Option<&'a str> {
    let mut rest = text;
    let mut number = |most: usize| number(&mut rest, most);
    match item {
        PatternItem::Literal(literal) => return text.strip_prefix(literal.as_str()),
        PatternItem::Year => parts.year = Some(number(4)? as i32),
        PatternItem::ShortYear => {
            let year = number(2)? as i32;
            parts.year = Some(if year < 70 { 2000 + year } else { 1900 + year });
        }
        PatternItem::Month(_) => parts.month = Some(number(2)?),
        PatternItem::Day(_) => parts.day = Some(number(2)?),
        PatternItem::DayOfYear => parts.day_of_year = Some(number(3)?),
        PatternItem::WeekdayNumber => parts.weekday = Some(number(1)?),
        PatternItem::Week(_) => parts.week = Some(number(2)?),
        PatternItem::WeekYear => parts.week_year = Some(number(4)? as i32),
        PatternItem::Hour(_) => parts.hour = Some(number(2)?),
        PatternItem::Hour12(_) => parts.hour12 = Some(number(2)?),
        PatternItem::Minute => parts.minute = number(2)?,
        PatternItem::Second => parts.second = number(2)?,
        PatternItem::Fraction(_) => {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count().min(9);
            let value = number(9)?;
            parts.nanos = value * 10_u32.pow(9 - digits as u32);
        }
        PatternItem::MonthName | PatternItem::ShortMonthName => {
            let (at, after) = name(text, &MONTHS)?;
            parts.month = Some(at + 1);
            return Some(after);
        }
        PatternItem::WeekdayName | PatternItem::ShortWeekdayName => {
            let (at, after) = name(text, &WEEKDAYS)?;
            parts.weekday = Some(at + 1);
            return Some(after);
        }
        PatternItem::AmPm => {
            let half = text.get(..2)?.to_ascii_uppercase();
            parts.is_afternoon = Some(match half.as_str() {
                "AM" => false,
                "PM" => true,
                _ => return None,
            });
            return text.get(2..);
        }
    }
    Some(rest)
}

/// Parses 1 to `most` digits and advances the text.
fn number(text: &mut &str, most: usize) -> Option<u32> {
    let digits = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let value = text[..digits].parse().ok()?;
    *text = &text[digits..];
    Some(value)
}

/// Parses one of the names, or its first three letters. Returns its index, and the rest of the text.
fn name<'a>(text: &'a str, names: &[&str]) -> Option<(u32, &'a str)> {
    let starts = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let length = |name: &&str| if starts(name) { name.len() } else { 3 };
    let at = names.iter().position(|name| starts(&name[..3]))?;
    Some((at as u32, &text[length(&names[at])..]))
}

impl Parts {
    fn moment(&self) -> Option<NaiveDateTime> {
        let time = NaiveTime::from_hms_nano_opt(self.hour()?, self.minute, self.second, self.nanos);
        Some(self.date()?.and_time(time?))
    }

    fn date(&self) -> Option<NaiveDate> {
        let year = self.year.unwrap_or(1970);
        if let Some(day) = self.day_of_year {
            return NaiveDate::from_yo_opt(year, day);
        }
        if let Some(week) = self.week {
            let weekday = Weekday::try_from(self.weekday.unwrap_or(1).checked_sub(1)? as u8);
            return NaiveDate::from_isoywd_opt(self.week_year.unwrap_or(year), week, weekday.ok()?);
        }
        NaiveDate::from_ymd_opt(year, self.month.unwrap_or(1), self.day.unwrap_or(1))
    }

    fn hour(&self) -> Option<u32> {
        let Some(half) = self.hour12 else {
            return Some(self.hour.unwrap_or(0));
        };
        let afternoon = if self.is_afternoon.unwrap_or(false) { 12 } else { 0 };
        (1..=12).contains(&half).then_some(half % 12 + afternoon)
    }
}

/// Parses `2020-04-01T13:20:00.000-03:00` of a column. Without an offset the time is in UTC, and with another it is refused.
fn from_iso(text: &str) -> Outcome {
    let moment = zones::Moment::parse_iso(text).ok_or_else(|| malformed(text))?;
    zones::instant_of(text, &moment)?;
    some(moment.local)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn mysql_codes() {
        let moment = at("2020-04-01T13:05:09.123456");
        for (pattern, text) in [
            ("%Y-%m-%d %H:%i:%s", "2020-04-01 13:05:09"),
            ("%Y%m%d%H%i", "202004011305"),
            ("%d/%m/%y", "01/04/20"),
            ("%c/%e %k:%i %l %p", "4/1 13:05 1 PM"),
            ("%a %W %b %M", "Wed Wednesday Apr April"),
            ("%f %j %T %r %v %x %%", "123456 092 13:05:09 01:05:09 PM 14 2020 %"),
        ] {
            assert_eq!(write(&mysql(pattern).unwrap(), moment), text);
        }
        assert!(mysql("%D").is_err());
        assert!(mysql("%").is_err());
    }

    #[test]
    fn joda_letters() {
        let moment = at("2020-04-01T13:05:09.123");
        for (pattern, text) in [
            ("yyyy-MM-dd'T'HH:mm:ss.SSS", "2020-04-01T13:05:09.123"),
            ("EEE, d MMM yy", "Wed, 1 Apr 20"),
            ("EEEE MMMM h a e w", "Wednesday April 1 PM 3 14"),
            ("'o''clock' ''", "o'clock '"),
        ] {
            assert_eq!(write(&joda(pattern).unwrap(), moment), text);
        }
        assert!(joda("'open").is_err());
        assert!(joda("b").is_err());
    }

    #[test]
    fn what_is_read() {
        for (pattern, text, moment) in [
            ("%Y%m%d%H%i", "202004011320", "2020-04-01T13:20:00"),
            ("%Y-%m-%d", "2020-4-1", "2020-04-01T00:00:00"),
            ("%d/%m/%y %h:%i %p", "01/04/20 01:05 PM", "2020-04-01T13:05:00"),
            ("%M %d %Y", "april 01 2020", "2020-04-01T00:00:00"),
            ("%H:%i:%s.%f", "10:00:01.5", "1970-01-01T10:00:01.500"),
            ("%Y %j", "2020 092", "2020-04-01T00:00:00"),
        ] {
            assert_eq!(read(&mysql(pattern).unwrap(), text).unwrap(), at(moment));
        }
        for (pattern, text) in [
            ("%Y-%m-%d", "2020-04-31"),
            ("%Y-%m-%d", "2020-04"),
            ("%Y-%m-%d", "2020-04-01 x"),
            ("%H", "24"),
            ("%h", "13"),
        ] {
            assert!(read(&mysql(pattern).unwrap(), text).is_err(), "{text}");
        }
        let error = read(&mysql("%Y-%m-%d").unwrap(), "2020/04/01").unwrap_err();
        assert_eq!(
            error.message,
            "INVALID_FUNCTION_ARGUMENT: Invalid format: \"2020/04/01\" is malformed at \"/04/01\""
        );
    }

    proptest! {
        #[test]
        fn no_pattern_and_no_text_panics(pattern in "\\PC{0,12}", text in "\\PC{0,12}") {
            let moment = at("2020-04-01T13:05:09.123");
            for items in [mysql(&pattern), joda(&pattern)].into_iter().flatten() {
                write(&items, moment);
                let _ = read(&items, &text);
            }
        }

        #[test]
        fn what_is_written_reads_back(seconds in 0_i64..4_000_000_000) {
            let moment = chrono::DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
            let items = mysql("%Y-%m-%d %H:%i:%s").unwrap();
            prop_assert_eq!(read(&items, &write(&items, moment)).unwrap(), moment);
        }
    }
}
