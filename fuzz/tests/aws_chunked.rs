//! The body of an S3 upload in chunks (`aws-chunked`).
//!
//! Any bytes, encoded with any chunk sizes, signatures and trailers, come out as they went in, however the body is cut on the
//! way. Any body is held against a decoder that has it whole: what one takes, the other takes, with the same bytes.
//! A body that lost its end is an error, or has lost no byte of the object.

use bytes::Bytes;
use fuzz::{Random, Target};
use local_aws::fuzzing::decode_chunks;

/// Trailers, names in lower case.
type Trailers = Vec<(String, String)>;

#[test]
fn aws_chunked() {
    let pieces = [
        "0",
        "1",
        "5",
        "a",
        "F",
        "10",
        "ffffffffffffffff",
        "\r\n",
        "\n",
        "\r",
        ";",
        ";chunk-signature=ab",
        "hello",
        ":",
        "x-amz-checksum-crc32:",
        "AAAA",
        " ",
        "0\r\n\r\n",
        "5\r\nhello\r\n",
        "+5",
        "-1",
        "0x5",
        "é",
        "\u{0}",
    ];
    Target::new("aws_chunked").pieces(pieces).fixed_cases(5000).run(check);
}

fn check(bytes: &[u8]) {
    let mut random = Random::of(bytes);
    let trailers: Trailers = [("x-amz-checksum-crc32", "AAAA"), ("x-amz-trailer-signature", "ab")]
        .iter()
        .take(random.below(3))
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let body = encoded(&mut random, bytes, &trailers);
    assert_eq!(decoded(&mut random, &body), Ok((bytes.to_vec(), trailers)));

    let end = random.below(body.len());
    if let Ok((kept, _)) = decoded(&mut random, &body[..end]) {
        assert_eq!(kept, bytes, "a body that lost its end became another object");
    }

    let expected = reference(bytes);
    for _ in 0..2 {
        let found = decoded(&mut random, bytes);
        match &expected {
            Some(expected) => assert_eq!(found.as_ref(), Ok(expected)),
            None => assert!(found.is_err(), "{found:?}"),
        }
    }
}

fn decoded(random: &mut Random, body: &[u8]) -> Result<(Vec<u8>, Trailers), String> {
    let longest = [1, 3, 64, 4096][random.below(4)];
    let pieces = random.cut(body, longest).into_iter().map(Bytes::copy_from_slice).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (bytes, headers) = runtime.block_on(decode_chunks(pieces))?;
    let mut trailers: Trailers = headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    trailers.sort();
    Ok((bytes, trailers))
}

fn encoded(random: &mut Random, object: &[u8], trailers: &Trailers) -> Vec<u8> {
    let longest = [1, 16, 8192][random.below(3)];
    let signature = ["", ";chunk-signature=0123456789abcdef"][random.below(2)];
    let mut body = Vec::new();
    for piece in random.cut(object, longest) {
        let size = if random.once_in(2) { format!("{:x}", piece.len()) } else { format!("{:X}", piece.len()) };
        body.extend_from_slice(format!("{size}{signature}\r\n").as_bytes());
        body.extend_from_slice(piece);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("0{signature}\r\n").as_bytes());
    for (name, value) in trailers {
        body.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
    }
    body.extend_from_slice(b"\r\n");
    body
}

/// What a body is that lies there whole; nothing where it is no such body.
fn reference(body: &[u8]) -> Option<(Vec<u8>, Trailers)> {
    let (mut object, mut rest) = (Vec::new(), body);
    loop {
        let (header, after) = line(rest)?;
        let digits = header.split(';').next().unwrap_or_default().trim();
        let size = digits.chars().try_fold(0_usize, |size, digit| {
            size.checked_mul(16)?.checked_add(usize::try_from(digit.to_digit(16)?).ok()?)
        })?;
        if digits.is_empty() {
            return None;
        }
        rest = after;
        if size == 0 {
            return trailers(rest).map(|trailers| (object, trailers));
        }
        let (chunk, after) = rest.split_at_checked(size)?;
        object.extend_from_slice(chunk);
        let (nothing, after) = line(after)?;
        if !nothing.is_empty() {
            return None;
        }
        rest = after;
    }
}

fn trailers(mut rest: &[u8]) -> Option<Trailers> {
    let (mut trailers, mut size) = (Trailers::new(), 0);
    while !rest.is_empty() {
        let (text, after) = line(rest)?;
        if text.is_empty() {
            if !after.is_empty() {
                return None;
            }
            break;
        }
        size += text.len();
        if size > 16 * 1024 {
            return None;
        }
        let (name, value) = text.split_once(':')?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) || value.bytes().any(|b| (b < 32 && b != b'\t') || b == 127) {
            return None;
        }
        // The last of a name is taken.
        trailers.retain(|(known, _)| *known != name);
        trailers.push((name, value));
        rest = after;
    }
    trailers.sort();
    Some(trailers)
}

/// The first line without its end, and what comes behind it.
fn line(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    // Longer ones are refused.
    let text = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    (end <= 16 * 1024).then(|| (String::from_utf8_lossy(text).into_owned(), &bytes[end + 1..]))
}
