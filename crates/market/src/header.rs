//! The header of a raw file: the columns of its feed, and the columns that its source has added behind them.
//!
//! Cells are read by position, so a file is read only if each column of its feed stands in its place. A column behind them
//! moves no other: it is reported, and its cells are in no table. A record has as many fields as the header of its file, added
//! columns included.

use std::collections::HashSet;
use std::fmt;

use crate::number::trim;
use crate::record::{MAX_LINE_BYTES, Splitter, decode};
use crate::snapshot::Feed;

/// The header of a raw file of a feed.
///
/// ```
/// use market::header::Header;
/// use market::snapshot::Feed;
///
/// let line = format!("202004011320,{},Vwap", Feed::Quotes.raw_columns().join(","));
/// let header = Header::parse(Feed::Quotes, line.as_bytes())?;
/// assert_eq!(header.added_columns(), ["Vwap"]);
/// # Ok::<(), market::header::InvalidHeader>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    feed: Feed,
    added: Vec<String>,
}

/// The header without added columns.
impl From<Feed> for Header {
    fn from(feed: Feed) -> Self {
        Self { feed, added: Vec::new() }
    }
}

impl Header {
    /// Parses the first line of a file, without its line end and byte-order mark, as a header of `feed`.
    ///
    /// The first cell is not checked: it holds a time, whose form differs between feeds and which is never used.
    ///
    /// # Errors
    /// [`InvalidHeader`] for the first column of the feed that is not in its place, and for an added column without a name or
    /// with the name of another column: then it is not certain that a column was added.
    pub fn parse(feed: Feed, line: &[u8]) -> Result<Self, InvalidHeader> {
        if line.len() > MAX_LINE_BYTES {
            return Err(InvalidHeader::TooLong);
        }
        let line = decode(line);
        parse(feed, line.as_bytes()).map_err(|error| {
            let other = Feed::ALL.into_iter().find(|other| *other != feed && parse(*other, line.as_bytes()).is_ok());
            other.map_or(error, |found| InvalidHeader::OtherFeed { feed, found })
        })
    }

    /// Returns the feed.
    pub fn feed(&self) -> Feed {
        self.feed
    }

    /// Returns the names of the columns behind those of the feed.
    pub fn added_columns(&self) -> &[String] {
        &self.added
    }

    /// Returns the number of fields, that of the ticker included.
    #[inline]
    pub(crate) fn fields(&self) -> usize {
        1 + self.feed.raw_columns().len() + self.added.len()
    }

    /// Returns the names of all columns after the first.
    #[inline]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.feed.raw_columns().iter().copied().chain(self.added.iter().map(String::as_str))
    }

    /// Returns the name of the column after the first.
    pub(crate) fn first_name(&self) -> &'static [u8] {
        self.feed.raw_columns()[0].as_bytes()
    }
}

/// A first line that is not a header of its feed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    /// The file is a snapshot of the other feed.
    #[error(
        "the header is that of a snapshot of {found}, the file's name says {feed}: give it the name of a snapshot of {found}"
    )]
    OtherFeed {
        /// The feed in the file name.
        feed: Feed,
        /// The feed of the header.
        found: Feed,
    },
    /// No column of the feed is in it.
    #[error("the header has {found} columns and none of those of a snapshot of {feed}, which has {expected}")]
    NoHeader {
        /// The feed in the file name.
        feed: Feed,
        /// The number of columns of that feed.
        expected: usize,
        /// The number of columns in the file.
        found: usize,
    },
    /// A column of the feed is not in its place.
    #[error("{}", misplaced(*.feed, *.position, .expected, .found.as_deref(), *.change))]
    Misplaced {
        /// The feed in the file name.
        feed: Feed,
        /// The position of the column in a snapshot of the feed, from 1.
        position: usize,
        /// The name of that column in the feed.
        expected: &'static str,
        /// The name in the file, or `None` if the header ends before.
        found: Option<String>,
        /// What became of the column.
        change: Change,
    },
    /// A column behind those of the feed has no name.
    #[error("column {position} of the header has no name: an added column needs one")]
    Unnamed {
        /// The position of the column, from 1.
        position: usize,
    },
    /// A column behind those of the feed has the name of another column.
    #[error(
        "column {position} of the header is {name:?}, as is another column: an added column needs a name of its own"
    )]
    Repeated {
        /// The position of the column, from 1.
        position: usize,
        /// The name.
        name: String,
    },
    /// The line is too long for a header.
    #[error("the first line has more than {MAX_LINE_BYTES} bytes, which no header has")]
    TooLong,
}

/// What became of a column of the feed that is not in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is at this position, from 1.
    Moved(usize),
    /// Its place has a name that is not one of the feed's.
    Renamed,
    /// It is nowhere, and its place has the next column.
    Missing,
}

fn misplaced(feed: Feed, position: usize, expected: &str, found: Option<&str>, change: Change) -> impl fmt::Display {
    let place = match found {
        Some(found) => {
            format!("column {position} of the header is {found:?}, a snapshot of {feed} has {expected:?} there")
        }
        None => format!("the header ends before column {position}, which is {expected:?} in a snapshot of {feed}"),
    };
    match change {
        Change::Moved(to) => format!("{place}: it was moved to column {to}"),
        Change::Renamed => format!("{place}: it was renamed, or replaced"),
        Change::Missing => format!("{place}: it is missing"),
    }
}

