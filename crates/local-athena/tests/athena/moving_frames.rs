//! Aggregates over frames that move. The expected values are those of the definitions, with the mean and the deviations in two
//! passes over the rows of each frame.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::fixture::Fixture;

/// A row: two numbers, each of which may be NULL.
type Pair = (Option<f64>, Option<f64>);

/// Prices of one magnitude, and now and then a number that is far larger.
fn number() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        8 => (1000_i32..1100).prop_map(|cents| Some(f64::from(cents) / 100.0)),
        1 => Just(Some(1e12)),
        1 => Just(None),
    ]
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Returns the sum of the products of the deviations from the means.
fn products(left: &[f64], right: &[f64]) -> f64 {
    let (of_left, of_right) = (mean(left), mean(right));
    left.iter().zip(right).map(|(x, y)| (x - of_left) * (y - of_right)).sum()
}

/// Returns the aggregates of the statement of [`check`], in its order.
fn expected(frame: &[Pair]) -> [Option<f64>; 8] {
    let values: Vec<f64> = frame.iter().filter_map(|(x, _)| *x).collect();
    let (left, right): (Vec<f64>, Vec<f64>) = frame.iter().filter_map(|(x, y)| (*x).zip(*y)).unzip();
    let (count, pairs) = (values.len() as f64, left.len() as f64);
    let some = |enough: bool, value: f64| enough.then_some(value);
    let (squares, product) = (products(&values, &values), products(&left, &right));
    let correlation = product / (products(&left, &left) * products(&right, &right)).sqrt();
    [
        some(count > 0.0, values.iter().sum()),
        some(count > 0.0, mean(&values)),
        some(count > 0.0, squares / count),
        some(count > 1.0, squares / (count - 1.0)),
        some(count > 1.0, (squares / (count - 1.0)).sqrt()),
        some(pairs > 0.0, product / pairs),
        some(pairs > 1.0, product / (pairs - 1.0)),
        some(pairs > 1.0 && correlation.is_finite(), correlation),
    ]
}

fn literal(value: Option<f64>) -> String {
    value.map_or_else(|| "CAST(NULL AS double)".to_owned(), |value| format!("{value:e}"))
}

async fn check(fixture: &Fixture, rows: &[Pair], preceding: usize) {
    let values = rows.iter().enumerate().map(|(at, (x, y))| format!("({at}, {}, {})", literal(*x), literal(*y)));
    let sql = format!(
        "SELECT sum(x) OVER w, avg(x) OVER w, var_pop(x) OVER w, variance(x) OVER w, stddev(x) OVER w, \
         covar_pop(x, y) OVER w, covar_samp(x, y) OVER w, corr(x, y) OVER w, at FROM (VALUES {}) AS t(at, x, y) \
         WINDOW w AS (ORDER BY at ROWS BETWEEN {preceding} PRECEDING AND CURRENT ROW) ORDER BY at",
        values.collect::<Vec<_>>().join(", ")
    );
    let (_, found) = fixture.ask(&sql).await.expect("an answer");
    assert_eq!(found.len(), rows.len());
    for (at, row) in found.iter().enumerate() {
        let frame = &rows[at.saturating_sub(preceding)..=at];
        let largest =
            frame.iter().flat_map(|(x, y)| [*x, *y]).flatten().fold(0.0_f64, |most, value| most.max(value.abs()));
        for (column, expected) in expected(frame).into_iter().enumerate() {
            let text = row[column].as_deref();
            let number = text.map(|text| text.parse::<f64>().expect("a number"));
            match (number, expected) {
                (None, None) => {}
                // NaN where a variance is zero, which Athena answers with NULL or NaN by the function.
                (Some(found), None) => assert!(found.is_nan(), "column {column} of row {at}: {found} in {sql}"),
                (None, Some(expected)) => panic!("column {column} of row {at}: NULL and not {expected} in {sql}"),
                (Some(found), Some(expected)) => {
                    // Rounding errors of one frame: of its own values, and not of those that have left it.
                    let scale = if column == 7 { 1.0 } else { largest * if column < 2 { 1.0 } else { largest } };
                    let close = (found - expected).abs() <= 1e-9 * expected.abs() + 1e-13 * scale;
                    assert!(close, "column {column} of row {at}: {found} and not {expected} in {sql}");
                }
            }
        }
    }
}

#[test]
fn a_frame_has_the_values_of_its_rows() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let fixture = runtime.block_on(async { Fixture::new() });
    proptest!(ProptestConfig::with_cases(64), |(rows in vec((number(), number()), 1..60), preceding in 0_usize..12)| {
        runtime.block_on(check(&fixture, &rows, preceding));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_left_a_frame_leaves_no_trace() {
    let fixture = Fixture::new();
    let column = async |aggregate: &str, values: &str| {
        let sql = format!(
            "SELECT {aggregate} OVER (ORDER BY at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), at FROM (VALUES {values}) AS t(at, x) ORDER BY at"
        );
        let (_, rows) = fixture.ask(&sql).await.expect("an answer");
        rows.last().and_then(|row| row[0].clone()).expect("a number")
    };
    // The definition: sqrt(((100 - 150)^2 + (200 - 150)^2) / 1).
    assert_eq!(column("stddev(x)", "(1, 1e17), (2, 1e2), (3, 2e2)").await, "70.71067811865476");
    assert_eq!(column("stddev(x)", "(1, 27.3e0), (2, 27.31e0), (3, 27.32e0), (4, 27.32e0)").await, "0.0");
    assert_eq!(column("sum(x)", "(1, 1e17), (2, 1e0), (3, 2e0)").await, "3.0");
    assert_eq!(column("avg(x)", "(1, 1e17), (2, 1e0), (3, 2e0)").await, "1.5");
}
