//! The number contract: the rules that map the text of a raw cell to an exact value, NULL or a reject.
//!
//! Cells come from a trading panel (Brazilian: `15,73`, `6.050`, `10k12`) and from programs (`15.7`, `197761.0`,
//! `2.966e+09`), so the same punctuation means different things in different columns. There are three kinds of number
//! columns, and a reader for each: [`read_decimal`], [`read_quantity`] and [`read_amount`]. They take a [`CellText`] and
//! return a [`Reading`], in the form that the engine appends to its columns without a branch. [`parse_decimal`],
//! [`parse_quantity`] and [`parse_amount`] wrap them for other callers: they take bytes and return a [`Cell`] to match on.
//!
//! A well-formed number of any style is first reduced to its digits and a power of ten ([`Unscaled`]), without arithmetic.
//! Only then does it become an integer (checked, exact) or the double nearest to the decimal text. No style is computed in
//! floating point, which is why `10k12` is 10120 and never 10120.000000000002.
//!
//! Two fast paths come before that general path and decide nearly all cells: `short` for up to eight bytes, `long` for nine
//! to fifteen. Tests compare all three.

mod long;
mod short;

use std::io::Write;

use long::Long;
pub use short::CellText;
use short::{DECIMAL, GROUPED, Short};
use strum::IntoStaticStr;

/// A parsed cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<T> {
    /// A number.
    Value(T),
    /// A token that means "no value" ([`is_null_token`]).
    Null,
    /// Text that is not a number of this kind: NULL in the table, and a row of `rejects`.
    Reject(Reason),
}

/// Why a cell was rejected. The names are published in `rejects.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// The text has none of the forms of the contract.
    NotANumber,
    /// A quantity or an amount is below zero.
    Negative,
    /// A quantity has a fraction.
    NotWhole,
    /// A quantity does not fit in its integer type, or a decimal is larger than any finite double.
    OutOfRange,
}

impl Reason {
    /// Returns the name that `rejects.reason` shows.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Tokens that mean "no value", in lower case. They are compared after [`trim`], ignoring case.
///
/// The panel shows `Abe` for an instrument in auction, which has no price.
pub const NULL_TOKENS: [&str; 8] = ["-", "--", "nan", "null", "none", "n/d", "n/a", "abe"];

/// Removes ASCII white space, including vertical tab and form feed, and U+00A0 in UTF-8 from both ends.
///
/// ```
/// assert_eq!(market::number::trim(" 15,73\u{a0}".as_bytes()), b"15,73");
/// ```
#[inline]
pub fn trim(mut text: &[u8]) -> &[u8] {
    loop {
        text = match text {
            [b'\t'..=b'\r' | b' ', rest @ ..] => rest,
            [0xC2, 0xA0, rest @ ..] => rest,
            [rest @ .., b'\t'..=b'\r' | b' '] => rest,
            [rest @ .., 0xC2, 0xA0] => rest,
            _ => return text,
        }
    }
}

/// Returns whether a trimmed cell is empty or one of [`NULL_TOKENS`].
#[inline]
pub fn is_null_token(trimmed: &[u8]) -> bool {
    trimmed.is_empty() || NULL_TOKENS.iter().any(|token| trimmed.eq_ignore_ascii_case(token.as_bytes()))
}

/// A cell that was read: a number or NULL.
///
/// Not an [`Option`], so that the engine appends value and validity to a column without a branch.
#[derive(Debug, Clone, Copy)]
pub struct Reading<T> {
    /// The number. Unspecified if `is_null`.
    pub value: T,
    /// Whether the cell is a null token.
    pub is_null: bool,
}

impl<T: Default> Reading<T> {
    fn new(value: T) -> Self {
        Self { value, is_null: false }
    }

