//! How the files of a table hold its rows, in the names of the classes that Hive has for it.

/// The format of a table's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Parquet, found by column names.
    Parquet,
    /// A JSON object on each line.
    Json,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 2] = [Format::Parquet, Format::Json];

    /// The class that reads a row: `ROW FORMAT SERDE`.
    pub fn serde(self) -> &'static str {
        match self {
            Self::Parquet => "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
            Self::Json => "org.openx.data.jsonserde.JsonSerDe",
        }
    }

    /// The class that reads a file: `INPUTFORMAT`.
    pub fn input_format(self) -> &'static str {
        match self {
            Self::Parquet => "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            Self::Json => "org.apache.hadoop.mapred.TextInputFormat",
        }
    }

    /// The class that writes a file: `OUTPUTFORMAT`.
    pub fn output_format(self) -> &'static str {
        match self {
            Self::Parquet => "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            Self::Json => "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        }
    }
}
