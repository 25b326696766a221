//! The published vectors of the number contract. The tests of the engine read them from here as well.

use market::table::Kind;

/// A row of `number_vectors.csv`.
pub(super) struct Vector {
    pub kind: Kind,
    /// The text of the cell.
    pub text: String,
    /// The expected value, if there is one.
    pub expected: String,
    /// `value`, `null` or `reject`.
    pub outcome: String,
}

/// All of them. Only the text is ever quoted.
pub(super) fn vectors() -> Vec<Vector> {
    let vectors: Vec<_> = include_str!("../number_vectors.csv")
        .lines()
        .skip(1)
        .map(|line| {
            let (kind, rest) = line.split_once(',').expect("a kind");
            let (text, rest) = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split_once("\",").expect("a closing quote"),
                None => rest.split_once(',').expect("a text"),
            };
            let (expected, outcome) = rest.split_once(',').expect("an outcome");
            let kind = match kind {
                "decimal" => Kind::Decimal,
                "quantity" => Kind::Quantity,
                "amount" => Kind::Amount,
                other => panic!("unknown kind {other}"),
            };
            Vector { kind, text: text.to_owned(), expected: expected.to_owned(), outcome: outcome.to_owned() }
        })
        .collect();
    assert_eq!(vectors.len(), 106, "rows of number_vectors.csv");
    vectors
}
