//! The types of columns, and their names in three systems: Hive's in DDL, Athena's in results, Arrow's in memory.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};

/// A column type of DDL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HiveType {
    Boolean,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Float,
    Double,
    Decimal(u8, i8),
    String,
    Varchar(u32),
    Char(u32),
    Binary,
    Date,
    Timestamp,
    Array(Box<HiveType>),
    Map(Box<HiveType>, Box<HiveType>),
    Struct(Vec<(String, HiveType)>),
}

/// Maximum nesting of types. The parser recurses, so that deeper types could overflow the stack.
const MAX_NESTING: usize = 16;

/// The Arrow type of JSON values, which no other column has: `LargeUtf8`, where varchar is `Utf8` or `Utf8View`. The text is
/// that of `json_format`: without spaces, keys in order.
pub(crate) const JSON: DataType = DataType::LargeUtf8;

/// The Arrow type of all timestamps: milliseconds, the precision of Athena's `timestamp`.
pub(crate) const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

impl HiveType {
    /// Returns whether a partition key may have this type.
    pub(crate) fn is_partition_key(&self) -> bool {
        matches!(
            self,
            Self::TinyInt
                | Self::SmallInt
                | Self::Int
                | Self::BigInt
                | Self::String
                | Self::Varchar(_)
                | Self::Char(_)
                | Self::Date
        )
    }

    /// Returns whether this is an integer type.
    pub(crate) fn is_integer(&self) -> bool {
        matches!(self, Self::TinyInt | Self::SmallInt | Self::Int | Self::BigInt)
    }

    /// Returns the Arrow type of the column.
    pub(crate) fn arrow(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::TinyInt => DataType::Int8,
            Self::SmallInt => DataType::Int16,
            Self::Int => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale),
            Self::String | Self::Varchar(_) | Self::Char(_) => DataType::Utf8View,
            Self::Binary => DataType::BinaryView,
            Self::Date => DataType::Date32,
            Self::Timestamp => TIMESTAMP,
            Self::Array(item) => DataType::new_list(item.arrow(), true),
            Self::Map(key, value) => DataType::Map(
                Arc::new(Field::new(
                    "entries",
                    DataType::Struct(Fields::from(vec![
                        Field::new("key", key.arrow(), false),
                        Field::new("value", value.arrow(), true),
                    ])),
                    false,
                )),
                false,
            ),
            Self::Struct(fields) => {
                DataType::Struct(fields.iter().map(|(name, ty)| Field::new(name, ty.arrow(), true)).collect())
            }
        }
    }

    /// Returns the name of the type in SELECT and `information_schema`, which is Trino's: `varchar`, `array(double)`.
    pub(crate) fn trino(&self) -> String {
        match self {
            Self::Int => "integer".to_owned(),
            Self::Float => "real".to_owned(),
            Self::String => "varchar".to_owned(),
            Self::Binary => "varbinary".to_owned(),
            Self::Timestamp => "timestamp(3)".to_owned(),
            Self::Array(item) => format!("array({})", item.trino()),
            Self::Map(key, value) => format!("map({}, {})", key.trino(), value.trino()),
            Self::Struct(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, ty)| format!("{name} {}", ty.trino())).collect();
                format!("row({})", fields.join(", "))
            }
            other => other.to_string(),
        }
    }

    /// Returns the Hive type of a computed column, for the columns of a view; `None` when Hive has no such type.
    pub(crate) fn from_arrow(ty: &DataType) -> Option<Self> {
        Some(match ty {
            DataType::Boolean => Self::Boolean,
            DataType::Int8 => Self::TinyInt,
            DataType::Int16 => Self::SmallInt,
            DataType::Int32 => Self::Int,
            DataType::Int64 | DataType::UInt64 => Self::BigInt,
            DataType::Float32 => Self::Float,
            DataType::Float64 => Self::Double,
            DataType::Decimal128(precision, scale) => Self::Decimal(*precision, *scale),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::String,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Binary,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(_, _) => Self::Timestamp,
            DataType::List(item) => Self::Array(Box::new(Self::from_arrow(item.data_type())?)),
            _ => return None,
        })
    }
}

impl fmt::Display for HiveType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("boolean"),
            Self::TinyInt => f.write_str("tinyint"),
            Self::SmallInt => f.write_str("smallint"),
            Self::Int => f.write_str("int"),
            Self::BigInt => f.write_str("bigint"),
            Self::Float => f.write_str("float"),
            Self::Double => f.write_str("double"),
            Self::Decimal(precision, scale) => write!(f, "decimal({precision},{scale})"),
            Self::String => f.write_str("string"),
            Self::Varchar(length) => write!(f, "varchar({length})"),
            Self::Char(length) => write!(f, "char({length})"),
            Self::Binary => f.write_str("binary"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Array(item) => write!(f, "array<{item}>"),
            Self::Map(key, value) => write!(f, "map<{key},{value}>"),
            Self::Struct(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, ty)| format!("{name}:{ty}")).collect();
                write!(f, "struct<{}>", fields.join(","))
            }
        }
    }
}

