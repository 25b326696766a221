//! Runs the statements of `statements.txt` and of `trino.txt`, each with its expected result or error.

use crate::fixture::{Fixture, joined};

/// A statement and its expected result.
struct Case {
    line: usize,
    sql: String,
    expected: Vec<String>,
}

/// Parses blocks between blank lines: the lines of a statement, then `=> name:type, ...` and a line per row, or
/// `!! message`. Lines that begin with `#` are comments.
fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut is_new = true;
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            is_new = true;
        } else if line.starts_with('#') {
        } else if is_new {
            is_new = false;
            cases.push(Case { line: at + 1, sql: line.to_owned(), expected: Vec::new() });
        } else if let Some(case) = cases.last_mut() {
            if case.expected.is_empty() && !line.starts_with("=> ") && !line.starts_with("!! ") {
                case.sql = format!("{}\n{line}", case.sql);
            } else {
                case.expected.push(line.to_owned());
            }
        }
    }
    cases
}

/// The expected values of this project: documented, or derived from a documented rule.
#[tokio::test(flavor = "multi_thread")]
async fn statements_answer_as_on_athena() {
    check(include_str!("statements.txt")).await;
}

/// The expected values of Trino's own tests.
#[tokio::test(flavor = "multi_thread")]
async fn statements_answer_as_trino_expects() {
    check(include_str!("trino.txt")).await;
}

async fn check(text: &str) {
    let fixture = Fixture::market().await;
    let mut wrong = Vec::new();
    for case in cases(text) {
        assert!(!case.expected.is_empty(), "line {}: nothing is expected of {}", case.line, case.sql);
        let actual = match fixture.ask(&case.sql).await {
            Err(error) => vec![format!("!! {error}")],
            Ok((columns, rows)) => {
                let columns: Vec<_> = columns.iter().map(|c| format!("{}:{}", c.name, c.ty)).collect();
                let mut lines = vec![format!("=> {}", columns.join(", "))];
                lines.extend(rows.iter().map(joined));
                lines
            }
        };
        // Rows without an order may come in any.
        let in_order = |lines: &[String]| {
            let mut lines = lines.to_vec();
            if !case.sql.to_uppercase().contains("ORDER BY") {
                lines[1..].sort();
            }
            lines
        };
        if in_order(&actual) != in_order(&case.expected) {
            let (actual, expected) = (actual.join("\n  "), case.expected.join("\n  "));
            wrong.push(format!("line {}: {}\n  {actual}\nand not\n  {expected}\n", case.line, case.sql));
        }
    }
    assert!(wrong.is_empty(), "{} statements answer otherwise:\n{}", wrong.len(), wrong.join("\n"));
}
