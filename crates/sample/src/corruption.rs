//! The irregularities of raw files, and how often they occur.
//!
//! File formats (encoding, line ends, ...) are distributed evenly over the files of a day, so that every format is in
//! every sample. Records are corrupted at random, far below the share at which the audit refuses data.

use market::number::Reason;
use market::table::Kind;

use crate::rng::Rng;

/// How a file is encoded, whatever its content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FileFormat {
    pub gzip: bool,
    pub windows_1252: bool,
    pub byte_order_mark: bool,
    pub crlf: bool,
    pub no_last_line_end: bool,
}

impl FileFormat {
    pub(crate) fn line_end(self) -> &'static str {
        if self.crlf { "\r\n" } else { "\n" }
    }
}

/// Returns the formats of `files` files: each property is set in a fixed share of them.
pub(crate) fn file_formats(rng: &mut Rng, files: usize) -> Vec<FileFormat> {
    let mut every = |nth: usize| {
        let mut picked: Vec<bool> = (0..files).map(|at| at % nth == 0).collect();
        rng.shuffle(&mut picked);
        picked
    };
    let (gzip, windows_1252, crlf, no_last_line_end) = (every(7), every(3), every(4), every(4));
    // Windows-1252 has no byte-order mark.
    let mark = every(2);
    (0..files)
        .map(|at| FileFormat {
            gzip: gzip[at],
            windows_1252: windows_1252[at],
            byte_order_mark: mark[at] && !windows_1252[at],
            crlf: crlf[at],
            no_last_line_end: no_last_line_end[at],
        })
        .collect()
}

/// A corruption of one record when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Corruption {
    /// One cell of a number column is not a number.
    UnreadableCell,
    /// The record is written twice.
    Duplicate,
    /// The header is repeated before it.
    HeaderRepeat,
    /// A record without a ticker is written after it.
    BlankTicker,
    /// Cells are missing at the end.
    TooFewFields,
    /// One cell too many at the end.
    TooManyFields,
    /// A quote is opened and never closed.
    UnclosedQuote,
}

/// Average number of records per corruption.
const RECORDS_PER_CORRUPTION: [(Corruption, u32); 7] = [
    (Corruption::UnreadableCell, 700),
    (Corruption::Duplicate, 4_000),
    (Corruption::HeaderRepeat, 3_500),
    (Corruption::BlankTicker, 2_500),
    (Corruption::TooFewFields, 4_500),
    (Corruption::TooManyFields, 4_500),
    (Corruption::UnclosedQuote, 9_000),
];

/// Draws the corruption of the next record; mostly `None`.
pub(crate) fn draw(rng: &mut Rng) -> Option<Corruption> {
    // One draw for all corruptions: with a draw for each, drawing would take longer than writing the records.
    const RANGE: u32 = 1_000_000;
    let mut at = rng.below(RANGE);
    for (corruption, records) in RECORDS_PER_CORRUPTION {
        let share = RANGE / records;
        if at < share {
            return Some(corruption);
        }
        at -= share;
    }
    None
}

/// How the trading panel shows NULL.
pub(crate) const PANEL_NULLS: [&str; 6] = ["", "", "-", "-", "--", "N/D"];
/// How a program writes NULL.
pub(crate) const PROGRAM_NULLS: [&str; 7] = ["", "", "nan", "nan", "NaN", "None", "null"];

/// Returns texts that are not numbers of this kind, each with the reason for which the number contract rejects it.
pub(crate) fn unreadable(kind: Kind) -> &'static [(&'static str, Reason)] {
    use Reason::{Negative, NotANumber, NotWhole, OutOfRange};
    match kind {
        Kind::Decimal => &[
            ("12.10.5", NotANumber),
            ("1.23.456", NotANumber),
            ("R$ 5,20", NotANumber),
            ("#REF!", NotANumber),
            ("15,7a", NotANumber),
            ("10k1234", NotANumber),
            ("inf", NotANumber),
            ("1e999", OutOfRange),
        ],
        Kind::Quantity => &[
            ("-100", Negative),
            ("12.5", NotWhole),
            ("0,25", NotWhole),
            ("10kk", NotANumber),
            ("1.23.456", NotANumber),
            ("#VALOR!", NotANumber),
            ("99999999999999999999", OutOfRange),
        ],
        Kind::Amount => &[
            ("-57.6", Negative),
            ("57.646.1", NotANumber),
            ("5x", NotANumber),
            ("R$ 57.646", NotANumber),
            ("3b3755", NotANumber),
        ],
        // Any text is readable as text.
        Kind::Text => &[],
    }
}

#[cfg(test)]
mod tests {
    use market::number::{Cell, parse_amount, parse_decimal, parse_quantity};

    use super::*;

    #[test]
    fn unreadable_text_is_rejected_for_its_reason() {
        for (text, reason) in unreadable(Kind::Decimal) {
            assert_eq!(parse_decimal(text.as_bytes()), Cell::Reject(*reason), "{text}");
        }
        for (text, reason) in unreadable(Kind::Quantity) {
            assert_eq!(parse_quantity(text.as_bytes()), Cell::Reject(*reason), "{text}");
        }
        for (text, reason) in unreadable(Kind::Amount) {
            assert_eq!(parse_amount(text.as_bytes()), Cell::Reject(*reason), "{text}");
        }
    }

    #[test]
    fn null_tokens_are_null_in_every_kind_of_column() {
        for text in PANEL_NULLS.iter().chain(&PROGRAM_NULLS) {
            assert_eq!(parse_decimal(text.as_bytes()), Cell::Null, "{text}");
        }
    }

    #[test]
    fn mishaps_stay_rare() {
        let mut rng = Rng::new(5, 0);
        let count = (0..200_000).filter(|_| draw(&mut rng).is_some()).count();
        let expected: u32 = RECORDS_PER_CORRUPTION.iter().map(|(_, records)| 200_000 / records).sum();
        assert!(count.abs_diff(expected as usize) < 100, "{count} for {expected}");
    }

    #[test]
    fn every_dress_is_worn_by_some_files_of_a_day() {
        let file_formats = file_formats(&mut Rng::new(1, 0), 27);
        let worn = |what: fn(&FileFormat) -> bool| file_formats.iter().filter(|format| what(format)).count();
        assert_eq!(worn(|d| d.gzip), 4);
        assert_eq!(worn(|d| d.windows_1252), 9);
        assert_eq!(worn(|d| d.crlf), 7);
        assert_eq!(worn(|d| d.no_last_line_end), 7);
        assert!(worn(|d| d.byte_order_mark) >= 5);
        assert!(!file_formats.iter().any(|d| d.byte_order_mark && d.windows_1252));
    }
}
