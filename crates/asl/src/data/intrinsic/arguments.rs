//! The arguments of a call, and helpers that several functions share.

use serde_json::Value;

/// The maximum length of a string that is encoded, decoded or hashed, in characters.
const MAX_TEXT_LENGTH: usize = 10_000;

/// The values of a call's arguments. The parser has checked their number; the functions check their types.
#[derive(Clone, Copy)]
pub(super) struct Arguments<'a>(pub(super) &'a [Value]);

impl<'a> Arguments<'a> {
    pub(super) fn value(self, at: usize) -> Result<&'a Value, String> {
        self.0.get(at).ok_or_else(|| format!("argument {} is missing", at + 1))
    }

    pub(super) fn text(self, at: usize) -> Result<&'a str, String> {
        self.value(at)?.as_str().ok_or_else(|| format!("argument {} is not a string", at + 1))
    }

    pub(super) fn limited_text(self, at: usize) -> Result<&'a str, String> {
        within_text_limit(self.text(at)?)
    }

    pub(super) fn array(self, at: usize) -> Result<&'a [Value], String> {
        self.value(at)?.as_array().map(Vec::as_slice).ok_or_else(|| format!("argument {} is not an array", at + 1))
    }

    pub(super) fn number(self, at: usize) -> Result<f64, String> {
        self.value(at)?.as_f64().ok_or_else(|| format!("argument {} is not a number", at + 1))
    }

    /// Returns an integer. AWS truncates fractions.
    pub(super) fn whole(self, at: usize) -> Result<i64, String> {
        match self.value(at)?.as_i64() {
            Some(whole) => Ok(whole),
            // The cast saturates, so that a number out of range stays out of the range of any array.
            None => Ok(self.number(at)?.trunc() as i64),
        }
    }
}

pub(super) fn within_text_limit(text: &str) -> Result<&str, String> {
    match text.chars().count() {
        0..=MAX_TEXT_LENGTH => Ok(text),
        length => Err(format!("{length} characters are over the limit of {MAX_TEXT_LENGTH}")),
    }
}

/// Returns whether two JSON values are equal. 1 and 1.0 are the same number.
pub(super) fn json_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(l), Value::Number(r)) => l == r || l.as_f64() == r.as_f64(),
        (Value::Array(l), Value::Array(r)) => l.len() == r.len() && l.iter().zip(r).all(|(l, r)| json_equal(l, r)),
        (Value::Object(l), Value::Object(r)) => {
            l.len() == r.len() && l.iter().all(|(name, l)| r.get(name).is_some_and(|r| json_equal(l, r)))
        }
        _ => left == right,
    }
}
