//! Cooperative cancellation of planning, and a budget of its steps.
//!
//! Tokio can cancel a task only where the task awaits. DataFusion plans a query for long stretches without an await, so
//! the planning code calls [`step`], which fails once the statement was cancelled or its budget is exhausted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{ErrorKind, QueryError};

/// Maximum number of planning steps of one statement. The size of a statement is limited before it is planned; this
/// limit bounds optimizer rules, which run until they reach a fixed point.
const MAX_STEPS: u64 = 2_000_000;

tokio::task_local! {
    static CURRENT: CancellationToken;
}

/// A cancellation token with a step counter. The task that plans a statement and the owner of the statement share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct CancellationToken(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    cancelled: AtomicBool,
    steps: AtomicU64,
}

impl CancellationToken {
    /// Returns the work with this token in scope: [`step`] reads it from a task-local.
    pub(crate) fn scope<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(self.clone(), work)
    }

    /// Cancels the work: its next step fails.
    pub(crate) fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    fn step(&self) -> Result<(), QueryError> {
        if self.0.cancelled.load(Ordering::Relaxed) {
            return Err(QueryError::new(ErrorKind::Internal, "the statement was stopped"));
        }
        if self.0.steps.fetch_add(1, Ordering::Relaxed) >= MAX_STEPS {
            return Err(QueryError::new(
                ErrorKind::ExhaustedResources,
                format_args!(
                    "Query exhausted resources at this scale factor: its planning takes more than {MAX_STEPS} steps"
                ),
            ));
        }
        Ok(())
    }
}

/// Counts one planning step of the current statement. Succeeds always outside a [`CancellationToken::scope`].
///
/// # Errors
/// The statement was cancelled, or has used its [`MAX_STEPS`].
pub(crate) fn step() -> Result<(), QueryError> {
    CURRENT.try_with(CancellationToken::step).unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_at_the_step_after_it_was_stopped() {
        step().expect("work of nobody goes on");
        let token = CancellationToken::default();
        let (mut steps, handle) = (0, token.clone());
        let work = async {
            while step().is_ok() {
                steps += 1;
                if steps == 10 {
                    handle.cancel();
                }
            }
            steps
        };
        assert_eq!(token.scope(work).await, 10);
    }

    #[tokio::test]
    async fn work_without_an_end_runs_out_of_steps() {
        let work = async {
            loop {
                if let Err(error) = step() {
                    return error;
                }
            }
        };
        assert_eq!(CancellationToken::default().scope(work).await.kind, ErrorKind::ExhaustedResources);
    }
}
