//! What nearly every cell is: at most eight bytes, of which all but one or two are digits. Such a cell is read as one word.
//!
//! There is no branch on what the cell says: lengths, separators, suffixes and null tokens alternate from cell to cell,
//! and each wrong guess of the processor would cost as much as the reading. What a word cannot decide takes the way of all
//! others, which agrees with it on the rest.

use super::{EXACT_POWERS, NULL_TOKENS, OneSeparator};

/// The text of a cell, and what stands before it in its line, so that its last bytes can be fetched as one word however
/// few it has.
#[derive(Debug, Clone, Copy)]
pub struct CellText<'a> {
    /// Ends with the cell.
    line: &'a [u8],
    /// Of the cell.
    length: usize,
}

impl<'a> CellText<'a> {
    /// The cell that begins at `start` and ends where `line` does.
    #[inline]
    pub fn at_end(line: &'a [u8], start: usize) -> Self {
        Self { line, length: line.len().saturating_sub(start) }
    }

    /// The text of the cell alone.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        &self.line[self.line.len() - self.length..]
    }

    /// The last eight bytes up to the end of the cell, the last one uppermost. Where the line does not have as many,
    /// the lower ones are zeros.
    #[inline]
    fn last_word(self) -> u64 {
        match self.line.last_chunk() {
            Some(last) => u64::from_le_bytes(*last),
            None => self.line.iter().rev().fold((0, 64), |(word, at), b| (word | u64::from(*b) << (at - 8), at - 8)).0,
        }
    }
}

impl<'a> From<&'a [u8]> for CellText<'a> {
    #[inline]
    fn from(text: &'a [u8]) -> Self {
        Self { line: text, length: text.len() }
    }
}

/// A cell as its digits and what they mean, or as no number.
#[derive(Clone, Copy)]
pub struct Short {
    /// Below 10^8, or anything below 2^32 if there is no number.
    digits: u64,
    rule: &'static Rule,
    minus: bool,
    /// Whether it is a null token; the rest means nothing then.
    pub is_null: bool,
}

impl Short {
    /// Reads a number without a sign.
    #[inline]
    pub fn read(cell: CellText<'_>, rules: &'static Rules) -> Option<Self> {
        Self::read_word(cell, rules, false)
    }

    /// Reads a number that may have a minus.
    #[inline]
    pub fn read_signed(cell: CellText<'_>, rules: &'static Rules) -> Option<Self> {
        Self::read_word(cell, rules, true)
    }

    #[inline(always)]
    fn read_word(cell: CellText<'_>, rules: &'static Rules, signed: bool) -> Option<Self> {
        if cell.length > 8 {
            return None;
        }
        let length = cell.length as u32;
        // Two steps, because an empty cell is no byte of the word, and one step cannot take away all of it.
        let half_of_rest = 32 - 4 * length;
        let text = cell.last_word() >> half_of_rest >> half_of_rest;
        let is_null = is_null(text, length);
        let minus = signed & (text as u8 == b'-');

        // Each byte as the digit that it is, the last one uppermost. What is lower than the first one is zero, which does not
        // change a number; a minus becomes a zero too.
        let values = text ^ ZEROS ^ (u64::from(minus) * u64::from(b'-' ^ b'0'));
        let values = values << half_of_rest << half_of_rest;
        let others = not_digits(values);
        let is_alone = others & others.wrapping_sub(1) == 0;
        // Without a mark, the last digit stands for it, which says so.
        let place = (others | 1 << 63).trailing_zeros();
        let behind = (63 - place) / 8;
        let character = (values >> (place & !7)) as u8;
        let rule = &rules.0[usize::from(MARKS[usize::from(character)])][(behind & 7) as usize];

        // The digits before the mark close up to those behind it.
        let mark = others >> 7;
        let lower = mark.wrapping_sub(1);
        let upper = !(lower | (mark << 8).wrapping_sub(mark));
        let marks = u32::from(mark != 0);
        let digits = eight_digits((values & upper) | (values & lower) << (8 * marks));
        let before = length.wrapping_sub(u32::from(minus) + marks + behind);
        let is_number = is_alone & (before.wrapping_sub(u32::from(rule.before)) <= u32::from(rule.more));
        (is_number | is_null).then_some(Self { digits, rule, minus, is_null })
    }

