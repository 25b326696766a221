//! `States.Base64Encode` and `States.Base64Decode`.
//!
//! Decoding is as lenient as on AWS: it skips characters outside the alphabet, accepts the URL-safe alphabet, ends at
//! the first `=`, and needs no padding.

use base64_simd::STANDARD;
use serde_json::Value;

use super::arguments::Arguments;

pub(super) fn encode(arguments: Arguments<'_>) -> Result<Value, String> {
    Ok(Value::from(STANDARD.encode_to_string(arguments.limited_text(0)?)))
}

pub(super) fn decode(arguments: Arguments<'_>) -> Result<Value, String> {
    let text = arguments.limited_text(0)?;
    let mut digits: Vec<u8> = text.bytes().take_while(|byte| *byte != b'=').filter_map(standard_digit).collect();
    // A single digit left over has only six bits of a byte.
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    let bytes = base64_simd::forgiving_decode_to_vec(&digits).map_err(|why| why.to_string())?;
    Ok(Value::from(String::from_utf8_lossy(&bytes)))
}

/// Maps a digit of the standard or the URL-safe alphabet to the standard one.
fn standard_digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => Some(byte),
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{check, evaluate};

    #[test]
    fn known_pairs_go_both_ways() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("Data to encode", "RGF0YSB0byBlbmNvZGU="),
            ("São Paulo 🚀", "U8OjbyBQYXVsbyDwn5qA"),
            ("abc\0def", "YWJjAGRlZg=="),
        ] {
            let input = json!({ "plain": plain, "coded": coded });
            check(&[
                ("States.Base64Encode($.plain)", input.clone(), Some(json!(coded))),
                ("States.Base64Decode($.coded)", input, Some(json!(plain))),
            ]);
        }
    }

    #[test]
    fn decoding_forgives() {
        check(&[
            ("States.Base64Decode(' YWJj ZA== ')", json!({}), Some(json!("abcd"))),
            ("States.Base64Decode('YWJjZA')", json!({}), Some(json!("abcd"))),
            ("States.Base64Decode('YWI=YWI=')", json!({}), Some(json!("ab"))),
            ("States.Base64Decode('a')", json!({}), Some(json!(""))),
            ("States.Base64Decode('YWJjZ')", json!({}), Some(json!("abc"))),
            ("States.Base64Decode('YWJjZB')", json!({}), Some(json!("abcd"))),
            ("States.Base64Decode('Pz8-Pz8_')", json!({}), Some(json!("??>???"))),
        ]);
    }

    #[test]
    fn only_strings_up_to_the_limit() {
        let limit = json!({ "s": "A".repeat(10_000) });
        let over = json!({ "s": "A".repeat(10_001) });
        for function in ["States.Base64Encode", "States.Base64Decode"] {
            let on_input = format!("{function}($.s)");
            assert!(evaluate(&on_input, limit.clone()).is_ok());
            assert!(evaluate(&on_input, over.clone()).is_err());
            assert!(evaluate(&format!("{function}(123)"), json!({})).is_err());
        }
    }
}
