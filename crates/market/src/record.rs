//! Splits a line of a raw file into fields, and decides whether its record is published.
//!
//! A record is a line. A quoted field may hold the separator and doubled quotes but never a line end, so that one stray
//! quote costs one record and not the rest of the file. An empty line is not a record.
//!
//! [`Splitter`] finds separators and quotes in two passes without a branch per byte: the first compares sixteen bytes at a
//! time, in a form that compilers vectorize (SIMD), and writes a mark per byte; the second takes the marks eight at a time as
//! one word and jumps from one set bit to the next (SWAR). A line with a doubled or unclosed quote, which is rare, takes a
//! slow path, byte by byte.

use std::borrow::Cow;

use crate::header::Header;
use crate::number::{CellText, trim};

/// Splits lines into fields without copying them. Reuse one for a whole file: it allocates nothing per line.
///
/// ```
/// use market::record::Splitter;
///
/// let mut splitter = Splitter::new(b',');
/// let record = splitter.split(br#"PETR4,"15,73","a ""b""""#);
/// let fields: Vec<_> = record.fields().collect();
/// assert_eq!(fields, [&b"PETR4"[..], b"15,73", br#"a "b""#]);
/// ```
#[derive(Debug, Clone)]
pub struct Splitter {
    separator: u8,
    /// One mark for each byte of the line ([`MARK`], [`QUOTE`] or 0), padded with zeros to a whole block.
    marks: Vec<u8>,
    /// Start and end of each field in the line; offsets from the line's length on are offsets into `unescaped`.
    fields: Vec<(usize, usize)>,
    /// The text of fields with doubled quotes, with each pair replaced by one quote.
    unescaped: Vec<u8>,
}

/// One line, split into fields. Borrows the line and its splitter.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    line: &'a [u8],
    splitter: &'a Splitter,
    quote_closed: bool,
}

/// The state of the field that is being split.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FieldState {
    /// It does not start with a quote, and ends at the next separator.
    Plain,
    /// It starts with a quote that is still open.
    Quoted,
    /// Its quote was closed; the next byte is a separator or the end of the line.
    Closed,
}

impl Splitter {
    /// Returns a splitter for fields separated by `separator`, an ASCII byte.
    pub fn new(separator: u8) -> Self {
        Self { separator, marks: Vec::new(), fields: Vec::new(), unescaped: Vec::new() }
    }

    /// Splits one line, without its line end.
    ///
    /// A field that starts with `"` extends to the next quote that is not doubled. Text between that quote and the separator
    /// is appended to the field unchanged. A quote inside a field that does not start with one is an ordinary character.
    pub fn split<'a>(&'a mut self, line: &'a [u8]) -> Record<'a> {
        self.fields.clear();
        self.unescaped.clear();
        if self.mark(line) {
            return self.split_quoted(line);
        }
        let mut start = 0;
        // Eight marks as one word: each iteration clears the lowest set bit, so that the bytes between separators cost nothing.
        for (number, word) in self.marks.as_chunks().0.iter().enumerate() {
            let mut marks = u64::from_le_bytes(*word);
            while marks != 0 {
                let at = number * 8 + marks.trailing_zeros() as usize / 8;
                marks &= marks - 1;
                self.fields.push((start, at));
                start = at + 1;
            }
        }
        self.fields.push((start, line.len()));
        Record { line, splitter: self, quote_closed: true }
    }

