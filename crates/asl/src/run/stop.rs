//! Stopping an execution, as `StopExecution` does.

use tokio::sync::watch;

use crate::syntax::Failure;

/// Stops the execution that has the matching [`StopSignal`]. Created by [`stop_switch`]; clones are the same switch.
#[derive(Clone, Debug)]
pub struct StopSwitch(watch::Sender<Option<Failure>>);

/// The receiver of a [`StopSwitch`], for [`Execution::stop_on`](crate::Execution::stop_on).
#[derive(Clone, Debug)]
pub struct StopSignal(watch::Receiver<Option<Failure>>);

/// Creates a switch and its signal. Dropping the switch stops nothing.
pub fn stop_switch() -> (StopSwitch, StopSignal) {
    let (sender, receiver) = watch::channel(None);
    (StopSwitch(sender), StopSignal(receiver))
}

impl StopSwitch {
    /// Stops the execution. `why` becomes the error and cause of its `ExecutionAborted` event. Only the first call has
    /// an effect.
    pub fn stop(&self, why: Failure) {
        self.0.send_if_modified(|stopped| {
            let first = stopped.is_none();
            if first {
                *stopped = Some(why);
            }
            first
        });
    }
}

impl StopSignal {
    /// Completes when the switch stops the execution; never, if it is dropped before.
    pub(super) async fn stopped(mut self) -> Failure {
        let stopped = self.0.wait_for(Option::is_some).await;
        match stopped.ok().and_then(|why| why.clone()) {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }
}
