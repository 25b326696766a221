//! Parses one line of a JSON Lines file into field names and raw values.
//!
//! Values are returned as text, because a number that was parsed as a `double` may not be the number in the file.
//! `serde_json` finds the end of each value, and thereby checks its syntax.

use std::collections::HashSet;

use serde::de::{DeserializeOwned, IgnoredAny};

/// A line that is not a JSON object: a message, the OpenX SerDe's where it has one, and the byte of the error, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MalformedLine {
    pub(super) why: String,
    pub(super) at: usize,
}

/// Calls `each` with every field of the object on the line, in order: the name in lower case, and the value as written.
///
/// Names are compared without case, which is Athena's default. A duplicate name is an error, as on Athena.
///
/// # Errors
/// The line is not exactly one JSON object, or `each` refuses a value.
pub(super) fn fields<'a>(
    line: &'a str,
    mut each: impl FnMut(&str, &'a str) -> Result<(), String>,
) -> Result<(), LineError> {
    let mut cursor = LineCursor { line, at: 0 };
    let mut names = HashSet::new();
    if !cursor.take('{') {
        return Err(cursor.malformed("A JSONObject text must begin with '{'").into());
    }
    if !cursor.take('}') {
        loop {
            let (name, at) = cursor.name()?;
            if !names.insert(name.clone()) {
                return Err(MalformedLine { why: format!("Duplicate key \"{name}\""), at: at + 1 }.into());
            }
            if !cursor.take(':') {
                return Err(cursor.malformed("Expected a ':' after a key").into());
            }
            let value = cursor.value::<IgnoredAny>()?.1;
            each(&name, value).map_err(|why| LineError::Value { name, why })?;
            if cursor.take('}') {
                break;
            }
            if !cursor.take(',') {
                return Err(cursor.malformed("Expected a ',' or '}'").into());
            }
        }
    }
    match cursor.text() {
        "" => Ok(()),
        _ => Err(cursor.malformed("there is more behind the object").into()),
    }
}

/// An error in a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LineError {
    /// The line is not a JSON object.
    Malformed(MalformedLine),
    /// A value does not fit its column.
    Value { name: String, why: String },
}

impl From<MalformedLine> for LineError {
    fn from(line: MalformedLine) -> Self {
        Self::Malformed(line)
    }
}

/// A cursor over a line.
struct LineCursor<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> LineCursor<'a> {
    /// Skips white space and returns the rest of the line.
    fn text(&mut self) -> &'a str {
        let rest = self.line.get(self.at..).unwrap_or_default();
        let text = rest.trim_start_matches([' ', '\t', '\r']);
        self.at = self.line.len() - text.len();
        text
    }

    fn take(&mut self, mark: char) -> bool {
        let found = self.text().starts_with(mark);
        if found {
            self.at += mark.len_utf8();
        }
        found
    }

    /// Parses a name. Returns it in lower case, and its byte offset.
    fn name(&mut self) -> Result<(String, usize), MalformedLine> {
        if !self.text().starts_with('"') {
            return Err(self.malformed("Expected a key in double quotes"));
        }
        let at = self.at;
        let (name, _) = self.value::<String>()?;
        Ok((name.to_lowercase(), at))
    }

    /// Parses a value. Returns it and its text.
    fn value<T: DeserializeOwned>(&mut self) -> Result<(T, &'a str), MalformedLine> {
        let text = self.text();
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<T>();
        match values.next() {
            Some(Ok(value)) => {
                let length = values.byte_offset();
                self.at += length;
                Ok((value, text.get(..length).unwrap_or_default()))
            }
            Some(Err(error)) => {
                let why = error.to_string();
                let why = why.split(" at line ").next().unwrap_or_default();
                Err(MalformedLine { why: why.to_owned(), at: self.at + error.column().max(1) })
            }
            None => Err(self.malformed("Expected a value")),
        }
    }

    fn malformed(&self, why: &str) -> MalformedLine {
        MalformedLine { why: why.to_owned(), at: self.at + 1 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn read(line: &str) -> Result<Vec<(String, String)>, LineError> {
        let mut found = Vec::new();
        fields(line, |name, value| {
            found.push((name.to_owned(), value.to_owned()));
            Ok(())
        })?;
        Ok(found)
    }

    fn malformed(line: &str) -> (String, usize) {
        match read(line) {
            Err(LineError::Malformed(MalformedLine { why, at })) => (why, at),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn values_come_as_they_are_written() {
        let found = read(" {\"a\" : 9007199254740993,\t\"B\":\"x\\u00e7\\\"\" , \"c\":{\"a\":[1,{}]},\"d\":null} \r");
        let found = found.expect("an object");
        let expected = [("a", "9007199254740993"), ("b", "\"x\\u00e7\\\"\""), ("c", "{\"a\":[1,{}]}"), ("d", "null")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(read("{}"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_object_is_no_row() {
        for (line, why, at) in [
            ("", "A JSONObject text must begin with '{'", 1),
            ("  ", "A JSONObject text must begin with '{'", 3),
            ("[1]", "A JSONObject text must begin with '{'", 1),
            ("\u{feff}{}", "A JSONObject text must begin with '{'", 1),
            ("{", "Expected a key in double quotes", 2),
            ("{a:1}", "Expected a key in double quotes", 2),
            ("{\"a\" 1}", "Expected a ':' after a key", 6),
            ("{\"a\":}", "expected value", 6),
            ("{\"a\":", "Expected a value", 6),
            ("{\"a\":01}", "invalid number", 7),
            ("{\"a\":1,}", "Expected a key in double quotes", 8),
            ("{\"a\":1 \"b\":2}", "Expected a ',' or '}'", 8),
            ("{\"a\":nul}", "expected ident", 9),
            ("{\"a\":\"x", "EOF while parsing a string", 7),
            ("{\"a\":1} {}", "there is more behind the object", 9),
            ("{\"a\":1,\"A\":2}", "Duplicate key \"a\"", 8),
        ] {
            assert_eq!(malformed(line), (why.to_owned(), at), "{line}");
        }
    }

    #[test]
    fn what_is_said_of_a_value_names_its_field() {
        let error = fields("{\"a\":1,\"b\":2}", |name, _| if name == "b" { Err("no".to_owned()) } else { Ok(()) });
        assert_eq!(error, Err(LineError::Value { name: "b".to_owned(), why: "no".to_owned() }));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..4)
                    .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        /// An object that serde_json writes is read back field by field.
        #[test]
        fn an_object_is_read_as_serde_json_does(fields in prop::collection::hash_map("[a-c]{1,3}", json(), 0..5)) {
            let written = Value::from(fields.clone().into_iter().collect::<Map<_, _>>()).to_string();
            let read = read(&written).expect("an object");
            prop_assert_eq!(read.len(), fields.len());
            for (name, value) in read {
                prop_assert_eq!(&serde_json::from_str::<Value>(&value).expect("a value"), &fields[&name]);
            }
        }

        #[test]
        fn no_line_panics_or_is_read_otherwise(line in "[{}\\[\\]\":,a1.eE\\\\u0-9 -]{0,40}") {
            let whole = serde_json::from_str::<Map<String, Value>>(&line);
            match read(&line) {
                Ok(read) => prop_assert!(whole.is_ok_and(|whole| whole.len() == read.len()) || line.contains(['\\', 'e', 'E'])),
                Err(LineError::Malformed(MalformedLine { why, .. })) => {
                    prop_assert!(whole.is_err() || why.starts_with("Duplicate key"), "{line}: {why}");
                }
                Err(error) => prop_assert!(false, "{error:?}"),
            }
        }
    }
}
