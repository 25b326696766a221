//! Payload templates: `Parameters`, `ResultSelector`, `ItemSelector`.
//!
//! A template is JSON in which a field whose name ends in `.$` holds a path or an intrinsic function. The result has a
//! field without that suffix instead, with the value of the path or function.

use serde_json::{Map, Value};

use super::context::Data;
use super::intrinsic::Expression;
use crate::syntax::DefinitionError;

/// A parsed template.
#[derive(Clone, Debug)]
pub(crate) struct Template(Node);

#[derive(Clone, Debug)]
enum Node {
    Constant(Value),
    Dynamic {
        /// The field's name with its suffix, for messages.
        field: String,
        expression: Expression,
    },
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
}

impl Template {
    /// Parses the template at `location` of a definition.
    pub(crate) fn parse(value: Value, location: &str) -> Result<Self, DefinitionError> {
        if !value.is_object() {
            return Err(DefinitionError::schema(location, "Value must be an object"));
        }
        Node::parse(value, location).map(Self)
    }

    /// Replaces each dynamic field by its value.
    ///
    /// # Errors
    /// Returns a message if a path selects nothing or an intrinsic function fails.
    pub(crate) fn render(&self, data: &Data<'_>) -> Result<Value, String> {
        self.0.render(data)
    }
}

impl Node {
    fn parse(value: Value, location: &str) -> Result<Self, DefinitionError> {
        match value {
            Value::Object(fields) => Self::parse_object(fields, location),
            Value::Array(items) => {
                let nodes = items.into_iter().enumerate();
                let nodes = nodes.map(|(at, item)| Self::parse(item, &format!("{location}[{at}]")));
                nodes.collect::<Result<_, _>>().map(Self::Array)
            }
            constant => Ok(Self::Constant(constant)),
        }
    }

    fn parse_object(fields: Map<String, Value>, location: &str) -> Result<Self, DefinitionError> {
        let mut nodes: Vec<(String, Self)> = Vec::with_capacity(fields.len());
        for (field, value) in fields {
            let inner = format!("{location}/{field}");
            let (name, node) = match field.strip_suffix(".$") {
                Some(name) => (name.to_owned(), Self::parse_dynamic(&field, &value, location)?),
                None => (field, Self::parse(value, &inner)?),
            };
            if nodes.iter().any(|(known, _)| *known == name) {
                let message = format!("The field '{name}' is given twice, as '{name}' and '{name}.$'");
                return Err(DefinitionError::schema(&inner, message));
            }
            nodes.push((name, node));
        }
        Ok(Self::Object(nodes))
    }

    /// Parses the value of a field whose name ends in `.$`. An error is that of the object at `location`, as on AWS.
    fn parse_dynamic(field: &str, value: &Value, location: &str) -> Result<Self, DefinitionError> {
        let expression = value
            .as_str()
            .ok_or_else(|| "it is not a string".to_owned())
            .and_then(Expression::parse)
            .map_err(|why| {
                let message = format!(
                    "The value for the field '{field}' must be a valid JSONPath or a valid intrinsic function call: {why}"
                );
                DefinitionError::schema(location, message)
            })?;
        Ok(Self::Dynamic { field: field.to_owned(), expression })
    }

    fn render(&self, data: &Data<'_>) -> Result<Value, String> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Dynamic { field, expression } => evaluate(expression, field, data),
            Self::Array(nodes) => nodes.iter().map(|node| node.render(data)).collect(),
            Self::Object(nodes) => nodes.iter().map(|(name, node)| Ok((name.clone(), node.render(data)?))).collect(),
        }
    }
}

/// Evaluates the expression in `field` of a definition.
///
/// # Errors
/// Returns a message if a path selects nothing or an intrinsic function fails.
pub(crate) fn evaluate(expression: &Expression, field: &str, data: &Data<'_>) -> Result<Value, String> {
    match expression {
        Expression::Path(path) => match path.find(data)? {
            Some(value) => Ok(value),
            // As on AWS, which refuses the same path as the argument of a function.
            None if path.is_beyond_end(data) => Ok(Value::Null),
            None => Err(format!(
                "The JSONPath '{path}' specified for the field '{field}' could not be found in the input '{}'",
                data.input
            )),
        },
        Expression::Call(call) => call.evaluate(data),
        Expression::Literal(value) => Ok(value.clone()),
        Expression::Text { value, .. } => Ok(Value::from(value.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::testing::with_data;

    fn render(template: Value, input: &Value) -> Result<Value, String> {
        let template = Template::parse(template, "/States/S/Parameters").expect("a template");
        with_data(input, |data| template.render(data))
    }

    #[test]
    fn fields_that_end_in_dollar_are_replaced() {
        let input = json!({ "flagged": 7, "vals": [0, 10, 20, 30, 40, 50] });
        let template = json!({
            "flagged": true,
            "parts": { "first.$": "$.vals[0]", "last3.$": "$.vals[3:]" },
            "list": [{ "run.$": "$$.Execution.Name" }, "$.vals", 1],
            "text.$": "States.Format('{}!', $.flagged)",
        });
        let expected = json!({
            "flagged": true,
            "parts": { "first": 0, "last3": [30, 40, 50] },
            "list": [{ "run": "run-1" }, "$.vals", 1],
            "text": "7!",
        });
        assert_eq!(render(template, &input), Ok(expected));
    }

    #[test]
    fn a_path_that_finds_nothing_is_worded_as_aws_words_it() {
        let error = render(json!({ "a": { "x.$": "$.nope.deep" } }), &json!({ "other": 1 }));
        assert_eq!(
            error,
            Err("The JSONPath '$.nope.deep' specified for the field 'x.$' could not be found in the input '{\"other\":1}'".to_owned())
        );
    }

    #[test]
    fn an_index_beyond_the_end_of_an_array_is_null() {
        let input = json!({ "items": [1, 2], "text": "x" });
        assert_eq!(render(json!({ "v.$": "$.items[5]" }), &input), Ok(json!({ "v": null })));
        assert_eq!(render(json!({ "v.$": "$.items[-3]" }), &input), Ok(json!({ "v": null })));
        for path in ["$.items[5].x", "$.none[0]", "$.text[0]", "States.Format('{}', $.items[5])"] {
            assert!(render(json!({ "v.$": path }), &input).is_err(), "{path}");
        }
    }

    #[test]
    fn faulty_templates_are_refused_where_they_are() {
        let cases = [
            (json!([]), "/P"),
            (json!("$.a"), "/P"),
            (json!({ "a.$": 1 }), "/P"),
            (json!({ "a.$": "hello" }), "/P"),
            (json!({ "a.$": "States.Nope()" }), "/P"),
            (json!({ "b": [{ "a.$": "$.x[" }] }), "/P/b[0]"),
            (json!({ "a": 1, "a.$": "$.x" }), "/P/a.$"),
        ];
        for (template, location) in cases {
            let error = Template::parse(template.clone(), "/P").expect_err("a faulty template");
            assert_eq!(error.location, location, "{template}");
        }
    }
}
