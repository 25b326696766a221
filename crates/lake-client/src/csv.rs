//! Writes CSV (RFC 4180).

use std::io::{self, Write};

/// Writes one record. NULL is an empty field; an empty text is `""`.
///
/// # Errors
/// I/O errors of `out`.
pub fn write_record<'a>(out: &mut impl Write, fields: impl Iterator<Item = Option<&'a str>>) -> io::Result<()> {
    for (at, field) in fields.enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        match field {
            None => {}
            Some(text) if text.is_empty() || text.contains([',', '"', '\r', '\n']) => {
                write!(out, "\"{}\"", text.replace('"', "\"\""))?;
            }
            Some(text) => out.write_all(text.as_bytes())?,
        }
    }
    out.write_all(b"\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_be_quoted_is_quoted() {
        let mut out = Vec::new();
        let fields = [Some("a,b"), Some("1"), None, Some(""), Some("c\"d"), Some("e\nf"), Some(" é ")];
        write_record(&mut out, fields.into_iter()).expect("a Vec takes all bytes");
        assert_eq!(String::from_utf8(out).expect("text"), "\"a,b\",1,,\"\",\"c\"\"d\",\"e\nf\", é \r\n");
    }
}
