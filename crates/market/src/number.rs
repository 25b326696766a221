//! The number contract: how the text of one raw cell becomes an exact value, a null, or a reject.
//!
//! Cells come from a trading panel (Brazilian: `15,73`, `6.050`, `10k12`) and from programs (`15.7`, `197761.0`,
//! `2.966e+09`), so the same punctuation means different things in different columns. There are three readers, one a
//! kind of column: [`parse_decimal`], [`parse_quantity`] and [`parse_amount`].
//!
//! The one idea: whatever its style, a well-formed number is first reduced to [`Unscaled`], which is the digits as they
//! stand and a power of ten, without any arithmetic. Only then does it become an integer (checked, exact) or a
//! double (the one nearest to the decimal text). No style is ever computed in floating point, which is why `10k12` is
//! 10120 and never 10120.000000000002.

mod long;
mod short;

use std::io::Write;

use long::Long;
pub use short::CellText;
use short::{DECIMAL, GROUPED, Short};

/// What the text of a cell says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<T> {
    /// A number, exactly.
    Value(T),
    /// One of the tokens that mean "there is no value" ([`is_null_token`]).
    Null,
    /// Text that is no number of this kind: NULL in the table, and a row in `rejects`.
    Reject(Reason),
}

/// Why a cell was rejected. The names are published in `rejects.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The text has none of the forms of the contract.
    NotANumber,
    /// A quantity or an amount below zero.
    Negative,
    /// A quantity with a fraction.
    NotWhole,
    /// A quantity that does not fit its integer type, or a decimal that no finite double comes near.
    OutOfRange,
}

impl Reason {
    /// The name published in `rejects.reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NotANumber => "not_a_number",
            Reason::Negative => "negative",
            Reason::NotWhole => "not_whole",
            Reason::OutOfRange => "out_of_range",
        }
    }
}

/// Tokens that mean "no value", in lower case. Compared without regard to case after [`trim`].
///
/// `abe` is how the panel shows an instrument in auction, which has no price.
pub const NULL_TOKENS: [&str; 8] = ["-", "--", "nan", "null", "none", "n/d", "n/a", "abe"];

/// Removes ASCII white space (with vertical tab and form feed) and U+00A0 in UTF-8 from both ends.
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

/// Whether a trimmed cell is empty or one of [`NULL_TOKENS`].
#[inline]
pub fn is_null_token(trimmed: &[u8]) -> bool {
    trimmed.is_empty() || NULL_TOKENS.iter().any(|token| trimmed.eq_ignore_ascii_case(token.as_bytes()))
}

/// A cell that could be read: a number, or none.
#[derive(Debug, Clone, Copy)]
pub struct Reading<T> {
    /// The number; anything if there is none. Not an [`Option`], so that what reads columns does not have to ask.
    pub value: T,
    /// Whether the cell is a null token.
    pub is_null: bool,
}

