//! Runs the checker, and says what it found.

use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Path};

use crate::lake::Record;
use crate::properties::Violation;
use crate::protocol::{Broken, Protocol};
use crate::scenario::Scenario;
use crate::system::{Action, State, System};

/// What a check found.
#[derive(Debug)]
pub struct Found {
    /// The name of the scenario.
    pub scenario: &'static str,
    /// What was broken.
    pub broken: Option<Broken>,
    /// States that differ.
    pub states: usize,
    /// The longest sequence of actions.
    pub depth: usize,
    /// How long it took.
    pub time: Duration,
    /// The properties that do not hold, each with a sequence of actions that shows it.
    pub counterexamples: Vec<Counterexample>,
}

/// How a property is violated.
#[derive(Debug)]
pub struct Counterexample {
    /// The property.
    pub property: &'static str,
    /// What happens, one line for each action.
    pub trace: Vec<String>,
}

/// How long a check works in silence.
const BETWEEN_WORDS: Duration = Duration::from_secs(30);

/// Looks at every state of a scenario, on all processors.
pub fn check(scenario: Scenario, protocol: Protocol) -> Found {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let system = System { scenario, protocol };
    let begun = Instant::now();
    // Depth first: the states that wait to be looked at are few.
    let checker = system.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures).spawn_dfs();
    let mut said = Instant::now();
    while !checker.is_done() {
        std::thread::sleep(Duration::from_millis(20));
        if said.elapsed() > BETWEEN_WORDS {
            said = Instant::now();
            eprintln!("{}: {} states so far", scenario.name, checker.unique_state_count());
        }
    }
    let checker = checker.join();
    found(&system, &checker, begun)
}

/// Looks for a shortest counterexample to the property that `broken` violates.
pub fn counterexample(broken: Broken) -> Found {
    let system = System { scenario: broken.scenario(), protocol: Protocol { broken: Some(broken) } };
    let begun = Instant::now();
    let wanted = HasDiscoveries::AllOf([broken.property()].into());
    // Breadth first and on one thread: the first one that is found is the shortest.
    let checker = system.checker().finish_when(wanted).spawn_bfs().join();
    found(&system, &checker, begun)
}

fn found(system: &System, checker: &impl Checker<System>, begun: Instant) -> Found {
    let discoveries = checker.discoveries().into_iter();
    let counterexamples = discoveries.map(|(property, path)| Counterexample { property, trace: trace(system, path) });
    Found {
        scenario: system.scenario.name,
        broken: system.protocol.broken,
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        time: begun.elapsed(),
        counterexamples: counterexamples.collect(),
    }
}

/// What happens, one line for each action: who does what, and the record where it changed.
fn trace(system: &System, path: Path<State, Action>) -> Vec<String> {
    let steps = path.into_vec();
    let mut lines = Vec::new();
    for (index, (state, action)) in steps.iter().enumerate() {
        let Some(action) = action else { continue };
        let mut line = match action {
            Action::Step(actor) => system.describe(state, *actor),
            Action::AnswerIsLost(actor) => format!("{} [executed, the answer is lost]", system.describe(state, *actor)),
            other => format!("{other:?}"),
        };
        if let Some((after, _)) = steps.get(index + 1) {
            if after.lake.record != state.lake.record {
                line += &format!("\n      record {} -> {}", words(state.lake.record), words(after.lake.record));
            }
            for (table, (old, new)) in state.lake.catalog.iter().zip(after.lake.catalog).enumerate() {
                if *old != new {
                    let number = |partition: Option<crate::lake::Partition>| partition.map_or(0, |one| one.number);
                    line += &format!("\n      catalog, table {table}: record {} -> {}", number(*old), number(new));
                }
            }
            if after.lake.violations != state.lake.violations {
                line += &format!("\n      violated: {}", violations(after));
            }
        }
        lines.push(line);
    }
    lines
}

fn words(record: Option<Record>) -> String {
    let Some(record) = record else { return "none".to_owned() };
    let published = record.published.map_or("nothing".to_owned(), |published| {
        format!("folder {} of run {} (view {})", published.folder.0, published.folder.run() + 1, published.view)
    });
    let removed: Vec<String> = record.removed.iter().map(|folder| folder.0.to_string()).collect();
    let removed = if removed.is_empty() { String::new() } else { format!(", removed {}", removed.join(" ")) };
    format!("{}: {published}{}{removed}", record.number, if record.held { ", held" } else { "" })
}

fn violations(state: &State) -> String {
    use Violation as V;
    let all = [
        V::WentBackToOlderRawFiles,
        V::AuditedAgainstAnotherRecord,
        V::CatalogWentBack,
        V::RunningRunRemoved,
        V::HeldDayChanged,
        V::AnotherRecordThanChosen,
        V::FalseSuccess,
    ];
    let names = all.into_iter().filter(|one| state.lake.violations.contains(*one)).map(|one| format!("{one:?}"));
    names.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.broken.map_or("the protocol", Broken::name);
        write!(
            f,
            "{:20} {:28} {:>11} states, depth {:>3}, {:>7.2} s: ",
            self.scenario,
            name,
            self.states,
            self.depth,
            self.time.as_secs_f64()
        )?;
        if self.counterexamples.is_empty() {
            return write!(f, "holds");
        }
        for counterexample in &self.counterexamples {
            write!(f, "\n  violated: {} ({} actions)", counterexample.property, counterexample.trace.len())?;
        }
        Ok(())
    }
}
