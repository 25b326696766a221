//! The published tables: their columns, with the type, kind and source of each.
//!
//! This is the only definition of the columns. The Arrow schemas, the Athena DDL, the column parsers and the Spark SQL are
//! derived from it.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr};

use crate::partition;
use crate::snapshot::Feed;

/// One of the three published tables.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", parse_err_ty = UnknownTable, parse_err_fn = UnknownTable::new)]
pub enum TableName {
    /// Stocks, fractional lots and options as the trading panel shows them.
    Quotes,
    /// Option chains with their model prices.
    Options,
    /// The cells and records that could not be read.
    Rejects,
}

impl TableName {
    /// The three tables, in the order in which they are published.
    pub const ALL: [TableName; 3] = [TableName::Quotes, TableName::Options, TableName::Rejects];

    /// Returns the name in SQL and in object keys.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the columns in order, without the partition keys ([`partition::KEYS`]).
    pub fn columns(self) -> &'static [Column] {
        match self {
            TableName::Quotes => QUOTES,
            TableName::Options => OPTIONS,
            TableName::Rejects => REJECTS,
        }
    }

    /// Returns the feed whose records the table publishes, or `None` for `rejects`, which has rows of both.
    pub fn feed(self) -> Option<Feed> {
        match self {
            TableName::Quotes => Some(Feed::Quotes),
            TableName::Options => Some(Feed::Options),
            TableName::Rejects => None,
        }
    }

    /// Returns the statement that creates the table in Athena, in `database` over the objects under `location`
    /// (`s3://.../`). The property `pregao.manifest` states that each partition has a manifest, with which a reader can
    /// compare the files that it finds. Athena keeps the property and does not use it.
    pub fn create_table_ddl(self, database: &str, location: &str) -> String {
        let ddl = self.create_table_ddl_as(database, self.as_str(), location);
        format!("{ddl}\nTBLPROPERTIES ('pregao.manifest'='_manifest.json')")
    }

    /// Returns the statement that creates a table of the same columns called `name`, whose partitions need no manifests.
    pub fn create_table_ddl_as(self, database: &str, name: &str, location: &str) -> String {
        let columns: Vec<String> =
            self.columns().iter().map(|c| format!("  `{}` {}", c.name, c.ty.hive_name())).collect();
        let keys = partition::KEYS.map(|key| format!("`{key}` int")).join(", ");
        format!(
            "CREATE EXTERNAL TABLE IF NOT EXISTS `{database}`.`{name}` (\n{columns}\n)\n\
             PARTITIONED BY ({keys})\n\
             STORED AS PARQUET\n\
             LOCATION '{location}'",
            columns = columns.join(",\n"),
        )
    }
}

/// Returns the columns that a table of `definition` lacks whose columns are `existing`, each a name and a DDL type. A table that
/// an older version created has the first columns of the definition, because columns are only ever added at its end.
///
/// # Errors
/// [`OtherColumns`] if `existing` are not the first columns of the definition.
pub fn missing_columns<'a>(
    definition: &'a [Column],
    existing: &[(String, String)],
) -> Result<&'a [Column], OtherColumns> {
    let is_same =
        |(column, (name, ty)): (&Column, &(String, String))| column.name == name && column.ty.hive_name() == ty;
    let fits = existing.len() <= definition.len() && definition.iter().zip(existing).all(is_same);
    if !fits {
        let existing = existing.iter().map(|(name, ty)| format!("{name} {ty}")).collect::<Vec<_>>().join(", ");
        return Err(OtherColumns { existing, definition: column_list(definition) });
    }
    Ok(&definition[existing.len()..])
}

/// Returns the statement that appends `columns` to a table of Athena. Its partitions keep their columns, and queries read NULL
/// in the files that lack the new ones: <https://docs.aws.amazon.com/athena/latest/ug/alter-table-add-columns.html>,
/// <https://docs.aws.amazon.com/athena/latest/ug/handling-schema-updates-chapter.html>.
pub fn add_columns_ddl(database: &str, table: &str, columns: &[Column]) -> String {
    let columns: Vec<String> = columns.iter().map(|c| format!("`{}` {}", c.name, c.ty.hive_name())).collect();
    format!("ALTER TABLE `{database}`.`{table}` ADD COLUMNS ({})", columns.join(", "))
}

fn column_list(columns: &[Column]) -> String {
    columns.iter().map(|c| format!("{} {}", c.name, c.ty.hive_name())).collect::<Vec<_>>().join(", ")
}

/// A table of the catalog whose columns are not the first ones of its definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it has the columns ({existing}), which are not the first ones of those that this version publishes: ({definition})"
)]
pub struct OtherColumns {
    existing: String,
    definition: String,
}

/// The error for a text that names no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a table: expected quotes, options or rejects")]
pub struct UnknownTable(String);

impl UnknownTable {
    fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<Feed> for TableName {
    fn from(feed: Feed) -> Self {
        match feed {
            Feed::Quotes => TableName::Quotes,
            Feed::Options => TableName::Options,
        }
    }
}

/// One published column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The name in SQL.
    pub name: &'static str,
    /// The type in Parquet and SQL. Every column but `intdate` may be NULL.
    pub ty: ColumnType,
    /// The source of its values.
    pub source: Source,
    /// A description in a few words, as in `docs/tables.md`.
    pub meaning: &'static str,
}

