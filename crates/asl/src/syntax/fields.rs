//! The fields of one object of a definition.
//!
//! Each field is taken once, as the type that it must have, and at the end no field may be left. So a misspelled field
//! name is an error with its location, instead of a field that is ignored.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::error::DefinitionError;

/// The fields of an object that have not been taken yet, and the object's location in the definition.
pub(crate) struct Fields {
    location: String,
    left: Map<String, Value>,
}

type Result<T, E = DefinitionError> = std::result::Result<T, E>;

impl Fields {
    /// Reads the object at `location`.
    ///
    /// # Errors
    /// Returns an error if `value` is not an object.
    pub(crate) fn parse(value: Value, location: &str) -> Result<Self> {
        match value {
            Value::Object(left) => Ok(Self { location: location.to_owned(), left }),
            _ => Err(DefinitionError::schema(location, "Value must be an object")),
        }
    }

    /// Returns the location of `field`.
    pub(crate) fn location_of(&self, field: &str) -> String {
        format!("{}/{field}", self.location)
    }

    /// Returns the location of the object.
    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    /// Creates an error in the value of `field`.
    pub(crate) fn error(&self, field: &str, message: impl Into<String>) -> DefinitionError {
        DefinitionError::schema(&self.location_of(field), message)
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.left.contains_key(field)
    }

    /// Returns the names of the fields that have not been taken.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.left.keys().map(String::as_str)
    }

    pub(crate) fn take(&mut self, field: &str) -> Option<Value> {
        self.left.shift_remove(field)
    }

    pub(crate) fn require(&self, fields: &[&str]) -> Result<()> {
        let missing: Vec<&str> = fields.iter().copied().filter(|field| !self.has(field)).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => {
                let message = format!("These fields are required: [{}]", missing.join(", "));
                Err(DefinitionError::schema(&self.location, message))
            }
        }
    }

    /// Refuses more than one of several mutually exclusive fields.
    pub(crate) fn at_most_one(&self, fields: &[&str]) -> Result<()> {
        let given: Vec<&str> = fields.iter().copied().filter(|field| self.has(field)).collect();
        match given.as_slice() {
            [] | [_] => Ok(()),
            several => {
                let message = format!("Only one of these fields may be given: [{}]", several.join(", "));
                Err(DefinitionError::schema(&self.location, message))
            }
        }
    }

    pub(crate) fn text(&mut self, field: &str) -> Result<Option<String>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(field, "Value must be a string")),
        }
    }

    pub(crate) fn required_text(&mut self, field: &str) -> Result<String> {
        self.require(&[field])?;
        self.text(field).map(Option::unwrap_or_default)
    }

    pub(crate) fn boolean(&mut self, field: &str) -> Result<Option<bool>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(self.error(field, "Value must be true or false")),
        }
    }

    pub(crate) fn whole(&mut self, field: &str, range: RangeInclusive<u64>) -> Result<Option<u64>> {
        let Some(value) = self.take(field) else {
            return Ok(None);
        };
        match value.as_u64() {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let message = format!("Value must be a whole number from {} to {}", range.start(), range.end());
                Err(self.error(field, message))
            }
        }
    }

    pub(crate) fn object(&mut self, field: &str) -> Result<Option<Map<String, Value>>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(self.error(field, "Value must be an object")),
        }
    }

    pub(crate) fn array(&mut self, field: &str) -> Result<Option<Vec<Value>>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(self.error(field, "Value must be an array")),
        }
    }

    /// Takes an array of objects. Returns an empty vector if there is no such field.
    pub(crate) fn objects(&mut self, field: &str) -> Result<Vec<Self>> {
        let items = self.array(field)?.unwrap_or_default();
        let items = items.into_iter().enumerate();
        items.map(|(at, item)| Self::parse(item, &format!("{}[{at}]", self.location_of(field)))).collect()
    }

    /// Takes a string and parses it.
    pub(crate) fn parsed<T>(
        &mut self,
        field: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>> {
        let text = self.text(field)?;
        text.map(|text| parse(&text)).transpose().map_err(|why| self.error(field, why))
    }

    /// Takes `QueryLanguage`, and refuses any but JSONPath.
    pub(crate) fn query_language(&mut self) -> Result<()> {
        match self.text("QueryLanguage")?.as_deref() {
            None | Some("JSONPath") => Ok(()),
            Some("JSONata") => Err(self.error(
                "QueryLanguage",
                "The query language JSONata is not supported: write the definition with JSONPath",
            )),
            Some(other) => {
                let message = format!("'{other}' is not a query language: use JSONPath");
                Err(self.error("QueryLanguage", message))
            }
        }
    }

    /// Refuses fields that have not been taken, because they are not supported.
    pub(crate) fn finish(self) -> Result<()> {
        self.left.keys().next().map_or(Ok(()), |field| Err(self.not_supported(field)))
    }

    /// Refuses `Assign` and the fields of JSONata, where other names have a meaning of their own.
    pub(crate) fn refuse_query_fields(&self) -> Result<()> {
        let known = ["Assign", "Arguments", "Output"].into_iter().find(|field| self.has(field));
        known.map_or(Ok(()), |field| Err(self.not_supported(field)))
    }

    fn not_supported(&self, field: &str) -> DefinitionError {
        let reason = match field {
            "Assign" => ": states that go on, rules at the top level of a Choice and catchers assign variables",
            "Arguments" | "Output" => ": JSONata is not supported, write the definition with JSONPath",
            _ => "",
        };
        self.error(field, format!("Field '{field}' is not supported{reason}"))
    }
}