    /// Returns the disposition of the record in `line`, which is not decoded. The result is that of [`decode`], [`split`] and
    /// [`Record::disposition`], but most lines are only scanned and not split: for callers that only count.
    ///
    /// [`split`]: Self::split
    pub fn disposition(&mut self, line: &[u8], header: &Header) -> Disposition {
        let separator = self.separator;
        let mut fields = line.split(|b| *b == separator);
        let (ticker, second) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        // Decoding could only change non-ASCII white space in these two fields, and they have none.
        let is_plain = ticker.is_ascii() && second.is_ascii();
        let (separators, is_quoted) = separators_and_quotes(line, separator);
        if is_plain && !is_quoted && !trim(ticker).is_empty() && trim(second) != header.first_name() {
            return match separators + 1 == header.fields() {
                true => Disposition::Publish,
                false => Disposition::Ragged(Ragged::FieldCount),
            };
        }
        if line.is_ascii() {
            return self.split(line).disposition(header);
        }
        self.split(decode(line).as_bytes()).disposition(header)
    }

    /// Fills `marks` for this line. Returns whether the line has a quote.
    fn mark(&mut self, line: &[u8]) -> bool {
        let (blocks, rest) = line.as_chunks();
        let mut last = Block::default();
        last[..rest.len()].copy_from_slice(rest);
        self.marks.resize((blocks.len() + 1) * size_of::<Block>(), 0);
        let mut all = Block::default();
        let places = self.marks.as_chunks_mut().0;
        for (block, place) in blocks.iter().chain([&last]).zip(places) {
            *place = marks_of(self.separator, block);
            all.iter_mut().zip(place).for_each(|(all, mark)| *all |= *mark);
        }
        all.iter().any(|marks| marks & QUOTE != 0)
    }

    /// Splits a line that has quotes, after [`Self::mark`].
    fn split_quoted<'a>(&'a mut self, line: &'a [u8]) -> Record<'a> {
        let (mut start, mut state) = (0, FieldState::Plain);
        for (number, word) in self.marks.as_chunks().0.iter().enumerate() {
            let mut marks = u64::from_le_bytes(*word) & EACH_MARK;
            while marks != 0 {
                let at = number * 8 + marks.trailing_zeros() as usize / 8;
                marks &= marks - 1;
                if line[at] == self.separator {
                    match state {
                        FieldState::Plain => self.fields.push((start, at)),
                        FieldState::Closed => self.fields.push((start + 1, at - 1)),
                        FieldState::Quoted => continue,
                    }
                    (start, state) = (at + 1, FieldState::Plain);
                } else if state == FieldState::Quoted {
                    if line.get(at + 1).is_some_and(|b| *b != self.separator) {
                        return self.split_from(line, start);
                    }
                    state = FieldState::Closed;
                } else if at == start {
                    state = FieldState::Quoted;
                }
            }
        }
        match state {
            FieldState::Plain => self.fields.push((start, line.len())),
            FieldState::Closed => self.fields.push((start + 1, line.len() - 1)),
            FieldState::Quoted => return self.split_from(line, start),
        }
        Record { line, splitter: self, quote_closed: true }
    }

    /// Splits the rest of a line from `start`, the start of a field. The slow path: it handles quotes in every position.
    #[cold]
    fn split_from<'a>(&'a mut self, line: &'a [u8], mut start: usize) -> Record<'a> {
        let mut quote_closed = true;
        loop {
            let end = if line.get(start) == Some(&b'"') {
                let (end, closed) = self.quoted(line, start);
                quote_closed &= closed;
                end
            } else {
                let end = self.next_separator(line, start);
                self.fields.push((start, end));
                end
            };
            if end >= line.len() {
                return Record { line, splitter: self, quote_closed };
            }
            start = end + 1;
        }
    }

    fn next_separator(&self, line: &[u8], start: usize) -> usize {
        line[start..].iter().position(|b| *b == self.separator).map_or(line.len(), |at| start + at)
    }

