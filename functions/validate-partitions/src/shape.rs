//! What the form of a raw file says of it, beside what becomes of its records: whether it was written to its end, whether
//! it is of its day, whether it is another file once more.

use std::hash::{DefaultHasher, Hasher};

use chrono::NaiveDate;
use lake::quality::{RawFileRecords, Records};
use market::snapshot::{SnapshotName, SnapshotTime};

/// A raw file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFile {
    /// What the report keeps of it.
    pub counted: RawFileRecords,
    /// Whether its last record has no line end.
    pub unterminated: bool,
    /// Why its last record, which has no line end, looks cut off.
    pub cut_off: Option<String>,
    /// The day that its header says, where that is another one than its name says.
    pub other_day: Option<NaiveDate>,
    /// The same for two files whose records are the same bytes. None for a file without records.
    pub digest: Option<u64>,
}

impl ReadFile {
    /// A file of these records of which nothing is remarkable.
    #[cfg(test)]
    pub fn plain(name: SnapshotName, records: Records) -> Self {
        let counted = RawFileRecords { name, records };
        Self { counted, unterminated: false, cut_off: None, other_day: None, digest: None }
    }

    /// Its name.
    pub fn name(&self) -> SnapshotName {
        self.counted.name
    }

    /// What becomes of its records.
    pub fn records(&self) -> Records {
        self.counted.records
    }
}

/// The digest of records, one after the other.
#[derive(Debug, Default)]
pub struct Digest {
    hasher: DefaultHasher,
    records: u64,
}

impl Digest {
    /// Adds a record.
    pub fn add(&mut self, record: &[u8]) {
        self.hasher.write(record);
        // What parts two records is in no record.
        self.hasher.write(b"\n");
        self.records += 1;
    }

    /// The digest of all of them; none of no records.
    pub fn finish(self) -> Option<u64> {
        (self.records > 0).then(|| self.hasher.finish())
    }
}

/// The day that the first cell of a header says: `202004011320`, or `2020-04-01 13:51:41.017496`. None for other texts:
/// that cell is never used, and so need not be a time.
pub fn day_of_header(first_cell: &str) -> Option<NaiveDate> {
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
            assert_eq!(day_of_header(text), day, "{text}");
        }
        for text in ["", "ticker", "20200401", "2020-04-31 10:00", "01/04/2020", "é2020-04-01"] {
            assert_eq!(day_of_header(text), None, "{text}");
        }
    }

    #[test]
    fn records_have_one_digest_however_they_are_cut() {
        let digest = |records: &[&str]| {
            let mut digest = Digest::default();
            records.iter().for_each(|record| digest.add(record.as_bytes()));
            digest.finish()
        };
        assert_eq!(digest(&[]), None);
        assert_eq!(digest(&["a", "b"]), digest(&["a", "b"]));
        assert_ne!(digest(&["a", "b"]), digest(&["ab"]));
        assert_ne!(digest(&["a", "b"]), digest(&["b", "a"]));
    }
}
