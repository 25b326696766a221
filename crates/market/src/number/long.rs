//! What most of the other cells are: nine to fifteen bytes, of which all but one separator are digits. They are read as two
//! words.

use super::EXACT_POWERS;
use super::short::{ZEROS, eight_digits, exact_double, not_digits};

/// Digits with at most one separator, and nothing else. What this cannot decide takes the way of all other cells, which
/// agrees with it on the rest.
#[derive(Clone, Copy)]
pub struct Long {
    /// All digits as one number, below 10^15 and so exact as a double.
    digits: u64,
    /// How many digits stand before the separator, or in all.
    before: usize,
    /// How many digits stand behind the separator.
    behind: usize,
}

impl Long {
    /// Reads a number that may have a minus. Gives whether it has.
    #[inline]
    pub fn read_signed(cell: &[u8]) -> Option<(Self, bool)> {
        let minus = cell.first() == Some(&b'-');
        Some((Self::read(&cell[usize::from(minus)..])?, minus))
    }

    /// Reads nine to fifteen bytes. They are the upper bytes of two words, the last one uppermost; below them stand zeros,
    /// which do not change a number.
    #[inline]
    pub fn read(cell: &[u8]) -> Option<Self> {
        if !(9..=15).contains(&cell.len()) {
            return None;
        }
        let (first, last) = (u64::from_le_bytes(*cell.first_chunk()?), u64::from_le_bytes(*cell.last_chunk()?));
        let room = 128 - 8 * cell.len() as u32;
        let text = u128::from(last) << 64 | u128::from(first) << room | u128::from(!(u64::MAX << room) & ZEROS);
        let marks =
            u128::from(bytes_that_are_marks((text >> 64) as u64)) << 64 | u128::from(bytes_that_are_marks(text as u64));
        let (text, behind) = if marks == 0 {
            (text, None)
        } else {
            // The digits before the first mark close up to those behind it. If there is another, it is no digit.
            let mark = (marks & marks.wrapping_neg()) >> 7;
            let before = text & (mark - 1);
            let behind = text & !((mark - 1) | (mark * 0xFF));
            (behind | before << 8 | u128::from(b'0'), Some(15 - mark.trailing_zeros() as usize / 8))
        };
        let (upper, lower) = ((text >> 64) as u64 ^ ZEROS, text as u64 ^ ZEROS);
        if not_digits(upper) | not_digits(lower) != 0 {
            return None;
        }
        let digits = eight_digits(lower) * 100_000_000 + eight_digits(upper);
        Some(match behind {
            None => Self { digits, before: cell.len(), behind: 0 },
            Some(behind) => Self { digits, before: cell.len() - 1 - behind, behind },
        })
    }

    /// The number where the separator is a decimal mark. Both operands are exact, so that the result is rounded once.
    #[inline]
    pub fn to_f64(self) -> f64 {
        exact_double(self.digits) / EXACT_POWERS[self.behind]
    }

    /// The whole number of a quantity or an amount, if it is one: three digits behind the separator are thousands.
    #[inline]
    pub fn whole(self) -> Option<i64> {
        let whole = match self.behind {
            0 => self.digits,
            3 if (1..=3).contains(&self.before) => self.digits,
            3 => return None,
            behind => {
                let power = 10u64.pow(behind as u32);
                (self.digits.is_multiple_of(power)).then_some(self.digits / power)?
            }
        };
        i64::try_from(whole).ok()
    }

    /// The amount, if it is one.
    #[inline]
    pub fn amount(self) -> Option<f64> {
        match self.behind {
            3 => self.whole().map(|whole| whole as f64),
            _ => Some(self.to_f64()),
        }
    }
}

/// The highest bit of each byte that is `.` or `,`, and no other bit.
#[inline]
fn bytes_that_are_marks(text: u64) -> u64 {
    const LOW_BITS: u64 = u64::from_ne_bytes([0x7F; 8]);
    // The two differ in one bit, and with it set no other byte is either of them.
    let differing = (text | u64::from_ne_bytes([b'.' ^ b','; 8])) ^ u64::from_ne_bytes([b'.'; 8]);
    !(((differing & LOW_BITS) + LOW_BITS) | differing | LOW_BITS)
}
