//! Fast path: parses cells of at most eight bytes from one 64-bit word, branch-free (SWAR: SIMD within a register).
//!
//! Nearly every cell is that short and has digits in all but one or two bytes. The parser does not branch on the content:
//! lengths, separators, suffixes and null tokens alternate from cell to cell, so that a branch would often be mispredicted,
//! and a misprediction costs as much as parsing the cell. Instead, tables map the mark among the digits to a rule, and a
//! perfect hash recognises null tokens. Cells that this path cannot decide take the general path. For all
//! other cells, both paths give the same result.

use super::{EXACT_POWERS, NULL_TOKENS, OneSeparator};

/// The text of a cell, together with the part of its line before it. The bytes before the cell let the parser load the last
/// eight bytes as one word even if the cell is shorter, without a copy and without reading outside of the slice.
#[derive(Debug, Clone, Copy)]
pub struct CellText<'a> {
    /// The line up to the end of the cell.
    line: &'a [u8],
    /// Length of the cell in bytes.
    length: usize,
}

impl<'a> CellText<'a> {
    /// Returns the cell that begins at `start` and ends at the end of `line`.
    #[inline]
    pub fn at_end(line: &'a [u8], start: usize) -> Self {
        Self { line, length: line.len().saturating_sub(start) }
    }

    /// Returns the text of the cell.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        &self.line[self.line.len() - self.length..]
    }

    /// Returns the eight bytes up to the end of the cell in little-endian order: the last character is the highest byte. If
    /// the line has fewer, the lower bytes are zero.
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

/// A parsed cell: a number as its digits and the rule that scales them, or a null token.
#[derive(Clone, Copy)]
pub(super) struct Short {
    /// All digits as one number, below 10^8. Unspecified, below 2^32, for a null token.
    digits: u64,
    rule: &'static Rule,
    minus: bool,
    /// Whether the cell is a null token. The other fields are unspecified then.
    pub is_null: bool,
}

impl Short {
    /// Reads a number without a sign.
    #[inline]
    pub(super) fn read(cell: CellText<'_>, rules: &'static Rules) -> Option<Self> {
        Self::read_word(cell, rules, false)
    }

    /// Reads a number that may have a minus sign.
    #[inline]
    pub(super) fn read_signed(cell: CellText<'_>, rules: &'static Rules) -> Option<Self> {
        Self::read_word(cell, rules, true)
    }

    #[expect(clippy::inline_always, reason = "called for each cell: `signed` is constant in each caller")]
    #[expect(clippy::needless_bitwise_bool, reason = "without a branch")]
    #[inline(always)]
    fn read_word(cell: CellText<'_>, rules: &'static Rules, signed: bool) -> Option<Self> {
        if cell.length > 8 {
            return None;
        }
        let length = cell.length as u32;
        // Shifts out the bytes before the cell. Two shifts by half: for an empty cell that is 64 bits, which one shift of a
        // 64-bit word cannot do.
        let half_of_rest = 32 - 4 * length;
        let text = cell.last_word() >> half_of_rest >> half_of_rest;
        let is_null = is_null(text, length);
        let minus = signed & (text as u8 == b'-');

        // Each byte becomes the value of its digit; the last digit is the highest byte. The bytes below the first digit are
        // zero, leading zeros of the number; a minus sign becomes zero too.
        let values = text ^ ZEROS ^ (u64::from(minus) * u64::from(b'-' ^ b'0'));
        let values = values << half_of_rest << half_of_rest;
        let others = not_digits(values);
        let is_alone = others & others.wrapping_sub(1) == 0;
        // Without a mark, this is the place of the last digit, whose kind in `MARKS` is `NOTHING`.
        let place = (others | 1 << 63).trailing_zeros();
        let after = (63 - place) / 8;
        let character = (values >> (place & !7)) as u8;
        let rule = &rules.0[usize::from(MARKS[usize::from(character)])][(after & 7) as usize];

        // Removes the mark: the digits before it move up by one byte.
        let mark = others >> 7;
        let lower = mark.wrapping_sub(1);
        let upper = !(lower | (mark << 8).wrapping_sub(mark));
        let marks = u32::from(mark != 0);
        let digits = eight_digits((values & upper) | (values & lower) << (8 * marks));
        let before = length.wrapping_sub(u32::from(minus) + marks + after);
        let is_number = is_alone & (before.wrapping_sub(u32::from(rule.before)) <= u32::from(rule.more));
        (is_number | is_null).then_some(Self { digits, rule, minus, is_null })
    }

    /// Returns the double nearest to the number. The factor or the divisor is 1, and the operands of the other operation are
    /// exact, so that the result is rounded once.
    #[inline]
    pub(super) fn to_f64(self) -> f64 {
        let magnitude = exact_double(self.digits) * self.rule.factor / self.rule.divisor;
        f64::from_bits(magnitude.to_bits() | u64::from(self.minus) << 63)
    }

    /// Returns the number if it is whole. The value is unspecified for a null token.
    #[inline]
    pub(super) fn whole(self) -> Option<i64> {
        let (power, inverse) = INVERSES[usize::from(self.rule.power & 7)];
        let whole = self.digits.wrapping_mul(inverse) >> INVERSE_BITS;
        let is_whole = whole.wrapping_mul(power) == self.digits;
        (is_whole | self.is_null).then_some(whole.wrapping_mul(u64::from(self.rule.times)) as i64)
    }
}

/// Converts a number below 2^52 to a double, through the bits of the mantissa.
///
/// The conversion instruction of x86 (`cvtsi2sd`) has a false dependency on its destination register: it would wait for the
/// division of the cell before.
#[inline]
pub(super) fn exact_double(number: u64) -> f64 {
    const TWO_TO_52: f64 = (1u64 << 52) as f64;
    f64::from_bits(TWO_TO_52.to_bits() | number) - TWO_TO_52
}

