//! Stacks that are deep enough for any statement: trees are walked by recursion, and users write them.

use std::panic::resume_unwind;
use std::thread;

use crate::error::{ErrorKind, QueryError};

/// Bytes of a stack; only what is used of it takes memory.
pub(crate) const STACK: usize = 256 << 20;

/// Does the work on a deep stack, and waits for it.
pub(crate) fn run<T: Send>(work: impl FnOnce() -> Result<T, QueryError> + Send) -> Result<T, QueryError> {
    thread::scope(|scope| {
        let spawned = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        match spawned.map(|thread| thread.join()) {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(error) => Err(QueryError::new(ErrorKind::Internal, format_args!("no thread to work on: {error}"))),
        }
    })
}
