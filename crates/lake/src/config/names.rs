//! Values of the configuration whose form is checked when they are read: names, and shares.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of a whole, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(pub(super) f64);

impl Share {
    /// 0.
    pub const NONE: Self = Self(0.0);

    /// 1.
    pub const ALL: Self = Self(1.0);

    /// Returns the share as a number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Returns the share multiplied by a factor, at most 1.
    pub fn times(self, factor: u32) -> Self {
        Self((self.0 * f64::from(factor)).min(1.0))
    }

    /// Whether `part` of `whole` is at most this share. 0 of 0 always is.
    pub fn allows(self, part: u64, whole: u64) -> bool {
        part as f64 <= self.0 * whole as f64
    }
}

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(format!("{value} is not a share from 0 to 1")) }
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> f64 {
        share.0
    }
}

/// A valid name of an S3 bucket: 3 to 63 lower-case letters, digits, points and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BucketName(pub(super) String);

/// A name of an Athena database that needs no quotes: lower-case letters, digits and underscores.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseName(pub(super) String);

/// A valid name of a CloudFormation stack that leaves room for suffixes: at most 32 letters, digits and hyphens, a letter
/// first. Lower case, because buckets are named after it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StackName(pub(super) String);

impl TryFrom<String> for StackName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let fine = name.len() <= 32
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fine {
            Ok(Self(name))
        } else {
            Err(format!(
                "{name:?} cannot name a stack: use at most 32 lower-case letters, digits or '-', a letter first"
            ))
        }
    }
}

impl TryFrom<String> for BucketName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let outer = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = name.as_bytes();
        let fine = (3..=63).contains(&name.len())
            && bytes.iter().all(|b| inner(*b))
            && outer(bytes.first())
            && outer(bytes.last());
        if fine {
            Ok(Self(name))
        } else {
            Err(format!("{name:?} cannot name a bucket: use 3 to 63 lower-case letters, digits, '-' or '.'"))
        }
    }
}

impl TryFrom<String> for DatabaseName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let fine = (1..=255).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if fine {
            Ok(Self(name))
        } else {
            Err(format!("{name:?} cannot name a database: use lower-case letters, digits or '_'"))
        }
    }
}

macro_rules! name_as_text {
    ($($name:ident),*) => {$(
        impl $name {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    )*};
}
name_as_text!(BucketName, DatabaseName, StackName);