/// The rules of one kind of column, indexed by the kind of the mark among the digits and the number of digits after it.
pub(super) struct Rules([[Rule; 8]; MARK_KINDS]);

/// How the digits of a cell are scaled, and how many of them have to be before the mark.
#[derive(Clone, Copy)]
struct Rule {
    /// The factor of a suffix, as an integer.
    times: u32,
    /// The factor of a suffix, as a double.
    factor: f64,
    /// The power of ten of a decimal mark.
    power: u8,
    /// Ten to that power.
    divisor: f64,
    /// The minimum number of digits before the mark.
    before: u8,
    /// The number of digits that are allowed beyond the minimum.
    more: u8,
}

impl Rule {
    /// Matches no cell: a word has at most eight digits.
    const NONE: Self = Self { before: 100, more: 0, ..Self::ANY };
    const ANY: Self = Self { times: 1, factor: 1.0, power: 0, divisor: 1.0, before: 0, more: 8 };

    const fn divided(power: usize) -> Self {
        Self { power: power as u8, divisor: EXACT_POWERS[power], ..Self::ANY }
    }

    const fn multiplied(power: usize) -> Self {
        Self { times: 10u32.pow(power as u32), factor: EXACT_POWERS[power], before: 1, ..Self::ANY }
    }
}

/// The number of kinds of marks: none, a separator, three suffixes, any other byte.
const MARK_KINDS: usize = 6;
const NOTHING: usize = 0;
const SEPARATOR: usize = 1;
const SOMETHING_ELSE: u8 = 5;

/// The suffix letters and their powers of ten.
const SUFFIXES: [(u8, usize); 3] = [(b'k', 3), (b'm', 6), (b'b', 9)];

/// The kind of each byte as a mark, indexed by the byte XOR `0`.
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

/// Rules for decimal columns.
pub(super) static DECIMAL: Rules = Rules::new(OneSeparator::DecimalMark);

/// Rules for quantity and amount columns.
pub(super) static GROUPED: Rules = Rules::new(OneSeparator::GroupsIfThreeDigits);

impl Rules {
    const fn new(one_separator: OneSeparator) -> Self {
        let mut rules = [[Rule::NONE; 8]; MARK_KINDS];
        rules[NOTHING][0] = Rule { before: 1, ..Rule::ANY };
        let mut after = 0;
        while after < 8 {
            rules[SEPARATOR][after] = match (after, one_separator) {
                (0, _) => Rule { before: 1, ..Rule::ANY },
                (3, OneSeparator::GroupsIfThreeDigits) => Rule { before: 1, more: 2, ..Rule::ANY },
                _ => Rule::divided(after),
            };
            let mut at = 0;
            while at < SUFFIXES.len() && after <= 3 {
                rules[SEPARATOR + 1 + at][after] = Rule::multiplied(SUFFIXES[at].1 - after);
                at += 1;
            }
            after += 1;
        }
        Self(rules)
    }
}

/// The binary places of the fixed-point reciprocals in [`INVERSES`]. A multiplication by a reciprocal replaces the division
/// by a power of ten. The reciprocals are rounded up, by less than 2^-36; so for a number below 10^8 that the power divides,
/// the product is too large by less than 10^8 / 2^36, and its whole part is exact.
const INVERSE_BITS: u32 = 36;

/// The powers of ten and their fixed-point reciprocals.
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

/// Returns whether these bytes in little-endian order are a null token. A perfect hash finds the only token that they can be,
/// so that one comparison decides.
#[inline]
fn is_null(text: u64, length: u32) -> bool {
    // Letters become lower case. No other byte becomes a character of a token.
    const LETTERS: u64 = u64::from_ne_bytes([0x40; 8]);
    let key = null_key(text | (text & LETTERS) >> 1, length);
    NULL_KEYS[null_place(key)] == key
}

/// Returns the key of a text: its bytes and its length in one word. Tokens have at most four bytes, so that the length is in
/// an unused byte of their keys, and the key of a longer text never equals that of a token.
const fn null_key(text: u64, length: u32) -> u64 {
    text | (length as u64) << 56
}

/// The multiplier of the perfect hash, a multiplicative hash that maps each null token to a slot of its own. Any number that
/// does so will do: [`NULL_KEYS`] does not compile if two tokens collide.
const NULL_FACTOR: u64 = 0x9755_D4C1_3A90_2931;
/// The table has two to this power slots.
const NULL_PLACES: u32 = 4;

/// Returns the slot of a key.
const fn null_place(key: u64) -> usize {
    (key.wrapping_mul(NULL_FACTOR) >> (64 - NULL_PLACES)) as usize
}

/// The table of the perfect hash: the keys of the null tokens in their slots. All other slots hold 0, the key of the empty
/// cell, which is a null token too.
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

/// Eight `0` characters.
pub(super) const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);

/// Returns a word with the highest bit of each byte set that is above nine (SWAR comparison). A byte above 0x80 may set the
/// bit of the byte above it too.
#[inline]
pub(super) fn not_digits(values: u64) -> u64 {
    const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
    // For a byte above nine, the sum sets the highest bit. Only a byte that has it set already can carry into the next.
    (values.wrapping_add(u64::from_ne_bytes([0x80 - 10; 8])) | values) & HIGH_BITS
}

/// Returns the number of eight digit values in little-endian order, the first digit in the lowest byte.
#[inline]
pub(super) fn eight_digits(values: u64) -> u64 {
    // Divide and conquer: neighbours are joined to numbers of two, then four, then eight digits.
    let twos = (values.wrapping_mul(10).wrapping_add(values >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (twos.wrapping_mul(100).wrapping_add(twos >> 16)) & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xFFFF_FFFF
}
