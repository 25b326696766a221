//! Second fast path: parses cells of nine to fifteen bytes, digits with at most one separator, from two machine words (SWAR).

use super::EXACT_POWERS;
use super::short::{ZEROS, eight_digits, exact_double, not_digits};

/// A number of digits with at most one separator. Cells of any other form take the general path. For cells of this form, both
/// paths give the same result.
#[derive(Clone, Copy)]
pub(super) struct Long {
    /// All digits as one number, below 10^15 and therefore exact as a double.
    digits: u64,
    /// The number of digits before the separator, or of all digits.
    before: usize,
    /// The number of digits after the separator.
    after: usize,
}

impl Long {
    /// Reads a number that may have a minus sign, and returns whether it has.
    #[inline]
    pub(super) fn read_signed(cell: &[u8]) -> Option<(Self, bool)> {
        let minus = cell.first() == Some(&b'-');
        Some((Self::read(&cell[usize::from(minus)..])?, minus))
    }

    /// Reads nine to fifteen bytes. They fill the upper bytes of two words in little-endian order, so that the last character
    /// is the highest byte; the bytes below are `0` characters, leading zeros of the number.
    #[inline]
    pub(super) fn read(cell: &[u8]) -> Option<Self> {
        if !(9..=15).contains(&cell.len()) {
            return None;
        }
        let (first, last) = (u64::from_le_bytes(*cell.first_chunk()?), u64::from_le_bytes(*cell.last_chunk()?));
        let room = 128 - 8 * cell.len() as u32;
        let text = u128::from(last) << 64 | u128::from(first) << room | u128::from(!(u64::MAX << room) & ZEROS);
        let marks =
            u128::from(bytes_that_are_marks((text >> 64) as u64)) << 64 | u128::from(bytes_that_are_marks(text as u64));
        let (text, after) = if marks == 0 {
            (text, None)
        } else {
            // Removes the first mark: the digits before it move up by one byte. A second mark fails the digit test below.
            let mark = (marks & marks.wrapping_neg()) >> 7;
            let before = text & (mark - 1);
            let after = text & !((mark - 1) | (mark * 0xFF));
            (after | before << 8 | u128::from(b'0'), Some(15 - mark.trailing_zeros() as usize / 8))
        };
        let (upper, lower) = ((text >> 64) as u64 ^ ZEROS, text as u64 ^ ZEROS);
        if not_digits(upper) | not_digits(lower) != 0 {
            return None;
        }
        let digits = eight_digits(lower) * 100_000_000 + eight_digits(upper);
        Some(match after {
            None => Self { digits, before: cell.len(), after: 0 },
            Some(after) => Self { digits, before: cell.len() - 1 - after, after },
        })
    }

    /// Returns the number if the separator is a decimal mark. Both operands are exact, so that the division rounds once, to
    /// the nearest double.
    #[inline]
    pub(super) fn to_f64(self) -> f64 {
        exact_double(self.digits) / EXACT_POWERS[self.after]
    }

    /// Returns the whole number if this is a quantity or an amount that is whole. A separator before exactly three digits
    /// groups thousands.
    #[inline]
    pub(super) fn whole(self) -> Option<i64> {
        let whole = match self.after {
            0 => self.digits,
            3 if (1..=3).contains(&self.before) => self.digits,
            3 => return None,
            after => {
                let power = 10u64.pow(after as u32);
                (self.digits.is_multiple_of(power)).then_some(self.digits / power)?
            }
        };
        i64::try_from(whole).ok()
    }

    /// Returns the amount, or `None` if the digits are grouped wrongly.
    #[inline]
    pub(super) fn amount(self) -> Option<f64> {
        match self.after {
            3 => self.whole().map(|whole| whole as f64),
            _ => Some(self.to_f64()),
        }
    }
}

/// Returns a word with the highest bit of each byte set that is `.` or `,` in `text` (SWAR comparison).
#[inline]
fn bytes_that_are_marks(text: u64) -> u64 {
    const LOW_BITS: u64 = u64::from_ne_bytes([0x7F; 8]);
    // `.` and `,` differ in one bit. With that bit set, a byte equals `.` only if it was one of the two.
    let differing = (text | u64::from_ne_bytes([b'.' ^ b','; 8])) ^ u64::from_ne_bytes([b'.'; 8]);
    !(((differing & LOW_BITS) + LOW_BITS) | differing | LOW_BITS)
}
