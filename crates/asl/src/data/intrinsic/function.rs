//! The intrinsic functions by name.

use std::fmt;

use serde_json::Value;

use super::arguments::Arguments;
use super::{array, encoding, format, hash, identifier, json, math, text};

/// An intrinsic function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    Uuid,
    Format,
}

/// The name, and the minimum and maximum number of arguments, of each function.
const FUNCTIONS: [(Function, &str, usize, usize); 18] = [
    (Function::Array, "States.Array", 0, usize::MAX),
    (Function::ArrayPartition, "States.ArrayPartition", 2, 2),
    (Function::ArrayContains, "States.ArrayContains", 2, 2),
    (Function::ArrayRange, "States.ArrayRange", 3, 3),
    (Function::ArrayGetItem, "States.ArrayGetItem", 2, 2),
    (Function::ArrayLength, "States.ArrayLength", 1, 1),
    (Function::ArrayUnique, "States.ArrayUnique", 1, 1),
    (Function::Base64Encode, "States.Base64Encode", 1, 1),
    (Function::Base64Decode, "States.Base64Decode", 1, 1),
    (Function::Hash, "States.Hash", 2, 2),
    (Function::JsonMerge, "States.JsonMerge", 3, 3),
    (Function::StringToJson, "States.StringToJson", 1, 1),
    (Function::JsonToString, "States.JsonToString", 1, 1),
    (Function::MathRandom, "States.MathRandom", 2, 3),
    (Function::MathAdd, "States.MathAdd", 2, 2),
    (Function::StringSplit, "States.StringSplit", 2, 2),
    (Function::Uuid, "States.UUID", 0, 0),
    (Function::Format, "States.Format", 1, usize::MAX),
];

impl Function {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let found = FUNCTIONS.iter().find(|(_, known, ..)| *known == name)?;
        Some(found.0)
    }

    fn name(self) -> &'static str {
        let found = FUNCTIONS.iter().find(|(function, ..)| *function == self);
        found.map_or("States", |(_, name, ..)| name)
    }

    /// Returns whether a call may have `count` arguments.
    pub(super) fn accepts(self, count: usize) -> bool {
        FUNCTIONS.iter().any(|(function, _, min, max)| *function == self && (*min..=*max).contains(&count))
    }
}

impl Function {
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
        f.write_str(self.name())
    }
}
