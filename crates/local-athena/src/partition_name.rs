//! The name of a partition, `year=2020/month=4/day=1`: its folder in a Hive layout, and its row in SHOW PARTITIONS.

use std::borrow::Cow;

use percent_encoding::{percent_decode_str, percent_encode_byte};

use crate::catalog::Table;
use crate::types::HiveType;

/// Returns the name of the partition with these values.
pub(crate) fn format(table: &Table, values: &[String]) -> String {
    let pairs = table.partition_keys.iter().zip(values);
    let parts: Vec<_> = pairs.map(|(key, value)| format!("{}={}", key.name, escaped(value))).collect();
    parts.join("/")
}

/// Parses the partition name at the start of a path. Returns the values, and the part of the path that names them;
/// `None` when the path does not begin with the name of a partition.
pub(crate) fn parse<'a>(table: &Table, path: &'a str) -> Option<(Vec<String>, &'a str)> {
    let mut values = Vec::new();
    let mut rest = path;
    for key in &table.partition_keys {
        let (part, after) = rest.split_once('/')?;
        let (name, value) = part.split_once('=')?;
        if !name.eq_ignore_ascii_case(&key.name) {
            return None;
        }
        let value = unescaped(value)?;
        values.push(match &key.ty {
            ty if ty.is_integer() => value.parse::<i64>().ok()?.to_string(),
            HiveType::Date => value.parse::<chrono::NaiveDate>().ok()?.to_string(),
            _ => value,
        });
        rest = after;
    }
    let folder = path[..path.len() - rest.len()].trim_end_matches('/');
    (!values.is_empty()).then_some((values, folder))
}

/// Returns whether Hive escapes a character in a path.
fn is_special(c: char) -> bool {
    c.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(c)
}

/// Escapes a value as `%2F`. Not `utf8_percent_encode`: it would escape what is not ASCII too, which Hive leaves.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match u8::try_from(c) {
            Ok(byte) if is_special(c) => out.push_str(percent_encode_byte(byte)),
            _ => out.push(c),
        }
    }
    out
}

/// Returns the value, or `None` when the unescaped bytes are not UTF-8. A `%` without two digits stays as it is.
fn unescaped(value: &str) -> Option<String> {
    percent_decode_str(value).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Format, TableColumn, TableKind};
    use proptest::prelude::*;

    fn table(keys: &[(&str, HiveType)]) -> Table {
        let key =
            |(name, ty): &(&str, HiveType)| TableColumn { name: (*name).to_owned(), ty: ty.clone(), comment: None };
        Table {
            database: "market".to_owned(),
            name: "quotes".to_owned(),
            columns: Vec::new(),
            partition_keys: keys.iter().map(key).collect(),
            comment: None,
            properties: Vec::new(),
            kind: TableKind::External { location: "s3://lake/quotes/".to_owned(), format: Format::Parquet },
            created: 0,
            details: None,
        }
    }

    #[test]
    fn paths_read_and_write() {
        let table = table(&[("year", HiveType::Int), ("month", HiveType::Int)]);
        let values = vec!["2020".to_owned(), "4".to_owned()];
        assert_eq!(format(&table, &values), "year=2020/month=4");
        let parsed = parse(&table, "year=2020/month=04/run=1/part-0.parquet");
        assert_eq!(parsed, Some((values, "year=2020/month=04")));
        for other in ["year=2020/part-0.parquet", "year=x/month=4/a", "month=4/year=2020/a", ""] {
            assert_eq!(parse(&table, other), None, "{other}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(escaped("a/b=ç%\u{7f}"), "a%2Fb%3Dç%25%7F");
        assert_eq!(unescaped("a%2fb%3D%C3%A7%25"), Some("a/b=ç%".to_owned()));
        assert_eq!(unescaped("100%, %, %4, %zz, %+5"), Some("100%, %, %4, %zz, %+5".to_owned()));
        assert_eq!(unescaped("%FF"), None);
    }

    proptest! {
        #[test]
        fn any_text_survives(value in "\\PC{1,10}") {
            let table = table(&[("k", HiveType::String)]);
            let path = format!("{}/file", format(&table, std::slice::from_ref(&value)));
            let (values, _) = parse(&table, &path).unwrap();
            prop_assert_eq!(values, vec![value]);
        }
    }
}
