//! SELECTs of the views. None can be written without the days that it is about: on AWS each day that a query does not
//! leave out is read, and paid for.

use chrono::NaiveDate;
use lake::partitions;
use market::table::TableName;

/// A SELECT on one table, over some days of it.
#[derive(Debug, Clone)]
pub struct Statement(String);

impl Statement {
    /// `columns` of the rows of `table` on `days`.
    pub fn of(columns: &str, table: TableName, days: &[NaiveDate]) -> Self {
        let condition = partitions::condition(days.iter().copied());
        Self(format!("SELECT {columns}\nFROM {}\nWHERE ({condition})", table.as_str()))
    }

    /// `columns` of the rows that another one gives.
    pub fn from(columns: &str, rows: &Statement) -> Self {
        Self(format!("SELECT {columns}\nFROM (\n{}\n)", rows.sql()))
    }

    /// `columns` of the pairs of rows of two others, `a` and `b`, for which `condition` holds.
    pub fn join(columns: &str, a: &Statement, b: &Statement, condition: &str) -> Self {
        Self(format!("SELECT {columns}\nFROM (\n{}\n) a\nJOIN (\n{}\n) b ON {condition}", a.sql(), b.sql()))
    }

    /// Only rows for which this holds as well.
    #[must_use]
    pub fn and(mut self, condition: &str) -> Self {
        self.0.push_str("\n  AND ");
        self.0.push_str(condition);
        self
    }

    /// What comes behind the conditions: `GROUP BY`, `ORDER BY`, `LIMIT`.
    #[must_use]
    pub fn then(mut self, clause: &str) -> Self {
        self.0.push('\n');
        self.0.push_str(clause);
        self
    }

    /// Its text.
    pub fn sql(&self) -> &str {
        &self.0
    }
}

/// A text as a literal of SQL.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Texts as the right side of an `IN`.
pub fn literals<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let literals: Vec<String> = texts.into_iter().map(literal).collect();
    format!("({})", literals.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_keeps_to_its_days_and_conditions() {
        let days = ["2020-04-30", "2020-05-04"].map(|text| text.parse().expect("a day"));
        let statement = Statement::of("ticker", TableName::Quotes, &days)
            .and(&format!("ticker IN {}", literals(["PETR4", "O'X"])))
            .then("ORDER BY ticker");
        assert_eq!(
            statement.sql(),
            "SELECT ticker\nFROM quotes\nWHERE ((year = 2020 AND month = 4 AND day IN (30)) OR (year = 2020 AND month = 5 \
             AND day IN (4)))\n  AND ticker IN ('PETR4', 'O''X')\nORDER BY ticker"
        );
    }
}
