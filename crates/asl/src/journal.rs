//! Ids for events: which comes when, and which led to which.
//!
//! An execution forks into branches and iterations, and each is a [`Line`] of events of its own: the next event of a
//! line points to the one before it on that line. Lines also remember which state they are in, so that when a sibling
//! fails the history can say what was aborted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::failure::Fault;
use crate::history::{Event, EventKind, History, Iteration, StateType};

/// AWS ends an execution whose history would get longer than this. It is also what ends a loop that never waits.
const MAX_EVENTS: u64 = 25_000;

/// Numbers events and hands them to the history.
pub(crate) struct Journal<'a> {
    history: &'a dyn History,
    clock: &'a dyn Clock,
    last_id: Mutex<u64>,
}

impl<'a> Journal<'a> {
    pub(crate) fn new(history: &'a dyn History, clock: &'a dyn Clock) -> Self {
        Self { history, clock, last_id: Mutex::new(0) }
    }

    /// Adds an event that follows from the one with the id `previous`, and gives its own id.
    pub(crate) fn append(&self, previous: u64, kind: EventKind) -> u64 {
        let mut last_id = lock(&self.last_id);
        *last_id += 1;
        // The lock is held while recording, so that events arrive in the order of their ids.
        self.history.record(Event { id: *last_id, previous_event_id: previous, timestamp: self.clock.now(), kind });
        *last_id
    }

    /// Adds the next event of a line.
    pub(crate) fn record(&self, line: &Line, kind: EventKind) -> Result<u64, Fault> {
        let id = self.note(line, kind)?;
        line.follow(id);
        Ok(id)
    }

    /// Adds an event to the side of a line: the line's next event does not point to it.
    pub(crate) fn note(&self, line: &Line, kind: EventKind) -> Result<u64, Fault> {
        // The event that ends the execution has to fit in too.
        if *lock(&self.last_id) + 1 >= MAX_EVENTS {
            let cause = format!("The execution reached the maximum number of history events ({MAX_EVENTS}).");
            return Err(Fault::runtime(cause));
        }
        if let Some(cause) = self.history.full() {
            return Err(Fault::runtime(cause));
        }
        Ok(self.append(line.previous(), kind))
    }

    /// Says what was still going on in the forks of a line when one of them failed.
    pub(crate) fn abort_forks(&self, line: &Line) -> Result<(), Fault> {
        let forks = std::mem::take(&mut line.trace().forks);
        forks.iter().try_for_each(|fork| self.abort(fork, line))
    }

    fn abort(&self, fork: &Line, line: &Line) -> Result<(), Fault> {
        let (iteration, state) = {
            let mut trace = fork.trace();
            (trace.iteration.take(), trace.state.take())
        };
        if let Some(iteration) = iteration {
            self.note(line, EventKind::MapIterationAborted(iteration))?;
        }
        if let Some(state @ (StateType::Task | StateType::Wait | StateType::Map | StateType::Parallel)) = state {
            self.note(line, EventKind::StateAborted(state))?;
        }
        let forks = std::mem::take(&mut fork.trace().forks);
        forks.iter().try_for_each(|inner| self.abort(inner, line))
    }
}

/// One line of events. Clones are the same line.
#[derive(Clone, Debug)]
pub(crate) struct Line(Arc<Mutex<Trace>>);

#[derive(Debug, Default)]
struct Trace {
    /// The id of the line's last event.
    previous: u64,
    /// The state that the line is in.
    state: Option<StateType>,
    /// The iteration that the line is going through.
    iteration: Option<Iteration>,
    /// The lines that have split off.
    forks: Vec<Line>,
}

impl Line {
    /// A line whose first event points to `previous`.
    pub(crate) fn after(previous: u64) -> Self {
        Self(Arc::new(Mutex::new(Trace { previous, ..Trace::default() })))
    }

    /// A line that splits off here.
    pub(crate) fn fork(&self) -> Self {
        let fork = Self::after(self.previous());
        self.trace().forks.push(fork.clone());
        fork
    }

    /// The forks have come together again; the line goes on from `previous`.
    pub(crate) fn join(&self, previous: u64) {
        self.trace().forks.clear();
        self.follow(previous);
    }

    pub(crate) fn previous(&self) -> u64 {
        self.trace().previous
    }

    pub(crate) fn follow(&self, id: u64) {
        self.trace().previous = id;
    }

    pub(crate) fn enter(&self, state: StateType) {
        self.trace().state = Some(state);
    }

    pub(crate) fn exit(&self) {
        self.trace().state = None;
    }

    pub(crate) fn begin(&self, iteration: Iteration) {
        self.trace().iteration = Some(iteration);
    }

    /// Ends the line's iteration and gives it.
    pub(crate) fn end_iteration(&self) -> Option<Iteration> {
        self.trace().iteration.take()
    }

    fn trace(&self) -> MutexGuard<'_, Trace> {
        lock(&self.0)
    }
}

/// A panic in a history leaves nothing half done here, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
