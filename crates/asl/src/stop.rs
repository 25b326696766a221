//! Stopping an execution from outside, as StopExecution does.

use tokio::sync::watch;

use crate::Failure;

/// Stops the execution that holds the other end. Made by [`stop_switch`]; clone it freely.
#[derive(Clone, Debug)]
pub struct StopSwitch(watch::Sender<Option<Failure>>);

/// The execution's end of a [`StopSwitch`].
#[derive(Clone, Debug)]
pub struct StopSignal(watch::Receiver<Option<Failure>>);

/// A switch and the signal it gives. An execution whose switch has been dropped runs to its own end.
pub fn stop_switch() -> (StopSwitch, StopSignal) {
    let (sender, receiver) = watch::channel(None);
    (StopSwitch(sender), StopSignal(receiver))
}

impl StopSwitch {
    /// Stops the execution; `why` becomes the error and cause of its `ExecutionAborted` event. Only the first call counts.
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
    /// Completes when the switch is thrown, and never when it is dropped unthrown.
    pub(crate) async fn stopped(mut self) -> Failure {
        let thrown = self.0.wait_for(Option::is_some).await;
        match thrown.ok().and_then(|why| why.clone()) {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }
}
