//! The constraints of AWS's API models: required members, lengths, ranges and enumerations. AWS checks them before a service
//! reads a request, and reports all that fail in one message.

use serde_json::Value;

/// The constraint of one member of an input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) rule: Rule,
}

/// What a member must satisfy. A value of another type is left to the service.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    Required,
    /// The number of characters of a text, or of items of a list.
    Length(usize, usize),
    Range(i64, i64),
    OneOf(&'static [&'static str]),
}

/// Checks an input. Returns the message of the `ValidationException`, if there is one.
pub(crate) fn violated(input: &Value, members: &[Member]) -> Option<String> {
    let found: Vec<String> =
        members.iter().filter_map(|member| member.violation(input.get(member.name).unwrap_or(&Value::Null))).collect();
    let errors = if found.len() == 1 { "error" } else { "errors" };
    (!found.is_empty()).then(|| format!("{} validation {errors} detected: {}", found.len(), found.join("; ")))
}

impl Member {
    /// The name in messages, which begins with a small letter in all services.
    fn path(self) -> String {
        let mut letters = self.name.chars();
        letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
    }

    fn violation(self, value: &Value) -> Option<String> {
        let must = self.rule.violated_by(value)?;
        let shown = match value {
            Value::Null => "null".to_owned(),
            Value::String(text) => format!("'{text}'"),
            other => format!("'{other}'"),
        };
        Some(format!("Value {shown} at '{}' failed to satisfy constraint: Member must {must}", self.path()))
    }
}

impl Rule {
    fn violated_by(self, value: &Value) -> Option<String> {
        match (self, value) {
            (Rule::Required, Value::Null) => Some("not be null".to_owned()),
            (Rule::Length(min, max), Value::String(text)) => within("have length", text.chars().count(), min, max),
            (Rule::Length(min, max), Value::Array(items)) => within("have length", items.len(), min, max),
            (Rule::Range(min, max), Value::Number(number)) => within("have value", number.as_i64()?, min, max),
            (Rule::OneOf(names), Value::String(text)) => {
                let is_one = names.contains(&text.as_str());
                (!is_one).then(|| format!("satisfy enum value set: [{}]", names.join(", ")))
            }
            _ => None,
        }
    }
}

fn within<T: PartialOrd + std::fmt::Display>(what: &str, found: T, min: T, max: T) -> Option<String> {
    if found > max {
        Some(format!("{what} less than or equal to {max}"))
    } else if found < min {
        Some(format!("{what} greater than or equal to {min}"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MEMBERS: [Member; 5] = [
        Member { name: "arn", rule: Rule::Required },
        Member { name: "arn", rule: Rule::Length(1, 5) },
        Member { name: "maxResults", rule: Rule::Range(0, 1000) },
        Member { name: "status", rule: Rule::OneOf(&["ON", "OFF"]) },
        Member { name: "tags", rule: Rule::Length(0, 1) },
    ];

    #[test]
    fn what_fails_is_said_as_by_aws() {
        let one = |must: &str| Some(format!("1 validation error detected: Value {must}"));
        let cases = [
            (json!({ "arn": "a", "maxResults": 1000, "status": "ON", "tags": [1] }), None),
            (json!({}), one("null at 'arn' failed to satisfy constraint: Member must not be null")),
            (
                json!({ "arn": "" }),
                one("'' at 'arn' failed to satisfy constraint: Member must have length greater than or equal to 1"),
            ),
            (
                json!({ "arn": "éééééé" }),
                one("'éééééé' at 'arn' failed to satisfy constraint: Member must have length less than or equal to 5"),
            ),
            (
                json!({ "arn": "a", "maxResults": 1001 }),
                one(
                    "'1001' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 1000",
                ),
            ),
            (
                json!({ "arn": "a", "status": "on" }),
                one("'on' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [ON, OFF]"),
            ),
            (
                json!({ "arn": "a", "tags": [1, 2] }),
                one("'[1,2]' at 'tags' failed to satisfy constraint: Member must have length less than or equal to 1"),
            ),
            (json!({ "arn": 7, "maxResults": "x" }), None),
        ];
        for (input, expected) in cases {
            assert_eq!(violated(&input, &MEMBERS), expected, "{input}");
        }
        let both = violated(&json!({ "maxResults": -1 }), &MEMBERS).unwrap();
        assert!(both.starts_with("2 validation errors detected: Value null at 'arn'"), "{both}");
        assert!(both.contains("; Value '-1' at 'maxResults'"), "{both}");
    }
}
