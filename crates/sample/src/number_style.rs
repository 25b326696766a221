//! All notations in which the two sources write numbers.
//!
//! A notation is used only where it is exact and the number contract reads it back as the same number: a point before three
//! digits is a thousands separator in a quantity and a decimal mark in a price. Most cells are in the usual notation of
//! their source. A few are in a rare one, so that a sample covers the whole contract.

use crate::rng::Rng;

/// The source of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Text as the trading panel shows it: `15,73`, `6.050`, `379k1`.
    Panel,
    /// Numbers as a program wrote them: `15.7`, `197761.0`, `2.966e+09`.
    Program,
}

impl Source {
    /// Returns this source, or with a probability of 1/40 the other one.
    pub(crate) fn or_other(self, rng: &mut Rng) -> Source {
        match (self, rng.one_in(40)) {
            (Source::Panel, false) | (Source::Program, true) => Source::Panel,
            _ => Source::Program,
        }
    }
}

/// One cell in this many is in a rare notation.
const RARE: u32 = 40;

/// Writes `units / 10^scale` for a decimal column.
pub(crate) fn decimal(out: &mut String, rng: &mut Rng, source: Source, units: i64, scale: u32) {
    if units < 0 {
        out.push('-');
    } else if rng.one_in(4_000) {
        out.push('+');
    }
    let number = Fixed::new(units.unsigned_abs(), scale);
    let rare = if rng.one_in(RARE) { rng.below(5) } else { u32::MAX };
    match (source, rare) {
        (Source::Panel, 0) => number.plain(out, ',', 5),
        (Source::Panel, 1) if number.whole == 0 => number.without_zero(out, ','),
        (Source::Panel, 2) if number.suffix().is_some() => number.inside(out),
        (Source::Panel, _) => number.grouped(out, '.', ',', 2),
        (Source::Program, 0) => number.plain(out, '.', 5),
        (Source::Program, 1) if number.whole == 0 => number.without_zero(out, '.'),
        (Source::Program, 2) if number.is_whole() => number.plain(out, '.', 0),
        (Source::Program, 3) => number.grouped(out, ',', '.', 2),
        (Source::Program, _) if number.is_tiny() => number.scientific(out, Scientific::Program),
        (Source::Program, _) => number.plain(out, '.', 1),
    }
}

/// Writes a price in cents as lists of instruments do: `3,21000`.
pub(crate) fn five_decimals(out: &mut String, cents: i64) {
    Fixed::new(cents.unsigned_abs(), 2).plain(out, ',', 5);
}

/// Writes a quantity, which is not negative.
pub(crate) fn quantity(out: &mut String, rng: &mut Rng, source: Source, quantity: i64) {
    let number = Fixed::new(quantity.unsigned_abs(), 0);
    let rare = if rng.one_in(RARE) { rng.below(5) } else { u32::MAX };
    match (source, rare) {
        (Source::Panel, 0) => number.plain(out, ',', 2),
        (Source::Panel, 1) if number.suffix().is_some() => number.at_end(out, ','),
        (Source::Panel, 2) if number.suffix().is_some() => number.padded_inside(out),
        (Source::Panel, 3) if number.is_round() => number.scientific(out, Scientific::Sheet),
        (Source::Panel, style) if style != 4 && quantity >= 10_000 && number.suffix().is_some() => number.inside(out),
        (Source::Panel, _) => number.grouped(out, '.', ',', 0),
        (Source::Program, 0) => number.grouped(out, ',', '.', 0),
        (Source::Program, 1) if number.is_round() => number.scientific(out, Scientific::Program),
        (Source::Program, 2) => number.grouped(out, ',', '.', 1),
        (Source::Program, 3) => number.plain(out, '.', 0),
        (Source::Program, 4) if number.suffix().is_some() => number.at_end(out, '.'),
        (Source::Program, _) => number.plain(out, '.', 1),
    }
}

/// Writes an amount of money given in cents, which is not negative.
pub(crate) fn amount(out: &mut String, rng: &mut Rng, source: Source, cents: i64) {
    let number = Fixed::new(cents.unsigned_abs(), 2);
    let rare = if rng.one_in(RARE) { rng.below(4) } else { u32::MAX };
    match (source, rare) {
        (Source::Panel, 0) => number.grouped(out, '.', ',', 2),
        (Source::Panel, 1) if number.suffix().is_some() => number.at_end(out, ','),
        (Source::Panel, 2) if number.suffix().is_some() => number.padded_inside(out),
        (Source::Panel, 3) => number.plain(out, ',', 1),
        (Source::Panel, _) if number.whole >= 100_000 && number.suffix().is_some() => number.inside(out),
        (Source::Panel, _) if number.is_whole() => number.grouped(out, '.', ',', 0),
        (Source::Panel, _) => number.grouped(out, '.', ',', 2),
        (Source::Program, 0) => number.grouped(out, ',', '.', 2),
        (Source::Program, 1) if number.is_whole() => number.grouped(out, ',', '.', 0),
        (Source::Program, 2) if number.is_whole() => number.plain(out, '.', 0),
        (Source::Program, _) if number.whole >= 100_000_000 && number.is_round() => {
            number.scientific(out, Scientific::Program);
        }
        (Source::Program, _) => number.plain(out, '.', 1),
    }
}

