//! A cell of a raw file, read as a decimal, a quantity and an amount.
//!
//! Held against the number contract written once more: forms are matched from the outside in, values are integers of any
//! size, and a double is held against the midpoints to its neighbours. No floating-point arithmetic and no parser of the
//! standard library is asked.

use std::cmp::Ordering;

use fuzz::{Random, Target};
use market::number::{
    Cell, CellText, Reading, Reason, parse_amount, parse_decimal, parse_quantity, read_amount, read_decimal,
    read_quantity, read_quantity_as_double,
};
use num_bigint::BigUint;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Decimal,
    Quantity,
    Amount,
}

/// What the contract says of a cell.
enum Expected {
    Null,
    Reject(Reason),
    Number(Number),
}

/// `digits` times ten to the `power`.
struct Number {
    minus: bool,
    digits: String,
    power: i128,
}

#[test]
fn number() {
    let pieces = [
        "0",
        "1",
        "2",
        "9",
        "00",
        "000",
        "123",
        "999",
        "12345678",
        "9223372036854775807",
        "9223372036854775808",
        "9007199254740993",
        "17976931348623157",
        ".",
        ",",
        "-",
        "+",
        "k",
        "m",
        "b",
        "K",
        "M",
        "B",
        "e",
        "E",
        "e+",
        "e-",
        "e308",
        "e-324",
        "e99999999999999999999",
        " ",
        "\t",
        "\u{a0}",
        "nan",
        "NULL",
        "none",
        "n/d",
        "N/A",
        "Abe",
        "--",
        "inf",
        "x",
        "\"",
        "é",
        "٣",
    ];
    Target::new("number").pieces(pieces).build(styled).fixed_cases(20_000).run(check);
}

fn check(cell: &[u8]) {
    let decimal = expected(cell, Kind::Decimal);
    hold_double(cell, &decimal, parse_decimal(cell));
    let quantity = expected(cell, Kind::Quantity);
    hold_whole(cell, &quantity, parse_quantity(cell));
    hold_double(cell, &expected(cell, Kind::Amount), parse_amount(cell));

    // What stands before a cell in its line is nothing to it.
    let mut random = Random::of(cell);
    let mut line: Vec<u8> = (0..random.below(20)).map(|_| b"0123456789.,;-kme \xff"[random.below(20) % 18]).collect();
    let start = line.len();
    line.extend_from_slice(cell);
    let text = CellText::at_end(&line, start);
    assert_eq!(text.as_bytes(), cell);
    assert_same(read_decimal(text).into(), parse_decimal(cell), cell);
    assert_same(read_amount(text).into(), parse_amount(cell), cell);
    assert_eq!(Cell::from(read_quantity(text)), parse_quantity(cell), "{}", cell.escape_ascii());
    let as_double: Result<Reading<f64>, Reason> = read_quantity_as_double(text);
    match (Cell::from(as_double), parse_quantity(cell)) {
        (Cell::Value(double), Cell::Value(whole)) => {
            let number = Number { minus: false, digits: whole.to_string(), power: 0 };
            assert!(is_nearest(double, &number), "{whole} is not {double}");
        }
        (Cell::Null, Cell::Null) => {}
        (Cell::Reject(left), Cell::Reject(right)) => assert_eq!(left, right),
        (left, right) => panic!("{}: {left:?} as a double, {right:?} as a whole number", cell.escape_ascii()),
    }
    round_trip(cell);
}

/// A value that was read, written in the forms of the contract, is the same value.
fn round_trip(cell: &[u8]) {
    if let Cell::Value(value) = parse_decimal(cell) {
        for text in [format!("{value}"), format!("{value:?}"), format!("{value:e}"), format!("{value:+}")] {
            assert_same(parse_decimal(text.as_bytes()), Cell::Value(value), text.as_bytes());
        }
    }
    if let Cell::Value(whole) = parse_quantity(cell) {
        let digits = whole.to_string();
        let mut forms = vec![digits.clone(), format!("+{digits}"), format!("{digits},0"), format!(" {digits}e0 ")];
        if digits.len() > 3 {
            forms.extend([".", ","].map(|separator| grouped(&digits, separator)));
        }
        if whole != 0 && whole % 1000 == 0 {
            forms.push(format!("{}k", whole / 1000));
        }
        for text in forms {
            assert_eq!(parse_quantity(text.as_bytes()), Cell::Value(whole), "{text}");
        }
    }
}

