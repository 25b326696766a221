//! Variables: what `Assign` stores, and paths such as `$name.a[0]` read.
//!
//! The variables of a workflow are a scope. A branch of a Parallel state or an iteration of a Map state has a scope of its own
//! inside it, from which it reads the outer ones too; the end of the branch is the end of its variables.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::context::Data;
use super::data_flow::size_within;
use super::template::Template;
use crate::syntax::{DefinitionError, Fields};

/// The maximum size of the variables of one `Assign`, together and each, in bytes of JSON text.
const MAX_ASSIGNED: usize = 256 * 1024;

/// The maximum size of all variables that a state can read, in bytes of JSON text.
const MAX_STORED: usize = 10 * 1024 * 1024;

/// The maximum length of a name, in characters.
const MAX_NAME: usize = 80;

/// The name of the variable that the language reserves.
const RESERVED: &str = "states";

/// The variables that a state can read. They do not change while it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    own: BTreeMap<String, Variable>,
    outer: Option<Arc<Variables>>,
}

#[derive(Clone, Debug)]
struct Variable {
    value: Arc<Value>,
    /// In bytes of JSON text.
    size: usize,
}

impl Variables {
    /// Creates the scope of a workflow from values that were assigned before.
    pub(crate) fn new(values: Map<String, Value>) -> Self {
        Self::default().with(values)
    }

    /// Creates a scope inside this one.
    pub(crate) fn inner(self: &Arc<Self>) -> Arc<Self> {
        Arc::new(Self { own: BTreeMap::new(), outer: Some(Arc::clone(self)) })
    }

    /// Returns the scope after an assignment.
    pub(crate) fn with(&self, assigned: Map<String, Value>) -> Self {
        let mut after = self.clone();
        after.own.extend(assigned.into_iter().map(|(name, value)| {
            let size = size_within(&value, MAX_ASSIGNED).unwrap_or(MAX_ASSIGNED);
            (name, Variable { value: Arc::new(value), size })
        }));
        after
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        match self.own.get(name) {
            Some(variable) => Some(&variable.value),
            None => self.outer.as_ref().and_then(|outer| outer.get(name)),
        }
    }

    /// Returns all variables that can be read, those of outer scopes too.
    pub(crate) fn all(&self) -> Map<String, Value> {
        let mut all = self.outer.as_ref().map(|outer| outer.all()).unwrap_or_default();
        all.extend(self.own.iter().map(|(name, variable)| (name.clone(), Value::clone(&variable.value))));
        all
    }

    fn stored(&self) -> usize {
        let own: usize = self.own.values().map(|variable| variable.size).sum();
        own + self.outer.as_ref().map_or(0, |outer| outer.stored())
    }

    /// Checks the limits of an assignment.
    ///
    /// # Errors
    /// Returns a message if the values are too large, too deep, or too many.
    pub(crate) fn check(&self, assigned: &Map<String, Value>) -> Result<(), String> {
        let mut left = MAX_ASSIGNED;
        for (name, value) in assigned {
            let size = size_within(value, left).ok_or_else(|| {
                format!("assigned variables of more than {MAX_ASSIGNED} bytes, or nested too deeply, with '{name}'")
            })?;
            left -= size;
        }
        let replaced = assigned.keys().filter_map(|name| Some(self.own.get(name)?.size)).sum::<usize>();
        match self.stored() - replaced + (MAX_ASSIGNED - left) {
            ..=MAX_STORED => Ok(()),
            _ => Err(format!("assigned variables that together with the others have more than {MAX_STORED} bytes")),
        }
    }
}

/// `Assign`: a template whose fields are variables.
#[derive(Clone, Debug)]
pub(crate) struct Assign(Template);

impl Assign {
    /// Takes `Assign`.
    pub(crate) fn parse(fields: &mut Fields) -> Result<Option<Self>, DefinitionError> {
        let location = fields.location_of("Assign");
        let Some(value) = fields.take("Assign") else { return Ok(None) };
        for name in assigned_names(&value) {
            check_variable_name(name).map_err(|why| DefinitionError::schema(&format!("{location}/{name}"), why))?;
        }
        Template::parse(value, &location).map(|template| Some(Self(template)))
    }

