//! Checks of the rows, as SQL. They find tables in which numbers are wrong by a factor of ten.
//!
//! A number that the panel shows with a suffix has three decimals at most: `75m24` is 75,240 thousand, rounded to a thousand.
//! So two correct numbers may be off by 0.1% each, and comparisons of them tolerate 0.5%. A misread suffix is off by a factor
//! of ten or more.
//!
//! Some sources write a price of zero for "no price". Checks of prices apply to prices above zero.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use lake::config::Share;
use lake::quality::{Check, Duplicates, Unit};
use lake::{Error, athena};
use market::snapshot::SnapshotTime;
use market::table::{Kind, Source, TableName};
use serde_json::{Map, Value};

use crate::day_stats::rows_by_day;
use crate::staging::Staging;

/// A check of rows, as SQL expressions.
#[derive(Debug)]
struct DomainCheck {
    name: &'static str,
    /// The rows: `{table}`, or a subquery of it.
    from: &'static str,
    /// The condition of the rows to which the check applies.
    applies: &'static str,
    /// The condition of the rows that fail.
    fails: &'static str,
    /// The columns that an example shows, beside time and ticker.
    shows: &'static str,
}

const QUOTES: [DomainCheck; 4] = [
    DomainCheck {
        name: "bid_ask",
        from: "{table}",
        applies: "bid > 0 AND ask > 0",
        fails: "bid > ask",
        shows: "bid, ask",
    },
    DomainCheck {
        name: "last_in_range",
        from: "{table}",
        applies: r#""min" > 0 AND "max" > 0"#,
        fails: r#""min" > "max" OR ("last" > 0 AND ("last" < "min" OR "last" > "max"))"#,
        shows: r#""min", "last", "max""#,
    },
    DomainCheck {
        name: "average_price",
        from: "{table}",
        applies: r#"total_volume > 0 AND qty_total > 0 AND "min" > 0 AND "max" > 0"#,
        fails: r#"total_volume < 0.995 * "min" * qty_total OR total_volume > 1.005 * "max" * qty_total"#,
        shows: r#"total_volume, qty_total, "min", "max""#,
    },
    DomainCheck {
        name: "totals_fall",
        from: TOTALS_IN_TIME,
        applies: "intdate_before / 10000 = intdate / 10000",
        fails: "qty_total < 0.995 * qty_total_before OR total_volume < 0.995 * total_volume_before \
                OR num_trades < 0.995 * num_trades_before",
        shows: "qty_total, qty_total_before, total_volume, total_volume_before, num_trades, num_trades_before",
    },
];

/// Rows that have all three totals, with the totals of the ticker's previous row. The window spans all days, and the check
/// compares only rows of the same day: a window per day takes a third longer.
const TOTALS_IN_TIME: &str = "(
  SELECT year, month, day, intdate, ticker, qty_total, total_volume, num_trades,
    lag(intdate) OVER (PARTITION BY ticker ORDER BY intdate, qty_total) AS intdate_before,
    lag(qty_total) OVER (PARTITION BY ticker ORDER BY intdate, qty_total) AS qty_total_before,
    lag(total_volume) OVER (PARTITION BY ticker ORDER BY intdate, qty_total) AS total_volume_before,
    lag(num_trades) OVER (PARTITION BY ticker ORDER BY intdate, qty_total) AS num_trades_before
  FROM {table}
  WHERE qty_total IS NOT NULL AND total_volume IS NOT NULL AND num_trades IS NOT NULL
) AS totals_in_time";

const OPTIONS: [DomainCheck; 1] = [DomainCheck {
    name: "bid_ask",
    from: "{table}",
    applies: "optn_mkt_bid > 0 AND optn_mkt_ask > 0",
    fails: "optn_mkt_bid > optn_mkt_ask",
    shows: "optn_mkt_bid, optn_mkt_ask",
}];

/// The maximum number of failing rows that are shown.
const EXAMPLES: usize = 5;

/// Runs all checks of the rows of a staged table.
pub(crate) async fn checks(staging: &Staging<'_>, table: TableName, limit: Share) -> Result<Vec<Check>, Error> {
    let defined: &[DomainCheck] = match table {
        TableName::Quotes => &QUOTES,
        TableName::Options => &OPTIONS,
        TableName::Rejects => &[],
    };
    let mut evaluated = Vec::new();
    // One statement for all checks of the same rows.
    for together in defined.chunk_by(|a, b| a.from == b.from) {
        let result = staging.query(&count_statement(together, &staging.name(table))).await?;
        for (check, at) in together.iter().zip((FIRST_COUNT..).step_by(2)) {
            evaluated.push(check.evaluate(staging, table, limit, &result, at).await?);
        }
    }
    Ok(evaluated)
}

/// The first column of a result of [`count_statement`] after year, month and day.
const FIRST_COUNT: usize = 3;

