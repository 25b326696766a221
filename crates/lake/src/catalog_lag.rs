//! Days that are published in their records and not yet in the catalog: a publication was interrupted between the two, or somebody
//! has changed the catalog. Readers see such a day as it was before, until the catalog is updated from the records.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate};
use market::partition::{DateRange, Partition};
use market::table::TableName;

use crate::error::Error;
use crate::record::Record;
use crate::{Lake, partitions};

/// Returns the days whose partitions are not at the locations in these records.
///
/// # Errors
/// As [`partitions::list_range`]. A table that does not exist has no partitions.
pub async fn days_behind(lake: &Lake, records: &BTreeMap<NaiveDate, Record>) -> Result<BTreeSet<NaiveDate>, Error> {
    let mut behind = BTreeSet::new();
    let published = || records.iter().filter(|(_, record)| record.published.is_some()).map(|(date, _)| *date);
    let (Some(first), Some(last)) = (published().next(), published().next_back()) else { return Ok(behind) };
    let range = range(first, last)?;
    for table in TableName::ALL {
        let database = lake.config.athena.database.as_str();
        let partitions = match partitions::list_range(lake, database, table.as_str(), range).await {
            Err(error) if error.is_missing_table() => BTreeMap::new(),
            listed => listed?,
        };
        let differs = |(date, record): &(&NaiveDate, &Record)| {
            let found = partitions.get(&Partition::from(**date));
            match (record.table(table), &record.published) {
                (Some(published), _) => found != Some(&published.location),
                (None, Some(_)) => found.is_some(),
                (None, None) => false,
            }
        };
        behind.extend(records.iter().filter(differs).map(|(date, _)| *date));
    }
    Ok(behind)
}

/// Divides days into one range per year, so that no statement on them is too long.
///
/// # Errors
/// [`Error::InvalidInput`] if a day is not in the years that the lake accepts.
pub fn by_year(days: &BTreeSet<NaiveDate>) -> Result<Vec<DateRange>, Error> {
    let days: Vec<NaiveDate> = days.iter().copied().collect();
    let of_year = days.chunk_by(|one, other| one.year() == other.year());
    of_year.filter_map(|days| Some(range(*days.first()?, *days.last()?))).collect()
}

fn range(from: NaiveDate, to: NaiveDate) -> Result<DateRange, Error> {
    DateRange::new(from, to).map_err(|error| Error::malformed(error.to_string(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_grouped_by_year() {
        let days = ["2019-12-30", "2020-01-02", "2020-12-30", "2022-06-01"].map(|day| day.parse().expect("a day"));
        let ranges: Vec<String> =
            by_year(&BTreeSet::from(days)).expect("ranges").iter().map(DateRange::to_string).collect();
        assert_eq!(ranges, ["2019-12-30", "2020-01-02 to 2020-12-30", "2022-06-01"]);
    }
}