/// The error for a text that is no Hive type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no type of a table's column")]
pub(crate) struct UnknownType(String);

impl FromStr for HiveType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let compact: String = text.to_lowercase().split_whitespace().collect();
        parse(&compact, MAX_NESTING).ok_or_else(|| UnknownType(text.to_owned()))
    }
}

fn parse(text: &str, depth: usize) -> Option<HiveType> {
    let depth = depth.checked_sub(1)?;
    if let Some(inner) = between(text, "array<", ">") {
        return Some(HiveType::Array(Box::new(parse(inner, depth)?)));
    }
    if let Some(inner) = between(text, "map<", ">") {
        let [key, value] = split_top(inner)[..] else {
            return None;
        };
        let (key, value) = (parse(key, depth)?, parse(value, depth)?);
        return Some(HiveType::Map(Box::new(key), Box::new(value)));
    }
    if let Some(inner) = between(text, "struct<", ">") {
        let fields = split_top(inner).into_iter().map(|field| {
            let (name, ty) = field.split_once(':')?;
            (!name.is_empty()).then_some((name.to_owned(), parse(ty, depth)?))
        });
        return fields.collect::<Option<_>>().map(HiveType::Struct);
    }
    primitive(text)
}

fn primitive(text: &str) -> Option<HiveType> {
    Some(match text {
        "boolean" => HiveType::Boolean,
        "tinyint" => HiveType::TinyInt,
        "smallint" => HiveType::SmallInt,
        "int" | "integer" => HiveType::Int,
        "bigint" => HiveType::BigInt,
        "float" => HiveType::Float,
        "double" | "doubleprecision" => HiveType::Double,
        "string" => HiveType::String,
        "binary" => HiveType::Binary,
        "date" => HiveType::Date,
        "timestamp" => HiveType::Timestamp,
        "decimal" => HiveType::Decimal(10, 0),
        _ => return with_numbers(text),
    })
}

fn with_numbers(text: &str) -> Option<HiveType> {
    if let Some(inner) = between(text, "decimal(", ")") {
        let (precision, scale) = inner.split_once(',').unwrap_or((inner, "0"));
        let (precision, scale) = (precision.parse().ok()?, scale.parse().ok()?);
        let fits = (1..=38).contains(&precision) && (0..=precision as i8).contains(&scale);
        return fits.then_some(HiveType::Decimal(precision, scale));
    }
    let length = |inner: &str, most| inner.parse().ok().filter(|n| (1..=most).contains(n));
    if let Some(inner) = between(text, "varchar(", ")") {
        return length(inner, 65_535).map(HiveType::Varchar);
    }
    between(text, "char(", ")").and_then(|inner| length(inner, 255)).map(HiveType::Char)
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.strip_prefix(start)?.strip_suffix(end)
}

/// Splits at the commas outside all brackets.
fn split_top(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' => depth += 1,
            '>' | ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The type of a result column, as in Athena's `ColumnInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnType {
    pub(crate) name: &'static str,
    pub(crate) precision: u32,
    pub(crate) scale: u32,
}

/// Returns Athena's type of a computed column; `None` when Athena has no such type.
pub(crate) fn column_type(ty: &DataType) -> Option<ColumnType> {
    let (name, precision, scale) = match ty {
        DataType::Null => ("unknown", 0, 0),
        DataType::Boolean => ("boolean", 0, 0),
        DataType::Int8 | DataType::UInt8 => ("tinyint", 3, 0),
        DataType::Int16 | DataType::UInt16 => ("smallint", 5, 0),
        DataType::Int32 | DataType::UInt32 => ("integer", 10, 0),
        DataType::Int64 | DataType::UInt64 => ("bigint", 19, 0),
        DataType::Float32 => ("float", 17, 0),
        DataType::Float64 => ("double", 17, 0),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            ("decimal", u32::from(*precision), u32::try_from(*scale).unwrap_or(0))
        }
        DataType::Utf8 | DataType::Utf8View => ("varchar", i32::MAX as u32, 0),
        &JSON => ("json", 0, 0),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => ("varbinary", 1 << 30, 0),
        DataType::Date32 | DataType::Date64 => ("date", 0, 0),
        DataType::Time32(_) | DataType::Time64(_) => ("time", 3, 0),
        DataType::Timestamp(_, None) => ("timestamp", 3, 0),
        DataType::Timestamp(_, Some(_)) => ("timestamp with time zone", 3, 0),
        DataType::Interval(IntervalUnit::YearMonth) => ("interval year to month", 0, 0),
        DataType::Interval(_) | DataType::Duration(_) => ("interval day to second", 0, 0),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => ("array", 0, 0),
        DataType::Map(_, _) => ("map", 0, 0),
        DataType::Struct(_) => ("row", 0, 0),
        DataType::Dictionary(_, value) => return column_type(value),
        _ => return None,
    };
    Some(ColumnType { name, precision, scale })
}

