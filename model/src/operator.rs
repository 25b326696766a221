//! What a person does: publish an earlier record once more, which holds the day, and release it.

use crate::catalog;
use crate::lake::{Files, Lake, Record, Writer};
use crate::properties::Violation;
use crate::protocol::{Broken, Protocol};

/// What a command does next, with what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Reads the record, and compares the files of the one to go back to with their manifests:
    /// `crates/pregao/src/commands/rollback.rs::roll_back`, `crates/pregao/src/commands/rollback.rs::audit`.
    RollbackReadsRecord {
        /// The number of the record to go back to, which is chosen once.
        to: u8,
    },
    /// Publishes the earlier record and holds the day: `crates/lake/src/record/store.rs::compare_and_swap`.
    RollbackSwaps {
        /// The number of the record to go back to.
        to: u8,
        /// The record.
        before: Record,
    },
    /// Had no answer, and looks whether the record is its own: `crates/lake/src/record/store.rs::compare_and_swap`.
    RollbackLooksAgain {
        /// What it wanted to write.
        record: Record,
    },
    /// Reads the record: `crates/pregao/src/commands/rollback.rs::release`.
    ReleaseReadsRecord,
    /// Ends the hold: `crates/lake/src/record/store.rs::compare_and_swap`.
    ReleaseSwaps {
        /// The record.
        before: Record,
    },
    /// The catalog is updated: `functions/create-athena-table/src/catalog.rs::update`.
    Catalog(catalog::Step),
}

/// What becomes of a command after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Its next step.
    Step(Step),
    /// It ended with success.
    Done,
    /// It refused, and changed nothing.
    Refused,
    /// It cannot say whether it changed something.
    Failed,
}

impl Step {
    /// Whether it is a PUT of the record whose answer can be lost.
    pub fn can_lose_answer(self) -> bool {
        matches!(self, Step::RollbackSwaps { .. })
    }

    /// Whether it may have changed something.
    pub fn has_written(self) -> bool {
        matches!(self, Step::RollbackLooksAgain { .. } | Step::Catalog(_))
    }

    /// Takes the step.
    pub fn step(self, lake: &mut Lake, tables: u8, protocol: Protocol, answered: bool) -> Next {
        let catalog = |table| Next::Step(Step::Catalog(catalog::Step::first(table, protocol)));
        match self {
            Step::RollbackReadsRecord { to } => {
                let before = lake.record.expect("a day with a history has a record");
                let chosen = target(lake, to, before, protocol);
                let published = Record::published(chosen).expect("a record to go back to has something published");
                let is_removed =
                    before.removed.contains(published.folder) && !protocol.is(Broken::RollbackIgnoresRemoved);
                if is_removed || !matches!(lake.files(published.folder), Files::Written { .. }) {
                    return Next::Refused;
                }
                Next::Step(Step::RollbackSwaps { to, before })
            }
            Step::RollbackSwaps { to, before } => {
                let chosen = Record::published(target(lake, to, before, protocol));
                let record = Record { published: chosen, held: true, ..Record::following(Some(before)) };
                let written = lake.swap(Some(before), record, Writer::Operator, protocol);
                if written && chosen != Record::published(lake.earlier(to)) {
                    lake.violations.add(Violation::AnotherRecordThanChosen);
                }
                match written {
                    _ if !answered => Next::Step(Step::RollbackLooksAgain { record }),
                    true => catalog(0),
                    false if protocol.is(Broken::RollbackChoosesAgain) => Next::Step(Step::RollbackReadsRecord { to }),
                    // The operator has decided about what was published before.
                    false => Next::Refused,
                }
            }
            Step::RollbackLooksAgain { record } if lake.record == Some(record) => catalog(0),
            Step::RollbackLooksAgain { .. } => Next::Failed,
            Step::ReleaseReadsRecord => match lake.record.filter(|record| record.held) {
                Some(before) => Next::Step(Step::ReleaseSwaps { before }),
                None => Next::Refused,
            },
            Step::ReleaseSwaps { before } => {
                let record = Record { held: false, ..Record::following(Some(before)) };
                match lake.swap(Some(before), record, Writer::Operator, protocol) {
                    true => catalog(0),
                    false => Next::Refused,
                }
            }
            Step::Catalog(step) => match step.step(lake, protocol) {
                catalog::Next::Step(next) => Next::Step(Step::Catalog(next)),
                catalog::Next::Updated if step.table() + 1 < tables => catalog(step.table() + 1),
                catalog::Next::Updated => Next::Done,
                catalog::Next::LeaseLost => catalog(step.table()),
            },
        }
    }
}

/// The record to go back to.
fn target(lake: &Lake, to: u8, before: Record, protocol: Protocol) -> Option<Record> {
    let previous = lake.earlier(before.number.saturating_sub(1));
    if protocol.is(Broken::RollbackChoosesAgain) && Record::published(previous).is_some() {
        previous
    } else {
        lake.earlier(to)
    }
}
