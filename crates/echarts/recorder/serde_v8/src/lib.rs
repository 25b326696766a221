//! The part of `serde_v8`'s interface that `charming` compiles against. It converts nothing: see the crate `echarts`.

use deno_core::NotExecuted;
use deno_core::v8::{HandleScope, Local};

/// Converts the result of a script.
///
/// # Errors
/// Always [`NotExecuted`]: no script is executed, so there is no result.
pub fn from_v8<T>(_scope: &mut HandleScope, _result: Local) -> Result<T, NotExecuted> {
    Err(NotExecuted)
}
