//! The condition by which Glue's `GetPartitions` selects partitions: a WHERE clause on the partition keys.
//!
//! <https://docs.aws.amazon.com/glue/latest/webapi/API_GetPartitions.html> names the operators. LIKE and IS NULL are refused here.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

use crate::catalog::TableColumn;
use crate::deep_stack;
use crate::resolve::{canonical_value, compare_values};
use crate::sql::{Comparison, parse_expression};

/// Maximum length of a condition, in bytes: that of the service.
const MAX_BYTES: usize = 2_048;

/// A condition on the values of a partition.
#[derive(Debug, Clone)]
pub struct PartitionFilter<'k> {
    condition: Condition<'k>,
}

#[derive(Debug, Clone)]
enum Condition<'k> {
    Compare { key: Key<'k>, comparison: Comparison, value: String },
    And(Box<Condition<'k>>, Box<Condition<'k>>),
    Or(Box<Condition<'k>>, Box<Condition<'k>>),
    Not(Box<Condition<'k>>),
}

/// A partition key, with its position among the keys of the table.
#[derive(Debug, Clone, Copy)]
struct Key<'k> {
    position: usize,
    column: &'k TableColumn,
}

impl<'k> PartitionFilter<'k> {
    /// Parses a condition on these partition keys: `year = 2020 AND (month < 4 OR day IN (1, 2))`.
    ///
    /// # Errors
    /// A message if the text is longer than 2,048 bytes, is no condition, names another column, compares a key with a value that is
    /// none of its type, or has an operator beside the comparisons, AND, OR, NOT, IN and BETWEEN.
    pub fn parse(text: &str, keys: &'k [TableColumn]) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("the expression has {} bytes, and {MAX_BYTES} are allowed", text.len()));
        }
        let parsed = deep_stack::run(|| Ok(condition(&parse_expression(text)?, keys)));
        parsed.map_err(|error| error.to_string())?.map(|condition| Self { condition })
    }

    /// Whether the condition holds for a partition, given the values of its keys.
    pub fn matches(&self, values: &[String]) -> bool {
        self.condition.holds(values)
    }
}

impl Condition<'_> {
    fn holds(&self, values: &[String]) -> bool {
        match self {
            Self::Compare { key, comparison, value } => {
                let own = values.get(key.position).map_or("", String::as_str);
                comparison.holds(compare_values(key.column, own, value))
            }
            Self::And(one, other) => one.holds(values) && other.holds(values),
            Self::Or(one, other) => one.holds(values) || other.holds(values),
            Self::Not(inner) => !inner.holds(values),
        }
    }

    fn negated_if(self, negated: bool) -> Self {
        if negated { Self::Not(Box::new(self)) } else { self }
    }
}

fn condition<'k>(expression: &Expr, keys: &'k [TableColumn]) -> Result<Condition<'k>, String> {
    match expression {
        Expr::Nested(inner) => condition(inner, keys),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => Ok(condition(expr, keys)?.negated_if(true)),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            Ok(Condition::And(Box::new(condition(left, keys)?), Box::new(condition(right, keys)?)))
        }
        Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
            Ok(Condition::Or(Box::new(condition(left, keys)?), Box::new(condition(right, keys)?)))
        }
        Expr::BinaryOp { left, op, right } => {
            let comparison = match op {
                BinaryOperator::Eq => Comparison::Equal,
                BinaryOperator::NotEq => Comparison::NotEqual,
                BinaryOperator::Lt => Comparison::Less,
                BinaryOperator::LtEq => Comparison::LessOrEqual,
                BinaryOperator::Gt => Comparison::Greater,
                BinaryOperator::GtEq => Comparison::GreaterOrEqual,
                _ => return Err(format!("the operator {op} is not supported: {expression}")),
            };
            compare(key(left, keys)?, comparison, right)
        }
        Expr::Between { expr, negated, low, high } => {
            let key = key(expr, keys)?;
            let low = compare(key, Comparison::GreaterOrEqual, low)?;
            let high = compare(key, Comparison::LessOrEqual, high)?;
            Ok(Condition::And(Box::new(low), Box::new(high)).negated_if(*negated))
        }
        Expr::InList { expr, list, negated } => {
            let key = key(expr, keys)?;
            let mut among = list.iter().map(|value| compare(key, Comparison::Equal, value));
            let first = among.next().ok_or_else(|| format!("IN has no value: {expression}"))??;
            let any = among.try_fold(first, |any, next| Ok::<_, String>(Condition::Or(Box::new(any), Box::new(next?))));
            Ok(any?.negated_if(*negated))
        }
        _ => Err(format!("{expression} is no condition with =, <>, <, <=, >, >=, IN, BETWEEN, AND, OR or NOT")),
    }
}