/// Returns a statement that counts, for each day and check, the rows to which the check applies and those that fail. All checks
/// have the same rows.
fn count_statement(checks: &[DomainCheck], table: &str) -> String {
    let counts = checks.iter().map(|DomainCheck { name, applies, fails, .. }| {
        format!(
            ",\n  sum(CASE WHEN {applies} THEN 1 ELSE 0 END) AS {name}_checked,\n  \
             sum(CASE WHEN {applies} AND ({fails}) THEN 1 ELSE 0 END) AS {name}_failing"
        )
    });
    let rows = checks.first().map(|check| check.source(table)).unwrap_or_default();
    format!("SELECT year, month, day{}\nFROM {rows}\nGROUP BY year, month, day", counts.collect::<String>())
}

impl DomainCheck {
    /// Evaluates the check from a result of [`count_statement`], in which `at` is the first of its two columns. Queries examples
    /// if rows fail.
    async fn evaluate(
        &self,
        staging: &Staging<'_>,
        table: TableName,
        limit: Share,
        result: &athena::QueryResult,
        at: usize,
    ) -> Result<Check, Error> {
        let counted = rows_by_day(result, |row| Ok((row.count(at)?, row.count(at + 1)?)))?;
        let counted: BTreeMap<NaiveDate, (u64, u64)> = counted.into_iter().collect();
        let failing: u64 = counted.values().map(|(_, failing)| failing).sum();
        let examples = match failing {
            0 => Vec::new(),
            _ => examples(&staging.query(&self.example_statement(&staging.name(table))).await?),
        };
        Ok(Check::by_day(self.name, Unit::Rows, counted, limit, examples))
    }

    /// Returns a statement that selects a few of the rows that fail.
    fn example_statement(&self, table: &str) -> String {
        let Self { applies, fails, shows, .. } = self;
        format!(
            "SELECT intdate, ticker, {shows}\nFROM {}\nWHERE {applies} AND ({fails})\n\
             ORDER BY intdate, ticker\nLIMIT {EXAMPLES}",
            self.source(table)
        )
    }

    fn source(&self, table: &str) -> String {
        self.from.replace("{table}", &format!("\"{table}\""))
    }
}

/// Converts rows to JSON objects, with numbers as numbers.
fn examples(result: &athena::QueryResult) -> Vec<Value> {
    let object = |row: &Vec<Option<String>>| {
        let cells = result.columns.iter().zip(row).map(|(column, cell)| {
            let text = cell.clone().map_or(Value::Null, Value::String);
            let number = cell.as_deref().filter(|_| column.ty != "varchar").and_then(|n| serde_json::from_str(n).ok());
            (column.name.clone(), number.unwrap_or(text))
        });
        Value::Object(cells.collect::<Map<_, _>>())
    };
    result.rows.iter().map(object).collect()
}

/// Finds the snapshots in which no row has a number other than zero.
pub(crate) async fn empty_snapshots(staging: &Staging<'_>, table: TableName) -> Result<Vec<SnapshotTime>, Error> {
    let result = staging.query(&empty_statement(table, &staging.name(table))).await?;
    let times = rows_by_day(&result, |row| Ok(row.text(FIRST_COUNT).parse::<SnapshotTime>().ok()))?;
    Ok(times.into_iter().filter_map(|(_, time)| time).collect())
}

fn empty_statement(table: TableName, name: &str) -> String {
    let numbers = table
        .columns()
        .iter()
        .filter(|column| matches!(column.source, Source::Cell { kind, .. } if kind != Kind::Text));
    let largest: Vec<String> = numbers.map(|column| format!("coalesce(max(abs(\"{}\")), 0)", column.name)).collect();
    format!(
        "SELECT year, month, day, intdate\nFROM \"{name}\"\nGROUP BY year, month, day, intdate\nHAVING {} = 0",
        largest.join(" + ")
    )
}

