//! `States.Base64Encode` and `States.Base64Decode`.
//!
//! Decoding is as forgiving as AWS is: it skips what is not of the alphabet and does not ask for padding, which is why
//! it is written out here and not left to a strict decoder.

use serde_json::Value;

use super::Arguments;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn encode(arguments: Arguments<'_>) -> Result<Value, String> {
    let bytes = arguments.limited_text(0)?.as_bytes();
    Ok(Value::from(bytes.chunks(3).map(encode_chunk).collect::<String>()))
}

/// Four characters for up to three bytes.
fn encode_chunk(chunk: &[u8]) -> String {
    let bits = chunk.iter().zip([16, 8, 0]).fold(0_u32, |bits, (byte, shift)| bits | u32::from(*byte) << shift);
    let digits = [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(bits >> shift & 63) as usize]));
    let padded = digits.iter().enumerate();
    padded.map(|(at, digit)| if at <= chunk.len() { *digit } else { '=' }).collect()
}

pub(super) fn decode(arguments: Arguments<'_>) -> Result<Value, String> {
    let text = arguments.limited_text(0)?;
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut held) = (0_u32, 0_u32);
    for digit in text.bytes().take_while(|byte| *byte != b'=').filter_map(digit_value) {
        bits = bits << 6 | digit;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Ok(Value::from(String::from_utf8_lossy(&bytes)))
}

fn digit_value(byte: u8) -> Option<u32> {
    let digit = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(digit))
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
