//! Functions of `varbinary`: encodings, hashes, and numbers as bytes.

use std::borrow::Cow;

use base64_simd::{STANDARD, URL_SAFE};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::row_function::Kind::{Bytes, Integer, Text};
use super::row_function::{Args, Outcome, Returns, RowFunction, Value, invalid, some};

pub(super) fn functions() -> Vec<RowFunction> {
    let hash = |name, body| RowFunction { name, forms: &[&[Bytes]], returns: Returns::Bytes, body };
    let written = |name, body| RowFunction { name, forms: &[&[Bytes]], returns: Returns::Text, body };
    let read = |name, body| RowFunction { name, forms: &[&[Text], &[Bytes]], returns: Returns::Bytes, body };
    let number = |name, returns, body| RowFunction { name, forms: &[&[Bytes]], returns, body };
    let from_number = |name, body| RowFunction { name, forms: &[&[Integer]], returns: Returns::Bytes, body };
    vec![
        hash("md5", |args| bytes(Md5::digest(args.bytes(0)).to_vec())),
        hash("sha1", |args| bytes(Sha1::digest(args.bytes(0)).to_vec())),
        hash("sha256", |args| bytes(Sha256::digest(args.bytes(0)).to_vec())),
        hash("sha512", |args| bytes(Sha512::digest(args.bytes(0)).to_vec())),
        number("crc32", Returns::Bigint, |args| some(crc32fast::hash(args.bytes(0)))),
        RowFunction {
            name: "to_utf8",
            forms: &[&[Text]],
            returns: Returns::Bytes,
            body: |args| bytes(args.text(0).as_bytes().to_vec()),
        },
        RowFunction { name: "from_utf8", forms: &[&[Bytes], &[Bytes, Text]], returns: Returns::Text, body: from_utf8 },
        written("to_hex", |args| some(hex::encode_upper(args.bytes(0)))),
        written("to_base64", |args| some(STANDARD.encode_to_string(args.bytes(0)))),
        written("to_base64url", |args| some(URL_SAFE.encode_to_string(args.bytes(0)))),
        read("from_hex", |args| {
            let decoded = hex::decode(args.text_or_bytes(0));
            bytes(decoded.map_err(|error| invalid(format_args!("the text is no hexadecimal number: {error}")))?)
        }),
        read("from_base64", |args| decoded(STANDARD.decode_to_vec(args.text_or_bytes(0)).ok())),
        read("from_base64url", |args| decoded(URL_SAFE.decode_to_vec(args.text_or_bytes(0)).ok())),
        from_number("to_big_endian_64", |args| bytes(args.integer(0).to_be_bytes().to_vec())),
        number("from_big_endian_64", Returns::Bigint, |args| {
            let found = <[u8; 8]>::try_from(args.bytes(0));
            let found = found.map_err(|_| invalid("expected 8-byte input, but got another length"))?;
            some(i64::from_be_bytes(found))
        }),
    ]
}

fn bytes(value: Vec<u8>) -> Outcome {
    Ok(Some(Value::Bytes(value)))
}

fn decoded(found: Option<Vec<u8>>) -> Outcome {
    bytes(found.ok_or_else(|| invalid("the text is not encoded in base64"))?)
}

/// Decodes text. What is no text is replaced by U+FFFD, or by the second argument, a character or nothing.
fn from_utf8(args: &Args<'_>) -> Outcome {
    if args.len() == 1 {
        return some(String::from_utf8_lossy(args.bytes(0)).into_owned());
    }
    let replacement = args.text(1);
    if replacement.chars().count() > 1 {
        return Err(invalid("Replacement character string must empty or a single character"));
    }
    let text = args.bytes(0).utf8_chunks().map(|chunk| {
        let replaced = if chunk.invalid().is_empty() { "" } else { replacement };
        if replaced.is_empty() {
            Cow::Borrowed(chunk.valid())
        } else {
            Cow::Owned(format!("{}{replaced}", chunk.valid()))
        }
    });
    some(text.collect::<String>())
}