/// The type of a published column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// 64-bit integer.
    BigInt,
    /// 32-bit integer.
    Int,
    /// IEEE 754 binary64.
    Double,
    /// UTF-8.
    String,
}

impl ColumnType {
    /// Returns the name in Hive DDL, which Athena and Spark SQL share.
    pub fn hive_name(self) -> &'static str {
        match self {
            ColumnType::BigInt => "bigint",
            ColumnType::Int => "int",
            ColumnType::Double => "double",
            ColumnType::String => "string",
        }
    }
}

/// The source of the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The time in the name of the raw file.
    FileTime,
    /// The first cell of the record, trimmed.
    Ticker,
    /// The cell of the record under a name in the raw header.
    Cell {
        /// The raw column, one of [`Feed::raw_columns`].
        raw: &'static str,
        /// The rules by which its text is read.
        kind: Kind,
    },
    /// A property of a rejected cell or record.
    Reject(RejectField),
}

/// The kind of a cell: the rules by which its text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Trimmed text; empty text is NULL.
    Text,
    /// A number as in [`crate::number::read_decimal`].
    Decimal,
    /// A number as in [`crate::number::read_quantity`], within the range of the column's type.
    Quantity,
    /// A number as in [`crate::number::read_amount`].
    Amount,
}

/// A column of `rejects` that describes the rejected cell or record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectField {
    /// The name of the raw file, without folders.
    SourceFile,
    /// The table in which the value is missing.
    TableName,
    /// The name of the raw column; empty for a whole record.
    ColumnName,
    /// The text of the cell without quotes and not trimmed, or the whole line of a record.
    Text,
    /// The [`crate::number::Reason`] of a cell, or the [`crate::record::Ragged`] of a record.
    Reason,
}

impl Source {
    /// Returns the index of the cell in a raw record of `feed`, where the ticker has index 0, or `None` if the source is not
    /// a cell.
    pub fn raw_index(self, feed: Feed) -> Option<usize> {
        match self {
            Source::Ticker => Some(0),
            Source::Cell { raw, .. } => feed.raw_columns().iter().position(|name| *name == raw).map(|at| at + 1),
            Source::FileTime | Source::Reject(_) => None,
        }
    }
}

const fn intdate(meaning: &'static str) -> Column {
    Column { name: "intdate", ty: ColumnType::BigInt, source: Source::FileTime, meaning }
}

const fn ticker(meaning: &'static str) -> Column {
    Column { name: "ticker", ty: ColumnType::String, source: Source::Ticker, meaning }
}

const fn decimal(name: &'static str, raw: &'static str, meaning: &'static str) -> Column {
    Column { name, ty: ColumnType::Double, source: Source::Cell { raw, kind: Kind::Decimal }, meaning }
}

const fn quantity(name: &'static str, ty: ColumnType, raw: &'static str, meaning: &'static str) -> Column {
    Column { name, ty, source: Source::Cell { raw, kind: Kind::Quantity }, meaning }
}

const fn amount(name: &'static str, raw: &'static str, meaning: &'static str) -> Column {
    Column { name, ty: ColumnType::Double, source: Source::Cell { raw, kind: Kind::Amount }, meaning }
}

const fn text(name: &'static str, raw: &'static str, meaning: &'static str) -> Column {
    Column { name, ty: ColumnType::String, source: Source::Cell { raw, kind: Kind::Text }, meaning }
}

const fn reject(name: &'static str, field: RejectField, meaning: &'static str) -> Column {
    Column { name, ty: ColumnType::String, source: Source::Reject(field), meaning }
}

const QUOTES: &[Column] = &[
    intdate("date and time in Sao Paulo, YYYYMMDDHHmm"),
    ticker("instrument: a stock, a fractional lot (...F) or an option"),
    decimal("last_close", "Fec", "close of the previous session, BRL"),
    decimal("open", "Abe", "open of this session"),
    decimal("max", "Max", "highest trade of this session"),
    decimal("min", "Min", "lowest trade of this session"),
    decimal("last", "Ult", "last trade"),
    quantity("qty_bid", ColumnType::BigInt, "QOfc", "quantity at the best bid"),
    decimal("bid", "Ofc", "best bid"),
    decimal("ask", "Ofv", "best ask"),
    quantity("qty_ask", ColumnType::BigInt, "QOfv", "quantity at the best ask"),
    quantity("num_trades", ColumnType::Double, "NNeg", "trades in this session"),
    quantity("qty_total", ColumnType::Double, "QTot", "quantity traded in this session"),
    amount("total_volume", "VolTot", "volume traded in this session, BRL"),
];