/// Counts the rows that share their time and ticker with another.
pub(crate) async fn duplicates(staging: &Staging<'_>, table: TableName) -> Result<Duplicates, Error> {
    let statement = format!(
        "SELECT count(*) AS repeated_keys, coalesce(sum(copies), 0) AS repeated_rows\n\
         FROM (\n  SELECT intdate, ticker, count(*) AS copies\n  FROM \"{}\"\n  GROUP BY intdate, ticker\n  \
         HAVING count(*) > 1\n) AS repeated",
        staging.name(table)
    );
    let result = staging.query(&statement).await?;
    let number = |at: usize| result.rows.first()?.get(at)?.as_deref()?.parse().ok();
    Ok(Duplicates { keys: number(0).unwrap_or_default(), rows: number(1).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lake::athena::{Column, QueryResult};
    use serde_json::json;

    /// Returns whether a row passes `average_price`, whose condition it repeats in Rust.
    fn is_average_between(min: f64, max: f64, quantity: f64, volume: f64) -> bool {
        !(volume < 0.995 * min * quantity || volume > 1.005 * max * quantity)
    }

    #[test]
    fn real_rows_pass_and_misread_ones_do_not() {
        assert!(QUOTES[2].fails.contains("0.995") && QUOTES[2].fails.contains("1.005"));
        let rows = [
            (9.23, 9.77, 379_100.0, 3_603_000.0),
            (8.94, 9.75, 6050.0, 57_646.0),
            (25.19, 29.79, 2_840_000.0, 75_240_000.0),
            (54.91, 58.30, 916_000.0, 51_750_000.0),
            (15.01, 16.55, 213_707_000.0, 3_375_000_000.0),
            (13.32, 14.37, 81_357_000.0, 1_130_000_000.0),
        ];
        for (min, max, quantity, volume) in rows {
            assert!(is_average_between(min, max, quantity, volume));
            for factor in [0.1, 10.0] {
                assert!(!is_average_between(min, max, quantity, volume * factor), "{min} {factor}");
            }
        }
    }

    #[test]
    fn what_a_suffix_leaves_out_is_within_the_slack() {
        // One share price all day, both totals shown with three decimals of their suffix, cut off or rounded.
        for price in [0.01, 1.07, 9.99, 57.31] {
            for quantity in [1_000.0, 1_000_999.0, 1_999_999.0, 123_456_789.0_f64] {
                let volume = price * quantity;
                for shown in [f64::floor, f64::round] {
                    let show = |total: f64| {
                        let unit = 10f64.powi((total.log10() as i32) / 3 * 3 - 3);
                        shown(total / unit) * unit
                    };
                    assert!(is_average_between(price, price, show(quantity), show(volume)), "{price} {quantity}");
                }
            }
        }
    }

    #[test]
    fn the_sql_reads_as_it_runs() {
        assert_eq!(
            count_statement(&QUOTES[..1], "quotes_x"),
            "SELECT year, month, day,\n  \
             sum(CASE WHEN bid > 0 AND ask > 0 THEN 1 ELSE 0 END) AS bid_ask_checked,\n  \
             sum(CASE WHEN bid > 0 AND ask > 0 AND (bid > ask) THEN 1 ELSE 0 END) AS bid_ask_failing\n\
             FROM \"quotes_x\"\nGROUP BY year, month, day"
        );
        assert_eq!(
            OPTIONS[0].example_statement("options_x"),
            "SELECT intdate, ticker, optn_mkt_bid, optn_mkt_ask\nFROM \"options_x\"\n\
             WHERE optn_mkt_bid > 0 AND optn_mkt_ask > 0 AND (optn_mkt_bid > optn_mkt_ask)\n\
             ORDER BY intdate, ticker\nLIMIT 5"
        );
        let together: Vec<usize> = QUOTES.chunk_by(|a, b| a.from == b.from).map(<[_]>::len).collect();
        assert_eq!(together, [3, 1]);
        let third = count_statement(&QUOTES[..3], "quotes_x").find("AS average_price_failing\nFROM");
        assert!(third > Some(0), "each check counts in its place");
        assert!(count_statement(&QUOTES[3..], "quotes_x").contains("FROM \"quotes_x\"\n  WHERE qty_total IS NOT NULL"));
    }

    #[test]
    fn a_snapshot_is_empty_when_no_number_column_has_a_number() {
        let statement = empty_statement(TableName::Options, "options_x");
        assert!(statement.starts_with(
            "SELECT year, month, day, intdate\nFROM \"options_x\"\nGROUP BY year, month, day, intdate\n\
             HAVING coalesce(max(abs(\"optn_expn_days\")), 0) + coalesce(max(abs(\"optn_strike\")), 0) + "
        ));
        assert!(!statement.contains("optn_style") && statement.ends_with("= 0"));
    }

    #[test]
    fn checks_are_about_columns_of_their_table() {
        for (table, checks) in [(TableName::Quotes, &QUOTES[..]), (TableName::Options, &OPTIONS[..])] {
            for check in checks {
                let columns = check.shows.split(", ").map(|name| name.trim_matches('"').trim_end_matches("_before"));
                for name in columns {
                    assert!(table.columns().iter().any(|column| column.name == name), "{table}.{name}");
                }
            }
        }
    }

    #[test]
    fn an_example_is_a_row() {
        let column = |name: &str, ty: &str| Column { name: name.to_owned(), ty: ty.to_owned() };
        let result = QueryResult {
            query: "q".to_owned(),
            columns: vec![column("intdate", "bigint"), column("ticker", "varchar"), column("bid", "double")],
            rows: vec![vec![Some("202004011320".to_owned()), Some("12".to_owned()), Some("15.4".to_owned())]],
            scanned_bytes: 0,
        };
        assert_eq!(examples(&result), [json!({"intdate": 202004011320u64, "ticker": "12", "bid": 15.4})]);
    }
}
