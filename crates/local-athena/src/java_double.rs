//! Formats floating-point numbers as Java does, because Athena is a Java program and its results show Java's format.

/// Java's `Double.toString`: the fewest digits that parse to the same number, with an exponent
/// below 10^-3 and from 10^7 on: `15.73`, `1.0E10`, `NaN`, `-Infinity`.
pub(crate) fn format_f64(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        _ => finite(&format!("{value:e}")),
    }
}

/// Java's `Float.toString`, by the same rules.
pub(crate) fn format_f32(value: f32) -> String {
    if value.is_finite() { finite(&format!("{value:e}")) } else { format_f64(f64::from(value)) }
}

/// The result of a cast to varchar: always with an exponent, `1.573E1`, as in Athena.
pub(crate) fn format_varchar(value: f64) -> String {
    if !value.is_finite() {
        return format_f64(value);
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0E0" } else { "0E0" }.to_owned();
    }
    let (mantissa, exponent) = split(&format!("{value:e}"));
    format!("{}E{exponent}", with_fraction(&mantissa))
}

/// [`format_varchar`] of a real, which has at most seven digits.
pub(crate) fn format_real_varchar(value: f32) -> String {
    if !value.is_finite() || value == 0.0 {
        return format_varchar(f64::from(value));
    }
    let (mantissa, exponent) = split(&format!("{:.6e}", f64::from(value)));
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    format!("{}E{exponent}", with_fraction(mantissa))
}

/// Java's `Double.parseDouble`, as far as numbers of other languages go: `NaN` and `Infinity` are written so and not
/// otherwise.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_named = matches!(digits, "NaN" | "Infinity");
    if !is_named && !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    text.parse().ok()
}

/// Splits Rust's `-1.573e1` into `-1.573` and 1.
fn split(scientific: &str) -> (String, i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    (mantissa.to_owned(), exponent.parse().unwrap_or(0))
}

fn with_fraction(mantissa: &str) -> String {
    if mantissa.contains('.') { mantissa.to_owned() } else { format!("{mantissa}.0") }
}

fn finite(scientific: &str) -> String {
    let (mantissa, exponent) = split(scientific);
    if !(-3..7).contains(&exponent) {
        return format!("{}E{exponent}", with_fraction(&mantissa));
    }
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits.replace('.', "")),
        None => ("", mantissa.replace('.', "")),
    };
    if exponent < 0 {
        let zeros = "0".repeat((-exponent - 1) as usize);
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        return format!("{sign}{digits:0<whole$}.0");
    }
    format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn doubles_are_written_as_java_does() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-15.73, "-15.73"),
            (0.001, "0.001"),
            (0.0012, "0.0012"),
            (0.00099, "9.9E-4"),
            (123.456, "123.456"),
            (100.0, "100.0"),
            (9_999_999.0, "9999999.0"),
            (9_999_999.5, "9999999.5"),
            (10_000_000.0, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (1e10, "1.0E10"),
            (3_375_000_000.0, "3.375E9"),
            (1.0 / 3.0, "0.3333333333333333"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(format_f64(value), text);
        }
        assert_eq!(format_f32(15.73), "15.73");
        assert_eq!(format_f32(f32::INFINITY), "Infinity");
        assert_eq!(format_varchar(15.73), "1.573E1");
        assert_eq!(format_varchar(0.0), "0E0");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            let text = format_f64(value).replace("Infinity", "inf");
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }
}
