//! One line of a JSON file: the names and the raw values of an object.
//!
//! Values are handed out as they are written, because a number that has passed through a `double` is no longer the number
//! of the file. `serde_json` finds where a value ends, and so holds it to the grammar.

use std::collections::HashSet;

use serde::de::{DeserializeOwned, IgnoredAny};

/// Why a line is no row, in the words of the OpenX SerDe where it has some, and the byte at which it shows, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRow {
    pub(super) why: String,
    pub(super) at: usize,
}

/// Calls `each` with every field of the object on the line, in order: the name in lower case, and the value as written.
///
/// Names are compared without case, as Athena does by default, and one that comes twice is an error there too.
///
/// # Errors
/// What is not a JSON object and nothing else, and what `each` says of a value, with the place of that value.
pub(super) fn fields<'a>(
    line: &'a str,
    mut each: impl FnMut(&str, &'a str) -> Result<(), String>,
) -> Result<(), LineError> {
    let mut rest = Rest { line, at: 0 };
    let mut names = HashSet::new();
    if !rest.take('{') {
        return Err(rest.no_row("A JSONObject text must begin with '{'").into());
    }
    if !rest.take('}') {
        loop {
            let (name, at) = rest.name()?;
            if !names.insert(name.clone()) {
                return Err(NoRow { why: format!("Duplicate key \"{name}\""), at: at + 1 }.into());
            }
            if !rest.take(':') {
                return Err(rest.no_row("Expected a ':' after a key").into());
            }
            let value = rest.value::<IgnoredAny>()?.1;
            each(&name, value).map_err(|why| LineError::Value { name, why })?;
            if rest.take('}') {
                break;
            }
            if !rest.take(',') {
                return Err(rest.no_row("Expected a ',' or '}'").into());
            }
        }
    }
    match rest.text() {
        "" => Ok(()),
        _ => Err(rest.no_row("there is more behind the object").into()),
    }
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LineError {
    /// It is no row at all.
    NoRow(NoRow),
    /// A value of it does not fit its column.
    Value { name: String, why: String },
}

impl From<NoRow> for LineError {
    fn from(no_row: NoRow) -> Self {
        Self::NoRow(no_row)
    }
}

/// What is left of a line.
struct Rest<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    /// The text from the next thing on.
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

    /// A name in lower case, and where it is.
    fn name(&mut self) -> Result<(String, usize), NoRow> {
        if !self.text().starts_with('"') {
            return Err(self.no_row("Expected a key in double quotes"));
        }
        let at = self.at;
        let (name, _) = self.value::<String>()?;
        Ok((name.to_lowercase(), at))
    }

    /// A value, and its text.
    fn value<T: DeserializeOwned>(&mut self) -> Result<(T, &'a str), NoRow> {
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
                Err(NoRow { why: why.to_owned(), at: self.at + error.column().max(1) })
            }
            None => Err(self.no_row("Expected a value")),
        }
    }

    fn no_row(&self, why: &str) -> NoRow {
        NoRow { why: why.to_owned(), at: self.at + 1 }
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

    fn no_row(line: &str) -> (String, usize) {
        match read(line) {
            Err(LineError::NoRow(NoRow { why, at })) => (why, at),
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
            assert_eq!(no_row(line), (why.to_owned(), at), "{line}");
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
        /// Whatever serde_json writes is read back field by field, and whatever it refuses as a whole is refused.
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
                Err(LineError::NoRow(NoRow { why, .. })) => {
                    prop_assert!(whole.is_err() || why.starts_with("Duplicate key"), "{line}: {why}");
                }
                Err(error) => prop_assert!(false, "{error:?}"),
            }
        }
    }
}
