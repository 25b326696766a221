//! The objects of the lake and the catalog: everything that more than one process reads or writes.

use std::fmt;

use crate::properties::{Violation, Violations};
use crate::protocol::{Broken, Protocol};
use crate::view::View;

/// How many runs a model has at most.
pub const RUNS: usize = 3;
/// How many attempts a run has at most.
pub const ATTEMPTS: usize = 2;
/// Folders of files that jobs write.
pub const FOLDERS: usize = RUNS * ATTEMPTS;
/// Tables in the catalog.
pub const TABLES: usize = 2;

/// The position of a record in the chain; 0 where there is none.
pub type Number = u8;

/// A folder of files that a job writes: one for each attempt of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Folder(pub u8);

impl Folder {
    /// The folder of an attempt, from 0.
    pub fn of(run: u8, attempt: u8, protocol: Protocol) -> Self {
        let attempt = if protocol.is(Broken::AttemptsShareFolder) { 0 } else { attempt };
        Self(run * ATTEMPTS as u8 + attempt)
    }

    /// The run that it belongs to.
    pub fn run(self) -> u8 {
        self.0 / ATTEMPTS as u8
    }
}

/// A set of folders.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Folders(u8);

impl fmt::Debug for Folders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|folder| folder.0)).finish()
    }
}

impl Folders {
    /// Whether `folder` is one of them.
    pub fn contains(self, folder: Folder) -> bool {
        self.0 & (1 << folder.0) != 0
    }

    /// Adds one.
    pub fn insert(&mut self, folder: Folder) {
        self.0 |= 1 << folder.0;
    }

    /// Takes one out.
    pub fn remove(&mut self, folder: Folder) {
        self.0 &= !(1 << folder.0);
    }

    /// All of both.
    pub fn with(self, other: Folders) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One after another.
    pub fn iter(self) -> impl Iterator<Item = Folder> {
        (0..FOLDERS as u8).map(Folder).filter(move |folder| self.contains(*folder))
    }
}

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Publication {
    /// The files.
    pub folder: Folder,
    /// The raw files that it says it is made from.
    pub view: View,
}

/// The record of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// Its position in the chain.
    pub number: Number,
    /// What is published; none when a vacuum wrote the first record.
    pub published: Option<Publication>,
    /// Whether an operator holds the day.
    pub held: bool,
    /// The folders that are removed, or about to be.
    pub removed: Folders,
}

impl Record {
    /// The number of a record that may be missing.
    pub fn number(record: Option<Record>) -> Number {
        record.map_or(0, |record| record.number)
    }

    /// What a record that may be missing says is published.
    pub fn published(record: Option<Record>) -> Option<Publication> {
        record.and_then(|record| record.published)
    }

    /// The record that follows `before`, with everything taken over: `crates/lake/src/record/mod.rs::following`.
    pub fn following(before: Option<Record>) -> Self {
        match before {
            None => Self { number: 1, published: None, held: false, removed: Folders::default() },
            Some(before) => Self { number: before.number + 1, ..before },
        }
    }
}

/// What lies in a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Files {
    /// Nothing yet.
    #[default]
    Absent,
    /// What a job wrote.
    Written {
        /// The raw files that the job read.
        read: View,
        /// The numbers of the records that audits of these files compared them with, as bits.
        audited: u16,
    },
    /// Nothing any more.
    Removed,
}

/// What a run is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plan {
    /// The number of the record that was read before the raw files were listed.
    pub base: Number,
    /// The raw files.
    pub view: View,
}

/// A partition of the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Partition {
    /// Where it points.
    pub publication: Publication,
    /// The record that said so. The catalog does not know it, properties do.
    pub number: Number,
}

/// Who writes a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// A run publishes.
    Run,
    /// A vacuum marks folders as removed.
    Vacuum,
    /// An operator decides.
    Operator,
}

/// Everything that is shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lake {
    /// How far the raw files are.
    pub raw: View,
    /// The current record.
    pub record: Option<Record>,
    /// The records before it, by number.
    pub history: Vec<Option<Record>>,
    /// The newest number that was replaced before the retention began.
    pub aged: Number,
    /// The files of each attempt.
    pub files: [Files; FOLDERS],
    /// The plan of each attempt.
    pub plans: [Option<Plan>; FOLDERS],
    /// The number of the record that the last audit of each attempt compared with.
    pub audits: [Option<Number>; FOLDERS],
    /// The partition of the day in each table.
    pub catalog: [Option<Partition>; TABLES],
    /// Whether somebody holds the lease of a table.
    pub leases: [bool; TABLES],
    /// Whether a table's partition was written from the current record.
    pub settled: [bool; TABLES],
    /// What went wrong in a step that was executed.
    pub violations: Violations,
}

impl Lake {
    /// A lake with raw files and nothing else.
    pub fn new() -> Self {
        Self {
            raw: 0,
            record: None,
            history: Vec::new(),
            aged: 0,
            files: [Files::Absent; FOLDERS],
            plans: [None; FOLDERS],
            audits: [None; FOLDERS],
            catalog: [None; TABLES],
            leases: [false; TABLES],
            settled: [false; TABLES],
            violations: Violations::default(),
        }
    }

    /// What lies in a folder.
    pub fn files(&self, folder: Folder) -> Files {
        self.files[usize::from(folder.0)]
    }

    /// Replaces the record `before`. Returns whether it was replaced: `crates/lake/src/record/store.rs::compare_and_swap`.
    ///
    /// The copy of `before` in the history is written before the record. Nobody looks for it until the record is there, so
    /// that both are one step.
    pub fn swap(&mut self, before: Option<Record>, record: Record, writer: Writer, protocol: Protocol) -> bool {
        if self.record != before && !protocol.is(Broken::PutWithoutCondition) {
            return false;
        }
        self.look_at(record, writer);
        if let Some(before) = before.filter(|before| before.number < record.number)
            && !protocol.is(Broken::HistoryAfterRecord)
        {
            self.keep(before);
        }
        if Record::number(self.record) != record.number {
            self.settled = [false; TABLES];
        }
        self.record = Some(record);
        true
    }

    /// Copies a record to the history.
    pub fn keep(&mut self, record: Record) {
        let index = usize::from(record.number) - 1;
        if self.history.len() <= index {
            self.history.resize(index + 1, None);
        }
        self.history[index] = Some(record);
    }

    /// The record of the history that has this number.
    pub fn earlier(&self, number: Number) -> Option<Record> {
        *self.history.get(usize::from(number).checked_sub(1)?)?
    }

    /// Compares a record that is about to be written with the one that is there.
    fn look_at(&mut self, record: Record, writer: Writer) {
        let (old, new) = (Record::published(self.record), record.published);
        if writer != Writer::Operator {
            if self.record.is_some_and(|current| current.held) && (old != new || !record.held) {
                self.violations.add(Violation::HeldDayChanged);
            }
            if old.map_or(0, |old| old.view + 1) > new.map_or(0, |new| new.view + 1) {
                self.violations.add(Violation::WentBackToOlderRawFiles);
            }
        }
        if writer == Writer::Run {
            let audited = new.is_some_and(|new| match self.files(new.folder) {
                Files::Written { audited, .. } => audited & (1 << Record::number(self.record)) != 0,
                Files::Absent | Files::Removed => false,
            });
            if !audited {
                self.violations.add(Violation::AuditedAgainstAnotherRecord);
            }
        }
    }
}

impl Default for Lake {
    fn default() -> Self {
        Self::new()
    }
}