/// Notation of an exponent.
#[derive(Clone, Copy)]
enum Scientific {
    /// `2.966e+09`
    Program,
    /// `2,966E9`
    Sheet,
}

/// An unsigned decimal number without trailing zeros: `whole`, and `decimals` digits of `fraction`.
#[derive(Debug, Clone, Copy)]
struct Fixed {
    whole: u64,
    fraction: u64,
    decimals: u32,
}

impl Fixed {
    fn new(units: u64, scale: u32) -> Fixed {
        let power = 10_u64.pow(scale);
        let (mut fraction, mut decimals) = (units % power, scale);
        while decimals > 0 && fraction % 10 == 0 {
            fraction /= 10;
            decimals -= 1;
        }
        Fixed { whole: units / power, fraction, decimals }
    }

    fn is_whole(self) -> bool {
        self.fraction == 0
    }

    /// Whether it is below 0.0001, where programs use an exponent.
    fn is_tiny(self) -> bool {
        self.whole == 0 && self.fraction != 0 && self.fraction < 10_u64.pow(self.decimals.saturating_sub(4))
    }

    /// Whether it is a whole number of at most five significant digits, at least 1,000: an exponent shortens it.
    fn is_round(self) -> bool {
        self.is_whole() && self.whole >= 1_000 && significant(self.whole).1 <= 5
    }

    /// Writes the digits, `mark`, and at least `least` decimals.
    fn plain(self, out: &mut String, mark: char, least: u32) {
        push_digits(out, self.whole, 1);
        self.push_decimals(out, mark, least);
    }

    /// Writes the number like [`Fixed::plain`], with thousands grouped by `group`.
    fn grouped(self, out: &mut String, group: char, mark: char, least: u32) {
        push_groups(out, self.whole, group);
        self.push_decimals(out, mark, least);
    }

    /// Writes a number below 1 without its zero: `,5` for 0.5.
    fn without_zero(self, out: &mut String, mark: char) {
        self.push_decimals(out, mark, 1);
    }

    fn push_decimals(self, out: &mut String, mark: char, least: u32) {
        if self.decimals.max(least) > 0 {
            out.push(mark);
            if self.decimals > 0 {
                push_digits(out, self.fraction, self.decimals);
            }
            for _ in self.decimals..least {
                out.push('0');
            }
        }
    }

    /// Returns the suffix of a number that needs at most three digits after it, and the power of 1,000 that it means.
    fn suffix(self) -> Option<(char, u64)> {
        let (suffix, thousands) = match self.whole {
            1_000_000_000.. => ('b', 1_000_000_000),
            1_000_000.. => ('m', 1_000_000),
            1_000.. => ('k', 1_000),
            _ => return None,
        };
        (self.is_whole() && self.whole.is_multiple_of(thousands / 1_000)).then_some((suffix, thousands))
    }

    /// Returns the number in units of its suffix.
    fn in_suffix(self) -> Option<(Fixed, char)> {
        let (suffix, thousands) = self.suffix()?;
        Some((Fixed::new(self.whole / (thousands / 1_000), 3), suffix))
    }

    /// Writes the suffix in the place of the decimal mark: `379k1`.
    fn inside(self, out: &mut String) {
        if let Some((number, suffix)) = self.in_suffix() {
            number.plain(out, suffix, 0);
            if number.is_whole() {
                out.push(suffix);
            }
        }
    }

    /// Writes the suffix as a capital in the place of the decimal mark, with a zero at the end: `379K10`.
    fn padded_inside(self, out: &mut String) {
        if let Some((number, suffix)) = self.in_suffix() {
            number.plain(out, suffix.to_ascii_uppercase(), number.decimals.clamp(1, 2) + 1);
        }
    }

    /// Writes the suffix at the end: `379,1k`.
    fn at_end(self, out: &mut String, mark: char) {
        if let Some((number, suffix)) = self.in_suffix() {
            number.plain(out, mark, 1);
            out.push(suffix);
        }
    }

    fn scientific(self, out: &mut String, form: Scientific) {
        let scaled = if self.whole == 0 { self.fraction } else { self.whole };
        let (digits, count) = significant(scaled);
        // The power of ten of the first digit.
        let power = if self.whole == 0 {
            i64::from(digits_in(self.fraction)) - 1 - i64::from(self.decimals)
        } else {
            i64::from(digits_in(self.whole)) - 1
        };
        let mantissa = Fixed::new(digits, count - 1);
        match form {
            Scientific::Program => {
                mantissa.plain(out, '.', 0);
                out.push_str(if power < 0 { "e-" } else { "e+" });
                push_digits(out, power.unsigned_abs(), 2);
            }
            Scientific::Sheet => {
                mantissa.plain(out, ',', 0);
                out.push('E');
                push_digits(out, power.unsigned_abs(), 1);
            }
        }
    }
}