fn grouped(digits: &str, separator: &str) -> String {
    let first = (digits.len() + 2) % 3 + 1;
    let (head, rest) = digits.split_at(first);
    let groups: Vec<&str> =
        std::iter::once(head).chain((0..rest.len() / 3).map(|group| &rest[group * 3..group * 3 + 3])).collect();
    groups.join(separator)
}

/// Numbers in the styles of the panel and of programs.
fn styled(random: &mut Random) -> Vec<u8> {
    let digits = |random: &mut Random, most: usize| -> String {
        (0..random.below(most + 1)).map(|_| char::from(b'0' + random.below(10) as u8)).collect()
    };
    let mark = if random.once_in(2) { "." } else { "," };
    let sign = ["", "", "", "-", "+"][random.below(5)];
    let suffix = ["k", "m", "b", "K", "M", "B"][random.below(6)];
    let most = [3, 9, 20, 400][random.below(4)];
    let (whole, part) = (digits(random, most), digits(random, most.min(25)));
    let body = match random.below(8) {
        0 => format!("{whole}{suffix}{}", digits(random, 4)),
        1 => format!("{whole}{mark}{part}{suffix}"),
        2 => format!("{whole}{mark}{part}e{}{}", ["", "-", "+"][random.below(3)], random.below(400)),
        3 if !whole.is_empty() => grouped(&whole, mark),
        4 if !whole.is_empty() => format!("{}{}{part}", grouped(&whole, mark), if mark == "." { "," } else { "." }),
        5 => format!("{:e}", f64::from_bits(random.number())),
        6 => format!("{}", f64::from_bits(random.number())),
        _ => format!("{whole}{mark}{part}"),
    };
    let blank = ["", "", "", " ", "\u{a0}", "\t "][random.below(6)];
    format!("{blank}{sign}{body}{blank}").into_bytes()
}

fn assert_same(left: Cell<f64>, right: Cell<f64>, cell: &[u8]) {
    let same = match (left, right) {
        (Cell::Value(left), Cell::Value(right)) => left.to_bits() == right.to_bits(),
        (left, right) => left == right,
    };
    assert!(same, "{}: {left:?} and {right:?}", cell.escape_ascii());
}

fn hold_double(cell: &[u8], expected: &Expected, found: Cell<f64>) {
    let holds = match (expected, found) {
        (Expected::Null, Cell::Null) => true,
        (Expected::Reject(expected), Cell::Reject(found)) => *expected == found,
        (Expected::Number(number), Cell::Value(found)) => is_nearest(found, number),
        (Expected::Number(number), Cell::Reject(Reason::OutOfRange)) => is_beyond(number),
        _ => false,
    };
    assert!(holds, "{} became {found:?}, expected {}", cell.escape_ascii(), expected.shown());
}

fn hold_whole(cell: &[u8], expected: &Expected, found: Cell<i64>) {
    let holds = match (expected, found) {
        (Expected::Null, Cell::Null) => true,
        (Expected::Reject(expected), Cell::Reject(found)) => *expected == found,
        (Expected::Number(number), found) => found == whole(number),
        _ => false,
    };
    assert!(holds, "{} became {found:?}, expected {}", cell.escape_ascii(), expected.shown());
}

