//! Reads a stream line by line in constant memory: the buffer does not grow with the file or with a line in it.

use std::io::{self, Read};

use market::record::{BYTE_ORDER_MARK, KEPT_LINE_BYTES, MAX_LINE_BYTES, whole_characters, without_line_end};
use memchr::memchr;

/// The size of a read. Large enough to make the cost of the calls negligible, small enough to stay in the CPU cache.
const READ_BYTES: usize = 256 << 10;

/// The read buffer of one thread, reused for all its files.
pub struct Buffer(Box<[u8]>);

impl Default for Buffer {
    /// Has room for the kept part of the longest line, and for one read after it.
    fn default() -> Self {
        Self(vec![0; MAX_LINE_BYTES + READ_BYTES].into_boxed_slice())
    }
}

/// A line that is not empty, without its line end.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The bytes of the line, not decoded.
    pub bytes: &'a [u8],
    /// Whether the line has more than [`MAX_LINE_BYTES`], and `bytes` is only its beginning.
    pub cut: bool,
}

/// Reads a file line by line. Skips empty lines, and a byte-order mark before the first line.
pub struct Lines<'a, R> {
    source: R,
    buffer: &'a mut [u8],
    /// `buffer[start..end]` was read and not yet returned.
    start: usize,
    end: usize,
    at_end: bool,
    number: u64,
}

impl<'a, R: Read> Lines<'a, R> {
    /// Returns a reader of the lines of `source`.
    pub fn new(source: R, buffer: &'a mut Buffer) -> Self {
        Self { source, buffer: &mut buffer.0, start: 0, end: 0, at_end: false, number: 0 }
    }

    /// Returns the number of the line that was returned last. The first line of the file has number 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the underlying stream.
    pub fn source(&self) -> &R {
        &self.source
    }

