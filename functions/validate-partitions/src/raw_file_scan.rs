//! The result of reading a raw file: the dispositions of its records, whether it was written to its end, whether its header is of
//! its day, and a digest that finds copies.

use std::hash::{DefaultHasher, Hasher};

use chrono::NaiveDate;
use lake::quality::{RawFileRecords, Records};
use market::snapshot::{SnapshotName, SnapshotTime};

/// A raw file that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScannedFile {
    /// The name and the record counts, as in the report.
    pub counted: RawFileRecords,
    /// Whether the last record has no line end.
    pub unterminated: bool,
    /// Why the last record, which has no line end, looks cut off.
    pub cut_off: Option<String>,
    /// The day in the header, if it is another one than that in the name.
    pub other_day: Option<NaiveDate>,
    /// The columns of the header behind those of the feed. They are in no table.
    pub added_columns: Vec<String>,
    /// A digest of the records, equal for two files with the same records. `None` for a file without records.
    pub digest: Option<u64>,
}

impl ScannedFile {
    /// Returns a file with these records and nothing remarkable.
    #[cfg(test)]
    pub(crate) fn with_records(name: SnapshotName, records: Records) -> Self {
        let counted = RawFileRecords { name, records };
        let added_columns = Vec::new();
        Self { counted, unterminated: false, cut_off: None, other_day: None, added_columns, digest: None }
    }

    /// Returns the name of the file.
    pub(crate) fn name(&self) -> SnapshotName {
        self.counted.name
    }

    /// Returns its records by their disposition.
    pub(crate) fn records(&self) -> Records {
        self.counted.records
    }
}

/// Computes the digest of the records of a file.
#[derive(Debug, Default)]
pub(crate) struct Digest {
    hasher: DefaultHasher,
    records: u64,
}

impl Digest {
    /// Adds a record.
    pub(crate) fn add(&mut self, record: &[u8]) {
        self.hasher.write(record);
        // A separator that is in no record, so that `ab` and `a`, `b` differ.
        self.hasher.write(b"\n");
        self.records += 1;
    }

    /// Returns the digest, or `None` if there were no records.
    pub(crate) fn finish(self) -> Option<u64> {
        (self.records > 0).then(|| self.hasher.finish())
    }
}

/// Parses the day in the first cell of a header: `202004011320`, or `2020-04-01 13:51:41.017496`. Returns `None` for other
/// texts: the cell is not used elsewhere, so it need not be a time.
pub(crate) fn header_date(first_cell: &str) -> Option<NaiveDate> {
    let text = first_cell.trim().trim_matches('"');
    let as_minute = text.parse::<SnapshotTime>().ok().map(SnapshotTime::date);
    as_minute.or_else(|| text.get(..10)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_either_feed_says_its_day() {
        let day = NaiveDate::from_ymd_opt(2020, 4, 1);
        for text in ["202004011320", " \"202004011320\" ", "2020-04-01 13:51:41.017496", "2020-04-01"] {
            assert_eq!(header_date(text), day, "{text}");
        }
        for text in ["", "ticker", "20200401", "2020-04-31 10:00", "01/04/2020", "é2020-04-01"] {
            assert_eq!(header_date(text), None, "{text}");
        }
    }

    #[test]
    fn records_have_one_digest_however_they_are_cut() {
        let digest = |records: &[&str]| {
            let mut digest = Digest::default();
            for record in records {
                digest.add(record.as_bytes());
            }
            digest.finish()
        };
        assert_eq!(digest(&[]), None);
        assert_eq!(digest(&["a", "b"]), digest(&["a", "b"]));
        assert_ne!(digest(&["a", "b"]), digest(&["ab"]));
        assert_ne!(digest(&["a", "b"]), digest(&["b", "a"]));
    }
}
