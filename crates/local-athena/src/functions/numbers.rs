//! Functions of numbers that DataFusion lacks, or that return NaN or Infinity on Athena, as in Java, where DataFusion's fail.

use super::row_function::Kind::{Double, Integer, Text};
use super::row_function::{Args, Outcome, Returns, RowFunction, invalid, some};
use crate::error::{ErrorKind, QueryError};

/// Defines a function of two bigints.
macro_rules! bitwise {
    ($name:literal, |$left:ident, $right:ident| $body:expr) => {
        RowFunction {
            name: $name,
            forms: &[&[Integer, Integer]],
            returns: Returns::Bigint,
            body: |args| {
                let ($left, $right) = (args.integer(0), args.integer(1));
                some($body)
            },
        }
    };
}

pub(super) fn functions() -> Vec<RowFunction> {
    vec![
        RowFunction {
            name: "sqrt",
            forms: &[&[Double]],
            returns: Returns::Double,
            body: |args| some(with_one_nan(args.double(0).sqrt())),
        },
        RowFunction {
            name: "power",
            forms: &[&[Double, Double]],
            returns: Returns::Double,
            body: |args| some(with_one_nan(args.double(0).powf(args.double(1)))),
        },
        bitwise!("bitwise_and", |left, right| left & right),
        bitwise!("bitwise_or", |left, right| left | right),
        bitwise!("bitwise_xor", |left, right| left ^ right),
        bitwise!("bitwise_left_shift", |value, shift| if (0..64).contains(&shift) { value << shift } else { 0 }),
        bitwise!("bitwise_right_shift", |value, shift| {
            if (0..64).contains(&shift) { (value.cast_unsigned() >> shift).cast_signed() } else { 0 }
        }),
        bitwise!("bitwise_right_shift_arithmetic", |value, shift| value >> shift.clamp(0, 63)),
        RowFunction {
            name: "bitwise_not",
            forms: &[&[Integer]],
            returns: Returns::Bigint,
            body: |args| some(!args.integer(0)),
        },
        RowFunction { name: "bit_count", forms: &[&[Integer, Integer]], returns: Returns::Bigint, body: bit_count },
        RowFunction {
            name: "width_bucket",
            forms: &[&[Double, Double, Double, Integer]],
            returns: Returns::Bigint,
            body: width_bucket,
        },
        RowFunction {
            name: "normal_cdf",
            forms: &[&[Double, Double, Double]],
            returns: Returns::Double,
            body: |args| {
                let (mean, deviation, value) = (args.double(0), args.double(1), args.double(2));
                if deviation <= 0.0 {
                    return Err(invalid("standardDeviation must be > 0"));
                }
                some(0.5 * erfc((mean - value) / (deviation * std::f64::consts::SQRT_2)))
            },
        },
        RowFunction { name: "to_base", forms: &[&[Integer, Integer]], returns: Returns::Text, body: to_base },
        RowFunction {
            name: "from_base",
            forms: &[&[Text, Integer]],
            returns: Returns::Bigint,
            body: |args| {
                let value = i64::from_str_radix(args.text(0), radix(args)?);
                let message = || format!("Not a valid base-{} number: {}", args.integer(1), args.text(0));
                some(value.map_err(|_| invalid(message()))?)
            },
        },
    ]
}

/// Returns the digits of a number in two's complement of some bits that are 1.
fn bit_count(args: &Args<'_>) -> Outcome {
    let (value, bits) = (args.integer(0), args.integer(1));
    if !(2..=64).contains(&bits) {
        return Err(invalid(format_args!("Bits specified in bit_count must be between 2 and 64, got {bits}")));
    }
    let most = i64::MAX >> (64 - bits);
    if !(-most - 1..=most).contains(&value) {
        return Err(invalid(format_args!(
            "Number must be representable with the bits specified. {value} cannot be represented with {bits} bits"
        )));
    }
    some((value.cast_unsigned() & (u64::MAX >> (64 - bits))).count_ones())
}

/// Returns the number of the bucket of a value, of buckets of one width between two bounds; 0 below them, and one more than there
/// are above them.
fn width_bucket(args: &Args<'_>) -> Outcome {
    let (value, first, second, count) = (args.double(0), args.double(1), args.double(2), args.integer(3));
    if count <= 0 {
        return Err(invalid("bucketCount must be greater than 0"));
    }
    if value.is_nan() || !first.is_finite() || !second.is_finite() {
        return Err(invalid("operand must not be NaN, and bounds must be finite"));
    }
    if first == second {
        return Err(invalid("bounds cannot equal each other"));
    }
    let (lower, upper) = (first.min(second), first.max(second));
    let bucket = if value < lower {
        0
    } else if value >= upper {
        let overflow = || {
            QueryError::new(ErrorKind::NumericValueOutOfRange, format_args!("Bucket for value {value} is out of range"))
        };
        count.checked_add(1).ok_or_else(overflow)?
    } else {
        (count as f64 * (value - lower) / (upper - lower)) as i64 + 1
    };
    some(if first > second { count - bucket + 1 } else { bucket })
}

fn radix(args: &Args<'_>) -> Result<u32, QueryError> {
    u32::try_from(args.integer(1))
        .ok()
        .filter(|radix| (2..=36).contains(radix))
        .ok_or_else(|| invalid("Radix must be between 2 and 36"))
}

fn to_base(args: &Args<'_>) -> Outcome {
    let radix = radix(args)?;
    let (mut rest, mut digits) = (args.integer(0).unsigned_abs(), Vec::new());
    loop {
        digits.push(char::from_digit((rest % u64::from(radix)) as u32, radix).unwrap_or('0'));
        rest /= u64::from(radix);
        if rest == 0 {
            break;
        }
    }
    let sign = if args.integer(0) < 0 { "-" } else { "" };
    some(format!("{sign}{}", digits.into_iter().rev().collect::<String>()))
}

/// The complementary error function, to about 1e-15: a series near zero, and a continued fraction elsewhere (Abramowitz and Stegun,
/// 7.1.6 and 7.1.14).
fn erfc(x: f64) -> f64 {
    let positive = x.abs();
    let value = if positive < 2.5 {
        let (mut term, mut sum) = (positive, positive);
        let mut n = 0.0;
        while term > sum * 1e-17 && term > 0.0 {
            n += 1.0;
            term *= 2.0 * positive * positive / (2.0 * n + 1.0);
            sum += term;
        }
        1.0 - std::f64::consts::FRAC_2_SQRT_PI * (-positive * positive).exp() * sum
    } else {
        let fraction = (1..=60).rev().fold(positive, |below, n| positive + f64::from(n) / 2.0 / below);
        (-positive * positive).exp() / (fraction * std::f64::consts::PI.sqrt())
    };
    if x < 0.0 { 2.0 - value } else { value }
}

/// Replaces the NaN of the processor, which has a sign.
fn with_one_nan(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}
