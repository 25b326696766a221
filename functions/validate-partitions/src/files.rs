//! The Parquet files that a run wrote. Their footers state the rows, and whether the columns are those of the table; checksums
//! of all their bytes go to the manifest, so that later readers detect any change.
//!
//! The audit reads one version of each file, by its ETag. Queries read the files too and cannot name a version, so [`changes`]
//! lists them again after the queries.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chrono::NaiveDate;
use lake::manifest::{AuditedFile, ChecksumBuilder, Checksums, Manifest, listed};
use lake::objects::{self, Object};
use lake::{Error, Lake, concurrency, keys};
use market::partition::DateRange;
use market::run::RunId;
use market::table::{ColumnType, TableName};
use parquet::basic::{ConvertedType, Repetition, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::schema::types::Type;
use tracing::{Instrument, info_span};

/// The files that a run wrote for one day of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DayFiles {
    /// The number of files in the folder.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// The number of their rows, by their footers.
    pub rows: u64,
    /// The faults of files, each with the key of the file.
    pub faults: Vec<String>,
    /// The files without faults.
    pub audited: Vec<AuditedFile>,
}

/// Audits all files that `run` wrote for `table` in `range`. The result has no entry for days without files.
pub(crate) async fn written(
    lake: &Lake,
    table: TableName,
    run: &RunId,
    range: DateRange,
) -> Result<BTreeMap<NaiveDate, DayFiles>, Error> {
    let shared = Arc::new(lake.clone());
    let days = concurrency::map(range.days(), lake.config.ingest.parallel_files, |date| {
        let (lake, run) = (shared.clone(), run.clone());
        let span = info_span!("day", day = %date);
        let work = async move {
            let folder = keys::run_folder(table, date.into(), &run);
            let mut day = DayFiles::default();
            for object in objects::list_data(&lake, &folder).await? {
                day.add(&lake, table, &folder, &object).await?;
            }
            Ok((date, day))
        };
        work.instrument(span)
    });
    Ok(days.await?.into_iter().filter(|(_, day)| day.files > 0).collect())
}

/// Returns the changes in the run's folders of these days since [`written`] audited them.
pub(crate) async fn changes(
    lake: &Lake,
    table: TableName,
    run: &RunId,
    days: impl IntoIterator<Item = (NaiveDate, DayFiles)>,
) -> Result<Vec<(NaiveDate, String)>, Error> {
    let shared = Arc::new(lake.clone());
    let days: Vec<_> = days.into_iter().collect();
    let changes = concurrency::map(days, lake.config.ingest.parallel_files, |(date, day)| {
        let (lake, run) = (shared.clone(), run.clone());
        async move {
            let folder = keys::run_folder(table, date.into(), &run);
            let found = objects::list_data(&lake, &folder).await?;
            let change = day.manifest(table, date, &run).check(&folder, listed(&folder, &found)).err();
            Ok(change.map(|change| (date, format!("{folder}{}: it changed during the audit: {change}", change.name()))))
        }
    });
    Ok(changes.await?.into_iter().flatten().collect())
}

impl DayFiles {
    /// Returns the manifest of this day's files.
    pub(crate) fn manifest(self, table: TableName, date: NaiveDate, run: &RunId) -> Manifest {
        Manifest::new(keys::run_folder(table, date.into(), run), self.audited)
    }

    async fn add(&mut self, lake: &Lake, table: TableName, folder: &str, object: &Object) -> Result<(), Error> {
        self.files += 1;
        self.bytes += object.bytes;
        match audit(lake, table, object).await? {
            Ok((rows, checksums)) => {
                self.rows += rows;
                let name = object.key.strip_prefix(folder).unwrap_or(&object.key).to_owned();
                let (bytes, etag) = (object.bytes, object.etag.clone());
                self.audited.push(AuditedFile { name, bytes, etag, rows, checksums });
            }
            Err(fault) => self.faults.push(format!("{}: {fault}", object.key)),
        }
        Ok(())
    }
}

