//! How files are removed that nobody reads: folders first, then executions, then catalog and record; the record says that they
//! are removed before they are.

use crate::lake::{Files, Folder, Folders, Lake, Number, Record, Writer};
use crate::properties::Violation;
use crate::protocol::{Broken, Protocol};
use crate::run::Execution;

/// A vacuum that is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vacuum {
    /// The newest number that was replaced before the retention began, counted from the start of the vacuum.
    pub aged: Number,
    /// What it does next.
    pub step: Step,
}

/// What a vacuum does next, with what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Lists the folders of runs: `crates/lake/src/vacuum/found.rs::list`.
    ListsFolders {
        /// Folders of running executions. Known only in a broken protocol.
        running: Folders,
    },
    /// Lists the executions that are running, and leaves their folders out: `crates/lake/src/vacuum/mod.rs::running`.
    ListsExecutions {
        /// The folders that were found.
        found: Folders,
    },
    /// Lists what the catalog names, and leaves it out: `crates/lake/src/vacuum/mod.rs::unread`,
    /// `crates/lake/src/vacuum/referenced.rs::list`.
    ReadsCatalog {
        /// The folders of no running execution.
        found: Folders,
    },
    /// Reads the record and those within the retention, and decides: `crates/lake/src/vacuum/mod.rs::kept`.
    ReadsRecord {
        /// The folders of no running execution that the catalog does not name.
        found: Folders,
    },
    /// Marks folders as removed: `crates/lake/src/vacuum/mod.rs::claim`, `crates/lake/src/record/store.rs::compare_and_swap`.
    Swaps {
        /// The folders of no running execution that the catalog does not name.
        found: Folders,
        /// The record.
        before: Option<Record>,
        /// What is removed.
        remove: Folders,
    },
    /// Had no answer, and looks whether the record is its own: `crates/lake/src/record/store.rs::compare_and_swap`.
    LooksAgain {
        /// The folders of no running execution that the catalog does not name.
        found: Folders,
        /// What it wanted to write.
        record: Record,
        /// What is removed.
        remove: Folders,
    },
    /// Deletes the files of one folder: `crates/lake/src/objects.rs::delete_all`. That it reads the catalog a second time before
    /// is not modelled: it finds databases for queries about the past, which neither record nor catalog table knows.
    Deletes {
        /// What is still to be deleted.
        remove: Folders,
        /// What is then marked. Known only in a broken protocol.
        mark: Option<(Option<Record>, Folders)>,
    },
}

impl Vacuum {
    /// One that starts now.
    pub fn start(lake: &Lake, protocol: Protocol) -> Self {
        let step = if protocol.is(Broken::VacuumListsExecutionsFirst) {
            Step::ListsExecutions { found: Folders::default() }
        } else {
            Step::ListsFolders { running: Folders::default() }
        };
        Self { aged: lake.aged, step }
    }

    /// Takes the next step. Returns what it is then at; none when it has ended.
    pub fn step(self, lake: &mut Lake, runs: &[Execution], protocol: Protocol, answered: bool) -> Option<Self> {
        let aged = if protocol.is(Broken::RetentionCountedLate) { lake.aged } else { self.aged };
        self.step.take(lake, runs, protocol, aged, answered).map(|step| Self { step, ..self })
    }
}

impl Step {
    /// Whether it is a PUT of the record whose answer can be lost.
    pub fn can_lose_answer(self) -> bool {
        matches!(self, Step::Swaps { .. })
    }

    /// Whether it may have changed something.
    pub fn has_written(self) -> bool {
        matches!(self, Step::LooksAgain { .. } | Step::Deletes { .. })
    }

    fn take(
        self,
        lake: &mut Lake,
        runs: &[Execution],
        protocol: Protocol,
        aged: Number,
        answered: bool,
    ) -> Option<Step> {
        let is_running = |folder: &Folder| runs.get(usize::from(folder.run())).is_some_and(|run| run.is_running());
        match self {
            Step::ListsFolders { running } => {
                let written = |folder: &Folder| matches!(lake.files(*folder), Files::Written { .. });
                let found = set(all().filter(|folder| written(folder) && !running.contains(*folder)));
                Some(if protocol.is(Broken::VacuumListsExecutionsFirst) {
                    Step::ReadsCatalog { found }
                } else {
                    Step::ListsExecutions { found }
                })
            }
            Step::ListsExecutions { .. } if protocol.is(Broken::VacuumListsExecutionsFirst) => {
                Some(Step::ListsFolders { running: set(all().filter(is_running)) })
            }
            Step::ListsExecutions { found } => {
                let found = set(found.iter().filter(|folder| !is_running(folder)));
                (!found.is_empty()).then_some(Step::ReadsCatalog { found })
            }
            Step::ReadsCatalog { mut found } => {
                for partition in lake.catalog.iter().flatten() {
                    if !protocol.is(Broken::VacuumIgnoresCatalog) {
                        found.remove(partition.publication.folder);
                    }
                }
                (!found.is_empty()).then_some(Step::ReadsRecord { found })
            }
            Step::ReadsRecord { found } => {
                let before = lake.record;
                let retained = (aged + 1..Record::number(before)).map(|number| lake.earlier(number));
                let mut remove = found;
                for published in retained.chain([before]).filter_map(Record::published) {
                    remove.remove(published.folder);
                }
                if remove.is_empty() {
                    return None;
                }
                if protocol.is(Broken::VacuumDeletesFirst) {
                    return Some(Step::Deletes { remove, mark: Some((before, remove)) });
                }
                let marked = before.is_some_and(|before| before.removed.with(remove) == before.removed);
                Some(if marked { Step::Deletes { remove, mark: None } } else { Step::Swaps { found, before, remove } })
            }
            Step::Swaps { found, before, remove } => {
                let record = marked(before, remove);
                match lake.swap(before, record, Writer::Vacuum, protocol) {
                    _ if !answered => Some(Step::LooksAgain { found, record, remove }),
                    true => Some(Step::Deletes { remove, mark: None }),
                    false => Some(Step::ReadsRecord { found }),
                }
            }
            Step::LooksAgain { found, record, remove } => Some(if lake.record == Some(record) {
                Step::Deletes { remove, mark: None }
            } else {
                Step::ReadsRecord { found }
            }),
            Step::Deletes { mut remove, mark } => {
                let folder = remove.iter().next().expect("an empty set is not deleted");
                if is_running(&folder) {
                    lake.violations.add(Violation::RunningRunRemoved);
                }
                lake.files[usize::from(folder.0)] = Files::Removed;
                remove.remove(folder);
                if !remove.is_empty() {
                    return Some(Step::Deletes { remove, mark });
                }
                if let Some((before, remove)) = mark {
                    lake.swap(before, marked(before, remove), Writer::Vacuum, protocol);
                }
                None
            }
        }
    }
}

/// The record with `remove` marked. Only the first record of a day gets a number by that.
fn marked(before: Option<Record>, remove: Folders) -> Record {
    let record = before.unwrap_or_else(|| Record::following(None));
    Record { removed: record.removed.with(remove), ..record }
}

fn all() -> impl Iterator<Item = Folder> {
    (0..crate::lake::FOLDERS as u8).map(Folder)
}

fn set(folders: impl Iterator<Item = Folder>) -> Folders {
    let mut set = Folders::default();
    folders.for_each(|folder| set.insert(folder));
    set
}