    fn null() -> Self {
        Self { value: T::default(), is_null: true }
    }
}

impl<T> From<Result<Reading<T>, Reason>> for Cell<T> {
    fn from(read: Result<Reading<T>, Reason>) -> Self {
        match read {
            Ok(Reading { is_null: true, .. }) => Cell::Null,
            Ok(Reading { value, .. }) => Cell::Value(value),
            Err(reason) => Cell::Reject(reason),
        }
    }
}

/// Parses a price, a rate or a volatility, as [`read_decimal`] does.
#[inline]
pub fn parse_decimal(cell: &[u8]) -> Cell<f64> {
    read_decimal(cell.into()).into()
}

/// Reads a price, a rate or a volatility, in which a single separator is always the decimal mark.
///
/// `cell` is UTF-8, trimmed or not. The value is the double nearest to the decimal text.
///
/// # Errors
/// The reason if the cell is rejected.
#[inline]
pub fn read_decimal(cell: CellText<'_>) -> Result<Reading<f64>, Reason> {
    if let Some(short) = Short::read_signed(cell, &DECIMAL) {
        return Ok(Reading { value: short.to_f64(), is_null: short.is_null });
    }
    if let Some((long, minus)) = Long::read_signed(cell.as_bytes()) {
        return Ok(Reading { value: if minus { -long.to_f64() } else { long.to_f64() }, is_null: false });
    }
    any_decimal(cell.as_bytes())
}

/// Reads a decimal of any form: the general path.
#[inline(never)]
fn any_decimal(cell: &[u8]) -> Result<Reading<f64>, Reason> {
    match reduce(cell, OneSeparator::DecimalMark)? {
        Some(number) => number.to_f64().map(Reading::new),
        None => Ok(Reading::null()),
    }
}

/// Parses a count of shares, trades or days, as [`read_quantity`] does.
#[inline]
pub fn parse_quantity(cell: &[u8]) -> Cell<i64> {
    read_quantity(cell.into()).into()
}

/// Reads a count of shares, trades or days: a whole number that is not negative and fits in 64 bits.
///
/// `cell` is UTF-8, trimmed or not. A single separator before exactly three digits groups thousands: `1.684` is 1684.
///
/// # Errors
/// The reason if the cell is rejected.
#[inline]
pub fn read_quantity(cell: CellText<'_>) -> Result<Reading<i64>, Reason> {
    if let Some(short) = Short::read(cell, &GROUPED)
        && let Some(value) = short.whole()
    {
        return Ok(Reading { value, is_null: short.is_null });
    }
    long_quantity(cell.as_bytes())
}

/// Reads a quantity like [`read_quantity`], and returns the double nearest to the whole number.
///
/// # Errors
/// The reason if the cell is rejected.
#[inline]
pub fn read_quantity_as_double(cell: CellText<'_>) -> Result<Reading<f64>, Reason> {
    if let Some(short) = Short::read(cell, &GROUPED)
        && short.whole().is_some()
    {
        return Ok(Reading { value: short.to_f64(), is_null: short.is_null });
    }
    let Reading { value, is_null } = long_quantity(cell.as_bytes())?;
    Ok(Reading { value: value as f64, is_null })
}

#[inline(never)]
fn long_quantity(cell: &[u8]) -> Result<Reading<i64>, Reason> {
    match Long::read(cell).and_then(Long::whole) {
        Some(whole) => Ok(Reading::new(whole)),
        None => any_quantity(cell),
    }
}

/// Reads a quantity of any form: the general path.
fn any_quantity(cell: &[u8]) -> Result<Reading<i64>, Reason> {
    match reduce(cell, OneSeparator::GroupsIfThreeDigits)? {
        Some(number) => number.to_i64().map(Reading::new),
        None => Ok(Reading::null()),
    }
}

/// Parses a sum of money in BRL, as [`read_amount`] does.
#[inline]
pub fn parse_amount(cell: &[u8]) -> Cell<f64> {
    read_amount(cell.into()).into()
}

/// Reads a sum of money in BRL, which is not negative.
///
/// `cell` is UTF-8, trimmed or not. A single separator before exactly three digits groups thousands (`57.646` is 57646); any
/// other is the decimal mark (`888.35`).
///
/// # Errors
/// The reason if the cell is rejected.
#[inline]
pub fn read_amount(cell: CellText<'_>) -> Result<Reading<f64>, Reason> {
    if let Some(short) = Short::read(cell, &GROUPED) {
        return Ok(Reading { value: short.to_f64(), is_null: short.is_null });
    }
    if let Some(value) = Long::read(cell.as_bytes()).and_then(Long::amount) {
        return Ok(Reading { value, is_null: false });
    }
    any_amount(cell.as_bytes())
}

/// Reads an amount of any form: the general path.
#[inline(never)]
fn any_amount(cell: &[u8]) -> Result<Reading<f64>, Reason> {
    match reduce(cell, OneSeparator::GroupsIfThreeDigits)? {
        Some(number) if number.is_negative() => Err(Reason::Negative),
        Some(number) => number.to_f64().map(Reading::new),
        None => Ok(Reading::null()),
    }
}

/// The meaning of a single separator in a number without suffix or exponent. Nothing else in the form of a number depends on
/// the kind of its column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OneSeparator {
    DecimalMark,
    GroupsIfThreeDigits,
}

