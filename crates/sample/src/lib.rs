//! Generated raw files: a simulated market, written as the recorder of the real market writes its files.
//!
//! A new user has no recordings, and tests need data whose true values are known. A small market is simulated
//! (`listing`, `trading`, `option_price`) and written with all the irregularities of real files (`number_style`,
//! `corruption`, `raw_file`). The market does not depend on how its numbers are written. Every irregularity is counted
//! in [`Summary`], so that tests can compare the pipeline's counts with it. The same seed generates the same bytes on every
//! machine.

mod cells;
mod corruption;
mod listing;
mod number_style;
mod option_price;
mod options;
mod quotes;
mod raw_file;
mod rng;
mod trading;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{Datelike, Duration, NaiveDate, NaiveTime, Timelike};
use market::session::{Session, is_business_day};
use market::snapshot::{Feed, SnapshotName, SnapshotTime};
use market::table::{Kind, Source, TableName};

use corruption::{Corruption, FileFormat};
use listing::Listing;
use raw_file::{RawFile, Row};
use rng::Rng;
use trading::{Closes, Day};

/// The numbers of the independent random streams of a seed.
mod stream {
    use chrono::{Datelike, NaiveDate};

    pub(crate) const LISTING: u64 = 0;

    pub(crate) fn trading(date: NaiveDate) -> u64 {
        day(date) | 1
    }

    /// Returns the stream that decides which snapshots exist, and the format of their files.
    pub(crate) fn recording(date: NaiveDate) -> u64 {
        day(date) | 2
    }

    /// Returns the stream of the rows of the day's file at position `number`.
    pub(crate) fn file(date: NaiveDate, number: usize) -> u64 {
        day(date) | (16 + number as u64)
    }

    fn day(date: NaiveDate) -> u64 {
        (date.num_days_from_ce() as u64) << 32
    }
}

/// Parameters of a sample.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The first day. If the exchange is closed on it, the sample begins with the next business day.
    pub from: NaiveDate,
    /// Number of business days.
    pub days: u32,
    /// Seed of the random numbers. The same seed generates the same bytes.
    pub seed: u64,
    /// The session's hours and step. About a third of its snapshots are left out.
    pub session: Session,
}

/// What a sample contains.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// The business days.
    pub days: Vec<NaiveDate>,
    /// Counts of the feed `quotes`.
    pub quotes: FeedSummary,
    /// Counts of the feed `options`.
    pub options: FeedSummary,
}

/// What a sample contains of one feed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedSummary {
    /// Files.
    pub files: u64,
    /// Total size of the files in bytes, as stored.
    pub bytes: u64,
    /// Records without the header line of each file.
    pub records: u64,
    /// Records that the pipeline publishes.
    pub published: u64,
    /// Records without a ticker.
    pub blank_ticker: u64,
    /// Records that repeat the header.
    pub header_repeat: u64,
    /// Records with too few or too many fields.
    pub ragged: u64,
    /// Cells of published number columns that are not numbers.
    pub unreadable_cells: u64,
    /// Records that occur twice; both are published.
    pub duplicates: u64,
    /// Snapshots of the session that the sample leaves out.
    pub missing: u64,

    /// Files compressed with gzip.
    pub gzip: u64,
    /// Files encoded in Windows-1252 instead of UTF-8.
    pub windows_1252: u64,
    /// Files that begin with a UTF-8 byte-order mark.
    pub byte_order_mark: u64,
    /// Files whose lines end with `\r\n`.
    pub crlf: u64,
    /// Files whose last line has no line end.
    pub no_last_line_end: u64,
}

/// Why a sample was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// `create`, `read` or `write`.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The output folder contains a file of something else.
    #[error("{} is not part of this sample", .0.display())]
    ForeignFile(PathBuf),
}

impl Error {
    /// Returns a function for `map_err` after an operation on `path`.
    fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { operation, path, source }
    }
}

/// One file to write.
struct Recording {
    /// The step of the day after which the snapshot is taken.
    slot: usize,
    name: SnapshotName,
    format: FileFormat,
    /// The random stream of its rows.
    stream: u64,
}

impl Sample {
    /// Returns the business days of the sample.
    pub fn dates(&self) -> Vec<NaiveDate> {
        self.from.iter_days().filter(|day| is_business_day(*day)).take(self.days as usize).collect()
    }

    /// Returns the number of files that [`Sample::write`] writes.
    pub fn file_count(&self) -> usize {
        self.dates().into_iter().map(|date| self.recordings(date).len()).sum()
    }

    /// Writes the files to `out/DATE/`, and calls `on_file` after each. Files of the same sample are overwritten.
    ///
    /// # Errors
    /// [`Error::ForeignFile`] if the folder contains a file that this sample does not write: an upload of the folder would
    /// then upload something else too. [`Error::Io`] if a file cannot be written.
    pub fn write(&self, out: &Path, mut on_file: impl FnMut()) -> Result<Summary, Error> {
        let dates = self.dates();
        self.check_only_ours(out, &dates)?;
        let mut summary = Summary::default();
        let mut closes = Closes::new();
        for date in dates {
            closes = self.write_day(out, date, &closes, &mut summary, &mut on_file)?;
            summary.days.push(date);
        }
        Ok(summary)
    }

