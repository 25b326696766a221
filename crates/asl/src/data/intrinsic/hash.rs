//! `States.Hash`.

use md5::Md5;
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::arguments::{Arguments, within_text_limit};

pub(super) fn hash(arguments: Arguments<'_>) -> Result<Value, String> {
    let (data, algorithm) = (arguments.value(0)?, arguments.text(1)?);
    // AWS hashes the JSON text of a value that is not a string.
    let data = match data.as_str() {
        Some(text) => text.to_owned(),
        None => data.to_string(),
    };
    let bytes = within_text_limit(&data)?.as_bytes();
    let digest = match algorithm {
        "MD5" => hex::encode(Md5::digest(bytes)),
        "SHA-1" => hex::encode(Sha1::digest(bytes)),
        "SHA-256" => hex::encode(Sha256::digest(bytes)),
        "SHA-384" => hex::encode(Sha384::digest(bytes)),
        "SHA-512" => hex::encode(Sha512::digest(bytes)),
        other => {
            return Err(format!("'{other}' is not one of MD5, SHA-1, SHA-256, SHA-384 and SHA-512"));
        }
    };
    Ok(Value::from(digest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{check, evaluate};

    #[test]
    fn known_digests() {
        check(&[
            ("States.Hash('Data to encode', 'MD5')", json!({}), Some(json!("ca405671828a177e26947171bbe1e352"))),
            ("States.Hash('input data', 'SHA-1')", json!({}), Some(json!("aaff4a450a104cd177d28d18d74485e8cae074b7"))),
            (
                "States.Hash(States.Format('{}:{}', 'x', 'y'), 'SHA-256')",
                json!({}),
                Some(json!("1274e286686b54fe765ec40735665b4bf789cee2a5b22124c5e0491a88e15271")),
            ),
            (
                "States.Hash('🚀', 'SHA-256')",
                json!({}),
                Some(json!("ebbc0b2870eb323f2b6cffa5c493ceef81ae7eb36afc73d4e0367301631daec5")),
            ),
            (
                "States.Hash('', 'SHA-384')",
                json!({}),
                Some(json!(
                    "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b"
                )),
            ),
            (
                "States.Hash('', 'SHA-512')",
                json!({}),
                Some(json!(
                    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
                )),
            ),
        ]);
    }

    #[test]
    fn other_values_are_hashed_as_json_text() {
        let of_value = evaluate("States.Hash($.o, 'MD5')", json!({ "o": { "a": 1 } }));
        let of_text = evaluate("States.Hash($.o, 'MD5')", json!({ "o": "{\"a\":1}" }));
        assert_eq!(of_value, of_text);
    }

    #[test]
    fn algorithms_are_spelled_exactly() {
        for algorithm in ["sha-256", "SHA256", "MD-5", "SHA-257", ""] {
            let call = format!("States.Hash('data', '{algorithm}')");
            assert!(evaluate(&call, json!({})).is_err(), "{algorithm}");
        }
        assert!(evaluate("States.Hash('data', 1)", json!({})).is_err());
        assert!(evaluate("States.Hash($.s, 'MD5')", json!({ "s": "a".repeat(10_001) })).is_err());
    }
}
