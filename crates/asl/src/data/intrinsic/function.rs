//! The intrinsic functions by name.

use std::fmt;

use serde_json::Value;
use strum::{EnumString, IntoStaticStr};

use super::arguments::Arguments;
use super::{array, encoding, format, hash, identifier, json, math, text};

/// An intrinsic function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
pub(super) enum Function {
    Array,
    ArrayPartition,
    ArrayContains,
    ArrayRange,
    ArrayGetItem,
    ArrayLength,
    ArrayUnique,
    Base64Encode,
    Base64Decode,
    Hash,
    JsonMerge,
    StringToJson,
    JsonToString,
    MathRandom,
    MathAdd,
    StringSplit,
    #[strum(serialize = "UUID")]
    Uuid,
    Format,
}

/// The prefix of all names.
const NAMESPACE: &str = "States.";

impl Function {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        name.strip_prefix(NAMESPACE)?.parse().ok()
    }

    /// Returns whether a call may have `count` arguments.
    pub(super) fn accepts(self, count: usize) -> bool {
        match self {
            Self::Array => true,
            Self::Uuid => count == 0,
            Self::ArrayLength
            | Self::ArrayUnique
            | Self::Base64Encode
            | Self::Base64Decode
            | Self::StringToJson
            | Self::JsonToString => count == 1,
            Self::ArrayPartition
            | Self::ArrayContains
            | Self::ArrayGetItem
            | Self::Hash
            | Self::MathAdd
            | Self::StringSplit => count == 2,
            Self::ArrayRange | Self::JsonMerge => count == 3,
            Self::MathRandom => (2..=3).contains(&count),
            Self::Format => count >= 1,
        }
    }

    /// Calls the function.
    ///
    /// # Errors
    /// Returns a message if an argument has the wrong type or a value out of range.
    pub(super) fn call(self, arguments: Arguments<'_>) -> Result<Value, String> {
        match self {
            Self::Array => Ok(Value::from(arguments.0)),
            Self::ArrayPartition => array::partition(arguments),
            Self::ArrayContains => array::contains(arguments),
            Self::ArrayRange => array::range(arguments),
            Self::ArrayGetItem => array::get_item(arguments),
            Self::ArrayLength => array::length(arguments),
            Self::ArrayUnique => array::unique(arguments),
            Self::Base64Encode => encoding::encode(arguments),
            Self::Base64Decode => encoding::decode(arguments),
            Self::Hash => hash::hash(arguments),
            Self::JsonMerge => json::merge(arguments),
            Self::StringToJson => json::from_text(arguments),
            Self::JsonToString => json::to_text(arguments),
            Self::MathRandom => math::random(arguments),
            Self::MathAdd => math::add(arguments),
            Self::StringSplit => text::split(arguments),
            Self::Uuid => Ok(identifier::uuid()),
            Self::Format => format::call(arguments),
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAMESPACE}{}", <&str>::from(self))
    }
}
