//! The numbering of events, and the event that each follows from.
//!
//! An execution forks into branches and iterations, each of which has an [`EventChain`]: an event follows from the one
//! before it on its chain. A chain also knows its current state, so that when another branch fails, the journal can
//! record which states were aborted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock::Clock;
use super::fault::Fault;
use super::history::{Event, EventKind, History, Iteration, StateType};

/// The maximum number of events of an execution on AWS. It also ends a loop that never waits.
const MAX_EVENTS: u64 = 25_000;

/// Numbers events and passes them to the history.
pub(super) struct Journal<'a> {
    history: &'a dyn History,
    clock: &'a dyn Clock,
    last_id: Mutex<u64>,
}

impl<'a> Journal<'a> {
    pub(super) fn new(history: &'a dyn History, clock: &'a dyn Clock) -> Self {
        Self { history, clock, last_id: Mutex::new(0) }
    }

    /// Continues the numbers of an execution that ended with the event `last_id`.
    pub(super) fn after(self, last_id: u64) -> Self {
        Self { last_id: Mutex::new(last_id), ..self }
    }

    /// Records an event that follows from the one with the id `previous`. Returns its id.
    pub(super) fn append(&self, previous: u64, kind: EventKind) -> u64 {
        let mut last_id = lock(&self.last_id);
        *last_id += 1;
        // Recorded under the lock, so that events arrive in the order of their ids.
        self.history.record(Event { id: *last_id, previous_event_id: previous, timestamp: self.clock.now(), kind });
        *last_id
    }

    /// Records the next event of a chain. Returns its id.
    ///
    /// # Errors
    /// Returns a fatal error if the history is full.
    pub(super) fn record(&self, chain: &EventChain, kind: EventKind) -> Result<u64, Fault> {
        let id = self.record_leaf(chain, kind)?;
        chain.set_previous(id);
        Ok(id)
    }

    /// Records an event that follows from the last one of a chain, but does not extend it: the next event of the chain
    /// follows from the same one.
    ///
    /// # Errors
    /// Returns a fatal error if the history is full.
    pub(super) fn record_leaf(&self, chain: &EventChain, kind: EventKind) -> Result<u64, Fault> {
        // Leaves room for the event that ends the execution.
        if *lock(&self.last_id) + 1 >= MAX_EVENTS {
            let cause = format!("The execution reached the maximum number of history events ({MAX_EVENTS}).");
            return Err(Fault::runtime(cause));
        }
        if let Some(cause) = self.history.full() {
            return Err(Fault::runtime(cause));
        }
        Ok(self.append(chain.previous(), kind))
    }

    /// Records the iterations and states that are aborted in the forks of a chain, after one of them has failed.
    pub(super) fn abort_forks(&self, chain: &EventChain) -> Result<(), Fault> {
        let forks = std::mem::take(&mut chain.state().forks);
        forks.iter().try_for_each(|fork| self.abort(fork, chain))
    }

    fn abort(&self, fork: &EventChain, chain: &EventChain) -> Result<(), Fault> {
        let (iteration, state) = {
            let mut fork = fork.state();
            (fork.iteration.take(), fork.state.take())
        };
        if let Some(iteration) = iteration {
            self.record_leaf(chain, EventKind::MapIterationAborted(iteration))?;
        }
        if let Some(state @ (StateType::Task | StateType::Wait | StateType::Map | StateType::Parallel)) = state {
            self.record_leaf(chain, EventKind::StateAborted(state))?;
        }
        let forks = std::mem::take(&mut fork.state().forks);
        forks.iter().try_for_each(|inner| self.abort(inner, chain))
    }
}

/// A chain of events, each of which follows from the one before it. Clones are the same chain.
#[derive(Clone, Debug)]
pub(super) struct EventChain(Arc<Mutex<ChainState>>);

#[derive(Debug, Default)]
struct ChainState {
    /// The id of the chain's last event.
    previous: u64,
    /// The current state.
    state: Option<StateType>,
    /// The current iteration of a Map state.
    iteration: Option<Iteration>,
    /// The chains of branches or iterations that have not been joined.
    forks: Vec<EventChain>,
}

impl EventChain {
    /// Creates a chain whose first event follows from the one with the id `previous`.
    pub(super) fn new(previous: u64) -> Self {
        Self(Arc::new(Mutex::new(ChainState { previous, ..ChainState::default() })))
    }

    /// Creates a chain that starts at the end of this one.
    pub(super) fn fork(&self) -> Self {
        let fork = Self::new(self.previous());
        self.state().forks.push(fork.clone());
        fork
    }

    /// Removes the forks, and continues the chain after the event with the id `previous`.
    pub(super) fn join(&self, previous: u64) {
        self.state().forks.clear();
        self.set_previous(previous);
    }

    pub(super) fn previous(&self) -> u64 {
        self.state().previous
    }

    pub(super) fn set_previous(&self, id: u64) {
        self.state().previous = id;
    }

    pub(super) fn enter_state(&self, state: StateType) {
        self.state().state = Some(state);
    }

    pub(super) fn exit_state(&self) {
        self.state().state = None;
    }

    pub(super) fn begin_iteration(&self, iteration: Iteration) {
        self.state().iteration = Some(iteration);
    }

    /// Ends the current iteration and returns it.
    pub(super) fn end_iteration(&self) -> Option<Iteration> {
        self.state().iteration.take()
    }

    fn state(&self) -> MutexGuard<'_, ChainState> {
        lock(&self.0)
    }
}

/// Locks a mutex, also after a panic of a [`History`]: it leaves no partial change here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
