//! Map: one run of a workflow for each item of an array, some of them at the same time.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use serde_json::Value;

use super::work::{Attempt, Frame, Work, template};
use crate::DefinitionError;
use crate::context::MapItem;
use crate::definition::{Fields, StateNames, Workflow};
use crate::execution::Scope;
use crate::failure::Fault;
use crate::history::{EventKind, Iteration};
use crate::journal::Line;
use crate::path::Path;
use crate::template::Template;

/// How many iterations AWS runs at the same time, whatever `MaxConcurrency` says.
const MAX_CONCURRENCY: usize = 40;

#[derive(Clone, Debug)]
pub(super) struct Map {
    pub(super) frame: Frame,
    items: Path,
    selector: Option<Template>,
    concurrency: Concurrency,
    processor: Workflow,
}

#[derive(Clone, Debug)]
enum Concurrency {
    Fixed(u64),
    Path(Path),
}

impl Map {
    pub(super) fn parse(
        fields: &mut Fields,
        names: &StateNames,
        taken: &mut HashSet<String>,
    ) -> Result<Self, DefinitionError> {
        fields.at_most_one(&["ItemSelector", "Parameters"])?;
        // The older name for the selector: in a Map state `Parameters` is filled in for each item.
        let selector = match template(fields, "ItemSelector")? {
            None => template(fields, "Parameters")?,
            selector => selector,
        };
        let items = fields.parsed("ItemsPath", Path::parse_reference)?;
        let map = Self {
            items: items.unwrap_or_else(Path::root),
            selector,
            concurrency: Concurrency::parse(fields)?,
            processor: processor(fields, taken)?,
            frame: Frame::parse(fields, names)?,
        };
        refuse_distributed(fields)?;
        Ok(map)
    }

    async fn iterate(&self, attempt: Attempt<'_>) -> Result<Value, Fault> {
        let visit = attempt.visit;
        let workers = self.concurrency.workers(attempt)?;
        let items = self.items(attempt)?;
        visit.record(EventKind::MapStateStarted(items.len() as u64))?;
        let iterations = Iterations {
            map: self,
            attempt,
            items: &items,
            next: AtomicUsize::new(0),
            outputs: Mutex::new(vec![Value::Null; items.len()]),
        };
        let line = &visit.scope.line;
        let last = {
            let mut workers: FuturesUnordered<_> =
                (0..workers.min(items.len())).map(|_| iterations.work(line.fork())).collect();
            let mut last = line.previous();
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
        line.join(last);
        visit.note(EventKind::MapStateSucceeded)?;
        let outputs = iterations.outputs.into_inner();
        Ok(Value::from(outputs.unwrap_or_else(PoisonError::into_inner)))
    }

    fn items(&self, attempt: Attempt<'_>) -> Result<Vec<Value>, Fault> {
        let visit = attempt.visit;
        visit.evaluate(attempt.effective, attempt.context, |data| match self.items.find(data)? {
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(format!("Reference path \"{}\" must point to array.", self.items)),
            None => Err(format!("Invalid path '{}' : No results for path: {}", self.items, self.items.canonical())),
        })
    }

    /// An iteration failed on the line `failed`: says so, and what became of the others.
    fn fail(&self, attempt: Attempt<'_>, failed: &Line, fault: Fault) -> Fault {
        let visit = attempt.visit;
        let line = &visit.scope.line;
        line.follow(failed.previous());
        let told = match (&fault, failed.end_iteration()) {
            (Fault::Failed(_), Some(iteration)) => visit
                .note(EventKind::MapIterationFailed(iteration))
                .and_then(|_| visit.scope.run.journal.abort_forks(line)),
            _ => Ok(()),
        };
        told.err().unwrap_or(fault)
    }
}

impl Work for Map {
    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<Value, Fault>> {
        self.iterate(attempt).boxed()
    }

    fn given_up(&self) -> Option<EventKind> {
        Some(EventKind::MapStateFailed)
    }

    fn has_branches(&self) -> bool {
        false
    }
}

/// The iterations of one attempt. Workers take the next item as they get free.
struct Iterations<'a> {
    map: &'a Map,
    attempt: Attempt<'a>,
    items: &'a [Value],
    next: AtomicUsize,
    outputs: Mutex<Vec<Value>>,
}

