//! Expressions over the data of a state: paths, intrinsic functions, payload templates and choice rules.
//!
//! Each is parsed once, with the definition, and evaluated on a [`Data`].

mod context;
mod data_flow;
mod intrinsic;
mod path;
mod rule;
mod template;
mod variables;

pub use context::ExecutionContext;
pub(crate) use context::{Context, Data, MapItem};
pub(crate) use data_flow::{Filters, ResultPath, within_limit};
pub(crate) use intrinsic::Expression;
pub(crate) use path::{Path, fuzzing, referenced};
pub(crate) use rule::Rule;
pub(crate) use template::{Template, evaluate};
pub use variables::check_variable_name;
pub(crate) use variables::{Assign, Variables, assigned_names};

#[cfg(test)]
pub(crate) use context::testing;