/// Returns the number of rows and the checksums of a file, or the reason why it cannot be published.
async fn audit(lake: &Lake, table: TableName, object: &Object) -> Result<Result<(u64, Checksums), String>, Error> {
    if !object.key.ends_with(".parquet") {
        return Ok(Err("it is not a .parquet file".to_owned()));
    }
    let Some((checksums, end)) = read_through(lake, object).await? else { return Ok(Err(changed())) };
    let footer = match footer(lake, object, end).await? {
        Some(Ok(footer)) => footer,
        Some(Err(error)) => return Ok(Err(format!("it cannot be read: {error}"))),
        None => return Ok(Err(changed())),
    };
    if let Some(fault) = schema_fault(table, footer.file_metadata().schema()) {
        return Ok(Err(fault));
    }
    let rows = u64::try_from(footer.file_metadata().num_rows());
    Ok(rows.map(|rows| (rows, checksums)).map_err(|_| "its footer states a negative number of rows".to_owned()))
}

fn changed() -> String {
    "it changed during the audit".to_owned()
}

/// The bytes at the end of a file that are kept while it is read, for its footer. Most footers are smaller.
const GUESSED_FOOTER: usize = 64 << 10;

/// Returns the checksums of all bytes of a file, and its last bytes, or `None` if this version of the file is gone.
async fn read_through(lake: &Lake, object: &Object) -> Result<Option<(Checksums, Bytes)>, Error> {
    let bucket = &lake.config.buckets.lake;
    let Some(mut body) = objects::open(lake, bucket, object).await? else { return Ok(None) };
    let (mut sums, mut end, mut read) = (ChecksumBuilder::default(), BytesMut::new(), 0);
    loop {
        let piece = objects::next(&mut body, bucket, object).await?;
        if piece.is_empty() {
            break;
        }
        sums.update(&piece);
        read += piece.len() as u64;
        end.extend_from_slice(&piece[piece.len().saturating_sub(GUESSED_FOOTER)..]);
        if end.len() > 2 * GUESSED_FOOTER {
            let superfluous = end.len() - GUESSED_FOOTER;
            let _ = end.split_to(superfluous);
        }
    }
    if read != object.bytes {
        let uri = keys::uri(bucket, &object.key);
        let message = format!("only {read} of {} bytes were received", object.bytes);
        return Err(Error::unavailable(format!("reading {uri}"), message));
    }
    Ok(Some((sums.finish(), end.freeze())))
}

/// Parses the footer of a file whose last bytes are `end`. Reads more if these are too few. Returns `None` if this version of
/// the file is gone.
async fn footer(
    lake: &Lake,
    object: &Object,
    mut end: Bytes,
) -> Result<Option<Result<ParquetMetaData, ParquetError>>, Error> {
    loop {
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(&end, object.bytes) {
            Ok(()) => return Ok(Some(reader.finish())),
            Err(ParquetError::NeedMoreData(needed)) if needed > end.len() && (end.len() as u64) < object.bytes => {
                let start = object.bytes.saturating_sub(needed as u64);
                let longer = objects::read_end(lake, &lake.config.buckets.lake, object, start).await?;
                let Some(longer) = longer else { return Ok(None) };
                end = longer;
            }
            Err(error) => return Ok(Some(Err(error))),
        }
    }
}

/// Describes how the columns of a file differ from those of the table. Returns `None` if they do not.
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

/// Returns whether a field has this type and one value per row. Some writers annotate plain integers as signed.
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
    fn any_other_column_is_reported() {
        let fault_of = |change: fn(&mut Vec<String>)| fault(TableName::Quotes, change).expect("a fault");
        assert_eq!(fault_of(|fields| fields.truncate(13)), "it has 13 columns, and the table 14");
        assert_eq!(fault_of(|fields| fields.swap(4, 5)), "column 5 is min DOUBLE, and in the table max double");
        assert_eq!(
            fault_of(|fields| fields[2] = "optional float last_close;".to_owned()),
            "column 3 is last_close FLOAT, and in the table last_close double"
        );
        assert_eq!(
            fault_of(|fields| fields[1] = "optional binary ticker;".to_owned()),
            "column 2 is ticker BYTE_ARRAY, and in the table ticker string"
        );
        assert_eq!(
            fault_of(|fields| fields[0] = "optional int64 intdate (TIMESTAMP(MILLIS,true));".to_owned()),
            "column 1 is intdate INT64, and in the table intdate bigint"
        );
        assert_eq!(
            fault_of(|fields| fields[0] = "repeated int64 intdate;".to_owned()),
            "column 1 is intdate INT64, and in the table intdate bigint"
        );
    }
}