/// A well-formed number before any arithmetic: `whole.fraction` times ten to the power of `exponent`.
#[derive(Debug, Clone, Copy)]
struct Unscaled<'a> {
    minus: bool,
    /// Digits, and the separators that group thousands between them.
    whole: &'a [u8],
    /// Digits.
    fraction: &'a [u8],
    exponent: i64,
}

/// Reduces a cell to its digits. Returns `None` for a null token.
fn reduce(cell: &[u8], one_separator: OneSeparator) -> Result<Option<Unscaled<'_>>, Reason> {
    let text = trim(cell);
    if is_null_token(text) {
        return Ok(None);
    }
    let (minus, body) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let end = body.iter().position(|b| !matches!(b, b'0'..=b'9' | b'.' | b',')).unwrap_or(body.len());
    let (mantissa, tail) = body.split_at(end);
    let parts = match tail {
        [] => plain(mantissa, one_separator),
        [b'e' | b'E', exponent @ ..] => scientific(mantissa, exponent),
        [b'k' | b'K', decimals @ ..] => suffixed(mantissa, 3, decimals),
        [b'm' | b'M', decimals @ ..] => suffixed(mantissa, 6, decimals),
        [b'b' | b'B', decimals @ ..] => suffixed(mantissa, 9, decimals),
        _ => None,
    };
    let (whole, fraction, exponent) = parts.ok_or(Reason::NotANumber)?;
    Ok(Some(Unscaled { minus, whole, fraction, exponent }))
}

/// Whole digits, grouped or not; fraction digits; exponent. `None` if the text is not well-formed.
type Parts<'a> = Option<(&'a [u8], &'a [u8], i64)>;

/// Parses a number without suffix and exponent. `mantissa` consists of digits and separators.
fn plain(mantissa: &[u8], one_separator: OneSeparator) -> Parts<'_> {
    let Some(last) = mantissa.iter().rposition(|b| !b.is_ascii_digit()) else {
        return (!mantissa.is_empty()).then_some((mantissa, &[], 0));
    };
    let (before, after) = (&mantissa[..last], &mantissa[last + 1..]);
    let Some(earlier) = before.iter().find(|b| !b.is_ascii_digit()) else {
        // One separator.
        return if one_separator == OneSeparator::GroupsIfThreeDigits && after.len() == 3 {
            is_grouped(mantissa).then_some((mantissa, &[], 0))
        } else {
            (mantissa.len() > 1).then_some((before, after, 0))
        };
    };
    if *earlier == mantissa[last] {
        // Several separators, first and last of the same kind; `is_grouped` refuses another kind between them.
        is_grouped(mantissa).then_some((mantissa, &[], 0))
    } else {
        // Two kinds: the last separator is the decimal mark, and the other kind groups the digits before it.
        is_grouped(before).then_some((before, after, 0))
    }
}

/// Returns whether the digits are grouped: a first group of one to three digits, further groups of exactly three, one kind of
/// separator.
fn is_grouped(digits: &[u8]) -> bool {
    let Some(first) = digits.iter().position(|b| !b.is_ascii_digit()) else { return false };
    let separator = digits[first];
    (1..=3).contains(&first)
        && digits[first..]
            .chunks(4)
            .all(|group| group.len() == 4 && group[0] == separator && group[1..].iter().all(u8::is_ascii_digit))
}