/// [`Header::parse`] of a decoded line for one feed.
fn parse(feed: Feed, line: &[u8]) -> Result<Header, InvalidHeader> {
    let mut splitter = Splitter::new(feed.separator());
    let record = splitter.split(line);
    // The line is decoded, so that each field is text.
    let names: Vec<String> =
        record.fields().skip(1).map(|field| String::from_utf8_lossy(trim(field)).into_owned()).collect();
    let columns = feed.raw_columns();
    let position_of = |name: &str| names.iter().position(|found| found == name).map(|at| at + 2);
    if !columns.iter().any(|name| position_of(name).is_some()) {
        return Err(InvalidHeader::NoHeader { feed, expected: columns.len() + 1, found: names.len() + 1 });
    }
    for (at, expected) in columns.iter().copied().enumerate() {
        let found = names.get(at);
        if found.is_some_and(|found| found == expected) {
            continue;
        }
        let change = match (position_of(expected), found) {
            (Some(to), _) => Change::Moved(to),
            (None, Some(found)) if !columns.contains(&found.as_str()) => Change::Renamed,
            (None, _) => Change::Missing,
        };
        return Err(InvalidHeader::Misplaced { feed, position: at + 2, expected, found: found.cloned(), change });
    }
    let mut taken: HashSet<&str> = columns.iter().copied().collect();
    for (at, name) in names.iter().enumerate().skip(columns.len()) {
        if name.is_empty() {
            return Err(InvalidHeader::Unnamed { position: at + 2 });
        }
        if !taken.insert(name) {
            return Err(InvalidHeader::Repeated { position: at + 2, name: name.clone() });
        }
    }
    Ok(Header { feed, added: names.into_iter().skip(columns.len()).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of a feed after a change of its names.
    fn parsed(feed: Feed, change: impl Fn(&mut Vec<&str>)) -> Result<Header, String> {
        let separator = char::from(feed.separator()).to_string();
        let mut names = vec!["202004011320"];
        names.extend(feed.raw_columns());
        change(&mut names);
        Header::parse(feed, names.join(&separator).as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_header_of_a_feed_has_its_columns() {
        for feed in Feed::ALL {
            assert_eq!(parsed(feed, |_| {}), Ok(feed.into()));
            assert_eq!(parsed(feed, |names| names[1] = " Abe "), parsed(feed, |names| names[1] = "Abe"));
        }
    }

    #[test]
    fn columns_may_be_added_behind_those_of_the_feed() {
        for feed in Feed::ALL {
            let header = parsed(feed, |names| names.extend(["Vwap", " Preço\u{a0}"])).expect("a header");
            assert_eq!(header.added_columns(), ["Vwap", "Preço"]);
            assert_eq!(header.fields(), feed.raw_columns().len() + 3);
        }
        let line = format!("x,{},\"Pre\u{e7}o, BRL\"", Feed::Quotes.raw_columns().join(","));
        let windows_1252: Vec<u8> = line.chars().map(|char| u32::from(char) as u8).collect();
        for line in [line.as_bytes(), &windows_1252] {
            assert_eq!(Header::parse(Feed::Quotes, line).expect("a header").added_columns(), ["Preço, BRL"]);
        }
    }

    #[test]
    fn a_column_that_is_not_in_its_place_is_named() {
        type Change = fn(&mut Vec<&str>);
        let refused = |change: Change| parsed(Feed::Quotes, change).expect_err("another header");
        let has_max = "a snapshot of quotes has \"Max\" there";
        let cases: [(String, Change); 10] = [
            (format!("column 5 of the header is \"Min\", {has_max}: it was moved to column 6"), |names| {
                names.swap(4, 5);
            }),
            (format!("column 5 of the header is \"Vwap\", {has_max}: it was moved to column 6"), |names| {
                names.insert(4, "Vwap");
            }),
            (format!("column 5 of the header is \"Min\", {has_max}: it is missing"), |names| _ = names.remove(4)),
            (format!("column 5 of the header is \"Min\", {has_max}: it was moved to column 19"), |names| {
                let max = names.remove(4);
                names.push(max);
            }),
            (format!("column 5 of the header is \"Maximo\", {has_max}: it was renamed, or replaced"), |names| {
                names[4] = "Maximo";
            }),
            (format!("column 5 of the header is \"max\", {has_max}: it was renamed, or replaced"), |names| {
                names[4] = "max";
            }),
            (
                "the header ends before column 19, which is \"VolTot\" in a snapshot of quotes: it is missing"
                    .to_owned(),
                |names| _ = names.pop(),
            ),
            ("the header has 1 columns and none of those of a snapshot of quotes, which has 19".to_owned(), |names| {
                names.truncate(1);
            }),
            ("column 20 of the header has no name: an added column needs one".to_owned(), |names| names.push(" ")),
            (
                "column 20 of the header is \"Ult\", as is another column: an added column needs a name of its own"
                    .to_owned(),
                |names| names.push("Ult"),
            ),
        ];
        for (expected, change) in cases {
            assert_eq!(refused(change), expected);
        }
        assert!(
            refused(|names| names.extend(["Vwap", "Vwap"])).starts_with("column 21 of the header is \"Vwap\", as is")
        );
        assert_eq!(Header::parse(Feed::Quotes, &vec![b'x'; MAX_LINE_BYTES + 1]), Err(InvalidHeader::TooLong));
    }

    #[test]
    fn the_header_of_the_other_feed_is_recognized() {
        let options = format!("x;{};Vega", Feed::Options.raw_columns().join(";"));
        assert_eq!(
            Header::parse(Feed::Quotes, options.as_bytes()).expect_err("options").to_string(),
            "the header is that of a snapshot of options, the file's name says quotes: give it the name of a snapshot of options"
        );
    }
}