    fn write_day(
        &self,
        out: &Path,
        date: NaiveDate,
        closes: &Closes,
        summary: &mut Summary,
        on_file: &mut impl FnMut(),
    ) -> Result<Closes, Error> {
        let folder = day_folder(out, date);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;

        let listing = Listing::on(date, self.seed);
        let panel = quotes::Panel::new(&listing);
        let mut day = Day::open(&listing, date, self.seed, closes);
        let recordings = self.recordings(date);
        let slots = self.session.expected(date).len();
        for slot in 0..slots {
            day.step(slot == 0);
            for recording in recordings.iter().filter(|recording| recording.slot == slot) {
                let (bytes, count) = record(recording, &day, &panel, self.seed);
                let path = folder.join(recording.name.to_string());
                raw_file::save(&path, &bytes).map_err(Error::io("write", &path))?;
                on_file();
                summary.feed(recording.name.feed).add(&count);
            }
        }
        for feed in Feed::ALL {
            let present = recordings.iter().filter(|recording| recording.name.feed == feed).count();
            summary.feed(feed).missing += (slots - present) as u64;
        }
        Ok(day.closes())
    }

    /// Chooses the snapshots of a day: about two in three, and for each feed one that the other feed does not have.
    fn recordings(&self, date: NaiveDate) -> Vec<Recording> {
        let mut rng = Rng::new(self.seed, stream::recording(date));
        let expected = self.session.expected(date);
        let mut slots: Vec<usize> = (0..expected.len()).collect();
        rng.shuffle(&mut slots);
        slots.truncate((expected.len() * PRESENT).div_ceil(OUT_OF) + 1);

        let mut recordings = Vec::new();
        for (nth, feed) in Feed::ALL.into_iter().enumerate() {
            let mut slots = slots.clone();
            if slots.len() > 2 {
                slots.remove(nth);
            }
            slots.sort_unstable();
            let file_formats = corruption::file_formats(&mut rng, slots.len());
            for (slot, format) in slots.into_iter().zip(file_formats) {
                let time = late(&mut rng, expected[slot], self.session.step_minutes);
                let name = SnapshotName { time, feed, gzip: format.gzip };
                recordings.push(Recording { slot, name, format, stream: stream::file(date, recordings.len()) });
            }
        }
        recordings
    }

    fn check_only_ours(&self, out: &Path, dates: &[NaiveDate]) -> Result<(), Error> {
        let ours: BTreeSet<PathBuf> = dates
            .iter()
            .flat_map(|date| {
                self.recordings(*date).into_iter().map(|file| day_folder(out, *date).join(file.name.to_string()))
            })
            .collect();
        match foreign_file(out, &ours).map_err(Error::io("read", out))? {
            None => Ok(()),
            Some(path) => Err(Error::ForeignFile(path)),
        }
    }
}

/// Share of the session's snapshots that exist, `PRESENT / OUT_OF`: 27 of 42 on a usual day, as in the real recordings.
const PRESENT: usize = 9;
const OUT_OF: usize = 14;

fn day_folder(out: &Path, date: NaiveDate) -> PathBuf {
    out.join(date.to_string())
}

/// Returns a file below `folder` that is not in `ours`.
fn foreign_file(folder: &Path, ours: &BTreeSet<PathBuf>) -> io::Result<Option<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            if let Some(foreign) = foreign_file(&path, ours)? {
                return Ok(Some(foreign));
            }
        } else if !ours.contains(&path) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Returns the time at which a snapshot is saved: mostly the expected minute, sometimes a few minutes later.
fn late(rng: &mut Rng, expected: SnapshotTime, step_minutes: u32) -> SnapshotTime {
    let minutes = if rng.one_in(6) { i64::from(rng.below(step_minutes.clamp(1, 4))) } else { 0 };
    let time = expected.time() + Duration::minutes(minutes);
    SnapshotTime::new(expected.date(), time).unwrap_or(expected)
}

/// Returns the bytes of one file, and the counts of what is in them.
fn record(recording: &Recording, day: &Day, panel: &quotes::Panel, seed: u64) -> (Vec<u8>, FeedSummary) {
    let Recording { name, format, stream, .. } = *recording;
    let mut rng = Rng::new(seed, stream);
    let mut writer = Writer::new(name, format, &mut rng);
    match name.feed {
        Feed::Quotes => panel.rows(day, &mut rng, |row, rng| writer.push(row, rng)),
        Feed::Options => options::rows(day, &mut rng, |row, rng| writer.push(row, rng)),
    }
    let mut count = writer.count;
    let bytes = writer.file.into_bytes();
    count.files = 1;
    count.bytes = bytes.len() as u64;
    count.gzip = format.gzip.into();
    count.windows_1252 = format.windows_1252.into();
    count.byte_order_mark = format.byte_order_mark.into();
    count.crlf = format.crlf.into();
    count.no_last_line_end = format.no_last_line_end.into();
    (bytes, count)
}