impl<T: Default> Cell<T> {
    fn reading(self) -> Result<Reading<T>, Reason> {
        match self {
            Cell::Value(value) => Ok(Reading { value, is_null: false }),
            Cell::Null => Ok(Reading { value: T::default(), is_null: true }),
            Cell::Reject(reason) => Err(reason),
        }
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

/// Reads a price, a rate or a volatility: one separator is always the decimal mark.
///
/// `cell` is UTF-8 text, trimmed or not. The value is the double nearest to the decimal text.
#[inline]
pub fn parse_decimal(cell: &[u8]) -> Cell<f64> {
    read_decimal(cell.into()).into()
}

/// The same as [`parse_decimal`].
///
/// # Errors
/// Why the cell is rejected.
#[inline]
pub fn read_decimal(cell: CellText<'_>) -> Result<Reading<f64>, Reason> {
    if let Some(short) = Short::read_signed(cell, &DECIMAL) {
        return Ok(Reading { value: short.to_f64(), is_null: short.is_null });
    }
    if let Some((long, minus)) = Long::read_signed(cell.as_bytes()) {
        return Ok(Reading { value: if minus { -long.to_f64() } else { long.to_f64() }, is_null: false });
    }
    any_decimal(cell.as_bytes()).reading()
}

#[inline(never)]
fn any_decimal(cell: &[u8]) -> Cell<f64> {
    match shape(cell, OneSeparator::DecimalMark) {
        Ok(Some(number)) => number.to_f64(),
        Ok(None) => Cell::Null,
        Err(reason) => Cell::Reject(reason),
    }
}

/// Reads a count of shares, trades or days: a whole number that is not negative and fits in 64 bits.
///
/// One separator with exactly three digits behind it groups thousands: `1.684` is 1684.
#[inline]
pub fn parse_quantity(cell: &[u8]) -> Cell<i64> {
    read_quantity(cell.into()).into()
}

/// The same as [`parse_quantity`].
///
/// # Errors
/// Why the cell is rejected.
#[inline]
pub fn read_quantity(cell: CellText<'_>) -> Result<Reading<i64>, Reason> {
    if let Some(short) = Short::read(cell, &GROUPED)
        && let Some(value) = short.whole()
    {
        return Ok(Reading { value, is_null: short.is_null });
    }
    long_quantity(cell.as_bytes()).reading()
}

/// The same as [`parse_quantity`], as the double nearest to the whole number.
///
/// # Errors
/// Why the cell is rejected.
#[inline]
pub fn read_quantity_as_double(cell: CellText<'_>) -> Result<Reading<f64>, Reason> {
    if let Some(short) = Short::read(cell, &GROUPED)
        && short.whole().is_some()
    {
        return Ok(Reading { value: short.to_f64(), is_null: short.is_null });
    }
    let Reading { value, is_null } = long_quantity(cell.as_bytes()).reading()?;
    Ok(Reading { value: value as f64, is_null })
}

#[inline(never)]
fn long_quantity(cell: &[u8]) -> Cell<i64> {
    match Long::read(cell).and_then(Long::whole) {
        Some(whole) => Cell::Value(whole),
        None => any_quantity(cell),
    }
}

fn any_quantity(cell: &[u8]) -> Cell<i64> {
    match shape(cell, OneSeparator::GroupsIfThreeDigits) {
        Ok(Some(number)) => number.to_i64(),
        Ok(None) => Cell::Null,
        Err(reason) => Cell::Reject(reason),
    }
}

/// Reads a sum of money in BRL, which is not negative.
///
/// One separator with exactly three digits behind it groups thousands (`57.646` is 57646), any other is the
/// decimal mark (`888.35`).
#[inline]
pub fn parse_amount(cell: &[u8]) -> Cell<f64> {
    read_amount(cell.into()).into()
}

/// The same as [`parse_amount`].
///
/// # Errors
/// Why the cell is rejected.
#[inline]
pub fn read_amount(cell: CellText<'_>) -> Result<Reading<f64>, Reason> {
    if let Some(short) = Short::read(cell, &GROUPED) {
        return Ok(Reading { value: short.to_f64(), is_null: short.is_null });
    }
    if let Some(value) = Long::read(cell.as_bytes()).and_then(Long::amount) {
        return Ok(Reading { value, is_null: false });
    }
    any_amount(cell.as_bytes()).reading()
}

#[inline(never)]
fn any_amount(cell: &[u8]) -> Cell<f64> {
    match shape(cell, OneSeparator::GroupsIfThreeDigits) {
        Ok(Some(number)) if number.is_negative() => Cell::Reject(Reason::Negative),
        Ok(Some(number)) => number.to_f64(),
        Ok(None) => Cell::Null,
        Err(reason) => Cell::Reject(reason),
    }
}

/// What a single separator in a number without suffix or exponent means: the only way in which kinds differ in shape.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OneSeparator {
    DecimalMark,
    GroupsIfThreeDigits,
}

/// A well-formed number before any arithmetic: `whole.fraction` times ten to the `exponent`.
#[derive(Debug, Clone, Copy)]
struct Unscaled<'a> {
    minus: bool,
    /// Digits, with the separators that group thousands still between them.
    whole: &'a [u8],
    /// Digits only.
    fraction: &'a [u8],
    exponent: i64,
}

/// Reduces a cell to its digits. `Ok(None)` is a null token.
fn shape(cell: &[u8], one_separator: OneSeparator) -> Result<Option<Unscaled<'_>>, Reason> {
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

/// Whole digits (maybe grouped), fraction digits, exponent.
type Parts<'a> = Option<(&'a [u8], &'a [u8], i64)>;

/// A number of digits and separators only. `mantissa` holds nothing else.
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
        // One kind, twice or more; `is_grouped` refuses a second kind between them.
        is_grouped(mantissa).then_some((mantissa, &[], 0))
    } else {
        // Two kinds: the last one is the decimal mark, and what stands before it is grouped by the other.
        is_grouped(before).then_some((before, after, 0))
    }
}

