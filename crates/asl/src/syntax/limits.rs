//! Limits that several layers check.

/// The longest time limit, delay or wait that a definition may state, in seconds (about three years).
pub(crate) const MAX_SECONDS: u64 = 99_999_999;

/// The maximum nesting depth of a payload: the greatest that `serde_json` parses.
///
/// Without it, a loop that wraps its data in each iteration would build a value whose recursive drop overflows the stack.
pub(crate) const MAX_NESTING: usize = 127;
