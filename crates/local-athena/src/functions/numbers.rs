//! Functions of numbers that return NaN or Infinity on Athena, as in Java, where DataFusion's fail.

use super::row_function::Kind::Double;
use super::row_function::{Returns, RowFunction, some};

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
    ]
}

/// Replaces the NaN of the processor, which has a sign.
fn with_one_nan(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}