/// Parses a number with an exponent, `2.966e+09`. Its mantissa has at most one separator, the decimal mark.
fn scientific<'a>(mantissa: &'a [u8], exponent: &[u8]) -> Parts<'a> {
    let (whole, fraction) = split_at_mark(mantissa)?;
    let (minus, digits) = match exponent {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, exponent),
    };
    if whole.len() + fraction.len() == 0 || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // An exponent that saturates is far beyond any finite double or integer, so that saturation changes no result.
    let value = digits.iter().fold(0i64, |n, d| n.saturating_mul(10).saturating_add(i64::from(d - b'0')));
    let value = value.min(i64::MAX / 2);
    Some((whole, fraction, if minus { -value } else { value }))
}

/// Parses a number with a suffix: `223k`, `1,5m`, or `10k12`, where the digits after the suffix are decimals of those before
/// it.
fn suffixed<'a>(mantissa: &'a [u8], exponent: i64, decimals: &'a [u8]) -> Parts<'a> {
    let (whole, fraction) = split_at_mark(mantissa)?;
    if whole.is_empty() {
        return None;
    }
    if whole.len() == mantissa.len() {
        let fine = decimals.len() <= 3 && decimals.iter().all(u8::is_ascii_digit);
        fine.then_some((whole, decimals, exponent))
    } else {
        (!fraction.is_empty() && decimals.is_empty()).then_some((whole, fraction, exponent))
    }
}

/// Splits at the decimal mark, if there is one. Returns `None` if there are several separators.
fn split_at_mark(mantissa: &[u8]) -> Option<(&[u8], &[u8])> {
    match mantissa.iter().position(|b| !b.is_ascii_digit()) {
        None => Some((mantissa, &[])),
        Some(at) => {
            let fraction = &mantissa[at + 1..];
            fraction.iter().all(u8::is_ascii_digit).then_some((&mantissa[..at], fraction))
        }
    }
}

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

impl Unscaled<'_> {
    fn digits(&self) -> impl DoubleEndedIterator<Item = u8> + Clone {
        self.whole.iter().chain(self.fraction).copied().filter(u8::is_ascii_digit)
    }

    /// Returns the power of ten of the last digit.
    fn scale(&self) -> i64 {
        self.exponent - self.fraction.len() as i64
    }

    fn is_zero(&self) -> bool {
        self.digits().all(|d| d == b'0')
    }

    /// Returns whether the number is below zero. Minus zero is not.
    fn is_negative(&self) -> bool {
        self.minus && !self.is_zero()
    }

    /// Returns the digits as one integer, or `None` if they do not fit.
    fn mantissa(&self) -> Option<u64> {
        fold_digits(self.digits())
    }

    /// Returns the double nearest to the decimal text.
    fn to_f64(self) -> Result<f64, Reason> {
        let magnitude = self.small_f64().unwrap_or_else(|| self.any_f64());
        if magnitude.is_finite() {
            Ok(if self.minus { -magnitude } else { magnitude })
        } else {
            Err(Reason::OutOfRange)
        }
    }

    /// Clinger's fast path: if the digits and the power of ten are both exact as doubles, one division or multiplication
    /// rounds once and returns the nearest double.
    fn small_f64(&self) -> Option<f64> {
        let mantissa = self.mantissa().filter(|m| *m <= 1 << 53)? as f64;
        let scale = self.scale();
        let power = *EXACT_POWERS.get(usize::try_from(scale.unsigned_abs()).ok()?)?;
        Some(if scale < 0 { mantissa / power } else { mantissa * power })
    }

    /// Parses digits of any length with any exponent, by the correctly rounding parser of the standard library.
    fn any_f64(&self) -> f64 {
        const EXPECTED: &str = "digits and an exponent are a float to the standard library";
        // On the stack, so that nothing is allocated for the 17 digits of a double that a program wrote.
        let mut short = [0; 48];
        let mut rest = &mut short[..];
        let written =
            self.digits().try_for_each(|d| rest.write_all(&[d])).and_then(|()| write!(rest, "e{}", self.scale()));
        let unused = rest.len();
        match written {
            Ok(()) => {
                let text = str::from_utf8(&short[..short.len() - unused]).expect("ASCII");
                text.parse().expect(EXPECTED)
            }
            Err(_) => {
                let digits: String = self.digits().map(char::from).collect();
                format!("{digits}e{}", self.scale()).parse().expect(EXPECTED)
            }
        }
    }

    /// Returns the whole number, exactly.
    fn to_i64(self) -> Result<i64, Reason> {
        if self.is_negative() {
            return Err(Reason::Negative);
        }
        // Trailing zeros carry no information, but with them the digits may not fit: `1.00000000000000000000` is 1.
        let zeros = self.digits().rev().take_while(|d| *d == b'0').count();
        let significant = self.digits().count() - zeros;
        if significant == 0 {
            return Ok(0);
        }
        let scale = self.scale() + zeros as i64;
        if scale < 0 {
            return Err(Reason::NotWhole);
        }
        u32::try_from(scale)
            .ok()
            .and_then(|scale| 10u64.checked_pow(scale))
            .and_then(|power| fold_digits(self.digits().take(significant))?.checked_mul(power))
            .and_then(|value| i64::try_from(value).ok())
            .ok_or(Reason::OutOfRange)
    }
}

