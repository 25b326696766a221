//! `States.JsonMerge`, `States.StringToJson`, `States.JsonToString`.

use serde_json::Value;

use super::arguments::Arguments;

pub(super) fn merge(arguments: Arguments<'_>) -> Result<Value, String> {
    let (left, right) = (arguments.value(0)?, arguments.value(1)?);
    let (Value::Object(left), Value::Object(right)) = (left, right) else {
        return Err("only objects can be merged".to_owned());
    };
    if arguments.value(2)? == &Value::Bool(true) {
        return Err("the deep merging mode is not supported: pass false".to_owned());
    }
    let mut merged = left.clone();
    merged.extend(right.clone());
    Ok(Value::Object(merged))
}

pub(super) fn from_text(arguments: Arguments<'_>) -> Result<Value, String> {
    let text = arguments.text(0)?;
    // AWS parses empty text as null.
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text).map_err(|why| format!("the text is not JSON: {why}"))
}

pub(super) fn to_text(arguments: Arguments<'_>) -> Result<Value, String> {
    Ok(Value::from(arguments.value(0)?.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;

    #[test]
    fn merging_is_shallow_and_the_right_side_wins() {
        let input = json!({ "a": { "n": { "x": 1 }, "k": 1 }, "b": { "n": { "y": 2 } }, "t": "s" });
        let merged = Some(json!({ "n": { "y": 2 }, "k": 1 }));
        check(&[
            ("States.JsonMerge($.a, $.b, false)", input.clone(), merged.clone()),
            ("States.JsonMerge($.a, $.b, 'false')", input.clone(), merged),
            ("States.JsonMerge($.a, $.b, true)", input.clone(), None),
            ("States.JsonMerge($.a, $.t, false)", input.clone(), None),
            ("States.JsonMerge(null, $.b, false)", input, None),
        ]);
    }

    #[test]
    fn text_and_json_convert() {
        let json_text = |text: &str| json!({ "s": text });
        check(&[
            ("States.StringToJson($.s)", json_text(" {\"a\":[1,null]} "), Some(json!({ "a": [1, null] }))),
            ("States.StringToJson($.s)", json_text("\"x\""), Some(json!("x"))),
            ("States.StringToJson($.s)", json_text("1.5"), Some(json!(1.5))),
            ("States.StringToJson($.s)", json_text(""), Some(json!(null))),
            ("States.StringToJson($.s)", json_text("{\"a\":1"), None),
            ("States.StringToJson($.s)", json_text("undefined"), None),
            ("States.StringToJson($.s)", json!({ "s": { "a": 1 } }), None),
            (
                "States.JsonToString($.s)",
                json!({ "s": { "b": 1, "a": [true, "x"] } }),
                Some(json!("{\"b\":1,\"a\":[true,\"x\"]}")),
            ),
            ("States.JsonToString('x')", json!({}), Some(json!("\"x\""))),
            ("States.JsonToString(null)", json!({}), Some(json!("null"))),
        ]);
    }
}
