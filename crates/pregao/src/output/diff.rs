//! The document of `pregao diff`.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

documents! {
    /// How two runs of a day differ.
    pub struct Diff {
        /// The day.
        pub day: String,
        /// The run that is taken for the old one.
        pub old: String,
        /// The run that is taken for the new one.
        pub new: String,
        /// The tables that were compared.
        pub tables: Vec<TableDiff>,
    }

    /// How two runs differ in a table. Rows that a run has several times are counted each time.
    pub struct TableDiff {
        /// The table.
        pub table: String,
        /// Rows of the old run.
        pub old_rows: u64,
        /// Rows of the new run.
        pub new_rows: u64,
        /// Rows that only the new run has, and no row of the old run for the same key.
        pub added: u64,
        /// Rows that only the old run has, and no row of the new run for the same key.
        pub removed: u64,
        /// Rows whose key both runs have, with other values.
        pub changed: u64,
        /// The columns that are the key.
        pub key: Vec<String>,
        /// A few rows that differ.
        pub examples: Different,
    }

    /// Rows that differ, as objects. A key whose rows are partly added and partly changed is in both lists.
    pub struct Different {
        /// Rows of keys with added ones.
        pub added: Vec<Value>,
        /// Rows of keys with removed ones.
        pub removed: Vec<Value>,
        /// Rows that changed.
        pub changed: Vec<Changed>,
    }

    /// The rows of a key that changed.
    pub struct Changed {
        /// The rows that only the old run has.
        pub old: Vec<Value>,
        /// The rows that only the new run has.
        pub new: Vec<Value>,
    }
}
