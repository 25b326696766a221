//! How the catalog follows the record: take the lease of the table, read the record, write the partition, release.
//!
//! The objects that are derived from the record (`catalog/files/`, `catalog/published/`) are written under a lease in the same
//! way, and are not modelled on their own.

use crate::lake::{Lake, Partition, Publication, Record};
use crate::properties::Violation;
use crate::protocol::{Broken, Protocol};

/// What an update of a table does next, with what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Takes the lease when nobody has it, by compare-and-swap: `crates/lake/src/lease.rs::take`.
    TakesLease {
        /// The table.
        table: u8,
        /// What the record said. Known only in a broken protocol.
        seen: Option<Seen>,
    },
    /// Only in a broken protocol: takes the lease that was free when it was looked at.
    PutsLease {
        /// The table.
        table: u8,
    },
    /// Reads the record: `functions/create-athena-table/src/catalog.rs::update`.
    ReadsRecord {
        /// The table.
        table: u8,
        /// Whether the lease is still ours.
        leased: bool,
    },
    /// Writes the partition, when the lease is still ours: `functions/create-athena-table/src/catalog.rs::update`,
    /// `crates/lake/src/lease.rs::within`.
    Writes {
        /// The table.
        table: u8,
        /// Whether the lease is still ours.
        leased: bool,
        /// What the record said.
        seen: Seen,
    },
    /// Releases the lease: `crates/lake/src/lease.rs::release`.
    Releases {
        /// The table.
        table: u8,
        /// Whether the lease is still ours.
        leased: bool,
    },
}

/// What the record said when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seen {
    /// Its number.
    pub number: u8,
    /// What is published.
    pub published: Option<Publication>,
}

/// What an update does after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Its next step.
    Step(Step),
    /// The table is as the record said.
    Updated,
    /// The lease is not ours any more. The update starts again.
    LeaseLost,
}

impl Step {
    /// The first step of an update.
    pub fn first(table: u8, protocol: Protocol) -> Self {
        if protocol.is(Broken::RecordReadBeforeLease) {
            Step::ReadsRecord { table, leased: false }
        } else {
            Step::TakesLease { table, seen: None }
        }
    }

    /// The table.
    pub fn table(self) -> u8 {
        match self {
            Step::TakesLease { table, .. }
            | Step::PutsLease { table }
            | Step::ReadsRecord { table, .. }
            | Step::Writes { table, .. }
            | Step::Releases { table, .. } => table,
        }
    }

    /// Whether this update holds the lease of `table`.
    pub fn holds(self, wanted: u8) -> bool {
        match self {
            Step::TakesLease { .. } | Step::PutsLease { .. } => false,
            Step::ReadsRecord { table, leased }
            | Step::Writes { table, leased, .. }
            | Step::Releases { table, leased } => leased && table == wanted,
        }
    }

    /// Takes the lease of `wanted` away.
    pub fn expire(&mut self, wanted: u8) {
        match self {
            Step::ReadsRecord { table, leased }
            | Step::Writes { table, leased, .. }
            | Step::Releases { table, leased }
                if *table == wanted =>
            {
                *leased = false;
            }
            _ => {}
        }
    }

    /// Whether it can go on: a lease that another one holds is waited for.
    pub fn is_ready(self, lake: &Lake, protocol: Protocol) -> bool {
        match self {
            Step::TakesLease { table, .. } => {
                !lake.leases[usize::from(table)] || protocol.is(Broken::CatalogWithoutLease)
            }
            _ => true,
        }
    }

    /// The number of the record that is about to be written to the catalog.
    pub fn carries(self) -> Option<u8> {
        match self {
            Step::Writes { seen, .. } | Step::TakesLease { seen: Some(seen), .. } => Some(seen.number),
            _ => None,
        }
    }

    /// Takes the step.
    pub fn step(self, lake: &mut Lake, protocol: Protocol) -> Next {
        let seen_now = Seen { number: Record::number(lake.record), published: Record::published(lake.record) };
        match self {
            Step::TakesLease { table, .. } if protocol.is(Broken::LeaseWithoutCondition) => {
                Next::Step(Step::PutsLease { table })
            }
            Step::PutsLease { table } => {
                lake.leases[usize::from(table)] = true;
                Next::Step(Step::ReadsRecord { table, leased: true })
            }
            Step::TakesLease { table, seen } => {
                lake.leases[usize::from(table)] = true;
                Next::Step(match seen {
                    None => Step::ReadsRecord { table, leased: true },
                    Some(seen) => Step::Writes { table, leased: true, seen },
                })
            }
            Step::ReadsRecord { table, .. } if protocol.is(Broken::RecordReadBeforeLease) => {
                Next::Step(Step::TakesLease { table, seen: Some(seen_now) })
            }
            Step::ReadsRecord { leased: false, .. } => Next::LeaseLost,
            Step::ReadsRecord { table, leased } => Next::Step(Step::Writes { table, leased, seen: seen_now }),
            Step::Writes { leased: false, .. } if !protocol.is(Broken::CatalogCallAfterLease) => Next::LeaseLost,
            Step::Writes { table, leased, seen } => {
                write(lake, usize::from(table), seen);
                Next::Step(Step::Releases { table, leased })
            }
            Step::Releases { table, leased } => {
                if leased {
                    lake.leases[usize::from(table)] = false;
                }
                Next::Updated
            }
        }
    }
}

/// Points the partition at what the record said. A partition that is correct is left alone, which comes to the same.
fn write(lake: &mut Lake, table: usize, seen: Seen) {
    if let Some(publication) = seen.published {
        if lake.catalog[table].is_some_and(|partition| partition.number > seen.number) {
            lake.violations.add(Violation::CatalogWentBack);
        }
        lake.catalog[table] = Some(Partition { publication, number: seen.number });
    }
    if seen.number == Record::number(lake.record) {
        lake.settled[table] = true;
    }
}
