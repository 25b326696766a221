//! What goes wrong in raw files, and how often.
//!
//! How a file is dressed (encoding, line ends, ...) is dealt out evenly over the files of a day, so that every kind is
//! in every sample; what happens to single records is left to chance, far below the share at which data is refused.

use market::number::Reason;
use market::table::Kind;

use super::dice::Dice;

/// How a file is written, whatever is in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dress {
    pub gzip: bool,
    pub windows_1252: bool,
    pub byte_order_mark: bool,
    pub crlf: bool,
    pub no_last_line_end: bool,
}

impl Dress {
    pub fn line_end(self) -> &'static str {
        if self.crlf { "\r\n" } else { "\n" }
    }
}

/// Dresses `files` files, each kind in about every so many of them.
pub fn dresses(dice: &mut Dice, files: usize) -> Vec<Dress> {
    let mut every = |nth: usize| {
        let mut picked: Vec<bool> = (0..files).map(|at| at % nth == 0).collect();
        dice.shuffle(&mut picked);
        picked
    };
    let (gzip, windows_1252, crlf, no_last_line_end) = (every(7), every(3), every(4), every(4));
    // Windows-1252 has no byte-order mark.
    let mark = every(2);
    (0..files)
        .map(|at| Dress {
            gzip: gzip[at],
            windows_1252: windows_1252[at],
            byte_order_mark: mark[at] && !windows_1252[at],
            crlf: crlf[at],
            no_last_line_end: no_last_line_end[at],
        })
        .collect()
}

/// What happens to one record on its way into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// One cell holds what is no number.
    UnreadableCell,
    /// The record stands there twice.
    Duplicate,
    /// Before it stands the header again.
    HeaderRepeat,
    /// Before it stands a record without a ticker.
    BlankTicker,
    /// Cells are missing at the end.
    TooFewFields,
    /// A cell too many at the end.
    TooManyFields,
    /// A quote is opened and never closed.
    UnclosedQuote,
}

/// Records per mishap, on average.
const MISHAPS: [(Mishap, u32); 7] = [
    (Mishap::UnreadableCell, 700),
    (Mishap::Duplicate, 4_000),
    (Mishap::HeaderRepeat, 3_500),
    (Mishap::BlankTicker, 2_500),
    (Mishap::TooFewFields, 4_500),
    (Mishap::TooManyFields, 4_500),
    (Mishap::UnclosedQuote, 9_000),
];

/// What happens to the next record; mostly nothing.
pub fn mishap(dice: &mut Dice) -> Option<Mishap> {
    // One throw for all: the throws of a million records would cost more than writing them.
    const THROW: u32 = 1_000_000;
    let mut at = dice.below(THROW);
    for (mishap, records) in MISHAPS {
        let share = THROW / records;
        if at < share {
            return Some(mishap);
        }
        at -= share;
    }
    None
}

/// How a source says that there is no value.
pub const PANEL_NULLS: [&str; 6] = ["", "", "-", "-", "--", "N/D"];
/// How a program says that there is no value.
pub const PROGRAM_NULLS: [&str; 7] = ["", "", "nan", "nan", "NaN", "None", "null"];

/// Texts that are no number of this kind, and what the contract rejects each for.
pub fn unreadable(kind: Kind) -> &'static [(&'static str, Reason)] {
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
        let mut dice = Dice::new(5, 0);
        let count = (0..200_000).filter(|_| mishap(&mut dice).is_some()).count();
        let expected: u32 = MISHAPS.iter().map(|(_, records)| 200_000 / records).sum();
        assert!(count.abs_diff(expected as usize) < 100, "{count} for {expected}");
    }

    #[test]
    fn every_dress_is_worn_by_some_files_of_a_day() {
        let dresses = dresses(&mut Dice::new(1, 0), 27);
        let worn = |what: fn(&Dress) -> bool| dresses.iter().filter(|dress| what(dress)).count();
        assert_eq!(worn(|d| d.gzip), 4);
        assert_eq!(worn(|d| d.windows_1252), 9);
        assert_eq!(worn(|d| d.crlf), 7);
        assert_eq!(worn(|d| d.no_last_line_end), 7);
        assert!(worn(|d| d.byte_order_mark) >= 5);
        assert!(!dresses.iter().any(|d| d.byte_order_mark && d.windows_1252));
    }
}
