//! Raw files as the recorder of the real market leaves them, made from a seed.
//!
//! A new user has no recordings, and tests need data whose truth is known. So a small market is simulated
//! ([`listing`], [`trading`], [`option_price`]) and written in all the mess of the real files ([`number_style`],
//! [`mess`], [`raw_file`]). The market is consistent whatever the style of its numbers, and everything that was messed
//! up is counted, so that the counts of the pipeline can be held against [`Summary`].

mod cells;
mod dice;
mod listing;
mod mess;
mod number_style;
mod option_price;
mod options;
mod quotes;
mod raw_file;
mod trading;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::{Datelike, Duration, NaiveDate, NaiveTime, Timelike};
use market::session::{Session, is_business_day};
use market::snapshot::{Feed, SnapshotName, SnapshotTime};
use market::table::{Kind, Source, TableName};

use crate::hint::Hint;
use dice::Dice;
use listing::Listing;
use mess::{Dress, Mishap};
use raw_file::{RawFile, Row};
use trading::{Closes, Day};

/// The independent parts of a seed's chance.
mod stream {
    use chrono::{Datelike, NaiveDate};

    pub const LISTING: u64 = 0;

    pub fn trading(date: NaiveDate) -> u64 {
        day(date) | 1
    }

    /// Which snapshots there are, and how their files are dressed.
    pub fn recording(date: NaiveDate) -> u64 {
        day(date) | 2
    }

    /// The rows of one file, `number` of the day.
    pub fn file(date: NaiveDate, number: usize) -> u64 {
        day(date) | (16 + number as u64)
    }

    fn day(date: NaiveDate) -> u64 {
        (date.num_days_from_ce() as u64) << 32
    }
}

/// What to make.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The first day; when the exchange is closed on it, the next one on which it is open.
    pub from: NaiveDate,
    /// How many business days.
    pub days: u32,
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// When snapshots are taken. About a third of them will be missing.
    pub session: Session,
}

/// What was made.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub days: Vec<NaiveDate>,
    pub quotes: FeedSummary,
    pub options: FeedSummary,
}

/// What was made for one feed. All but the last group are counts over the files; `records` is everything but the headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedSummary {
    pub files: u64,
    pub bytes: u64,
    pub records: u64,
    pub published: u64,
    pub blank_ticker: u64,
    pub header_repeat: u64,
    pub ragged: u64,
    /// Cells of published columns that are no number.
    pub unreadable_cells: u64,
    /// Records that stand twice; both are published.
    pub duplicates: u64,
    /// Snapshots that the session would have and the sample has not.
    pub missing: u64,

    pub gzip: u64,
    pub windows_1252: u64,
    pub byte_order_mark: u64,
    pub crlf: u64,
    pub no_last_line_end: u64,
}

/// One file to write.
struct Recording {
    /// The step of the day behind which it is taken.
    slot: usize,
    name: SnapshotName,
    dress: Dress,
    /// The dice of its rows.
    stream: u64,
}

impl Sample {
    /// The business days of the sample.
    pub fn dates(&self) -> Vec<NaiveDate> {
        self.from.iter_days().filter(|day| is_business_day(*day)).take(self.days as usize).collect()
    }

    /// How many files will be written.
    pub fn files(&self) -> usize {
        self.dates().into_iter().map(|date| self.recordings(date).len()).sum()
    }

