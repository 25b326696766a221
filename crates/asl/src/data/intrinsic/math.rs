//! `States.MathAdd` and `States.MathRandom`.

use fastrand::Rng;
use serde_json::Value;

use super::arguments::Arguments;

/// Adds 32-bit integers. AWS rounds fractions to the nearest integer.
pub(super) fn add(arguments: Arguments<'_>) -> Result<Value, String> {
    let sum = rounded(arguments.number(0)?)?.checked_add(rounded(arguments.number(1)?)?);
    sum.map(Value::from).ok_or_else(|| "the sum does not fit in 32 bits".to_owned())
}

fn rounded(number: f64) -> Result<i32, String> {
    let rounded = (number + 0.5).floor();
    let range = f64::from(i32::MIN)..=f64::from(i32::MAX);
    match range.contains(&rounded) {
        true => Ok(rounded as i32),
        false => Err(format!("{number} does not fit in 32 bits")),
    }
}

/// Returns an integer from `start` (inclusive) to `end` (exclusive). The same seed returns the same number.
pub(super) fn random(arguments: Arguments<'_>) -> Result<Value, String> {
    let (start, end) = (arguments.whole(0)?, arguments.whole(1)?);
    let mut rng = match arguments.0.len() {
        3 => Rng::with_seed(arguments.whole(2)? as u64),
        _ => Rng::new(),
    };
    match start < end {
        true => Ok(Value::from(rng.i64(start..end))),
        false => Err("the start is not below the end".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{check, evaluate};

    #[test]
    fn add_rounds_and_stays_in_32_bits() {
        check(&[
            ("States.MathAdd(5, 3)", json!({}), Some(json!(8))),
            ("States.MathAdd($.n, -1)", json!({ "n": 111 }), Some(json!(110))),
            ("States.MathAdd(1.6, 2.7)", json!({}), Some(json!(5))),
            ("States.MathAdd(0.1, 0.2)", json!({}), Some(json!(0))),
            ("States.MathAdd(-1.6, 0)", json!({}), Some(json!(-2))),
            ("States.MathAdd(2147483646, 1)", json!({}), Some(json!(2147483647))),
            ("States.MathAdd(-2147483648, 0)", json!({}), Some(json!(-2147483648))),
            ("States.MathAdd(2147483647, 1)", json!({}), None),
            ("States.MathAdd(3000000000, 1)", json!({}), None),
            ("States.MathAdd('2', 1)", json!({}), None),
            ("States.MathAdd(true, 1)", json!({}), None),
            ("States.MathAdd(null, 1)", json!({}), None),
        ]);
    }

    #[test]
    fn random_stays_below_its_end() {
        for seed in -50..50 {
            let call = format!("States.MathRandom(-3, 4, {seed})");
            let number = evaluate(&call, json!({})).expect("a number");
            assert!((-3..4).contains(&number.as_i64().expect("a whole number")), "{number}");
            assert_eq!(evaluate(&call, json!({})), Ok(number));
        }
        let unseeded = evaluate("States.MathRandom(7, 8)", json!({}));
        assert_eq!(unseeded, Ok(json!(7)));
        let widest = "States.MathRandom(-9223372036854775808, 9223372036854775807, 1)";
        assert!(evaluate(widest, json!({})).is_ok());
    }

    #[test]
    fn random_refuses_an_empty_range() {
        check(&[
            ("States.MathRandom(1, 1)", json!({}), None),
            ("States.MathRandom(10, 5)", json!({}), None),
            ("States.MathRandom(1.4, 1.6)", json!({}), None),
            ("States.MathRandom('a', 10)", json!({}), None),
            ("States.MathRandom(1, 10, 'seed')", json!({}), None),
            ("States.MathRandom(1, 10, null)", json!({}), None),
        ]);
    }
}
