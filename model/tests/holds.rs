//! The protocol holds what it promises in every scenario that takes seconds.

use model::protocol::Protocol;
use model::report;
use model::scenario::{self, Scenario};

fn holds(scenario: Scenario) {
    let found = report::check(scenario, Protocol::default());
    println!("{found}");
    assert!(found.counterexamples.is_empty(), "{:#?}", found.counterexamples);
}

#[test]
fn all_runs_see_the_same() {
    holds(scenario::ONE_VIEW);
}

#[test]
fn a_raw_file_is_removed() {
    holds(scenario::REMOVED_FILE);
}

#[test]
fn a_run_has_other_days() {
    holds(scenario::OTHER_DAYS);
}

#[test]
fn a_file_comes_late() {
    holds(scenario::LATE_FILE);
}

#[test]
fn an_invocation_goes_on() {
    holds(scenario::ZOMBIE);
}

#[test]
fn an_operator_goes_back() {
    holds(scenario::OPERATOR);
}

#[test]
fn files_are_removed() {
    holds(scenario::VACUUM);
}

#[test]
fn an_operator_goes_back_while_files_are_removed() {
    holds(scenario::OPERATOR_AND_VACUUM);
}

#[test]
fn there_are_three_runs() {
    holds(scenario::THREE_RUNS);
}

/// With faults it takes minutes: `cargo run --release -- check everything`.
#[test]
fn everything_at_once_without_faults() {
    holds(Scenario { faults: 0, ..scenario::EVERYTHING });
}

#[test]
fn every_scenario_has_a_test() {
    let tests = include_str!("holds.rs");
    for scenario in scenario::ALL.iter().filter(|scenario| **scenario != scenario::EVERYTHING) {
        let name = scenario.name.replace('-', "_").to_uppercase();
        assert!(tests.contains(&format!("holds(scenario::{name});")), "{name}");
    }
}