    /// Adds the field whose opening quote is at `start`. Returns the end of the field, and whether its quote was closed.
    fn quoted(&mut self, line: &[u8], start: usize) -> (usize, bool) {
        let next_quote = |from: usize| line[from..].iter().position(|b| *b == b'"').map(|at| from + at);
        let kept = self.unescaped.len();
        let mut from = start + 1;
        let (end, closed) = loop {
            let Some(at) = next_quote(from) else {
                self.unescaped.extend_from_slice(&line[from..]);
                break (line.len(), false);
            };
            self.unescaped.extend_from_slice(&line[from..at]);
            if line.get(at + 1) != Some(&b'"') {
                let end = self.next_separator(line, at + 1);
                self.unescaped.extend_from_slice(&line[at + 1..end]);
                break (end, true);
            }
            self.unescaped.push(b'"');
            from = at + 2;
        };
        self.fields.push((line.len() + kept, line.len() + self.unescaped.len()));
        (end, closed)
    }
}

/// Bytes that are compared together: one SIMD register.
type Block = [u8; 16];

/// The mark of a separator or a quote: one bit per byte, so that a word of eight marks can be searched bit by bit.
const MARK: u8 = 0x80;
const EACH_MARK: u64 = u64::from_ne_bytes([MARK; 8]);

/// The additional mark of a quote.
const QUOTE: u8 = 0x40;

/// Returns the marks of a block of bytes.
#[inline]
fn marks_of(separator: u8, block: &Block) -> Block {
    // Branchless, so that the compiler vectorizes it: one comparison of sixteen bytes.
    let mut marks = Block::default();
    for (mark, byte) in marks.iter_mut().zip(block) {
        *mark = if *byte == separator { MARK } else { 0 } | if *byte == b'"' { MARK | QUOTE } else { 0 };
    }
    marks
}

impl<'a> Record<'a> {
    /// Returns the number of fields, at least one.
    #[inline]
    pub fn len(self) -> usize {
        self.splitter.fields.len()
    }

    /// Always `false`: an empty line is one empty field.
    pub fn is_empty(self) -> bool {
        self.splitter.fields.is_empty()
    }

    /// Returns the text of field `at`, unquoted and not trimmed, or an empty text if there is no such field.
    #[inline]
    pub fn field(self, at: usize) -> &'a [u8] {
        let Some((start, end)) = self.splitter.fields.get(at).copied() else { return &[] };
        match self.line.get(start..end) {
            Some(text) => text,
            None => &self.splitter.unescaped[start - self.line.len()..end - self.line.len()],
        }
    }

    /// Returns field `at` like [`field`](Self::field), in the form that the number readers take.
    #[inline]
    pub fn cell(self, at: usize) -> CellText<'a> {
        let Some((start, end)) = self.splitter.fields.get(at).copied() else { return CellText::from(&[][..]) };
        match self.line.get(..end) {
            Some(line) => CellText::at_end(line, start),
            None => CellText::from(self.field(at)),
        }
    }

    /// Returns the fields in order.
    pub fn fields(self) -> impl Iterator<Item = &'a [u8]> {
        (0..self.len()).map(move |at| self.field(at))
    }

    /// Returns whether the record, of a file with this header, is published, dropped and counted, or rejected as a whole.
    #[inline]
    pub fn disposition(self, header: &Header) -> Disposition {
        if trim(self.field(0)).is_empty() {
            Disposition::BlankTicker
        } else if self.repeats(header) {
            Disposition::HeaderRepeat
        } else if !self.quote_closed {
            Disposition::Ragged(Ragged::UnclosedQuote)
        } else if self.len() != header.fields() {
            Disposition::Ragged(Ragged::FieldCount)
        } else {
            Disposition::Publish
        }
    }

    fn repeats(self, header: &Header) -> bool {
        self.len() == header.fields()
            && header.names().zip(1..).all(|(name, at)| trim(self.field(at)) == name.as_bytes())
    }
}

/// Returns the number of separators in a line, and whether it has a quote. It counts in pieces of at most 255 bytes, so that
/// a count fits in a byte and the compiler vectorizes the loop.
fn separators_and_quotes(line: &[u8], separator: u8) -> (usize, bool) {
    let (mut separators, mut quotes) = (0, 0);
    for piece in line.chunks(u8::MAX.into()) {
        let mut found = 0_u8;
        for byte in piece {
            found += u8::from(*byte == separator);
            quotes |= u8::from(*byte == b'"');
        }
        separators += usize::from(found);
    }
    (separators, quotes != 0)
}