impl Iterations<'_> {
    /// Goes through items until none are left, and gives the id of the last event; or the line that failed, and why.
    async fn work(&self, line: Line) -> Result<u64, (Line, Fault)> {
        let mut last = line.previous();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = self.items.get(index) else {
                return Ok(last);
            };
            match self.iteration(index, item, &line).await {
                Ok(id) => last = id,
                Err(fault) => return Err((line, fault)),
            }
        }
    }

    async fn iteration(&self, index: usize, item: &Value, line: &Line) -> Result<u64, Fault> {
        let visit = self.attempt.visit;
        let run = visit.scope.run;
        let iteration = Iteration { name: visit.state.to_owned(), index: index as u64 };
        let item = MapItem { index, value: item.clone() };
        line.begin(iteration.clone());
        run.journal.record(line, EventKind::MapIterationStarted(iteration.clone()))?;
        let input = self.input(&item)?;
        let scope = Scope { run, line: line.clone(), item: Some(&item) };
        let output = self.map.processor.run(input, scope).await?;
        let succeeded = EventKind::MapIterationSucceeded(iteration);
        let id = run.journal.note(line, succeeded)?;
        line.end_iteration();
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = outputs.get_mut(index) {
            *slot = output;
        }
        Ok(id)
    }

    /// What the iteration's first state is given.
    fn input(&self, item: &MapItem) -> Result<Value, Fault> {
        let Some(selector) = &self.map.selector else {
            return Ok(item.value.clone());
        };
        let visit = self.attempt.visit;
        let mut context = visit.context(Some(self.attempt.retries));
        context.item = Some(item);
        visit.evaluate(self.attempt.effective, &context, |data| selector.fill(data))
    }
}

impl Concurrency {
    fn parse(fields: &mut Fields) -> Result<Self, DefinitionError> {
        fields.at_most_one(&["MaxConcurrency", "MaxConcurrencyPath"])?;
        if let Some(path) = fields.parsed("MaxConcurrencyPath", Path::parse_reference)? {
            return Ok(Self::Path(path));
        }
        let most = fields.whole("MaxConcurrency", 0..=u64::MAX)?;
        Ok(Self::Fixed(most.unwrap_or_default()))
    }

    fn workers(&self, attempt: Attempt<'_>) -> Result<usize, Fault> {
        let most = match self {
            Self::Fixed(most) => *most,
            Self::Path(path) => attempt.visit.evaluate(attempt.filtered, attempt.context, |data| {
                let value = path.find(data)?.unwrap_or_default();
                value.as_u64().ok_or_else(|| {
                    format!("The MaxConcurrencyPath parameter does not reference a whole number of at least 0: {path} == {value}")
                })
            })?,
        };
        // Zero stands for no limit.
        Ok(match usize::try_from(most) {
            Ok(most @ 1..=MAX_CONCURRENCY) => most,
            _ => MAX_CONCURRENCY,
        })
    }
}

fn processor(fields: &mut Fields, taken: &mut HashSet<String>) -> Result<Workflow, DefinitionError> {
    fields.at_most_one(&["ItemProcessor", "Iterator"])?;
    let field = if fields.has("Iterator") { "Iterator" } else { "ItemProcessor" };
    fields.require(&[field])?;
    let place = fields.place(field);
    let mut processor = Fields::of(fields.take(field).unwrap_or_default(), &place)?;
    let _comment = processor.text("Comment")?;
    if let Some(config) = processor.take("ProcessorConfig") {
        let mut config = Fields::of(config, &processor.place("ProcessorConfig"))?;
        match config.text("Mode")?.as_deref() {
            None | Some("INLINE") => {}
            Some("DISTRIBUTED") => return Err(config.fault("Mode", DISTRIBUTED)),
            Some(other) => {
                let message = format!("'{other}' is not a mode of a Map state: use INLINE");
                return Err(config.fault("Mode", message));
            }
        }
        config.finish()?;
    }
    let workflow = Workflow::parse(&mut processor, taken)?;
    processor.finish()?;
    Ok(workflow)
}

const DISTRIBUTED: &str = "The distributed mode of Map states is not supported: use INLINE";

/// Says why, where the field is known to AWS but only in a mode that is not known here.
fn refuse_distributed(fields: &Fields) -> Result<(), DefinitionError> {
    let distributed = [
        "ItemReader",
        "ItemBatcher",
        "ResultWriter",
        "Label",
        "ToleratedFailureCount",
        "ToleratedFailureCountPath",
        "ToleratedFailurePercentage",
        "ToleratedFailurePercentagePath",
    ];
    match distributed.into_iter().find(|field| fields.has(field)) {
        None => Ok(()),
        Some(field) => Err(fields.fault(field, DISTRIBUTED)),
    }
}