    /// Returns the next line that is not empty, or `None` at the end of the file.
    ///
    /// # Errors
    /// The error of the underlying stream.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            let Some((start, end)) = self.next_range()? else { return Ok(None) };
            self.number += 1;
            let start = if self.number == 1 && self.buffer[start..end].starts_with(&BYTE_ORDER_MARK) {
                start + BYTE_ORDER_MARK.len()
            } else {
                start
            };
            let length = without_line_end(&self.buffer[start..end]).len();
            if length > MAX_LINE_BYTES {
                let bytes = whole_characters(&self.buffer[start..start + MAX_LINE_BYTES]);
                return Ok(Some(Line { bytes, cut: true }));
            }
            if length > 0 {
                return Ok(Some(Line { bytes: &self.buffer[start..start + length], cut: false }));
            }
        }
    }

    /// Returns the range of the next line in the buffer. Skips the rest of a line that does not fit; its range is
    /// [`KEPT_LINE_BYTES`] long.
    fn next_range(&mut self) -> io::Result<Option<(usize, usize)>> {
        let mut searched = 0;
        loop {
            let unread = &self.buffer[self.start..self.end];
            if let Some(at) = memchr(b'\n', &unread[searched..]) {
                let line = (self.start, self.start + searched + at);
                self.start = line.1 + 1;
                return Ok(Some(line));
            }
            if self.at_end {
                let line = (self.start, self.end);
                self.start = self.end;
                return Ok((line.0 < line.1).then_some(line));
            }
            if unread.len() > KEPT_LINE_BYTES {
                return self.skip_to_line_end().map(Some);
            }
            searched = unread.len();
            self.move_to_front();
            self.fill(self.end)?;
        }
    }

    /// Keeps the beginning of a line that does not fit, and skips the rest of it.
    fn skip_to_line_end(&mut self) -> io::Result<(usize, usize)> {
        self.move_to_front();
        let kept = KEPT_LINE_BYTES;
        loop {
            self.fill(kept)?;
            match memchr(b'\n', &self.buffer[kept..self.end]) {
                Some(at) => self.start = kept + at + 1,
                None if self.at_end => self.start = self.end,
                None => continue,
            }
            return Ok((0, kept));
        }
    }

    fn move_to_front(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
    }

    /// Reads once into the buffer at `at`, and overwrites what follows.
    fn fill(&mut self, at: usize) -> io::Result<()> {
        let room = (self.buffer.len() - at).min(READ_BYTES);
        let read = loop {
            match self.source.read(&mut self.buffer[at..at + room]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.at_end = read == 0;
        self.end = at + read;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns its bytes a few at a time, as a decoder may.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let step = self.1.min(self.0.len());
            (&self.0[..step]).read(buffer).inspect(|read| self.0 = &self.0[*read..])
        }
    }

    /// Reads all lines: number, bytes, whether it was cut.
    fn lines(bytes: &[u8], step: usize) -> Vec<(u64, Vec<u8>, bool)> {
        let mut buffer = Buffer::default();
        let mut lines = Lines::new(Drip(bytes, step), &mut buffer);
        let mut all = Vec::new();
        loop {
            let Some(line) = lines.next_line().expect("memory can be read") else { return all };
            let (bytes, cut) = (line.bytes.to_vec(), line.cut);
            all.push((lines.number(), bytes, cut));
        }
    }

    fn texts(bytes: &[u8]) -> Vec<(u64, String)> {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        lines(bytes, usize::MAX).into_iter().map(|(number, bytes, _)| (number, text(bytes))).collect()
    }

    #[test]
    fn ends_marks_and_empty_lines() {
        let cases: &[(&str, &[(u64, &str)])] = &[
            ("", &[]),
            ("\n\r\n", &[]),
            ("a", &[(1, "a")]),
            ("a\n", &[(1, "a")]),
            ("a\r\nb\r", &[(1, "a"), (2, "b")]),
            ("\n\na\n\n b", &[(3, "a"), (5, " b")]),
            ("\u{feff}a\n\u{feff}b", &[(1, "a"), (2, "\u{feff}b")]),
            ("\u{feff}\na", &[(2, "a")]),
            ("\u{feff}", &[]),
            ("a\r\r\n", &[(1, "a\r")]),
        ];
        for (text, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(number, line)| (*number, line.to_string())).collect();
            assert_eq!(texts(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn long_lines_are_cut_and_the_next_line_is_whole() {
        let longest = "x".repeat(MAX_LINE_BYTES);
        for (extra, cut) in [("", false), ("y", true), ("yy", true), (&*"y".repeat(3 * MAX_LINE_BYTES), true)] {
            for end in ["\n", "\r\n"] {
                let text = format!("\u{feff}{longest}{extra}{end}next{end}");
                for step in [usize::MAX, 100_000] {
                    let lines = lines(text.as_bytes(), step);
                    assert_eq!(lines.len(), 2);
                    assert!(lines[0] == (1, longest.clone().into_bytes(), cut), "{} more, {end:?}", extra.len());
                    assert_eq!(lines[1], (2, b"next".to_vec(), false));
                }
            }
            assert_eq!(lines(format!("{longest}{extra}").as_bytes(), usize::MAX).len(), 1);
        }
    }

    #[test]
    fn a_cut_line_ends_at_a_whole_character() {
        let text = format!("x{}", "é".repeat(MAX_LINE_BYTES));
        assert!(lines(text.as_bytes(), usize::MAX) == [(1, text.as_bytes()[..MAX_LINE_BYTES - 1].to_vec(), true)]);
        let latin = [b"x".repeat(MAX_LINE_BYTES / 2), b"\xe9".repeat(MAX_LINE_BYTES)].concat();
        assert!(lines(&latin, usize::MAX) == [(1, latin[..MAX_LINE_BYTES].to_vec(), true)]);
    }

    proptest! {
        #[test]
        fn lines_are_what_stands_between_line_feeds(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            step in 1usize..50,
        ) {
            let expected: Vec<_> = bytes
                .strip_prefix(&BYTE_ORDER_MARK)
                .unwrap_or(&bytes)
                .split(|b| *b == b'\n')
                .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
                .zip(1u64..)
                .filter(|(line, _)| !line.is_empty())
                .map(|(line, number)| (number, line.to_vec(), false))
                .collect();
            prop_assert_eq!(lines(&bytes, step), expected);
        }
    }
}
