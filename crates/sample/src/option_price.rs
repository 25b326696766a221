//! Black-Scholes option prices that are the same on every machine.
//!
//! `exp` and `ln` of the platform's math library differ in the last bit between systems. This module uses only `+ - * /` and
//! `sqrt`, whose results IEEE 754 defines exactly.

use crate::listing::Right;

/// Price and delta of an option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Worth {
    /// In the unit of spot and strike.
    pub price: f64,
    /// Derivative of the price by the spot: 0 to 1 for calls, -1 to 0 for puts.
    pub delta: f64,
}

/// Annual interest rate, continuously compounded.
const RATE: f64 = 0.0365;

/// Returns the value of an option with `years` to its expiry at an annual `volatility`. All numbers are above 0.
pub(crate) fn black_scholes(right: Right, spot: f64, strike: f64, years: f64, volatility: f64) -> Worth {
    let deviation = volatility * years.sqrt();
    let d1 = (ln(spot / strike) + (RATE + volatility * volatility / 2.0) * years) / deviation;
    let discounted = strike * exp(-RATE * years);
    match right {
        Right::Call => Worth { price: spot * normal(d1) - discounted * normal(d1 - deviation), delta: normal(d1) },
        Right::Put => Worth { price: discounted * normal(deviation - d1) - spot * normal(-d1), delta: -normal(-d1) },
    }
}

/// Returns the cumulative distribution function of the standard normal distribution (Abramowitz and Stegun 26.2.17, error < 7.5e-8).
fn normal(x: f64) -> f64 {
    const TERMS: [f64; 5] = [0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429];
    const PER_ROOT_OF_TAU: f64 = 0.398_942_280_401_432_7;
    let t = 1.0 / (1.0 + 0.2316419 * x.abs());
    let series = TERMS.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    let tail = PER_ROOT_OF_TAU * exp(-x * x / 2.0) * series;
    if x >= 0.0 { 1.0 - tail } else { tail }
}

/// Returns e^`x`, for `x` from -700 to 10.
fn exp(x: f64) -> f64 {
    let small = x / 1024.0;
    let series = (1..=12).rev().fold(1.0, |sum, n| 1.0 + sum * small / f64::from(n));
    (0..10).fold(series, |power, _| power * power)
}

/// Returns the natural logarithm of `x`, for `x` from 0.05 to 20.
fn ln(x: f64) -> f64 {
    // ln x = 4 ln x^(1/4), and the series of the inverse hyperbolic tangent converges fast near 1.
    let root = x.sqrt().sqrt();
    let y = (root - 1.0) / (root + 1.0);
    let series = (0..24).rev().fold(0.0, |sum, n| 1.0 / f64::from(2 * n + 1) + sum * y * y);
    8.0 * y * series
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, tolerance: f64) -> bool {
        (a - b).abs() <= tolerance * b.abs().max(1e-12)
    }

    #[test]
    fn own_functions_agree_with_the_library() {
        for x in [-40.0, -3.5, -0.1, 0.0, 1e-9, 0.7, 2.0_f64] {
            assert!(close(exp(x), x.exp(), 1e-12), "exp {x}");
        }
        for x in [0.05, 0.5, 0.999, 1.0, 1.0001, 1.7, 20.0_f64] {
            assert!((ln(x) - x.ln()).abs() < 1e-14, "ln {x}");
        }
    }

    #[test]
    fn prices_agree_with_the_textbook() {
        // Spot 100, strike 95, three months, 50%; by an independent implementation with the rate above.
        let call = black_scholes(Right::Call, 100.0, 95.0, 0.25, 0.5);
        let put = black_scholes(Right::Put, 100.0, 95.0, 0.25, 0.5);
        assert!(close(call.price, CALL, 1e-6), "{call:?}");
        let parity = call.price - put.price - (100.0 - 95.0 * (-0.0365 * 0.25_f64).exp());
        assert!(parity.abs() < 1e-5, "call and put agree");
        assert!(close(call.delta - put.delta, 1.0, 1e-9));
    }

    const CALL: f64 = 12.866_554_795_787_806;
}