/// Returns the type to which Athena coerces two types, as of the branches of a CASE or of a UNION; `None` if there is none.
pub(crate) fn common_type(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType as D;
    let is_text = |ty: &DataType| matches!(ty, D::Utf8 | D::Utf8View);
    Some(match (left, right) {
        _ if left == right => left.clone(),
        (D::Null, other) | (other, D::Null) => other.clone(),
        (D::Dictionary(_, value), other) | (other, D::Dictionary(_, value)) => return common_type(value, other),
        _ if is_text(left) && is_text(right) => D::Utf8View,
        _ if left.is_numeric() && right.is_numeric() => return common_number(left, right),
        (D::Date32 | D::Timestamp(_, None), D::Timestamp(..)) => right.clone(),
        (D::Timestamp(..), D::Date32 | D::Timestamp(..)) => left.clone(),
        (D::List(left), D::List(right)) => D::new_list(common_type(left.data_type(), right.data_type())?, true),
        _ => return None,
    })
}

fn common_number(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType as D;
    if left.is_floating() || right.is_floating() {
        let is_double = [left, right].contains(&&D::Float64);
        return Some(if is_double { D::Float64 } else { D::Float32 });
    }
    if left.is_integer() && right.is_integer() {
        let width = |ty: &DataType| ty.primitive_width().unwrap_or(8);
        let wider = if width(left) >= width(right) { left } else { right };
        return Some(if left.is_unsigned_integer() || right.is_unsigned_integer() { D::Int64 } else { wider.clone() });
    }
    let ((p1, s1), (p2, s2)) = (as_decimal(left)?, as_decimal(right)?);
    let scale = s1.max(s2);
    let whole = (p1 as i8 - s1).max(p2 as i8 - s2);
    Some(D::Decimal128((whole + scale).min(38) as u8, scale))
}

/// Returns precision and scale of the decimal type that holds all values of a type; `None` for other than integers and
/// decimals.
pub(crate) fn as_decimal(ty: &DataType) -> Option<(u8, i8)> {
    Some(match ty {
        DataType::Int8 => (3, 0),
        DataType::Int16 => (5, 0),
        DataType::Int32 => (10, 0),
        DataType::Int64 => (19, 0),
        DataType::UInt64 => (20, 0),
        DataType::Decimal128(precision, scale) => (*precision, *scale),
        _ => return None,
    })
}

/// Returns the name of a type in error messages and `typeof`: `bigint`, `varchar`, `array(double)`.
pub(crate) fn type_name(ty: &DataType) -> String {
    match ty {
        DataType::Float32 => "real".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Timestamp(_, None) => "timestamp(3)".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp(3) with time zone".to_owned(),
        DataType::List(item) => format!("array({})", type_name(item.data_type())),
        other => column_type(other).map_or_else(|| other.to_string(), |ty| ty.name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn types_read_and_write() {
        for (text, canonical) in [
            ("BIGINT", "bigint"),
            ("integer", "int"),
            ("decimal( 10 , 2 )", "decimal(10,2)"),
            ("decimal", "decimal(10,0)"),
            ("varchar(20)", "varchar(20)"),
            ("array< double >", "array<double>"),
            ("map<string,array<int>>", "map<string,array<int>>"),
            ("struct<a:int,b:map<string,int>>", "struct<a:int,b:map<string,int>>"),
        ] {
            assert_eq!(text.parse::<HiveType>().unwrap().to_string(), canonical);
        }
        for text in [
            "",
            "text",
            "array<>",
            "decimal(39,2)",
            "decimal(2,3)",
            "varchar(0)",
            "map<int>",
            "struct<a>",
            "varchar",
            "int(3)",
        ] {
            assert!(text.parse::<HiveType>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_in_select() {
        let name = |text: &str| text.parse::<HiveType>().unwrap().trino();
        assert_eq!(name("int"), "integer");
        assert_eq!(name("struct<a:string>"), "row(a varchar)");
        assert_eq!(type_name(&TIMESTAMP), "timestamp(3)");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-z<>(),: 0-9]{0,60}") {
            if let Ok(ty) = text.parse::<HiveType>() {
                prop_assert_eq!(ty.to_string().parse::<HiveType>().unwrap(), ty);
            }
        }
    }
}
