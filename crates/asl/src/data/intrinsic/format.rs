//! `States.Format`.

use serde_json::Value;

use super::arguments::Arguments;

pub(super) fn call(arguments: Arguments<'_>) -> Result<Value, String> {
    format(arguments.text(0)?, arguments.0.get(1..).unwrap_or_default())
}

/// Replaces each `{}` by a value. In the template, `\{`, `\}`, `\'` and `\\` are the character after the backslash.
pub(super) fn format(template: &str, values: &[Value]) -> Result<Value, String> {
    let mut text = String::with_capacity(template.len());
    let mut values = values.iter();
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().unwrap_or('\\')),
            '{' => {
                if chars.next() != Some('}') {
                    return Err("matching '}' not found for '{'.".to_owned());
                }
                let value = values.next().ok_or_else(mismatch)?;
                text.push_str(&rendered(value));
            }
            '}' => return Err("matching '{' not found for '}'.".to_owned()),
            c => text.push(c),
        }
    }
    match values.next() {
        None => Ok(Value::from(text)),
        Some(_) => Err(mismatch()),
    }
}

fn mismatch() -> String {
    "number of arguments do not match the occurrences of {}.".to_owned()
}

/// Writes a value as Java writes it, which AWS's interpreter runs on: `{a=1, b=[x, y]}`, with texts without quotes.
fn rendered(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(rendered).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, field)| format!("{name}={}", rendered(field)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;

    #[test]
    fn values_take_the_place_of_braces() {
        let input = json!({ "name": "Ada", "n": 3.5, "t": true, "nil": null, "o": { "k": [1] }, "tpl": "Hi {}", "esc": "\\{{}\\}" });
        check(&[
            ("States.Format('Hello {}', $.name)", input.clone(), Some(json!("Hello Ada"))),
            ("States.Format('{}|{}|{}|{}', $.n, $.t, $.nil, -1)", input.clone(), Some(json!("3.5|true|null|-1"))),
            ("States.Format('{}', $.o)", input.clone(), Some(json!("{k=[1]}"))),
            ("States.Format('  {}  ', 'x')", input.clone(), Some(json!("  x  "))),
            ("States.Format('none')", input.clone(), Some(json!("none"))),
            ("States.Format($.tpl, $.name)", input.clone(), Some(json!("Hi Ada"))),
            ("States.Format($.esc, 1)", input.clone(), Some(json!("{1}"))),
            (r#"States.Format('\'{}\' "{}"', 1, 2)"#, input.clone(), Some(json!("'1' \"2\""))),
            (r"States.Format('\{\} \\{}', 1)", input.clone(), Some(json!("{} \\1"))),
            ("States.Format('{}', '{}')", input, Some(json!("{}"))),
        ]);
    }

    #[test]
    fn objects_and_arrays_are_written_as_java_writes_them() {
        let value =
            json!({ "o": { "a": 1, "b": [], "c": { "d": "x y", "e": null }, "f": [true, { "g": 1.5 }, "{}"] } });
        check(&[
            (
                "States.Format('{}', $.o)",
                value.clone(),
                Some(json!("{a=1, b=[], c={d=x y, e=null}, f=[true, {g=1.5}, {}]}")),
            ),
            ("States.Format('<{}>', $.o.b)", value.clone(), Some(json!("<[]>"))),
            ("States.Format('{}|{}', $.o.c.d, $.o.f)", value, Some(json!("x y|[true, {g=1.5}, {}]"))),
            ("States.Format('{}', $.empty)", json!({ "empty": {} }), Some(json!("{}"))),
        ]);
    }

    #[test]
    fn braces_have_to_match_the_values() {
        check(&[
            ("States.Format('{} {}', 1)", json!({}), None),
            ("States.Format('{}', 1, 2)", json!({}), None),
            ("States.Format('Hello {', 1)", json!({}), None),
            ("States.Format('Hello {{}}', 1)", json!({}), None),
            ("States.Format('}')", json!({}), None),
            ("States.Format($.t, 1)", json!({ "t": 123 }), None),
        ]);
    }
}
