//! What must hold. [`Violation`]s are seen in the step that makes them; everything else is read off a state.

use stateright::Property;

use crate::lake::{Files, Publication, Record};
use crate::system::{State, System};

/// Each record's view of the raw files is at least as new as that of the record before, unless an operator decided otherwise.
pub const NO_REVERSAL: &str = "published data does not go back to older raw files by itself";
/// Record and catalog reference files that were audited against the record that they replaced, have not changed since, and
/// were made from the raw files that the record lists.
pub const AUDITED: &str = "what is referenced is audited, and made from the raw files that the record says";
/// The catalog follows the records in their order, and is as the record says when an update that read it has ended.
pub const CATALOG: &str = "the catalog never goes back, and becomes what the record says";
/// Neither record nor catalog, nor a record within the retention, nor an execution that is running has files removed.
pub const NOT_REMOVED: &str = "vacuum removes nothing that is in use";
/// What an operator decided stays until an operator decides otherwise.
pub const HELD: &str = "a held day is changed by its operator alone, and is what he chose";
/// A run that ended with success is published, or a view that is not older than its own, or the day is held.
pub const OUTCOME: &str = "a run that succeeds is published or superseded by a view that is not older";
/// Every record that was replaced is kept.
pub const HISTORY: &str = "the history has no gap";
/// Nothing waits for ever.
pub const ENDS: &str = "every run and every command ends";

/// What a step can do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A run or a vacuum published an older view than the one before.
    WentBackToOlderRawFiles,
    /// A run published files that were not audited against the record that it replaced.
    AuditedAgainstAnotherRecord,
    /// A partition was set by an older record than the one before.
    CatalogWentBack,
    /// Files of a running execution were removed.
    RunningRunRemoved,
    /// A run or a vacuum changed what an operator holds.
    HeldDayChanged,
    /// A rollback published another record than its operator chose.
    AnotherRecordThanChosen,
    /// A run ended with success, and neither it nor a newer view is published.
    FalseSuccess,
}

/// A set of violations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Violations(u8);

impl Violations {
    /// Adds one.
    pub fn add(&mut self, violation: Violation) {
        self.0 |= 1 << violation as u8;
    }

    /// Whether it happened.
    pub fn contains(self, violation: Violation) -> bool {
        self.0 & (1 << violation as u8) != 0
    }
}

fn never(state: &State, violation: Violation) -> bool {
    !state.lake.violations.contains(violation)
}

/// What record and catalog reference.
fn referenced(state: &State) -> impl Iterator<Item = Publication> {
    let partitions = state.lake.catalog.into_iter().flatten().map(|partition| partition.publication);
    Record::published(state.lake.record).into_iter().chain(partitions)
}

fn audited(_: &System, state: &State) -> bool {
    never(state, Violation::AuditedAgainstAnotherRecord)
        && referenced(state).all(|published| match state.lake.files(published.folder) {
            Files::Written { read, audited } => read == published.view && audited != 0,
            // Another property's.
            Files::Removed => true,
            Files::Absent => false,
        })
}

fn catalog(system: &System, state: &State) -> bool {
    let lake = &state.lake;
    let mut tables = 0..usize::from(system.scenario.tables);
    let published = Record::published(lake.record);
    let follows = |table: usize| lake.catalog[table].map(|partition| partition.publication) == published;
    never(state, Violation::CatalogWentBack)
        && tables.clone().all(|table| !lake.settled[table] || follows(table))
        && (!state.is_at_rest() || state.something_failed || tables.all(follows))
}

fn not_removed(_: &System, state: &State) -> bool {
    let retained = (state.lake.aged + 1..Record::number(state.lake.record))
        .filter_map(|number| Record::published(state.lake.earlier(number)));
    never(state, Violation::RunningRunRemoved)
        && referenced(state).chain(retained).all(|published| state.lake.files(published.folder) != Files::Removed)
}

fn history(_: &System, state: &State) -> bool {
    (1..Record::number(state.lake.record)).all(|number| state.lake.earlier(number).is_some())
}

/// All properties.
pub fn all() -> Vec<Property<System>> {
    vec![
        Property::always(NO_REVERSAL, |_, state: &State| never(state, Violation::WentBackToOlderRawFiles)),
        Property::always(AUDITED, audited),
        Property::always(CATALOG, catalog),
        Property::always(NOT_REMOVED, not_removed),
        Property::always(HELD, |_, state| {
            never(state, Violation::HeldDayChanged) && never(state, Violation::AnotherRecordThanChosen)
        }),
        Property::always(OUTCOME, |_, state| never(state, Violation::FalseSuccess)),
        Property::always(HISTORY, history),
        Property::eventually(ENDS, |_, state: &State| state.is_at_rest()),
    ]
}
