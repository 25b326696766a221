//! A builder of the SELECTs of the views. Every statement is restricted to a list of days, because on AWS each day that a
//! query does not exclude is read and paid for.

use chrono::NaiveDate;
use lake::athena::{self, QueryResult};
use lake::{Lake, partitions};
use market::table::TableName;

use crate::error::ApiError;

/// A SELECT on some days of a table.
#[derive(Debug, Clone)]
pub(crate) struct Statement(String);

impl Statement {
    /// Selects `columns` from `table` on `days`.
    pub(crate) fn select(columns: &str, table: TableName, days: &[NaiveDate]) -> Self {
        let condition = partitions::condition(days.iter().copied());
        Self(format!("SELECT {columns}\nFROM {}\nWHERE ({condition})", table.as_str()))
    }

    /// Selects `columns` from the rows of `subquery`.
    pub(crate) fn select_from(columns: &str, subquery: &Statement) -> Self {
        Self(format!("SELECT {columns}\nFROM (\n{}\n)", subquery.sql()))
    }

    /// Selects `columns` from the join of two subqueries, with the aliases `a` and `b`, on `condition`.
    pub(crate) fn join(columns: &str, a: &Statement, b: &Statement, condition: &str) -> Self {
        Self(format!("SELECT {columns}\nFROM (\n{}\n) a\nJOIN (\n{}\n) b ON {condition}", a.sql(), b.sql()))
    }

    /// Adds a condition to the WHERE clause.
    #[must_use]
    pub(crate) fn and(mut self, condition: &str) -> Self {
        self.0.push_str("\n  AND ");
        self.0.push_str(condition);
        self
    }

    /// Appends a clause that follows WHERE: `GROUP BY`, `ORDER BY`, `LIMIT`.
    #[must_use]
    pub(crate) fn then(mut self, clause: &str) -> Self {
        self.0.push('\n');
        self.0.push_str(clause);
        self
    }

    /// The SQL text.
    pub(crate) fn sql(&self) -> &str {
        &self.0
    }

    /// Runs the statement on Athena, and returns all rows.
    pub(crate) async fn run(&self, lake: &Lake) -> Result<QueryResult, ApiError> {
        Ok(athena::run(lake, &self.0).await?)
    }
}

/// Quotes a text as an SQL literal.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Quotes texts as the right side of an `IN`.
pub(crate) fn literals<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let literals: Vec<String> = texts.into_iter().map(literal).collect();
    format!("({})", literals.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_keeps_to_its_days_and_conditions() {
        let days = ["2020-04-30", "2020-05-04"].map(|text| text.parse().expect("a day"));
        let statement = Statement::select("ticker", TableName::Quotes, &days)
            .and(&format!("ticker IN {}", literals(["PETR4", "O'X"])))
            .then("ORDER BY ticker");
        assert_eq!(
            statement.sql(),
            "SELECT ticker\nFROM quotes\nWHERE ((year = 2020 AND month = 4 AND day IN (30)) OR (year = 2020 AND month = 5 \
             AND day IN (4)))\n  AND ticker IN ('PETR4', 'O''X')\nORDER BY ticker"
        );
    }
}