/// The whole number that a quantity is.
fn whole(number: &Number) -> Cell<i64> {
    let digits = number.digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    let power = number.power + (digits.len() - significant.len()) as i128;
    if significant.is_empty() {
        return Cell::Value(0);
    }
    if power < 0 {
        return Cell::Reject(Reason::NotWhole);
    }
    if significant.len() as i128 + power > 19 {
        return Cell::Reject(Reason::OutOfRange);
    }
    let text = format!("{significant}{}", "0".repeat(usize::try_from(power).unwrap_or_default()));
    let value = text.bytes().fold(0_u128, |value, digit| value * 10 + u128::from(digit - b'0'));
    i64::try_from(value).map_or(Cell::Reject(Reason::OutOfRange), Cell::Value)
}

impl Expected {
    fn shown(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Reject(reason) => format!("a reject: {}", reason.as_str()),
            Self::Number(Number { minus, digits, power }) => {
                format!("{}{digits}e{power}", if *minus { "-" } else { "" })
            }
        }
    }
}

/// The contract.
fn expected(cell: &[u8], kind: Kind) -> Expected {
    let text = trimmed(cell);
    let Ok(text) = std::str::from_utf8(text) else { return Expected::Reject(Reason::NotANumber) };
    if ["", "-", "--", "nan", "null", "none", "n/d", "n/a", "abe"].contains(&text.to_ascii_lowercase().as_str()) {
        return Expected::Null;
    }
    let (minus, body) = match text.split_at_checked(1) {
        Some(("-", body)) => (true, body),
        Some(("+", body)) => (false, body),
        _ => (false, text),
    };
    match form(body, kind) {
        None => Expected::Reject(Reason::NotANumber),
        Some((digits, _)) if kind != Kind::Decimal && minus && digits.bytes().any(|digit| digit != b'0') => {
            Expected::Reject(Reason::Negative)
        }
        Some((digits, power)) => Expected::Number(Number { minus, digits, power }),
    }
}

/// ASCII white space and no-break spaces off both ends.
fn trimmed(mut cell: &[u8]) -> &[u8] {
    const BLANKS: [&[u8]; 7] = [b" ", b"\t", b"\n", b"\r", b"\x0b", b"\x0c", b"\xc2\xa0"];
    while let Some(rest) = BLANKS.iter().find_map(|blank| cell.strip_prefix(*blank).or(cell.strip_suffix(*blank))) {
        cell = rest;
    }
    cell
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The digits of a number without its sign, and the power of ten of the last one.
fn form(body: &str, kind: Kind) -> Option<(String, i128)> {
    if let Some((mantissa, exponent)) = body.split_once(['e', 'E']) {
        let (whole, part) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
        let (minus, digits) = match exponent.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, exponent.strip_prefix('+').unwrap_or(exponent)),
        };
        if digits.is_empty() || ![whole, part, digits].into_iter().all(is_digits) || whole.len() + part.len() == 0 {
            return None;
        }
        // An exponent of more than 30 digits moves any number that fits in a cell out of all ranges.
        let digits = digits.trim_start_matches('0');
        let size = if digits.len() > 30 { 10_i128.pow(30) } else { format!("0{digits}").parse().ok()? };
        return Some((format!("{whole}{part}"), if minus { -size } else { size } - part.len() as i128));
    }
    if let Some(at) = body.find(|letter: char| "kKmMbB".contains(letter)) {
        let power = match body.as_bytes()[at] {
            b'k' | b'K' => 3,
            b'm' | b'M' => 6,
            _ => 9,
        };
        let (before, behind) = (&body[..at], &body[at + 1..]);
        return match before.split_once(['.', ',']) {
            Some((whole, part)) => {
                let fine = !whole.is_empty() && !part.is_empty() && is_digits(whole) && is_digits(part);
                (fine && behind.is_empty()).then(|| (format!("{whole}{part}"), power - part.len() as i128))
            }
            None => {
                let fine = !before.is_empty() && is_digits(before) && is_digits(behind) && behind.len() <= 3;
                fine.then(|| (format!("{before}{behind}"), power - behind.len() as i128))
            }
        };
    }
    let marks: Vec<char> = body.chars().filter(|letter| ".,".contains(*letter)).collect();
    let (Some(first), Some(last)) = (marks.first(), marks.last()) else {
        return (!body.is_empty() && is_digits(body)).then(|| (body.to_owned(), 0));
    };
    if marks.iter().all(|mark| mark == first) && (marks.len() > 1 || in_groups_by_its_kind(body, kind)) {
        return ungrouped(body, *first).map(|digits| (digits, 0));
    }
    let (before, part) = body.rsplit_once(*last)?;
    let whole = match before.contains(['.', ',']) {
        true if before.contains(*last) => return None,
        true => ungrouped(before, *first)?,
        false => before.to_owned(),
    };
    let fine = is_digits(&whole) && is_digits(part) && whole.len() + part.len() > 0;
    fine.then(|| (format!("{whole}{part}"), -(part.len() as i128)))
}