    /// Evaluates the values. `data` has the variables as they were before.
    ///
    /// # Errors
    /// Returns a message if a path selects nothing or an intrinsic function fails.
    pub(crate) fn evaluate(&self, data: &Data<'_>) -> Result<Map<String, Value>, String> {
        match self.0.render(data)? {
            Value::Object(values) => Ok(values),
            _ => Ok(Map::new()),
        }
    }
}

/// Returns the names of the variables that the value of an `Assign` sets.
pub(crate) fn assigned_names(assign: &Value) -> impl Iterator<Item = &str> {
    let fields = assign.as_object().into_iter().flat_map(Map::keys);
    fields.map(|field| field.strip_suffix(".$").unwrap_or(field))
}

/// Checks that the name of a variable is a Unicode identifier, which the language does not reserve.
///
/// # Errors
/// Returns why it is none.
pub fn check_variable_name(name: &str) -> Result<(), String> {
    let identifier = name.len() - after_name(name).len();
    if name.is_empty() || identifier < name.len() || name.chars().count() > MAX_NAME {
        return Err(format!(
            "'{name}' is not the name of a variable: it has 1 to {MAX_NAME} characters, begins with a letter, and has letters, \
             digits and '_'"
        ));
    }
    match name == RESERVED {
        true => Err(format!("The name '{RESERVED}' is reserved")),
        false => Ok(()),
    }
}

/// Returns what follows the identifier at the start of a text: all of it, if there is none.
pub(super) fn after_name(text: &str) -> &str {
    match text.starts_with(char::is_alphabetic) {
        true => text.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(fields) => fields,
            other => panic!("{other} is not an object"),
        }
    }

    #[test]
    fn names_are_identifiers() {
        let longest = "n".repeat(MAX_NAME);
        for name in ["a", "x1_y", "é", "名前", longest.as_str()] {
            assert_eq!(check_variable_name(name), Ok(()), "{name}");
        }
        let too_long = "n".repeat(MAX_NAME + 1);
        for name in ["", "1a", "_a", "a-b", "a.b", "a b", "$a", "states", too_long.as_str()] {
            assert!(check_variable_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn an_inner_scope_reads_the_outer_one_and_ends_by_itself() {
        let outer = Arc::new(Variables::new(object(json!({ "a": 1, "b": 2 }))));
        let inner = outer.inner().with(object(json!({ "c": 3 })));
        assert_eq!((inner.get("a"), inner.get("c"), inner.get("d")), (Some(&json!(1)), Some(&json!(3)), None));
        assert_eq!(Value::from(inner.all()), json!({ "a": 1, "b": 2, "c": 3 }));
        assert_eq!(outer.get("c"), None);
        assert_eq!(outer.with(object(json!({ "b": 4 }))).get("b"), Some(&json!(4)));
        assert_eq!(outer.get("b"), Some(&json!(2)));
    }

    #[test]
    fn the_limits_count_bytes_of_json() {
        let quotes = 2;
        let text = |size: usize| json!("x".repeat(size - quotes));
        let variables = Variables::default();
        assert!(variables.check(&object(json!({ "a": text(MAX_ASSIGNED) }))).is_ok());
        assert!(variables.check(&object(json!({ "a": text(MAX_ASSIGNED), "b": 1 }))).is_err());
        assert!(variables.check(&object(json!({ "a": text(MAX_ASSIGNED + 1) }))).is_err());
        let mut variables = variables;
        for number in 0..40 {
            let assigned = object(json!({ format!("v{number}"): text(MAX_ASSIGNED) }));
            assert!(variables.check(&assigned).is_ok());
            variables = variables.with(assigned);
        }
        let inner = Arc::new(variables.clone()).inner();
        assert!(inner.check(&object(json!({ "more": 1 }))).is_err());
        assert!(variables.check(&object(json!({ "v0": text(MAX_ASSIGNED) }))).is_ok(), "it takes the place of another");
    }
}
