//! Raw files with columns behind those of their feed. Such columns are in no table.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::truncated_list::TruncatedList;

/// A raw file to whose header its source has added columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedColumns {
    /// The name of the file.
    pub name: String,
    /// The names of the columns. Long ones are shortened.
    pub columns: TruncatedList<String>,
}

/// The name of the check that reports such files.
pub const CHECK: &str = "added_columns";

/// Maximum length of a name in bytes. A header is text of others, and a name may be any part of it.
const NAME_BYTES: usize = 40;

/// Maximum number of names in a message.
const NAMED: usize = 5;

impl AddedColumns {
    /// Returns the columns of the file `name`, or `None` if there are none.
    pub fn new(name: &str, columns: &[String]) -> Option<Self> {
        let shortened = columns.iter().map(|column| match column.floor_char_boundary(NAME_BYTES) {
            end if end < column.len() => format!("{}...", &column[..end]),
            _ => column.clone(),
        });
        (!columns.is_empty()).then(|| Self { name: name.to_owned(), columns: shortened.collect() })
    }
}

/// `202004011320_flashpanel.csv has columns that are in no table: "Vwap", "Lote" and 3 more`.
impl fmt::Display for AddedColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self.columns.first.iter().take(NAMED).map(|column| format!("{column:?}")).collect();
        let what = if self.columns.count == 1 { "a column that is" } else { "columns that are" };
        write!(f, "{} has {what} in no table: {}", self.name, named.join(", "))?;
        match self.columns.count - named.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(columns: &[&str]) -> Option<String> {
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        AddedColumns::new("x.csv", &columns).map(|added| added.to_string())
    }

    #[test]
    fn a_message_has_a_few_short_names() {
        assert_eq!(message(&[]), None);
        assert_eq!(message(&["Vwap"]).as_deref(), Some(r#"x.csv has a column that is in no table: "Vwap""#));
        assert_eq!(
            message(&["a", "b\"", "c", "d", "e", "f", "g"]).as_deref(),
            Some(r#"x.csv has columns that are in no table: "a", "b\"", "c", "d", "e" and 2 more"#)
        );
        let long = message(&[&"é".repeat(30_000)]).expect("a name");
        assert_eq!(long, format!("x.csv has a column that is in no table: \"{}...\"", "é".repeat(20)));
    }
}