/// Digits in groups of exactly three behind a first group of one to three, separated by one kind of separator.
fn is_grouped(digits: &[u8]) -> bool {
    let Some(first) = digits.iter().position(|b| !b.is_ascii_digit()) else { return false };
    let separator = digits[first];
    (1..=3).contains(&first)
        && digits[first..]
            .chunks(4)
            .all(|group| group.len() == 4 && group[0] == separator && group[1..].iter().all(u8::is_ascii_digit))
}

/// `2.966e+09`: at most one separator before the exponent, which is a decimal mark.
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
    // Saturation is far beyond any finite double or integer, and so changes no result.
    let value = digits.iter().fold(0i64, |n, d| n.saturating_mul(10).saturating_add(i64::from(d - b'0')));
    let value = value.min(i64::MAX / 2);
    Some((whole, fraction, if minus { -value } else { value }))
}

/// `10k12` (the digits behind the suffix are the decimals of what stands before it), `223k`, `1,5m`.
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

/// Splits at the only separator, if there is one; `None` when there are more.
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

    /// The power of ten of the last digit.
    fn scale(&self) -> i64 {
        self.exponent - self.fraction.len() as i64
    }

    fn is_zero(&self) -> bool {
        self.digits().all(|d| d == b'0')
    }

    /// Below zero; minus zero is not.
    fn is_negative(&self) -> bool {
        self.minus && !self.is_zero()
    }

    /// The digits as one integer, or `None` where they do not fit.
    fn mantissa(&self) -> Option<u64> {
        fold_digits(self.digits())
    }

    /// The double nearest to the decimal text.
    fn to_f64(self) -> Cell<f64> {
        let magnitude = self.small_f64().unwrap_or_else(|| self.any_f64());
        if magnitude.is_finite() {
            Cell::Value(if self.minus { -magnitude } else { magnitude })
        } else {
            Cell::Reject(Reason::OutOfRange)
        }
    }

    /// When the digits and the power of ten are both exact as doubles, one division or multiplication rounds once,
    /// and so gives the nearest double. Nearly every cell takes this way.
    fn small_f64(&self) -> Option<f64> {
        let mantissa = self.mantissa().filter(|m| *m <= 1 << 53)? as f64;
        let scale = self.scale();
        let power = *EXACT_POWERS.get(usize::try_from(scale.unsigned_abs()).ok()?)?;
        Some(if scale < 0 { mantissa / power } else { mantissa * power })
    }

    /// Any length, any exponent, by the standard library's correctly rounding parser.
    fn any_f64(&self) -> f64 {
        const EXPECTED: &str = "digits and an exponent are a float to the standard library";
        // The 17 digits of a double that a program wrote fit here; nothing is allocated for them.
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

    /// The whole number, exactly.
    fn to_i64(self) -> Cell<i64> {
        if self.is_negative() {
            return Cell::Reject(Reason::Negative);
        }
        // Zeros at the end carry no information but may not fit: `1.00000000000000000000` is 1.
        let zeros = self.digits().rev().take_while(|d| *d == b'0').count();
        let significant = self.digits().count() - zeros;
        if significant == 0 {
            return Cell::Value(0);
        }
        let scale = self.scale() + zeros as i64;
        if scale < 0 {
            return Cell::Reject(Reason::NotWhole);
        }
        let value = u32::try_from(scale)
            .ok()
            .and_then(|scale| 10u64.checked_pow(scale))
            .and_then(|power| fold_digits(self.digits().take(significant))?.checked_mul(power))
            .and_then(|value| i64::try_from(value).ok());
        match value {
            Some(value) => Cell::Value(value),
            None => Cell::Reject(Reason::OutOfRange),
        }
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
            // White space before it makes a cell take the long way.
            let long = format!(" {text}");
            let (short, long) = (text.as_bytes(), long.as_bytes());
            // As text, in which minus zero is another number than zero.
            let text = |cell| format!("{cell:?}");
            prop_assert_eq!(text(parse_decimal(short)), text(parse_decimal(long)));
            prop_assert_eq!(parse_quantity(short), parse_quantity(long));
            prop_assert_eq!(text(parse_amount(short)), text(parse_amount(long)));
            // Whatever stands before it in its line.
            let line = [b"12-,k", short].concat();
            let cell = CellText::at_end(&line, 5);
            prop_assert_eq!(text(read_decimal(cell).into()), text(parse_decimal(long)));
            prop_assert_eq!(Cell::from(read_quantity(cell)), parse_quantity(long));
            prop_assert_eq!(text(read_amount(cell).into()), text(parse_amount(long)));
        }
    }

    /// All cells of up to four of these characters, behind other text as in a line: each is read as by the long way.
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
                // White space before it makes a cell take the long way.
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