const OPTIONS: &[Column] = &[
    intdate("date and time in Sao Paulo, YYYYMMDDHHmm"),
    ticker("option"),
    text("optn_ua", "Underlying", "underlying asset"),
    text("optn_style", "OptnStyle", "EURO or AMER"),
    text("optn_tp", "OptnTp", "CALL or PUTT"),
    quantity("optn_expn_days", ColumnType::Int, "Du", "business days to expiry"),
    text("optn_expn_date", "TradgEndDt", "date of expiry"),
    decimal("optn_strike", "ExrcPric", "strike, BRL"),
    decimal("optn_bs_delta", "bs_delta", "Black-Scholes delta"),
    decimal("optn_mkt_bid", "bid_opton", "best bid"),
    decimal("optn_bs_bid", "bs_bid", "Black-Scholes bid"),
    decimal("optn_mktbs_bid", "my_bid", "best bid, or the Black-Scholes one where there is none"),
    decimal("ua_mkt_bid", "bid_undly", "best bid of the underlying"),
    decimal("optn_mkt_ask", "ask_opton", "best ask"),
    decimal("optn_bs_ask", "bs_ask", "Black-Scholes ask"),
    decimal("optn_mktbs_ask", "my_ask", "best ask, or the Black-Scholes one"),
    decimal("ua_mkt_ask", "ask_undly", "best ask of the underlying"),
    decimal("bid_volimp", "bid_vol_imp", "implied volatility of the bid"),
    decimal("bid_volcone", "bid_vol_cone", "historical volatility of the underlying to this maturity"),
    decimal("ask_volimp", "ask_vol_imp", "implied volatility of the ask"),
    decimal("ask_volcone", "ask_vol_cone", "historical volatility of the underlying to this maturity"),
];

const REJECTS: &[Column] = &[
    intdate("date and time of the snapshot"),
    reject("source_file", RejectField::SourceFile, "name of the raw file"),
    reject("table_name", RejectField::TableName, "quotes or options"),
    ticker("the record's ticker"),
    reject("column_name", RejectField::ColumnName, "raw name of the column; empty for a whole record"),
    reject("text", RejectField::Text, "the unchanged text in the file"),
    reject(
        "reason",
        RejectField::Reason,
        "not_a_number, negative, not_whole, out_of_range; for a record field_count, unclosed_quote, line_too_long",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_a_table_is_a_raw_column_of_its_feed() {
        for feed in Feed::ALL {
            for column in TableName::from(feed).columns() {
                let is_cell = matches!(column.source, Source::Ticker | Source::Cell { .. });
                assert_eq!(column.source.raw_index(feed).is_some(), is_cell, "{feed}.{}", column.name);
            }
        }
    }

    #[test]
    fn kinds_fit_their_types() {
        for column in TableName::ALL.iter().flat_map(|t| t.columns()) {
            if let Source::Cell { kind, .. } = column.source {
                let fits = match kind {
                    Kind::Text => column.ty == ColumnType::String,
                    Kind::Decimal | Kind::Amount => column.ty == ColumnType::Double,
                    Kind::Quantity => column.ty != ColumnType::String,
                };
                assert!(fits, "{column:?}");
            }
        }
    }

    #[test]
    fn columns_are_added_at_the_end_of_a_table_only() {
        let of = |columns: &[Column]| -> Vec<(String, String)> {
            columns.iter().map(|column| (column.name.to_owned(), column.ty.hive_name().to_owned())).collect()
        };
        for table in TableName::ALL {
            let columns = table.columns();
            for existing in 0..=columns.len() {
                let missing = missing_columns(columns, &of(&columns[..existing])).expect("an older table");
                assert_eq!(missing, &columns[existing..]);
            }
            let mut others = [of(columns), of(columns), of(columns), of(columns)];
            others[0].swap(0, 1);
            others[1][0].1 = "timestamp".to_owned();
            _ = others[2].remove(0);
            others[3].push(("vwap".to_owned(), "double".to_owned()));
            for other in others {
                assert!(missing_columns(columns, &other).is_err(), "{other:?}");
            }
        }
        let error = missing_columns(&REJECTS[..2], &of(&REJECTS[1..2])).expect_err("another table");
        assert_eq!(
            error.to_string(),
            "it has the columns (source_file string), which are not the first ones of those that this version publishes: \
             (intdate bigint, source_file string)"
        );
        assert_eq!(
            add_columns_ddl("pregao", "quotes", &QUOTES[12..]),
            "ALTER TABLE `pregao`.`quotes` ADD COLUMNS (`qty_total` double, `total_volume` double)"
        );
    }

    #[test]
    fn the_ddl_is_what_athena_takes() {
        assert_eq!(
            TableName::Rejects.create_table_ddl("pregao", "s3://lake/rejects/"),
            "CREATE EXTERNAL TABLE IF NOT EXISTS `pregao`.`rejects` (\n  `intdate` bigint,\n  `source_file` string,\n  \
             `table_name` string,\n  `ticker` string,\n  `column_name` string,\n  `text` string,\n  `reason` string\n)\n\
             PARTITIONED BY (`year` int, `month` int, `day` int)\nSTORED AS PARQUET\nLOCATION 's3://lake/rejects/'\n\
             TBLPROPERTIES ('pregao.manifest'='_manifest.json')"
        );
    }
}
