//! Running a Map state.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use serde_json::Value;

use super::attempts::{Attempt, Work};
use super::fault::Fault;
use super::history::{EventKind, Iteration};
use super::journal::EventChain;
use super::scope::Scope;
use crate::data::{MapItem, referenced};
use crate::model::{Concurrency, Map};

/// The maximum number of concurrent iterations on AWS, whatever `MaxConcurrency` says.
const MAX_CONCURRENCY: usize = 40;

impl Map {
    async fn iterate(&self, attempt: Attempt<'_>) -> Result<Value, Fault> {
        let visit = attempt.visit;
        let workers = self.concurrency.workers(attempt)?;
        let items = self.items(attempt)?;
        if visit.probe().is_some() {
            self.note(attempt, &items)?;
        }
        if let Some(mocked) = attempt.mocked() {
            return mocked;
        }
        visit.record(EventKind::MapStateStarted(items.len() as u64))?;
        let iterations = Iterations {
            map: self,
            attempt,
            items: &items,
            next: AtomicUsize::new(0),
            outputs: Mutex::new(vec![Value::Null; items.len()]),
        };
        let chain = &visit.scope.chain;
        let last = {
            let mut workers: FuturesUnordered<_> =
                (0..workers.min(items.len())).map(|_| iterations.work(chain.fork())).collect();
            let mut last = chain.previous();
            while let Some(ended) = workers.next().await {
                match ended {
                    Ok(id) => last = last.max(id),
                    Err((failed, fault)) => {
                        drop(workers);
                        return Err(self.fail(attempt, &failed, fault));
                    }
                }
            }
            last
        };
        chain.join(last);
        visit.record_leaf(EventKind::MapStateSucceeded)?;
        let outputs = iterations.outputs.into_inner();
        Ok(Value::from(outputs.unwrap_or_else(PoisonError::into_inner)))
    }

    /// Notes the items and the inputs of the iterations, for the test of a state.
    fn note(&self, attempt: Attempt<'_>, items: &[Value]) -> Result<(), Fault> {
        let visit = attempt.visit;
        visit.note("afterItemsPath", &Value::from(items));
        if self.selector.is_some() {
            let inputs = items.iter().enumerate().map(|(index, item)| {
                let item = MapItem { index, value: item.clone() };
                self.input(attempt, &item)
            });
            visit.note("afterItemSelector", &Value::Array(inputs.collect::<Result<_, _>>()?));
        }
        visit.note("maxConcurrency", &self.concurrency.max(attempt)?.into());
        Ok(())
    }

    /// Returns the input of an iteration's first state.
    fn input(&self, attempt: Attempt<'_>, item: &MapItem) -> Result<Value, Fault> {
        let Some(selector) = &self.selector else {
            return Ok(item.value.clone());
        };
        let visit = attempt.visit;
        let mut context = visit.context(Some(attempt.retry_count));
        context.item = Some(item);
        visit.evaluate(attempt.effective, &context, |data| selector.render(data))
    }

    fn items(&self, attempt: Attempt<'_>) -> Result<Vec<Value>, Fault> {
        let visit = attempt.visit;
        visit.evaluate(attempt.effective, attempt.context, |data| match self.items.find(data)? {
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(format!("Reference path \"{}\" must point to array.", self.items)),
            None => Err(self.items.no_result(data)),
        })
    }

    /// Records that the iteration with the chain `failed` has failed and the others are aborted.
    fn fail(&self, attempt: Attempt<'_>, failed: &EventChain, fault: Fault) -> Fault {
        let visit = attempt.visit;
        let chain = &visit.scope.chain;
        chain.set_previous(failed.previous());
        let recorded = match (&fault, failed.end_iteration()) {
            (Fault::Failed(_), Some(iteration)) => visit
                .record_leaf(EventKind::MapIterationFailed(iteration))
                .and_then(|_| visit.scope.environment.journal.abort_forks(chain)),
            _ => Ok(()),
        };
        recorded.err().unwrap_or(fault)
    }
}

impl Work for Map {
    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<Value, Fault>> {
        self.iterate(attempt).boxed()
    }

    fn failed_event(&self) -> Option<EventKind> {
        Some(EventKind::MapStateFailed)
    }

    fn has_branches(&self) -> bool {
        false
    }
}

/// The iterations of one attempt, with bounded concurrency: each worker takes the next item when it is free.
struct Iterations<'a> {
    map: &'a Map,
    attempt: Attempt<'a>,
    items: &'a [Value],
    next: AtomicUsize,
    outputs: Mutex<Vec<Value>>,
}

impl Iterations<'_> {
    /// Processes items until none is left, and returns the id of the last event.
    ///
    /// # Errors
    /// Returns the chain of the iteration that failed, and its fault.
    async fn work(&self, chain: EventChain) -> Result<u64, (EventChain, Fault)> {
        let mut last = chain.previous();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = self.items.get(index) else {
                return Ok(last);
            };
            match self.iteration(index, item, &chain).await {
                Ok(id) => last = id,
                Err(fault) => return Err((chain, fault)),
            }
        }
    }

    async fn iteration(&self, index: usize, item: &Value, chain: &EventChain) -> Result<u64, Fault> {
        let visit = self.attempt.visit;
        let environment = visit.scope.environment;
        let iteration = Iteration { name: visit.state.to_owned(), index: index as u64 };
        let item = MapItem { index, value: item.clone() };
        chain.begin_iteration(iteration.clone());
        environment.journal.record(chain, EventKind::MapIterationStarted(iteration.clone()))?;
        let input = self.map.input(self.attempt, &item)?;
        let variables = visit.scope.variables.inner();
        let scope = Scope { environment, chain: chain.clone(), item: Some(&item), variables };
        let output = self.map.processor.run(input, scope).await?;
        let succeeded = EventKind::MapIterationSucceeded(iteration);
        let id = environment.journal.record_leaf(chain, succeeded)?;
        chain.end_iteration();
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = outputs.get_mut(index) {
            *slot = output;
        }
        Ok(id)
    }
}

impl Concurrency {
    /// Returns the number of iterations to run at the same time.
    fn workers(&self, attempt: Attempt<'_>) -> Result<usize, Fault> {
        // Zero means no limit.
        Ok(match usize::try_from(self.max(attempt)?) {
            Ok(max @ 1..=MAX_CONCURRENCY) => max,
            _ => MAX_CONCURRENCY,
        })
    }

    /// Returns the number that the definition states.
    fn max(&self, attempt: Attempt<'_>) -> Result<u64, Fault> {
        match self {
            Self::Fixed(max) => Ok(*max),
            Self::Path(path) => attempt.visit.evaluate(attempt.filtered, attempt.context, |data| {
                let value = referenced(path, "MaxConcurrencyPath", data)?;
                match (value.as_u64(), value.as_i64()) {
                    (Some(max), _) => Ok(max),
                    (None, Some(_)) => {
                        Err(format!("Expected non-negative integer for MaxConcurrency, got '{value}' instead."))
                    }
                    (None, None) => {
                        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        Err(format!(
                            "The MaxConcurrencyPath field refers to value \"{text}\" which is not a valid integer: {path}"
                        ))
                    }
                }
            }),
        }
    }
}
