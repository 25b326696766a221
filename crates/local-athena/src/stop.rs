//! How work that computes for long without waiting is stopped: it asks now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{ErrorKind, QueryError};

/// The steps that the planning of one statement may take. Rules that are applied until nothing changes any more are only
/// bounded by this; what a statement is made of has been bounded before.
const MOST_STEPS: u64 = 2_000_000;

tokio::task_local! {
    static CURRENT: Stop;
}

/// One statement's work, as those see it who do it and those who no longer want it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    stopped: AtomicBool,
    steps: AtomicU64,
}

impl Stop {
    /// The work, within which [`step`] asks this.
    pub(crate) fn around<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(self.clone(), work)
    }

    /// Ends the work at its next step.
    pub(crate) fn stop(&self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }

    fn step(&self) -> Result<(), QueryError> {
        if self.0.stopped.load(Ordering::Relaxed) {
            return Err(QueryError::new(ErrorKind::Internal, "the statement was stopped"));
        }
        if self.0.steps.fetch_add(1, Ordering::Relaxed) >= MOST_STEPS {
            return Err(QueryError::new(
                ErrorKind::ExhaustedResources,
                format_args!(
                    "Query exhausted resources at this scale factor: its planning takes more than {MOST_STEPS} steps"
                ),
            ));
        }
        Ok(())
    }
}

/// One step of a statement's planning.
///
/// # Errors
/// When the statement is no longer wanted, or has taken more steps than it may. Work that nobody can stop has no end here.
pub(crate) fn step() -> Result<(), QueryError> {
    CURRENT.try_with(Stop::step).unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_at_the_step_after_it_was_stopped() {
        step().expect("work of nobody goes on");
        let stop = Stop::default();
        let (mut steps, handle) = (0, stop.clone());
        let work = async {
            while step().is_ok() {
                steps += 1;
                if steps == 10 {
                    handle.stop();
                }
            }
            steps
        };
        assert_eq!(stop.around(work).await, 10);
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
        assert_eq!(Stop::default().around(work).await.kind, ErrorKind::ExhaustedResources);
    }
}
