//! Runs work on a large stack. sqlparser and DataFusion walk syntax trees and plans by recursion, and users determine
//! how deep these are: on a default stack of 2 MB, a nested statement could overflow it and abort the process.

use std::panic::resume_unwind;
use std::thread;

use crate::error::{ErrorKind, QueryError};

/// Size of a stack in bytes. The operating system commits only the pages that are touched, so a large stack costs
/// nothing.
pub(crate) const STACK_BYTES: usize = 256 << 20;

/// Runs `work` on a thread with a large stack and waits for its result.
pub(crate) fn run<T: Send>(work: impl FnOnce() -> Result<T, QueryError> + Send) -> Result<T, QueryError> {
    thread::scope(|scope| {
        let spawned = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        match spawned.map(|thread| thread.join()) {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(error) => Err(QueryError::new(ErrorKind::Internal, format_args!("no thread to work on: {error}"))),
        }
    })
}
