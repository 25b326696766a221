//! `States.StringSplit`.

use serde_json::Value;

use super::arguments::Arguments;

/// Splits at each of the delimiter's characters. AWS drops empty pieces.
pub(super) fn split(arguments: Arguments<'_>) -> Result<Value, String> {
    let (text, delimiters) = (arguments.text(0)?, arguments.text(1)?);
    let pieces = text.split(|c| delimiters.contains(c));
    Ok(pieces.filter(|piece| !piece.is_empty()).map(Value::from).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;

    #[test]
    fn splits_at_each_delimiter_and_drops_empty_pieces() {
        check(&[
            ("States.StringSplit('a,b,c', ',')", json!({}), Some(json!(["a", "b", "c"]))),
            ("States.StringSplit('1+2,3.4', '.+,')", json!({}), Some(json!(["1", "2", "3", "4"]))),
            ("States.StringSplit(',a,,b,', ',')", json!({}), Some(json!(["a", "b"]))),
            ("States.StringSplit('', ',')", json!({}), Some(json!([]))),
            ("States.StringSplit('abc', '')", json!({}), Some(json!(["abc"]))),
            ("States.StringSplit('São→Paulo', '→')", json!({}), Some(json!(["São", "Paulo"]))),
            ("States.StringSplit(1, ',')", json!({}), None),
            ("States.StringSplit('a', null)", json!({}), None),
        ]);
    }
}