/// The disposition of a record. For every file, `records = published + blank_ticker + header_repeat + ragged`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// A row of the feed's table, even if cells of it are rejected.
    Publish,
    /// Dropped and counted: the record names no instrument.
    BlankTicker,
    /// Dropped and counted: the record repeats the header.
    HeaderRepeat,
    /// One row of `rejects`.
    Ragged(Ragged),
}

/// Why a whole record is in `rejects`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Ragged {
    /// More or fewer fields than the header of the file.
    FieldCount,
    /// A quoted field that does not end on its line.
    UnclosedQuote,
    /// More than [`MAX_LINE_BYTES`]. Line readers find this, since they keep only the beginning of such a line.
    LineTooLong,
}

impl Ragged {
    /// Returns the name that `rejects.reason` shows.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The longest line that is read as a record, in bytes without its line end. The beginning of a longer line (of a file that
/// lost its line ends, for example) goes to `rejects` if it has a ticker. This limit bounds the memory of line readers.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// The bytes that a line reader keeps of a line. They suffice to see that the line is too long, even with a byte-order mark
/// before it and a `\r` as the last byte that is kept.
pub const KEPT_LINE_BYTES: usize = MAX_LINE_BYTES + BYTE_ORDER_MARK.len() + 2;

/// The mark that some programs write before UTF-8 text. It belongs to no field.
pub const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Removes `\r\n`, `\n`, or the `\r` that splitting at `\n` leaves.
pub fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Returns the beginning of a line of more than [`MAX_LINE_BYTES`] without a UTF-8 character that was cut at its end. Text in
/// another encoding is returned as it is.
pub fn whole_characters(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

/// Decodes a line or a cell as UTF-8 or, if it is not valid UTF-8, as Windows-1252, in which every byte is a character.
///
/// Windows-1252 is decoded here and not by `encoding_rs`, whose tables would make the zips of the functions larger; a test
/// compares the two.
pub fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(from_windows_1252(bytes)),
    }
}

