//! URIs of objects and folders: `s3://bucket/key`.

use std::fmt;

/// A bucket, and a key or a prefix of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Uri {
    pub(crate) bucket: String,
    /// Without a leading slash; empty for the whole bucket.
    pub(crate) key: String,
}

/// A text that is not an S3 URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no place in S3: expected s3://bucket/key")]
pub(crate) struct InvalidS3Uri(String);

impl S3Uri {
    pub(crate) fn parse(text: &str) -> Result<S3Uri, InvalidS3Uri> {
        let rest = ["s3://", "s3a://", "s3n://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or_else(|| InvalidS3Uri(text.to_owned()))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(InvalidS3Uri(text.to_owned()));
        }
        Ok(S3Uri { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// Returns the URI as a folder: with a slash at its end, unless it is the whole bucket.
    pub(crate) fn folder(mut self) -> S3Uri {
        if !self.key.is_empty() && !self.key.ends_with('/') {
            self.key.push('/');
        }
        self
    }

    /// Returns the URI of a name in this folder.
    pub(crate) fn child(&self, name: &str) -> S3Uri {
        let folder = self.clone().folder();
        S3Uri { bucket: folder.bucket, key: folder.key + name }
    }
}

impl fmt::Display for S3Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_joined() {
        for (text, child) in
            [("s3://b", "s3://b/x"), ("s3://b/", "s3://b/x"), ("s3://b/a", "s3://b/a/x"), ("s3a://b/a/", "s3://b/a/x")]
        {
            assert_eq!(S3Uri::parse(text).unwrap().child("x").to_string(), child, "{text}");
        }
        for bad in ["", "b/a", "http://b/a", "s3:///a"] {
            assert!(S3Uri::parse(bad).is_err(), "{bad}");
        }
    }
}
