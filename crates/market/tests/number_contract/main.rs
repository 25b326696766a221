//! Tests the number contract with its published vectors, and with properties that no list of cases can cover.

mod vectors;

use market::number::{Cell, parse_amount, parse_decimal, parse_quantity};
use market::table::Kind;
use proptest::prelude::*;

use vectors::{Vector, vectors};

fn outcome<T: ToString>(cell: Cell<T>) -> (String, &'static str) {
    match cell {
        Cell::Value(value) => (value.to_string(), "value"),
        Cell::Null => (String::new(), "null"),
        Cell::Reject(_) => (String::new(), "reject"),
    }
}

#[test]
fn every_published_vector_holds() {
    for Vector { kind, text, expected, outcome: expected_outcome } in vectors() {
        let (got, got_outcome) = match kind {
            Kind::Decimal => outcome(parse_decimal(text.as_bytes())),
            Kind::Quantity => outcome(parse_quantity(text.as_bytes())),
            Kind::Amount => outcome(parse_amount(text.as_bytes())),
            Kind::Text => panic!("a text is no number"),
        };
        assert_eq!(got_outcome, expected_outcome, "{kind:?} {text:?} gave {got:?}");
        let same = got == expected || got.parse::<f64>().ok() == expected.parse::<f64>().ok();
        assert!(same, "{kind:?} {text:?}: {got}, expected {expected}");
    }
}

/// Groups thousands: `1234567` with `.` becomes `1.234.567`.
fn grouped(whole: u64, separator: char) -> String {
    let digits = whole.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(digit);
    }
    out
}

/// Returns a quantity in every style that represents it exactly.
fn quantity_styles(n: i64) -> Vec<String> {
    let n = n.unsigned_abs();
    let mut styles = vec![
        n.to_string(),
        format!("+{n}"),
        format!(" {n}\u{a0}"),
        format!("{n}.0"),
        format!("{n},00"),
        format!("{n}e0"),
        format!("{n}0E-1"),
        format!("{},0", grouped(n, '.')),
        grouped(n, '.'),
        grouped(n, ','),
    ];
    for (suffix, unit) in [('k', 1_000), ('M', 1_000_000), ('b', 1_000_000_000)] {
        let (whole, rest) = (n / unit, n % unit);
        let thousandths = unit / 1000;
        if rest % thousandths == 0 {
            let decimals = format!("{:03}", rest / thousandths);
            styles.push(format!("{whole}{suffix}{decimals}"));
            styles.push(format!("{whole},{decimals}{suffix}"));
            styles.push(format!("{whole}{suffix}{}", decimals.trim_end_matches('0')));
        }
    }
    styles
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = (parse_decimal(&bytes), parse_quantity(&bytes), parse_amount(&bytes));
    }

    #[test]
    fn nothing_that_looks_like_a_number_panics(text in "[-+]?[0-9.,]{0,24}[kmbKMBeE]?[-+]?[0-9.,]{0,24}") {
        let _ = (parse_decimal(text.as_bytes()), parse_quantity(text.as_bytes()), parse_amount(text.as_bytes()));
    }

    #[test]
    fn a_quantity_reads_back_from_every_style(n in prop_oneof![0..=i64::MAX / 10, 0..10_000i64, (0..1_000_000i64).prop_map(|n| n * 1000)]) {
        for text in quantity_styles(n) {
            prop_assert_eq!(parse_quantity(text.as_bytes()), Cell::Value(n), "{}", text);
        }
    }

    #[test]
    fn a_whole_amount_reads_back_from_every_style(n in 0..1i64 << 53) {
        for text in quantity_styles(n) {
            prop_assert_eq!(parse_amount(text.as_bytes()), Cell::Value(n as f64), "{}", text);
        }
    }

    #[test]
    fn a_decimal_reads_back_exactly(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO) {
        for text in [format!("{value}"), format!("{value}").replace('.', ","), format!("{value:e}"), format!("{value:E}")] {
            let Cell::Value(got) = parse_decimal(text.as_bytes()) else { panic!("{text} was not read") };
            prop_assert_eq!(got.to_bits(), value.to_bits(), "{}", text);
        }
    }

    #[test]
    fn a_price_with_thousands_reads_back(cents in 100_000u64..10_000_000_000) {
        let expected: f64 = format!("{}.{:02}", cents / 100, cents % 100).parse().unwrap();
        for (group, mark) in [('.', ','), (',', '.')] {
            let text = format!("{}{mark}{:02}", grouped(cents / 100, group), cents % 100);
            prop_assert_eq!(parse_decimal(text.as_bytes()), Cell::Value(expected), "{}", &text);
            prop_assert_eq!(parse_amount(text.as_bytes()), Cell::Value(expected), "{}", &text);
        }
    }
}
