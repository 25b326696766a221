//! Fuzz targets for what reads foreign bytes. Each file in `tests/` is a target; this is what they have in common.
//!
//! A target is a name and a check of some bytes, which panics when what they come to is wrong. [`Target::run`] gives the
//! check each file of `corpus/NAME/`, then random inputs: pieces of a dictionary put together, bytes of any value, and
//! files of the corpus with some places changed. bolero generates and shrinks them.
//!
//! ```no_run
//! fuzz::Target::new("number").pieces(["1", ".", ",", "k", "-"]).run(|bytes| {
//!     let _ = market_reads(bytes);
//! });
//! # fn market_reads(_: &[u8]) {}
//! ```
//!
//! Case n of a seed is the same input on every machine. An input that fails is shrunk and written to a file, whose
//! name stands in the message beside the command that runs the case once more.

mod corpus;
mod engine;
mod generator;
pub mod judge;
mod random;
mod target;
mod watchdog;

pub use generator::Build;
pub use random::Random;
pub use target::Target;