/// Writes rows to a file, and corrupts some of them.
struct Writer {
    file: RawFile,
    header: Row,
    /// Positions and kinds of the cells that are published as numbers.
    numbers: Vec<(usize, Kind)>,
    count: FeedSummary,
}

impl Writer {
    fn new(name: SnapshotName, format: FileFormat, rng: &mut Rng) -> Writer {
        let mut header = Row::default();
        header.cell(|out| push_header_time(out, name, rng));
        for column in name.feed.raw_columns() {
            header.text(column);
        }
        let mut file = RawFile::new(name.feed.separator(), format);
        file.push(&header);
        Writer { file, header, numbers: numbers(name.feed), count: FeedSummary::default() }
    }

    fn push(&mut self, row: &mut Row, rng: &mut Rng) {
        let Some(corruption) = corruption::draw(rng) else {
            return self.publish(row);
        };
        match corruption {
            Corruption::UnreadableCell => {
                let (at, kind) = rng.pick(&self.numbers);
                row.replace(at, rng.pick(corruption::unreadable(kind)).0);
                self.count.unreadable_cells += 1;
                self.publish(row);
            }
            Corruption::Duplicate => {
                self.count.duplicates += 1;
                self.publish(row);
                self.publish(row);
            }
            Corruption::HeaderRepeat => {
                self.count.records += 1;
                self.count.header_repeat += 1;
                self.file.push(&self.header);
                self.publish(row);
            }
            Corruption::BlankTicker => {
                self.publish(row);
                self.count.records += 1;
                self.count.blank_ticker += 1;
                row.replace(0, rng.pick(&["", "", " ", "\u{a0}"]));
                self.file.push(row);
            }
            Corruption::TooFewFields => {
                row.truncate(rng.between(2, row.len() as i64 - 1) as usize);
                self.ragged(|file| file.push(row));
            }
            Corruption::TooManyFields => {
                row.text("");
                self.ragged(|file| file.push(row));
            }
            Corruption::UnclosedQuote => self.ragged(|file| file.push_unclosed(row)),
        }
    }

    fn publish(&mut self, row: &Row) {
        self.count.records += 1;
        self.count.published += 1;
        self.file.push(row);
    }

    fn ragged(&mut self, write: impl FnOnce(&mut RawFile)) {
        self.count.records += 1;
        self.count.ragged += 1;
        write(&mut self.file);
    }
}

/// Returns positions and kinds of the cells that a feed publishes as numbers.
fn numbers(feed: Feed) -> Vec<(usize, Kind)> {
    TableName::from(feed)
        .columns()
        .iter()
        .filter_map(|column| match column.source {
            Source::Cell { kind, .. } if kind != Kind::Text => Some((column.source.raw_index(feed)?, kind)),
            _ => None,
        })
        .collect()
}

/// Writes the first cell of a header: the minute for quotes, a time with microseconds for options.
fn push_header_time(out: &mut String, name: SnapshotName, rng: &mut Rng) {
    use number_style::push_digits;
    let time = name.time;
    match name.feed {
        Feed::Quotes => push_digits(out, time.intdate() as u64, 12),
        Feed::Options => {
            push_date(out, time.date());
            let at: NaiveTime = time.time();
            for (mark, part) in [(' ', at.hour()), (':', at.minute()), (':', rng.below(60))] {
                out.push(mark);
                push_digits(out, part.into(), 2);
            }
            out.push('.');
            push_digits(out, rng.below(1_000_000).into(), 6);
        }
    }
}

/// Writes `2020-06-15`.
fn push_date(out: &mut String, date: NaiveDate) {
    use number_style::push_digits;
    push_digits(out, date.year() as u64, 4);
    out.push('-');
    push_digits(out, date.month().into(), 2);
    out.push('-');
    push_digits(out, date.day().into(), 2);
}

impl Summary {
    fn feed(&mut self, feed: Feed) -> &mut FeedSummary {
        match feed {
            Feed::Quotes => &mut self.quotes,
            Feed::Options => &mut self.options,
        }
    }
}

impl FeedSummary {
    fn add(&mut self, other: &FeedSummary) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.records += other.records;
        self.published += other.published;
        self.blank_ticker += other.blank_ticker;
        self.header_repeat += other.header_repeat;
        self.ragged += other.ragged;
        self.unreadable_cells += other.unreadable_cells;
        self.duplicates += other.duplicates;
        self.missing += other.missing;
        self.gzip += other.gzip;
        self.windows_1252 += other.windows_1252;
        self.byte_order_mark += other.byte_order_mark;
        self.crlf += other.crlf;
        self.no_last_line_end += other.no_last_line_end;
    }
}
