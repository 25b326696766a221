//! The fields of one object of a definition.
//!
//! Each field is taken once, with the type that it has to have; at the end nothing may be left. That is how a typing
//! error in a field's name becomes an error with its place, instead of a field that does nothing.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::DefinitionError;

/// The fields that have not been taken yet, and where in the definition they are.
pub(crate) struct Fields {
    location: String,
    left: Map<String, Value>,
}

type Read<T> = Result<T, DefinitionError>;

impl Fields {
    pub(crate) fn of(value: Value, location: &str) -> Read<Self> {
        match value {
            Value::Object(left) => Ok(Self { location: location.to_owned(), left }),
            _ => Err(DefinitionError::schema(location, "Value must be an object")),
        }
    }

    /// Where `field` is.
    pub(crate) fn place(&self, field: &str) -> String {
        format!("{}/{field}", self.location)
    }

    /// Where the object itself is.
    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    /// An error in the value of `field`.
    pub(crate) fn fault(&self, field: &str, message: impl Into<String>) -> DefinitionError {
        DefinitionError::schema(&self.place(field), message)
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.left.contains_key(field)
    }

    /// The names of the fields that are left.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.left.keys().map(String::as_str)
    }

    pub(crate) fn take(&mut self, field: &str) -> Option<Value> {
        self.left.shift_remove(field)
    }

    pub(crate) fn require(&self, fields: &[&str]) -> Read<()> {
        let missing: Vec<&str> = fields.iter().copied().filter(|field| !self.has(field)).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => {
                let message = format!("These fields are required: [{}]", missing.join(", "));
                Err(DefinitionError::schema(&self.location, message))
            }
        }
    }

    /// Refuses more than one of several fields that say the same in different ways.
    pub(crate) fn at_most_one(&self, fields: &[&str]) -> Read<()> {
        let given: Vec<&str> = fields.iter().copied().filter(|field| self.has(field)).collect();
        match given.as_slice() {
            [] | [_] => Ok(()),
            several => {
                let message = format!("Only one of these fields may be given: [{}]", several.join(", "));
                Err(DefinitionError::schema(&self.location, message))
            }
        }
    }

    pub(crate) fn text(&mut self, field: &str) -> Read<Option<String>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.fault(field, "Value must be a string")),
        }
    }

    pub(crate) fn required_text(&mut self, field: &str) -> Read<String> {
        self.require(&[field])?;
        self.text(field).map(Option::unwrap_or_default)
    }

    pub(crate) fn boolean(&mut self, field: &str) -> Read<Option<bool>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(self.fault(field, "Value must be true or false")),
        }
    }

    pub(crate) fn whole(&mut self, field: &str, range: RangeInclusive<u64>) -> Read<Option<u64>> {
        let Some(value) = self.take(field) else {
            return Ok(None);
        };
        match value.as_u64() {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let message = format!("Value must be a whole number from {} to {}", range.start(), range.end());
                Err(self.fault(field, message))
            }
        }
    }

    pub(crate) fn object(&mut self, field: &str) -> Read<Option<Map<String, Value>>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(self.fault(field, "Value must be an object")),
        }
    }

    pub(crate) fn array(&mut self, field: &str) -> Read<Option<Vec<Value>>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(self.fault(field, "Value must be an array")),
        }
    }

    /// The objects in an array, each with its own place; empty if there is no such field.
    pub(crate) fn objects(&mut self, field: &str) -> Read<Vec<Self>> {
        let items = self.array(field)?.unwrap_or_default();
        let items = items.into_iter().enumerate();
        items.map(|(at, item)| Self::of(item, &format!("{}[{at}]", self.place(field)))).collect()
    }

    /// A string that `parse` understands.
    pub(crate) fn parsed<T>(&mut self, field: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Read<Option<T>> {
        let text = self.text(field)?;
        text.map(|text| parse(&text)).transpose().map_err(|why| self.fault(field, why))
    }

    /// Checks that paths and intrinsic functions are meant, and not JSONata.
    pub(crate) fn query_language(&mut self) -> Read<()> {
        match self.text("QueryLanguage")?.as_deref() {
            None | Some("JSONPath") => Ok(()),
            Some("JSONata") => Err(self.fault(
                "QueryLanguage",
                "The query language JSONata is not supported: write the definition with JSONPath",
            )),
            Some(other) => {
                let message = format!("'{other}' is not a query language: use JSONPath");
                Err(self.fault("QueryLanguage", message))
            }
        }
    }

    /// Refuses what is left.
    pub(crate) fn finish(self) -> Read<()> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(field) => {
                let message = format!("Field '{field}' is not supported");
                Err(DefinitionError::schema(&self.place(field), message))
            }
        }
    }
}