/// Whether the only mark of a number groups thousands in a column of this kind.
fn in_groups_by_its_kind(body: &str, kind: Kind) -> bool {
    kind != Kind::Decimal && body.len() - body.find(['.', ',']).unwrap_or_default() == 4
}

/// The digits of groups of exactly three behind a first one of one to three.
fn ungrouped(text: &str, mark: char) -> Option<String> {
    let mut groups = text.split(mark);
    let first = groups.next()?;
    let fine =
        (1..=3).contains(&first.len()) && is_digits(first) && groups.all(|group| group.len() == 3 && is_digits(group));
    fine.then(|| text.replace(mark, ""))
}

/// An integer times a power of two.
struct Binary {
    factor: BigUint,
    power: i64,
}

/// Whether the double is the one nearest to the number, and the even one of two that are as near.
fn is_nearest(double: f64, number: &Number) -> bool {
    if double.is_sign_negative() != number.minus || !double.is_finite() {
        return false;
    }
    let bits = double.abs().to_bits();
    let (stored, biased) = (bits & ((1 << 52) - 1), (bits >> 52) as i64);
    let (factor, power) = if biased == 0 { (stored, -1074) } else { (stored | 1 << 52, biased - 1075) };
    // In quarters of the last place: below a power of two, doubles lie twice as dense.
    let below = if stored == 0 && biased > 1 { 1 } else { 2 };
    let even = factor % 2 == 0;
    let upper = compare(number, &Binary { factor: BigUint::from(u128::from(factor) * 4 + 2), power: power - 2 });
    if upper == Ordering::Greater || (upper == Ordering::Equal && !even) {
        return false;
    }
    if factor == 0 {
        return true;
    }
    let lower = compare(number, &Binary { factor: BigUint::from(u128::from(factor) * 4 - below), power: power - 2 });
    lower == Ordering::Greater || (lower == Ordering::Equal && even)
}

/// Whether the number is nearer to infinity than to the largest double.
fn is_beyond(number: &Number) -> bool {
    compare(number, &Binary { factor: BigUint::from((1_u64 << 54) - 1), power: 970 }) != Ordering::Less
}

/// Compares the size of a number with a binary one, exactly.
fn compare(number: &Number, binary: &Binary) -> Ordering {
    let digits = number.digits.trim_start_matches('0');
    if digits.is_empty() {
        return BigUint::ZERO.cmp(&binary.factor);
    }
    // Beyond all doubles and their midpoints, and before powers of ten that nobody can write out.
    match digits.len() as i128 + number.power {
        400.. => return Ordering::Greater,
        ..=-400 if binary.factor > BigUint::ZERO => return Ordering::Less,
        ..=-400 => return Ordering::Greater,
        _ => {}
    }
    let exponent = |power: i128| u32::try_from(power.unsigned_abs()).expect("bounded above");
    let ten = BigUint::from(10_u8);
    let mut left = BigUint::parse_bytes(digits.as_bytes(), 10).expect("digits");
    let mut right = binary.factor.clone();
    match number.power >= 0 {
        true => left *= ten.pow(exponent(number.power)),
        false => right *= ten.pow(exponent(number.power)),
    }
    match binary.power >= 0 {
        true => right <<= binary.power.unsigned_abs(),
        false => left <<= binary.power.unsigned_abs(),
    }
    left.cmp(&right)
}