    /// The double nearest to the number: of the factor and the divisor one is 1, and what the other one meets is exact, so
    /// that it is rounded once.
    #[inline]
    pub fn to_f64(self) -> f64 {
        let magnitude = exact_double(self.digits) * self.rule.factor / self.rule.divisor;
        f64::from_bits(magnitude.to_bits() | u64::from(self.minus) << 63)
    }

    /// The number, if it is whole; anything if there is none.
    #[inline]
    pub fn whole(self) -> Option<i64> {
        let (power, inverse) = INVERSES[usize::from(self.rule.power & 7)];
        let whole = self.digits.wrapping_mul(inverse) >> INVERSE_BITS;
        let is_whole = whole.wrapping_mul(power) == self.digits;
        (is_whole | self.is_null).then_some(whole.wrapping_mul(u64::from(self.rule.times)) as i64)
    }
}

/// A number below 2^52 as a double. The conversion of the processor would wait for what the register held before, which is
/// the quotient of the cell before.
#[inline]
pub fn exact_double(number: u64) -> f64 {
    const TWO_TO_52: f64 = (1u64 << 52) as f64;
    f64::from_bits(TWO_TO_52.to_bits() | number) - TWO_TO_52
}

/// How the digits are read, by what stands among them and how many are behind that.
pub struct Rules([[Rule; 8]; MARK_KINDS]);

#[derive(Clone, Copy)]
struct Rule {
    /// What the digits are multiplied with, by a suffix.
    times: u32,
    factor: f64,
    /// What they are divided by, by a decimal mark: the power of ten.
    power: u8,
    divisor: f64,
    /// The fewest digits that have to stand before the mark, and how many more may.
    before: u8,
    more: u8,
}

impl Rule {
    /// No number has as many digits.
    const NONE: Self = Self { before: 100, more: 0, ..Self::ANY };
    const ANY: Self = Self { times: 1, factor: 1.0, power: 0, divisor: 1.0, before: 0, more: 8 };

    const fn divided(power: usize) -> Self {
        Self { power: power as u8, divisor: EXACT_POWERS[power], ..Self::ANY }
    }

    const fn multiplied(power: usize) -> Self {
        Self { times: 10u32.pow(power as u32), factor: EXACT_POWERS[power], before: 1, ..Self::ANY }
    }
}

/// What stands among the digits: nothing, a separator, one of three suffixes, or something else.
const MARK_KINDS: usize = 6;
const NOTHING: usize = 0;
const SEPARATOR: usize = 1;
const SOMETHING_ELSE: u8 = 5;

/// Letters, and the powers of ten that they stand for.
const SUFFIXES: [(u8, usize); 3] = [(b'k', 3), (b'm', 6), (b'b', 9)];

/// The kind of each byte, by its difference to `0`.
const MARKS: [u8; 256] = {
    let mut marks = [SOMETHING_ELSE; 256];
    let mut digit = 0;
    while digit < 10 {
        marks[digit] = NOTHING as u8;
        digit += 1;
    }
    marks[(b'.' ^ b'0') as usize] = SEPARATOR as u8;
    marks[(b',' ^ b'0') as usize] = SEPARATOR as u8;
    let mut at = 0;
    while at < SUFFIXES.len() {
        let letter = SUFFIXES[at].0;
        marks[(letter ^ b'0') as usize] = (SEPARATOR + 1 + at) as u8;
        marks[(letter.to_ascii_uppercase() ^ b'0') as usize] = (SEPARATOR + 1 + at) as u8;
        at += 1;
    }
    marks
};

/// Of decimals.
pub static DECIMAL: Rules = Rules::new(OneSeparator::DecimalMark);

/// Of quantities and amounts.
pub static GROUPED: Rules = Rules::new(OneSeparator::GroupsIfThreeDigits);

