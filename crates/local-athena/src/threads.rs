//! The threads that queries run on.
//!
//! They are the engine's own: a query computes for long stretches, which would hold up whoever
//! shares its threads, and it needs a deeper stack than a server's threads have.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::deep_stack::STACK;
use crate::error::{ErrorKind, QueryError};
use crate::stop::Stop;

/// A pool of threads that ends its work when it is dropped.
pub(crate) struct Threads {
    /// There until the drop.
    runtime: Option<Runtime>,
}

impl Threads {
    pub(crate) fn new(count: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count.max(1))
            .thread_name("athena")
            .thread_stack_size(STACK)
            .build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Starts work that waits now and then.
    pub(crate) fn start<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Task<T> {
        let stop = Stop::default();
        let work = stop.around(work);
        Task { handle: self.runtime.as_ref().map(|runtime| runtime.spawn(work)), stop }
    }

    /// Starts work that does not wait.
    pub(crate) fn start_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        Task { handle: self.runtime.as_ref().map(|runtime| runtime.spawn_blocking(work)), stop: Stop::default() }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // An ordinary drop would wait for the threads, which is forbidden on an async caller's thread.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Work that has been started; dropping it stops it at its next wait, or at its next [`step`](crate::stop::step).
pub(crate) struct Task<T> {
    handle: Option<JoinHandle<T>>,
    stop: Stop,
}

impl<T> Task<T> {
    /// Waits for the work's result. A panic in it is an error here, and `None` is a second call.
    pub(crate) async fn result(&mut self) -> Result<Option<T>, QueryError> {
        let Some(handle) = self.handle.as_mut() else {
            return Ok(None);
        };
        let joined = handle.await;
        self.handle = None;
        joined.map(Some).map_err(|error| {
            let what = match error.try_into_panic() {
                Ok(panic) => panic_message(panic.as_ref()),
                Err(_) => "it was stopped".to_owned(),
            };
            QueryError::new(ErrorKind::Internal, format_args!("the statement could not be carried out: {what}"))
        })
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".to_owned())
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            self.stop.stop();
            handle.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::stop::step;

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
}
