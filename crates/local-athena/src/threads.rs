//! The thread pool that queries run on.
//!
//! It is separate from the runtime of the embedded endpoint for two reasons: a query computes for long stretches
//! without an await, which would delay other tasks on the same threads, and it needs a [larger
//! stack](crate::deep_stack).

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::cancellation::CancellationToken;
use crate::deep_stack::STACK_BYTES;
use crate::error::{ErrorKind, QueryError};

/// A thread pool. Dropping it cancels its tasks.
pub(crate) struct Threads {
    /// `None` only while the pool is dropped.
    runtime: Option<Runtime>,
}

impl Threads {
    pub(crate) fn new(count: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count.max(1))
            .thread_name("athena")
            .thread_stack_size(STACK_BYTES)
            .build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Spawns an async task.
    pub(crate) fn start<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Task<T> {
        let cancellation = CancellationToken::default();
        let work = cancellation.scope(work);
        Task { handle: self.runtime.as_ref().map(|runtime| runtime.spawn(work)), cancellation }
    }

    /// Runs blocking work on a thread for such work. It cannot be cancelled once it has begun.
    pub(crate) fn start_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        let cancellation = CancellationToken::default();
        Task { handle: self.runtime.as_ref().map(|runtime| runtime.spawn_blocking(work)), cancellation }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Dropping a runtime blocks until its threads end, and tokio panics when that happens in an async context.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A spawned task. Dropping it cancels the task at its next await or its next [`step`](crate::cancellation::step).
pub(crate) struct Task<T> {
    handle: Option<JoinHandle<T>>,
    cancellation: CancellationToken,
}

impl<T> Task<T> {
    /// Waits for the result of the task. Returns `None` from the second call on.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the task panicked or was cancelled.
    pub(crate) async fn result(&mut self) -> Result<Option<T>, QueryError> {
        let Some(handle) = self.handle.as_mut() else {
            return Ok(None);
        };
        let joined = handle.await;
        self.handle = None;
        joined.map(Some).map_err(|error| {
            let what = match error.try_into_panic() {
                Ok(panic) => panic_message(panic.as_ref()).unwrap_or("it panicked").to_owned(),
                Err(_) => "it was stopped".to_owned(),
            };
            QueryError::new(ErrorKind::Internal, format_args!("the statement could not be carried out: {what}"))
        })
    }
}

/// Returns the message of a panic, from its payload. `None` if the payload is not a text.
pub fn panic_message(payload: &(dyn std::any::Any + Send)) -> Option<&str> {
    let literal = payload.downcast_ref::<&str>().copied();
    literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            self.cancellation.cancel();
            handle.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::cancellation::step;

    #[test]
    fn work_that_never_waits_stops_when_nobody_wants_it() {
        let threads = Threads::new(1).expect("a thread");
        let (tell, told) = mpsc::channel();
        let task = threads.start(async move {
            tell.send("begun").expect("a test that listens");
            while step().is_ok() {}
            tell.send("stopped").expect("a test that listens");
        });
        assert_eq!(told.recv(), Ok("begun"));
        drop(task);
        assert_eq!(told.recv(), Ok("stopped"));
    }

    #[test]
    fn panics_have_a_message() {
        let panic = std::panic::catch_unwind(|| panic!("no {}", "luck")).unwrap_err();
        assert_eq!(panic_message(panic.as_ref()), Some("no luck"));
        assert_eq!(panic_message(&7), None);
    }
}