/// Returns the digits of `number` without the zeros at its end, and their number.
fn significant(mut number: u64) -> (u64, u32) {
    while number != 0 && number.is_multiple_of(10) {
        number /= 10;
    }
    (number, digits_in(number))
}

fn digits_in(number: u64) -> u32 {
    number.checked_ilog10().unwrap_or(0) + 1
}

/// Writes `number` with zeros before it up to `width` digits.
pub(crate) fn push_digits(out: &mut String, number: u64, width: u32) {
    for place in (0..digits_in(number).max(width)).rev() {
        out.push(digit(number, place));
    }
}

fn push_groups(out: &mut String, number: u64, group: char) {
    for place in (0..digits_in(number)).rev() {
        out.push(digit(number, place));
        if place > 0 && place.is_multiple_of(3) {
            out.push(group);
        }
    }
}

fn digit(number: u64, place: u32) -> char {
    char::from(b'0' + (number / 10_u64.pow(place) % 10) as u8)
}

#[cfg(test)]
mod tests {
    use market::number::{Cell, parse_amount, parse_decimal, parse_quantity};

    use super::*;

    /// The double nearest to `units / 10^scale`, by the standard library.
    fn nearest(units: i64, scale: u32) -> f64 {
        format!("{units}e-{scale}").parse().expect("a float")
    }

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut text = String::new();
        write(&mut text);
        text
    }

    #[test]
    fn whatever_is_written_reads_back_the_same() {
        let mut rng = Rng::new(11, 0);
        for round in 0..300_000 {
            let source = rng.pick(&[Source::Panel, Source::Program]);
            let mut magnitude = 10_i64.pow(rng.below(10));
            if round % 3 == 0 {
                magnitude *= 10_i64.pow(rng.below(4));
            }
            let units = rng.between(0, 9_999) * magnitude / rng.pick(&[1, 10, 100, 1_000]);

            let text = written(|out| quantity(out, &mut Rng::new(round, 1), source, units));
            assert_eq!(parse_quantity(text.as_bytes()), Cell::Value(units), "{text}");
            let text = written(|out| amount(out, &mut Rng::new(round, 2), source, units));
            assert_eq!(parse_amount(text.as_bytes()), Cell::Value(nearest(units, 2)), "{text}");

            let scale = rng.pick(&[2, 5, 9, 12]);
            let signed = if rng.one_in(3) { -units } else { units };
            let text = written(|out| decimal(out, &mut Rng::new(round, 3), source, signed, scale));
            assert_eq!(parse_decimal(text.as_bytes()), Cell::Value(nearest(signed, scale)), "{text}");
        }
    }

    #[test]
    fn every_form_of_the_contract_is_written() {
        let mut texts = std::collections::BTreeSet::new();
        for seed in 0..4_000 {
            let mut rng = Rng::new(seed, 0);
            for source in [Source::Panel, Source::Program] {
                for q in [12, 1_684, 10_120, 223_000, 28_938_000, 3_000_000_000] {
                    texts.insert(written(|out| quantity(out, &mut rng, source, q)));
                }
                for cents in [88_835, 5_764_600, 360_300_000, 12_345_678_950, 296_600_000_000] {
                    texts.insert(written(|out| amount(out, &mut rng, source, cents)));
                }
                for (units, scale) in [(1573, 2), (1500, 2), (495_000, 2), (-35, 2), (25_000_000, 12)] {
                    texts.insert(written(|out| decimal(out, &mut rng, source, units, scale)));
                }
            }
        }
        for form in [
            "12",
            "12.0",
            "12,00",
            "1.684",
            "1,684",
            "1684.0",
            "1,684.0",
            "10k12",
            "10,12k",
            "10K120",
            "1.012e+04",
            "223k",
            "223,0k",
            "2,23E5",
            "28m938",
            "28.938m",
            "28.938.000",
            "3b",
            "3e+09",
            "888.35",
            "888,35",
            "57.646",
            "57.646,00",
            "57,646.00",
            "57646.0",
            "57646",
            "57,646",
            "3m603",
            "123.456.789,50",
            "2.966e+09",
            "15,73",
            "15.73",
            "15,73000",
            "15",
            "15.0",
            "+15.73",
            "4.950,00",
            "4,950.00",
            "4k95",
            "-0,35",
            "-0.35",
            "-,35",
            "-.35",
            "2.5e-05",
        ] {
            assert!(texts.contains(form), "{form} is never written: {texts:?}");
        }
    }
}