#[cold]
fn from_windows_1252(bytes: &[u8]) -> String {
    // A line has a few accented letters, which become two bytes each.
    let mut text = Vec::with_capacity(bytes.len() + 32);
    for bytes in bytes.chunks(8) {
        if bytes.is_ascii() {
            text.extend_from_slice(bytes);
        } else {
            for byte in bytes {
                text.extend_from_slice(windows_1252(*byte).encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
    String::from_utf8(text).expect("ASCII, and characters as UTF-8")
}

/// Maps a Windows-1252 byte to its character, as the WHATWG Encoding Standard does: the five undefined bytes are the control
/// characters with the same number.
fn windows_1252(byte: u8) -> char {
    const FROM_80: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9F => FROM_80[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

/// Returns whether a byte is a control character but not white space, which no text file contains.
pub fn is_binary(byte: u8) -> bool {
    byte < b' ' && !matches!(byte, b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Feed;
    use proptest::prelude::*;

    fn split(line: &str) -> (Vec<String>, bool) {
        let mut splitter = Splitter::new(b',');
        let record = splitter.split(line.as_bytes());
        (record.fields().map(|f| String::from_utf8_lossy(f).into_owned()).collect(), record.quote_closed)
    }

    #[test]
    fn fields_of_a_line() {
        let cases: &[(&str, &[&str], bool)] = &[
            ("", &[""], true),
            ("a", &["a"], true),
            ("a,", &["a", ""], true),
            (",", &["", ""], true),
            (r#""15,73",x"#, &["15,73", "x"], true),
            (r#""""#, &[""], true),
            ("\",", &[","], false),
            ("\"\",", &["", ""], true),
            ("\"\"\",", &["\","], false),
            (r#""a""b",c"#, &[r#"a"b"#, "c"], true),
            (r#""a""""b""#, &[r#"a""b"#], true),
            (r#""a"b,c"#, &["ab", "c"], true),
            (r#""a"b"c,d"#, &[r#"ab"c"#, "d"], true),
            (r#"a"b,c"#, &[r#"a"b"#, "c"], true),
            (r#" "a",b"#, &[r#" "a""#, "b"], true),
            (r#""a,b"#, &["a,b"], false),
            (r#"x,"a""#, &["x", "a"], true),
            (r#"x,"a"""#, &["x", r#"a""#], false),
            (r#""a",""#, &["a", ""], false),
        ];
        for (line, fields, closed) in cases {
            assert_eq!(split(line), (fields.iter().map(|f| f.to_string()).collect(), *closed), "{line:?}");
        }
    }

    #[test]
    fn which_records_are_published() {
        let header = Feed::Quotes.raw_columns().join(",");
        let cells = ["1"; 18].join(",");
        let cases = [
            (format!("PETR4,{cells}"), Disposition::Publish),
            (format!(",{cells}"), Disposition::BlankTicker),
            (" \u{a0}".to_owned(), Disposition::BlankTicker),
            (",1".to_owned(), Disposition::BlankTicker),
            (format!("202004011330,{header}"), Disposition::HeaderRepeat),
            (format!("anything,{}", header.replace(',', " ,")), Disposition::HeaderRepeat),
            (format!("PETR4,{cells},"), Disposition::Ragged(Ragged::FieldCount)),
            ("PETR4".to_owned(), Disposition::Ragged(Ragged::FieldCount)),
            (format!("PETR4,{}\"1", &cells[..34]), Disposition::Ragged(Ragged::UnclosedQuote)),
        ];
        for (line, expected) in cases {
            let mut splitter = Splitter::new(b',');
            assert_eq!(splitter.split(line.as_bytes()).disposition(&Feed::Quotes.into()), expected, "{line:?}");
        }
    }

    #[test]
    fn records_have_the_columns_that_were_added_to_their_header() {
        let names = Feed::Quotes.raw_columns().join(",");
        let header =
            Header::parse(Feed::Quotes, format!("202004011330,{names},Vwap,Lote").as_bytes()).expect("a header");
        let cells = ["1"; 18].join(",");
        let cases = [
            (format!("PETR4,{cells},15.2,100"), Disposition::Publish),
            (format!("PETR4,{cells},,"), Disposition::Publish),
            (format!("PETR4,{cells},\"15,2\",100"), Disposition::Publish),
            (format!(",{cells},15.2,100"), Disposition::BlankTicker),
            (format!("x,{names}, Vwap,Lote "), Disposition::HeaderRepeat),
            (format!("x,{names},Vwap,Other"), Disposition::Publish),
            // The header of the feed alone has fewer fields than that of the file.
            (format!("x,{names}"), Disposition::Ragged(Ragged::FieldCount)),
            (format!("PETR4,{cells}"), Disposition::Ragged(Ragged::FieldCount)),
            (format!("PETR4,{cells},15.2"), Disposition::Ragged(Ragged::FieldCount)),
            (format!("PETR4,{cells},15.2,100,"), Disposition::Ragged(Ragged::FieldCount)),
            (format!("PETR4,{cells},15.2,\"100"), Disposition::Ragged(Ragged::UnclosedQuote)),
        ];
        for (line, expected) in cases {
            let mut splitter = Splitter::new(b',');
            assert_eq!(splitter.split(line.as_bytes()).disposition(&header), expected, "{line:?}");
            assert_eq!(splitter.disposition(line.as_bytes(), &header), expected, "scanned: {line:?}");
        }
    }

    #[test]
    fn windows_1252_is_decoded_where_utf_8_is_not() {
        assert_eq!(decode("Itaú".as_bytes()), "Itaú");
        assert_eq!(decode(b"Ita\xfa \x80\x9f\x81\xa0"), "Itaú €Ÿ\u{81}\u{a0}");
    }

    /// A second implementation of the rules, byte by byte.
    fn split_slowly(line: &[u8]) -> (Vec<Vec<u8>>, bool) {
        let (mut fields, mut rest) = (Vec::new(), line.iter().copied().peekable());
        loop {
            let mut field = Vec::new();
            if rest.next_if_eq(&b'"').is_some() {
                loop {
                    match rest.next() {
                        None => {
                            fields.push(field);
                            return (fields, false);
                        }
                        Some(b'"') if rest.next_if_eq(&b'"').is_none() => break,
                        Some(byte) => field.push(byte),
                    }
                }
            }
            while let Some(byte) = rest.next_if(|byte| *byte != b',') {
                field.push(byte);
            }
            fields.push(field);
            if rest.next().is_none() {
                return (fields, true);
            }
        }
    }

    /// Lines made of pieces that occur in good and in broken files.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => Just(b",".to_vec()),
            2 => Just(b"\"".to_vec()),
            1 => Just(b"\"\"".to_vec()),
            1 => Just(b"\",\"".to_vec()),
            1 => Just(b"\r".to_vec()),
            1 => Just(b" \xa0\xc2\xa0".to_vec()),
            1 => Just(b"Abe".to_vec()),
            1 => Just(Feed::Quotes.raw_columns().join(",").into_bytes()),
            1 => Just([&b"1"[..]; 18].join(&b","[..])),
            1 => Just(b",Vwap,Lote".to_vec()),
            3 => proptest::collection::vec(any::<u8>(), 0..20),
            3 => "[0-9a-z]{0,20}".prop_map(String::into_bytes),
        ];
        proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_quoted_line_reads_back(fields in proptest::collection::vec("[ -~]{0,12}", 1..20)) {
            let line = fields.iter().map(|f| format!("\"{}\"", f.replace('"', "\"\""))).collect::<Vec<_>>().join(",");
            prop_assert_eq!(split(&line), (fields, true));
        }

        #[test]
        fn lines_are_split_as_the_rules_say(lines in proptest::collection::vec(line(), 1..4)) {
            // One splitter for all: nothing of a line is left for the next one.
            let mut splitter = Splitter::new(b',');
            for line in lines {
                let record = splitter.split(&line);
                let fields: Vec<_> = record.fields().map(<[u8]>::to_vec).collect();
                prop_assert_eq!((fields, record.quote_closed), split_slowly(&line));
            }
        }

        #[test]
        fn the_disposition_of_a_line_is_known_without_splitting_it(line in line(), feed in prop_oneof![
            Just(Feed::Quotes),
            Just(Feed::Options)
        ], added in 0..3_usize) {
            let separator = char::from(feed.separator()).to_string();
            let mut header = format!("x{separator}{}", feed.raw_columns().join(&separator));
            ["Vwap", "Lote"][..added.min(2)].iter().for_each(|name| header.extend([&separator, *name]));
            let header = Header::parse(feed, header.as_bytes()).expect("a header");
            let mut splitter = Splitter::new(feed.separator());
            let scanned = splitter.disposition(&line, &header);
            prop_assert_eq!(scanned, splitter.split(decode(&line).as_bytes()).disposition(&header));
        }

        #[test]
        fn each_byte_of_windows_1252_is_a_character(line in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(from_windows_1252(&line), line.iter().map(|b| windows_1252(*b)).collect::<String>());
        }

        #[test]
        fn no_line_panics(line in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b','), any::<u8>()], 0..80)) {
            let mut splitter = Splitter::new(b',');
            let record = splitter.split(&line);
            let _ = (record.disposition(&Feed::Quotes.into()), record.fields().count());
            let _ = decode(&line);
        }
    }
}