fn fold_digits(mut digits: impl Iterator<Item = u8>) -> Option<u64> {
    digits.try_fold(0u64, |n, d| n.checked_mul(10)?.checked_add(u64::from(d - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_short_way_agrees_with_the_long_one(text in prop_oneof![
            "-?[0-9]{0,8}[.,]?[0-9]{0,8}",
            "[0-9]{0,12}[.,]?[0-9]{0,12}",
            "[-+.,0-9:/kmea\u{a0}é]{0,17}",
            "-?[0-9]{0,5}[.,kKmMbBx]?[0-9]{0,4}",
            "[-nNaAuUlLoOeEdD/bB\u{0}\r\u{f}]{0,5}",
            "(?i)-|--|nan|null|none|n/d|n/a|abe",
        ]) {
            // Leading white space makes a cell take the general path.
            let long = format!(" {text}");
            let (short, long) = (text.as_bytes(), long.as_bytes());
            // Compared as text, which distinguishes minus zero from zero.
            let text = |cell| format!("{cell:?}");
            prop_assert_eq!(text(parse_decimal(short)), text(parse_decimal(long)));
            prop_assert_eq!(parse_quantity(short), parse_quantity(long));
            prop_assert_eq!(text(parse_amount(short)), text(parse_amount(long)));
            // The bytes before the cell in its line do not matter.
            let line = [b"12-,k", short].concat();
            let cell = CellText::at_end(&line, 5);
            prop_assert_eq!(text(read_decimal(cell).into()), text(parse_decimal(long)));
            prop_assert_eq!(Cell::from(read_quantity(cell)), parse_quantity(long));
            prop_assert_eq!(text(read_amount(cell).into()), text(parse_amount(long)));
        }
    }

    /// Reads all cells of up to four of these characters, each after other text as in a line, by the fast and the general path.
    #[test]
    fn every_very_short_cell_is_read_as_by_the_long_way() {
        const ALPHABET: &[u8] = b"0159.,-+kKmbBeEnNaAul/ :x";
        let mut line = *b"9,9-k012    ";
        const START: usize = 8;
        for length in 0..=4_u32 {
            for number in 0..ALPHABET.len().pow(length) {
                let end = START + length as usize;
                for (at, byte) in line[START..end].iter_mut().enumerate() {
                    *byte = ALPHABET[number / ALPHABET.len().pow(at as u32) % ALPHABET.len()];
                }
                let cell = CellText::at_end(&line[..end], START);
                let text = cell.as_bytes();
                // Leading white space makes a cell take the general path.
                let long = [b"        ", text].concat();
                let same = |a: Cell<f64>, b: Cell<f64>| match (a, b) {
                    (Cell::Value(a), Cell::Value(b)) => a.to_bits() == b.to_bits(),
                    (a, b) => a == b,
                };
                let shown = || String::from_utf8_lossy(text).into_owned();
                assert!(same(read_decimal(cell).into(), parse_decimal(&long)), "the decimal {:?}", shown());
                assert!(same(read_amount(cell).into(), parse_amount(&long)), "the amount {:?}", shown());
                assert_eq!(Cell::from(read_quantity(cell)), parse_quantity(&long), "the quantity {:?}", shown());
                let double = match parse_quantity(&long) {
                    Cell::Value(value) => Cell::Value(value as f64),
                    Cell::Null => Cell::Null,
                    Cell::Reject(reason) => Cell::Reject(reason),
                };
                assert!(same(read_quantity_as_double(cell).into(), double), "the double quantity {:?}", shown());
            }
        }
    }

    #[test]
    fn rules_beyond_the_vectors() {
        use Cell::{Null, Reject, Value};
        use Reason::{Negative, NotANumber, NotWhole, OutOfRange};

        let decimals: &[(&str, Cell<f64>)] = &[
            ("\u{a0}15,73\u{a0} ", Value(15.73)),
            ("\u{b}7\u{c}", Value(7.0)),
            ("-0", Value(-0.0)),
            ("1.234,", Value(1234.0)),
            (".", Reject(NotANumber)),
            (".5k", Reject(NotANumber)),
            ("5,k", Reject(NotANumber)),
            ("1.5k5", Reject(NotANumber)),
            ("1.234.567k", Reject(NotANumber)),
            ("k5", Reject(NotANumber)),
            ("1e", Reject(NotANumber)),
            ("1e5.0", Reject(NotANumber)),
            ("e5", Reject(NotANumber)),
            (".e5", Reject(NotANumber)),
            ("1.2.3e4", Reject(NotANumber)),
            (".234,5", Reject(NotANumber)),
            ("1234,567.8", Reject(NotANumber)),
            ("1.234,567,8", Reject(NotANumber)),
            ("+-5", Reject(NotANumber)),
            ("- 5", Reject(NotANumber)),
            ("5-", Reject(NotANumber)),
            ("٣", Reject(NotANumber)),
            ("0e99999999999999999999", Value(0.0)),
            ("1e-99999999999999999999", Value(0.0)),
            ("1e99999999999999999999", Reject(OutOfRange)),
            ("-99999999999999999999b", Value(-1e29)),
            ("9007199254740993", Value(9007199254740992.0)),
            ("0,1000000000000000055511151231257827021181583404541015625", Value(0.1)),
            ("ABE", Null),
            ("--", Null),
            ("---", Reject(NotANumber)),
        ];
        for (text, expected) in decimals {
            let got = parse_decimal(text.as_bytes());
            assert_eq!(format!("{got:?}"), format!("{expected:?}"), "decimal {text:?}");
        }

        let quantities: &[(&str, Cell<i64>)] = &[
            ("9223372036854775807", Value(i64::MAX)),
            ("9223372036854775808", Reject(OutOfRange)),
            ("1.00000000000000000000", Value(1)),
            ("00000000000000000000000000012", Value(12)),
            ("-0", Value(0)),
            ("-0,5", Reject(Negative)),
            ("1.684,5", Reject(NotWhole)),
            ("1,684.000", Value(1684)),
            ("1684.000", Reject(NotANumber)),
            (".684", Reject(NotANumber)),
            ("1e-1", Reject(NotWhole)),
            ("10e-1", Value(1)),
            ("1e30", Reject(OutOfRange)),
            ("0,0004k", Reject(NotWhole)),
            ("12345678901234567890,5", Reject(NotWhole)),
        ];
        for (text, expected) in quantities {
            assert_eq!(parse_quantity(text.as_bytes()), *expected, "quantity {text:?}");
        }

        let amounts: &[(&str, Cell<f64>)] = &[
            ("57646.123", Reject(NotANumber)),
            ("1,0000", Value(1.0)),
            ("-0,00", Value(-0.0)),
            ("-1e999", Reject(Negative)),
            ("1e999", Reject(OutOfRange)),
        ];
        for (text, expected) in amounts {
            let got = parse_amount(text.as_bytes());
            assert_eq!(format!("{got:?}"), format!("{expected:?}"), "amount {text:?}");
        }
    }
}