fn key<'k>(expression: &Expr, keys: &'k [TableColumn]) -> Result<Key<'k>, String> {
    let Expr::Identifier(name) = expression else {
        return Err(format!("{expression} is no partition key: a condition has the key on the left"));
    };
    let found = keys.iter().enumerate().find(|(_, key)| key.name.eq_ignore_ascii_case(&name.value));
    found
        .map(|(position, column)| Key { position, column })
        .ok_or_else(|| format!("{name} is no partition key of the table"))
}

fn compare<'k>(key: Key<'k>, comparison: Comparison, value: &Expr) -> Result<Condition<'k>, String> {
    let wrong = || format!("{value} is no value of the partition key {}, which is {}", key.column.name, key.column.ty);
    let text = match value {
        // A value is converted to the type of the key, whatever it looks like: `year = '2020'`.
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) | Value::SingleQuotedString(text) => text.clone(),
            _ => return Err(wrong()),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } if key.column.ty.is_integer() => format!("-{expr}"),
        _ => return Err(wrong()),
    };
    let value = canonical_value(key.column, &text).map_err(|_| wrong())?;
    Ok(Condition::Compare { key, comparison, value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::*;

    fn keys() -> Vec<TableColumn> {
        [("year", "int"), ("month", "int"), ("region", "string")]
            .map(|(name, ty)| TableColumn::new(name, ty, None).expect("a column"))
            .to_vec()
    }

    #[test]
    fn what_is_no_condition_on_partition_keys_is_refused() {
        let keys = keys();
        for text in [
            "",
            "year",
            "1 = 1",
            "2020 = year",
            "price > 3",
            "year = 'x'",
            "year = TRUE",
            "year = 2020.5",
            "year = month",
            "year + 1 = 2020",
            "year LIKE '20%'",
            "region IS NULL",
            "year = 2020 GROUP BY year",
            "year IN (SELECT 1)",
            "year IN ()",
            "year = 2020; DROP TABLE t",
            "(year = 2020",
            &"(".repeat(300),
            &format!("year = 2020 OR {}year = 1", "NOT ".repeat(400)),
            &format!("year = {}1", "0".repeat(MAX_BYTES)),
        ] {
            let refused = PartitionFilter::parse(text, &keys);
            assert!(refused.is_err(), "{text}: {refused:?}");
        }
    }

    fn conditions() -> impl Strategy<Value = String> {
        let operator = prop_oneof![Just("="), Just("<>"), Just("!="), Just("<"), Just("<="), Just(">"), Just(">=")];
        let number = (-3..15_i64).prop_map(|number| number.to_string());
        let integer = prop_oneof![Just("year"), Just("MONTH")];
        let leaf = prop_oneof![
            (integer.clone(), operator.clone(), number.clone())
                .prop_map(|(key, operator, value)| format!("{key} {operator} {value}")),
            (operator, "[a-c]").prop_map(|(operator, value)| format!("region {operator} '{value}'")),
            (integer.clone(), any::<bool>(), number.clone(), number.clone()).prop_map(|(key, not, low, high)| {
                format!("{key} {}BETWEEN {low} AND {high}", if not { "NOT " } else { "" })
            }),
            (integer, any::<bool>(), prop::collection::vec(number, 1..4)).prop_map(|(key, not, list)| {
                format!("{key} {}IN ({})", if not { "NOT " } else { "" }, list.join(", "))
            }),
        ];
        leaf.prop_recursive(4, 16, 2, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("{one} AND {other}")),
                (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one} OR {other})")),
                inner.prop_map(|inner| format!("NOT ({inner})")),
            ]
        })
    }

    proptest! {
        /// SQLite says which partitions a condition selects.
        #[test]
        fn a_condition_selects_what_sql_selects(text in conditions()) {
            prop_assume!(text.len() <= MAX_BYTES);
            let database = Connection::open_in_memory().expect("a database");
            database.execute_batch("CREATE TABLE p (year INTEGER, month INTEGER, region TEXT)").expect("a table");
            let keys = keys();
            let filter = PartitionFilter::parse(&text, &keys).map_err(TestCaseError::fail)?;
            for (year, month, region) in combinations(&[2, 9, 10, 11], &[1, 2, 12], &["a", "b", "c"]) {
                database.execute("DELETE FROM p", ()).expect("deleted");
                database.execute("INSERT INTO p VALUES (?1, ?2, ?3)", (year, month, region)).expect("a row");
                let sql = format!("SELECT count(*) FROM p WHERE {text}");
                let selected: i64 = database.query_row(&sql, (), |row| row.get(0)).expect("a count");
                let values = [year.to_string(), month.to_string(), region.to_owned()];
                prop_assert_eq!(filter.matches(&values), selected == 1, "{:?}", values);
            }
        }
    }

    fn combinations<'a>(years: &[i64], months: &[i64], regions: &[&'a str]) -> Vec<(i64, i64, &'a str)> {
        let pairs = years.iter().flat_map(|year| months.iter().map(move |month| (*year, *month)));
        pairs.flat_map(|(year, month)| regions.iter().map(move |region| (year, month, *region))).collect()
    }
}
