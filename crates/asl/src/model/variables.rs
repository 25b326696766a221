//! The variables of a definition: which states read them, and in which scopes they are assigned.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::data::{Expression, assigned_names};
use crate::syntax::DefinitionError;

/// The names of the variables that each state reads, by the state's name.
pub(super) type References = BTreeMap<String, BTreeSet<String>>;

/// The fields that are payload templates, in which the fields whose names end in `.$` are expressions.
const TEMPLATES: [&str; 4] = ["Parameters", "ResultSelector", "ItemSelector", "Assign"];

/// The fields that hold workflows of other states.
const WORKFLOWS: [&str; 3] = ["Branches", "Iterator", "ItemProcessor"];

/// Returns the variables that the states of a definition read, those of branches and item processors too.
pub(super) fn references(workflow: &Value) -> References {
    let mut found = References::new();
    for (name, state) in states(workflow) {
        let mut names = BTreeSet::new();
        read(state, false, &mut names);
        if !names.is_empty() {
            found.insert(name.clone(), names);
        }
        for (_, inner) in workflows(state) {
            found.extend(references(inner));
        }
    }
    found
}

/// Adds the variables that the fields of a state, a rule, a catcher or a template read.
fn read(value: &Value, in_template: bool, names: &mut BTreeSet<String>) {
    if let Value::Array(items) = value {
        for item in items {
            read(item, in_template, names);
        }
    }
    for (field, value) in value.as_object().into_iter().flatten() {
        let is_expression = match in_template {
            true => field.ends_with(".$"),
            false => field.ends_with("Path") || field == "Variable",
        };
        match value {
            Value::String(text) if is_expression => {
                names.extend(Expression::parse(text).iter().flat_map(Expression::variables).map(str::to_owned));
            }
            _ if !in_template && (field == "Result" || WORKFLOWS.contains(&field.as_str())) => {}
            _ => read(value, in_template || TEMPLATES.contains(&field.as_str()), names),
        }
    }
}

/// Checks that no branch or item processor assigns a variable of the scope around it, as AWS demands: it could not change it.
pub(super) fn check_scopes(workflow: &Value, location: &str, outer: &BTreeSet<&str>) -> Result<(), DefinitionError> {
    let mut visible = outer.clone();
    for (name, state) in states(workflow) {
        for (place, assign) in assignments(state) {
            for variable in assigned_names(assign) {
                if outer.contains(variable) {
                    let message =
                        format!("The variable '{variable}' is assigned in an outer scope, and cannot be here too");
                    let location = format!("{location}/States/{name}{place}/{variable}");
                    return Err(DefinitionError::schema(&location, message));
                }
                visible.insert(variable);
            }
        }
    }
    for (name, state) in states(workflow) {
        for (place, inner) in workflows(state) {
            check_scopes(inner, &format!("{location}/States/{name}{place}"), &visible)?;
        }
    }
    Ok(())
}

fn states(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    workflow.get("States").and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// Returns the workflows within a state, with their places.
fn workflows(state: &Value) -> impl Iterator<Item = (String, &Value)> {
    WORKFLOWS.into_iter().flat_map(|field| elements(state, field))
}

/// Returns the values of `Assign` of a state, of its rules and of its catchers, with their places.
fn assignments(state: &Value) -> impl Iterator<Item = (String, &Value)> {
    let clauses = ["Choices", "Catch"].into_iter().flat_map(|field| elements(state, field));
    let holders = std::iter::once((String::new(), state)).chain(clauses);
    holders.filter_map(|(place, holder)| Some((format!("{place}/Assign"), holder.get("Assign")?)))
}

/// Returns the elements of an array, or the value that is none, with their places.
fn elements<'a>(state: &'a Value, field: &'static str) -> impl Iterator<Item = (String, &'a Value)> {
    let (items, single) = match state.get(field) {
        Some(Value::Array(items)) => (items.as_slice(), None),
        other => (Default::default(), other),
    };
    let items = items.iter().enumerate().map(move |(at, item)| (format!("/{field}[{at}]"), item));
    items.chain(single.map(|value| (format!("/{field}"), value)))
}