    /// Writes the files to `out/DATE/`, telling `written` of each. Refuses a folder that holds anything else, because
    /// what is then uploaded from it would be no sample.
    pub fn write(&self, out: &Path, mut written: impl FnMut()) -> anyhow::Result<Summary> {
        let dates = self.dates();
        self.check_only_ours(out, &dates)?;
        let mut summary = Summary::default();
        let mut closes = Closes::new();
        for date in dates {
            closes = self.write_day(out, date, &closes, &mut summary, &mut written)?;
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
        written: &mut impl FnMut(),
    ) -> anyhow::Result<Closes> {
        let folder = day_folder(out, date);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;

        let listing = Listing::on(date, self.seed);
        let panel = quotes::Panel::of(&listing);
        let mut day = Day::open(&listing, date, self.seed, closes);
        let recordings = self.recordings(date);
        let slots = self.session.expected(date).len();
        for slot in 0..slots {
            day.step(slot == 0);
            for recording in recordings.iter().filter(|recording| recording.slot == slot) {
                let (bytes, count) = record(recording, &day, &panel, self.seed);
                let path = folder.join(recording.name.to_string());
                raw_file::save(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
                written();
                summary.feed(recording.name.feed).add(&count);
            }
        }
        for feed in Feed::ALL {
            let present = recordings.iter().filter(|recording| recording.name.feed == feed).count();
            summary.feed(feed).missing += (slots - present) as u64;
        }
        Ok(day.closes())
    }

    /// Which snapshots of a day there are: about two in three, and one at each feed that the other has not.
    fn recordings(&self, date: NaiveDate) -> Vec<Recording> {
        let mut dice = Dice::new(self.seed, stream::recording(date));
        let expected = self.session.expected(date);
        let mut slots: Vec<usize> = (0..expected.len()).collect();
        dice.shuffle(&mut slots);
        slots.truncate((expected.len() * PRESENT).div_ceil(OUT_OF) + 1);

        let mut recordings = Vec::new();
        for (nth, feed) in Feed::ALL.into_iter().enumerate() {
            let mut slots = slots.clone();
            if slots.len() > 2 {
                slots.remove(nth);
            }
            slots.sort_unstable();
            let dresses = mess::dresses(&mut dice, slots.len());
            for (slot, dress) in slots.into_iter().zip(dresses) {
                let time = late(&mut dice, expected[slot], self.session.step_minutes);
                let name = SnapshotName { time, feed, gzip: dress.gzip };
                recordings.push(Recording { slot, name, dress, stream: stream::file(date, recordings.len()) });
            }
        }
        recordings
    }

    fn check_only_ours(&self, out: &Path, dates: &[NaiveDate]) -> anyhow::Result<()> {
        let ours: BTreeSet<PathBuf> = dates
            .iter()
            .flat_map(|date| {
                self.recordings(*date).into_iter().map(|file| day_folder(out, *date).join(file.name.to_string()))
            })
            .collect();
        match foreign_file(out, &ours).with_context(|| format!("cannot read {}", out.display()))? {
            None => Ok(()),
            Some(path) => Err(anyhow::anyhow!("{} is not part of this sample", path.display()))
                .hint("choose an empty folder, so that the raw files of two samples do not mix"),
        }
    }
}

/// Of so many expected snapshots, so many are there: 27 of the 42 of a usual day, as in the real recordings.
const PRESENT: usize = 9;
const OUT_OF: usize = 14;

fn day_folder(out: &Path, date: NaiveDate) -> PathBuf {
    out.join(date.to_string())
}

/// A file below `folder` that is not in `ours`.
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

/// Most snapshots are saved in the minute in which they are expected, some a little later.
fn late(dice: &mut Dice, expected: SnapshotTime, step_minutes: u32) -> SnapshotTime {
    let minutes = if dice.one_in(6) { i64::from(dice.below(step_minutes.clamp(1, 4))) } else { 0 };
    let time = expected.time() + Duration::minutes(minutes);
    SnapshotTime::new(expected.date(), time).unwrap_or(expected)
}

/// The bytes of one file, and what is in them.
fn record(recording: &Recording, day: &Day, panel: &quotes::Panel, seed: u64) -> (Vec<u8>, FeedSummary) {
    let Recording { name, dress, stream, .. } = *recording;
    let mut dice = Dice::new(seed, stream);
    let mut writer = Writer::new(name, dress, &mut dice);
    match name.feed {
        Feed::Quotes => panel.rows(day, &mut dice, |row, dice| writer.push(row, dice)),
        Feed::Options => options::rows(day, &mut dice, |row, dice| writer.push(row, dice)),
    }
    let mut count = writer.count;
    let bytes = writer.file.into_bytes();
    count.files = 1;
    count.bytes = bytes.len() as u64;
    count.gzip = dress.gzip.into();
    count.windows_1252 = dress.windows_1252.into();
    count.byte_order_mark = dress.byte_order_mark.into();
    count.crlf = dress.crlf.into();
    count.no_last_line_end = dress.no_last_line_end.into();
    (bytes, count)
}

/// Puts rows into a file, and mishaps between them.
struct Writer {
    file: RawFile,
    header: Row,
    /// Position and kind of the cells that are published as numbers.
    numbers: Vec<(usize, Kind)>,
    count: FeedSummary,
}

impl Writer {
    fn new(name: SnapshotName, dress: Dress, dice: &mut Dice) -> Writer {
        let mut header = Row::default();
        header.cell(|out| push_header_time(out, name, dice));
        for column in name.feed.raw_columns() {
            header.text(column);
        }
        let mut file = RawFile::new(name.feed.separator(), dress);
        file.push(&header);
        Writer { file, header, numbers: numbers(name.feed), count: FeedSummary::default() }
    }

    fn push(&mut self, row: &mut Row, dice: &mut Dice) {
        let Some(mishap) = mess::mishap(dice) else {
            return self.publish(row);
        };
        match mishap {
            Mishap::UnreadableCell => {
                let (at, kind) = dice.pick(&self.numbers);
                row.replace(at, dice.pick(mess::unreadable(kind)).0);
                self.count.unreadable_cells += 1;
                self.publish(row);
            }
            Mishap::Duplicate => {
                self.count.duplicates += 1;
                self.publish(row);
                self.publish(row);
            }
            Mishap::HeaderRepeat => {
                self.count.records += 1;
                self.count.header_repeat += 1;
                self.file.push(&self.header);
                self.publish(row);
            }
            Mishap::BlankTicker => {
                self.publish(row);
                self.count.records += 1;
                self.count.blank_ticker += 1;
                row.replace(0, dice.pick(&["", "", " ", "\u{a0}"]));
                self.file.push(row);
            }
            Mishap::TooFewFields => {
                row.truncate(dice.between(2, row.len() as i64 - 1) as usize);
                self.ragged(|file| file.push(row));
            }
            Mishap::TooManyFields => {
                row.text("");
                self.ragged(|file| file.push(row));
            }
            Mishap::UnclosedQuote => self.ragged(|file| file.push_unclosed(row)),
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

/// Where the cells stand that a feed publishes as numbers.
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

/// The first cell of a header: the minute for quotes, a time with microseconds for options.
fn push_header_time(out: &mut String, name: SnapshotName, dice: &mut Dice) {
    use number_style::push_digits;
    let time = name.time;
    match name.feed {
        Feed::Quotes => push_digits(out, time.intdate() as u64, 12),
        Feed::Options => {
            push_date(out, time.date());
            let at: NaiveTime = time.time();
            for (mark, part) in [(' ', at.hour()), (':', at.minute()), (':', dice.below(60))] {
                out.push(mark);
                push_digits(out, part.into(), 2);
            }
            out.push('.');
            push_digits(out, dice.below(1_000_000).into(), 6);
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
