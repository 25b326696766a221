//! File formats, and the names of Hive's classes for them.

/// The file format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Parquet. Columns are matched by name.
    Parquet,
    /// JSON Lines: one object per line.
    Json,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 2] = [Format::Parquet, Format::Json];

    /// Returns the class that reads a row: `ROW FORMAT SERDE`.
    pub fn serde(self) -> &'static str {
        match self {
            Self::Parquet => "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
            Self::Json => "org.openx.data.jsonserde.JsonSerDe",
        }
    }

    /// Returns the class that reads a file: `INPUTFORMAT`.
    pub fn input_format(self) -> &'static str {
        match self {
            Self::Parquet => "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            Self::Json => "org.apache.hadoop.mapred.TextInputFormat",
        }
    }

    /// Returns the class that writes a file: `OUTPUTFORMAT`.
    pub fn output_format(self) -> &'static str {
        match self {
            Self::Parquet => "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            Self::Json => "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        }
    }
}
