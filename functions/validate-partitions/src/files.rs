//! The Parquet files that a run wrote, by their footers: how many rows they have, and whether their columns are those of
//! the table.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::NaiveDate;
use lake::objects::{self, Object};
use lake::{Error, Lake, keys, parallel};
use market::partition::DateRange;
use market::run::RunId;
use market::table::{ColumnType, TableName};
use parquet::basic::{ConvertedType, Repetition, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::schema::types::Type;

/// What a run wrote for one day of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayFiles {
    /// The files in its folder.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their rows, by their footers.
    pub rows: u64,
    /// Each file that is not what it should be, and why.
    pub faults: Vec<String>,
}

/// Looks at all files that `run` wrote for `table` in `range`, by day. Days without files are left out.
pub async fn written(
    lake: &Lake,
    table: TableName,
    run: &RunId,
    range: DateRange,
) -> Result<BTreeMap<NaiveDate, DayFiles>, Error> {
    let shared = Arc::new(lake.clone());
    let days = parallel::map(range.days(), lake.config.ingest.parallel_files, |date| {
        let (lake, run) = (shared.clone(), run.clone());
        async move {
            let folder = keys::run_folder(table, date.into(), &run);
            let mut day = DayFiles::default();
            for object in objects::list_data(&lake, &folder).await? {
                day.add(&lake, table, &object).await?;
            }
            Ok((date, day))
        }
    });
    Ok(days.await?.into_iter().filter(|(_, day)| day.files > 0).collect())
}

impl DayFiles {
    async fn add(&mut self, lake: &Lake, table: TableName, object: &Object) -> Result<(), Error> {
        self.files += 1;
        self.bytes += object.bytes;
        let fault = if object.key.ends_with(".parquet") {
            match footer(lake, object).await? {
                Ok(footer) => {
                    self.rows += u64::try_from(footer.file_metadata().num_rows()).unwrap_or_default();
                    schema_fault(table, footer.file_metadata().schema())
                }
                Err(error) => Some(format!("it cannot be read: {error}")),
            }
        } else {
            Some("it is no .parquet file".to_owned())
        };
        self.faults.extend(fault.map(|fault| format!("{}: {fault}", object.key)));
        Ok(())
    }
}

/// How much of the end of a file is read at first. Most footers are smaller.
const GUESSED_FOOTER: u64 = 64 << 10;

async fn footer(lake: &Lake, object: &Object) -> Result<Result<ParquetMetaData, ParquetError>, Error> {
    let mut wanted = GUESSED_FOOTER;
    loop {
        let start = object.bytes.saturating_sub(wanted);
        let end = if object.bytes == 0 {
            Bytes::new()
        } else {
            objects::read_range(lake, &lake.config.buckets.lake, &object.key, start, object.bytes).await?
        };
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(&end, object.bytes) {
            Ok(()) => return Ok(reader.finish()),
            Err(ParquetError::NeedMoreData(needed)) if needed as u64 > wanted && wanted < object.bytes => {
                wanted = needed as u64;
            }
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// How the columns of a file differ from those of the table, if they do.
fn schema_fault(table: TableName, schema: &Type) -> Option<String> {
    let fields = schema.get_fields();
    let columns = table.columns();
    if fields.len() != columns.len() {
        return Some(format!("it has {} columns, and the table {}", fields.len(), columns.len()));
    }
    fields.iter().zip(columns).zip(1..).find_map(|((field, column), position)| {
        let fine = field.name() == column.name && is_of_type(field, column.ty);
        (!fine).then(|| {
            let found = if field.is_primitive() { field.get_physical_type().to_string() } else { "a group".to_owned() };
            let expected = column.ty.hive_name();
            format!("column {position} is {} {found}, and in the table {} {expected}", field.name(), column.name)
        })
    })
}

/// Whether a field holds this type, and one value a row. Some writers note that a plain integer is signed.
fn is_of_type(field: &Type, ty: ColumnType) -> bool {
    let info = field.get_basic_info();
    let (physical, notes) = match ty {
        ColumnType::BigInt => (Physical::INT64, [ConvertedType::NONE, ConvertedType::INT_64]),
        ColumnType::Int => (Physical::INT32, [ConvertedType::NONE, ConvertedType::INT_32]),
        ColumnType::Double => (Physical::DOUBLE, [ConvertedType::NONE; 2]),
        ColumnType::String => (Physical::BYTE_ARRAY, [ConvertedType::UTF8; 2]),
    };
    field.is_primitive()
        && field.get_physical_type() == physical
        && notes.contains(&info.converted_type())
        && info.repetition() != Repetition::REPEATED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, ty: ColumnType) -> String {
        match ty {
            ColumnType::BigInt => format!("optional int64 {name};"),
            ColumnType::Int => format!("optional int32 {name};"),
            ColumnType::Double => format!("optional double {name};"),
            ColumnType::String => format!("optional binary {name} (STRING);"),
        }
    }

    fn fault(table: TableName, change: impl Fn(&mut Vec<String>)) -> Option<String> {
        let mut fields: Vec<String> = table.columns().iter().map(|column| field(column.name, column.ty)).collect();
        change(&mut fields);
        let text = format!("message schema {{ {} }}", fields.join(" "));
        schema_fault(table, &parquet::schema::parser::parse_message_type(&text).expect(&text))
    }

    #[test]
    fn the_columns_of_the_table_are_the_columns_of_the_file() {
        for table in TableName::ALL {
            assert_eq!(fault(table, |_| {}), None, "{table}");
        }
        let required = |fields: &mut Vec<String>| fields[0] = "required int64 intdate (INTEGER(64,true));".to_owned();
        assert_eq!(fault(TableName::Quotes, required), None);
    }

    #[test]
    fn any_other_column_is_told() {
        let told = |change: fn(&mut Vec<String>)| fault(TableName::Quotes, change).expect("a fault");
        assert_eq!(told(|fields| fields.truncate(13)), "it has 13 columns, and the table 14");
        assert_eq!(told(|fields| fields.swap(4, 5)), "column 5 is min DOUBLE, and in the table max double");
        assert_eq!(
            told(|fields| fields[2] = "optional float last_close;".to_owned()),
            "column 3 is last_close FLOAT, and in the table last_close double"
        );
        assert_eq!(
            told(|fields| fields[1] = "optional binary ticker;".to_owned()),
            "column 2 is ticker BYTE_ARRAY, and in the table ticker string"
        );
        assert_eq!(
            told(|fields| fields[0] = "optional int64 intdate (TIMESTAMP(MILLIS,true));".to_owned()),
            "column 1 is intdate INT64, and in the table intdate bigint"
        );
        assert_eq!(
            told(|fields| fields[0] = "repeated int64 intdate;".to_owned()),
            "column 1 is intdate INT64, and in the table intdate bigint"
        );
    }
}
