//! What the scenarios are there for does happen in them: a model in which nothing goes wrong proves nothing.

use model::catalog;
use model::lake::{Files, Record};
use model::operator;
use model::protocol::Protocol;
use model::run::{Execution, Invocation, Step};
use model::scenario::{self, Scenario};
use model::system::{Action, State, System};
use model::vacuum::{self, Vacuum};
use stateright::{Checker, Model, Property};

/// A system of which is asked whether situations occur.
struct Search {
    system: System,
    situations: Vec<Property<Search>>,
}

impl Model for Search {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.system.init_states()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.system.actions(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.system.next_state(state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        self.situations.clone()
    }
}

type Situation = (&'static str, fn(&Search, &State) -> bool);

fn occur(scenario: Scenario, situations: &[Situation]) {
    let system = System { scenario, protocol: Protocol::default() };
    let situations = situations.iter().map(|(name, occurs)| Property::sometimes(name, *occurs)).collect();
    let checker = Search { system, situations }.checker().spawn_bfs().join();
    checker.assert_properties();
}

fn invocations(state: &State) -> impl Iterator<Item = &Invocation> {
    let running = state.runs.iter().filter_map(|run| match run {
        Execution::Running(invocation) => Some(invocation),
        _ => None,
    });
    running.chain(&state.zombies)
}

#[test]
fn races_of_runs_occur() {
    occur(
        scenario::LATE_FILE,
        &[
            ("a second attempt is published", |_, state| {
                Record::published(state.lake.record).is_some_and(|published| published.folder.0 % 2 == 1)
            }),
            ("a lost answer is recognised", |_, state| {
                invocations(state).any(
                    |one| matches!(one.step, Step::PublishLooksAgain { record } if Some(record) == state.lake.record),
                )
            }),
            ("another record follows one whose answer was lost", |_, state| {
                invocations(state).any(
                    |one| matches!(one.step, Step::PublishLooksAgain { record } if Some(record) != state.lake.record),
                )
            }),
            ("a race is lost", |_, state| {
                invocations(state)
                    .any(|one| matches!(one.step, Step::PublishSwaps { before } if before != state.lake.record))
            }),
            ("a lease is waited for", |_, state| {
                invocations(state)
                    .any(|one| one.step == Step::Catalog(catalog::Step::TakesLease { table: 0, seen: None }))
                    && state.lake.leases[0]
            }),
            ("a lease expires before the catalog is written", |_, state| {
                invocations(state)
                    .any(|one| matches!(one.step, Step::Catalog(catalog::Step::Writes { leased: false, .. })))
            }),
            ("the tables of the catalog differ", |_, state| {
                state.lake.catalog[0].is_some() && state.lake.catalog[0] != state.lake.catalog[1]
            }),
        ],
    );
}

#[test]
fn removals_occur() {
    occur(
        scenario::VACUUM,
        &[
            ("files are removed", |_, state| state.lake.files.contains(&Files::Removed)),
            ("the first record is that of a vacuum", |_, state| {
                state.lake.record.is_some_and(|record| record.number == 1 && record.published.is_none())
            }),
            ("a vacuum loses the race", |_, state| {
                matches!(
                    state.vacuum,
                    Some(Vacuum { step: vacuum::Step::Swaps { before, .. }, .. }) if before != state.lake.record
                )
            }),
            ("a run is published after it was aborted", |_, state| {
                Record::published(state.lake.record)
                    .is_some_and(|published| state.runs[usize::from(published.folder.run())] == Execution::Failed)
            }),
            ("a run is to publish what is removed", |_, state| {
                invocations(state).any(|one| one.step == Step::PublishReadsRecord)
                    && state.lake.files.contains(&Files::Removed)
            }),
            ("a catalog stays behind when everything has ended", |_, state| {
                state.is_at_rest()
                    && state.lake.catalog[0].map(|partition| partition.publication)
                        != Record::published(state.lake.record)
            }),
        ],
    );
}

#[test]
fn decisions_of_an_operator_occur() {
    occur(
        scenario::OPERATOR,
        &[
            ("a run is to publish a day that is held", |_, state| {
                state.lake.record.is_some_and(|record| record.held)
                    && invocations(state).any(|one| one.step == Step::PublishReadsRecord)
            }),
            (
                "a rollback loses the race",
                |_, state| matches!(state.operator, Some(operator::Step::RollbackSwaps { before, .. }) if Some(before) != state.lake.record),
            ),
            ("a day is published after its release", |_, state| {
                let held = |number| state.lake.earlier(number).is_some_and(|record| record.held);
                state.lake.record.is_some_and(|record| {
                    record.number > 4 && held(record.number - 2) && !held(record.number - 1) && !record.held
                })
            }),
        ],
    );
}