impl Rules {
    const fn new(one_separator: OneSeparator) -> Self {
        let mut rules = [[Rule::NONE; 8]; MARK_KINDS];
        rules[NOTHING][0] = Rule { before: 1, ..Rule::ANY };
        let mut behind = 0;
        while behind < 8 {
            rules[SEPARATOR][behind] = match (behind, one_separator) {
                (0, _) => Rule { before: 1, ..Rule::ANY },
                (3, OneSeparator::GroupsIfThreeDigits) => Rule { before: 1, more: 2, ..Rule::ANY },
                _ => Rule::divided(behind),
            };
            let mut at = 0;
            while at < SUFFIXES.len() && behind <= 3 {
                rules[SEPARATOR + 1 + at][behind] = Rule::multiplied(SUFFIXES[at].1 - behind);
                at += 1;
            }
            behind += 1;
        }
        Self(rules)
    }
}

/// Behind so many binary digits end the inverses of the powers of ten, rounded up. A product of one with a number below 10^8
/// that the power divides is exact, since it is too large by less than 10^8 / 2^36.
const INVERSE_BITS: u32 = 36;

/// The powers of ten and their inverses.
const INVERSES: [(u64, u64); 8] = {
    let mut inverses = [(1, 1); 8];
    let mut at = 0;
    while at < inverses.len() {
        let power = 10u64.pow(at as u32);
        inverses[at] = (power, (1 << INVERSE_BITS) / power + 1);
        at += 1;
    }
    inverses
};

/// Whether these bytes, the first one lowest, are a null token. At most one of them is looked at, whatever it is.
#[inline]
fn is_null(text: u64, length: u32) -> bool {
    // Letters become lower case, and no other character becomes one of a token.
    const LETTERS: u64 = u64::from_ne_bytes([0x40; 8]);
    let key = null_key(text | (text & LETTERS) >> 1, length);
    NULL_KEYS[null_place(key)] == key
}

/// Another one for each text of at most eight bytes as far as they could be tokens, which have at most four.
const fn null_key(text: u64, length: u32) -> u64 {
    text | (length as u64) << 56
}

/// A factor that leads each null token to another place.
const NULL_FACTOR: u64 = 0x9755_D4C1_3A90_2931;
const NULL_PLACES: u32 = 4;

const fn null_place(key: u64) -> usize {
    (key.wrapping_mul(NULL_FACTOR) >> (64 - NULL_PLACES)) as usize
}

/// The null tokens at their places, and the empty cell, which is zero, everywhere else.
const NULL_KEYS: [u64; 1 << NULL_PLACES] = {
    let mut keys = [0; 1 << NULL_PLACES];
    let mut at = 0;
    while at < NULL_TOKENS.len() {
        let token = NULL_TOKENS[at].as_bytes();
        let (mut text, mut byte) = (0, 0);
        while byte < token.len() {
            text |= (token[byte] as u64) << (8 * byte);
            byte += 1;
        }
        let key = null_key(text, token.len() as u32);
        assert!(null_place(key) != 0 && keys[null_place(key)] == 0, "two null tokens have the same place");
        keys[null_place(key)] = key;
        at += 1;
    }
    keys
};

/// Eight times `0`.
pub const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);

/// The highest bit of each byte that is above nine. If a byte is above 0x80, those over it may be wrong.
#[inline]
pub fn not_digits(values: u64) -> u64 {
    const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
    // Above nine the sum reaches the highest bit. A carry only comes out of a byte that has it set already.
    (values.wrapping_add(u64::from_ne_bytes([0x80 - 10; 8])) | values) & HIGH_BITS
}

/// The number of eight digits, the first one in the lowest byte.
#[inline]
pub fn eight_digits(values: u64) -> u64 {
    // Neighbours become numbers of two, four, and eight digits.
    let twos = (values.wrapping_mul(10).wrapping_add(values >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (twos.wrapping_mul(100).wrapping_add(twos >> 16)) & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xFFFF_FFFF
}
