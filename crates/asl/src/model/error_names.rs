//! `ErrorEquals`: the failures that a retrier or a catcher handles.

use serde_json::Value;

use crate::syntax::{DefinitionError, Failure, Fields, error_name};

/// The names in an `ErrorEquals`.
#[derive(Clone, Debug)]
pub(crate) struct ErrorNames(Vec<String>);

impl ErrorNames {
    /// Takes `ErrorEquals`. `States.ALL` is allowed only if this is the `last` clause of its list.
    pub(crate) fn parse(fields: &mut Fields, last: bool) -> Result<Self, DefinitionError> {
        fields.require(&["ErrorEquals"])?;
        let items = fields.array("ErrorEquals")?.unwrap_or_default();
        let names: Option<Vec<String>> = items
            .into_iter()
            .map(|item| match item {
                Value::String(name) => Some(name),
                _ => None,
            })
            .collect();
        let fault = |message: &str| Err(fields.error("ErrorEquals", message));
        match names {
            None => fault("Value must be an array of strings"),
            Some(names) if names.is_empty() => fault("There must be at least one error name"),
            Some(names) if names.iter().any(|name| name == error_name::ALL) && (names.len() > 1 || !last) => {
                fault("'States.ALL' must stand alone, in the last clause")
            }
            Some(names) => Ok(Self(names)),
        }
    }

    /// Returns whether one of the names matches the failure. `in_branch` is true for the failure of a branch of a
    /// Parallel state, which `States.BranchFailed` matches.
    pub(crate) fn matches(&self, failure: &Failure, in_branch: bool) -> bool {
        self.0.iter().any(|name| match name.as_str() {
            error_name::ALL => true,
            error_name::TASK_FAILED => !failure.is(error_name::TIMEOUT),
            error_name::TIMEOUT if failure.is(error_name::HEARTBEAT_TIMEOUT) => true,
            error_name::BRANCH_FAILED if in_branch => true,
            name => failure.is(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(names: Value, last: bool) -> Result<ErrorNames, DefinitionError> {
        let mut fields = Fields::parse(json!({ "ErrorEquals": names }), "/R").expect("an object");
        ErrorNames::parse(&mut fields, last)
    }

    #[test]
    fn names_match_exactly_and_wildcards_widely() {
        let nameless = Failure::default();
        let cases = [
            (json!(["QualityError"]), Failure::new("QualityError", ""), true),
            (json!(["QualityError"]), Failure::new("qualityerror", ""), false),
            (json!(["A", "B"]), Failure::new("B", ""), true),
            (json!(["States.ALL"]), Failure::new("B", ""), true),
            (json!(["States.ALL"]), Failure::timeout(), true),
            (json!(["States.ALL"]), nameless.clone(), true),
            (json!(["States.ALL"]), Failure::data_limit("lambda"), true),
            (json!(["States.TaskFailed"]), Failure::new("B", ""), true),
            (json!(["States.TaskFailed"]), Failure::timeout(), false),
            (json!(["States.Timeout"]), Failure::timeout(), true),
            (json!(["States.Timeout"]), Failure::new("States.HeartbeatTimeout", ""), true),
            (json!(["States.HeartbeatTimeout"]), Failure::timeout(), false),
            (json!(["States.BranchFailed"]), Failure::new("B", ""), false),
            (json!([""]), nameless, false),
        ];
        for (names, failure, expected) in cases {
            let matched = parse(names.clone(), true).expect("names").matches(&failure, false);
            assert_eq!(matched, expected, "{names} on {failure:?}");
        }
        let branch = parse(json!(["States.BranchFailed"]), false).expect("names");
        assert!(branch.matches(&Failure::new("B", ""), true));
    }

    #[test]
    fn all_stands_alone_and_last() {
        assert!(parse(json!(["States.ALL"]), true).is_ok());
        for (names, last) in [
            (json!(["States.ALL"]), false),
            (json!(["States.ALL", "A"]), true),
            (json!([]), true),
            (json!([1]), true),
            (json!("A"), true),
        ] {
            let error = parse(names, last).expect_err("refused");
            assert_eq!(error.location, "/R/ErrorEquals");
        }
    }
}
