//! An execution of `create_datalake`: plan, job, audit, publication. The catalog's part is in [`crate::catalog`].

use crate::catalog;
use crate::lake::{ATTEMPTS, Files, Folder, Lake, Plan, Record, Writer};
use crate::properties::Violation;
use crate::protocol::{Broken, Protocol};
use crate::scenario::Scenario;
use crate::view::{self, Comparison, View};

/// Where an execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Execution {
    /// Not started.
    Waiting,
    /// The state machine waits for this invocation.
    Running(Invocation),
    /// Ended with success.
    Succeeded,
    /// Ended with an error.
    Failed,
}

/// A function that runs for an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Invocation {
    /// The run.
    pub run: u8,
    /// Its attempt, from 0.
    pub attempt: u8,
    /// What it does next.
    pub step: Step,
}

/// What an invocation does next, with what it knows. Each step accesses once what others write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// PlanRun reads the record: `functions/validate-partitions/src/raw.rs::plan`, `crates/lake/src/record/store.rs::read`.
    PlanReadsRecord,
    /// PlanRun lists the raw files: `functions/validate-partitions/src/raw.rs::plan`, `crates/lake/src/raw_files.rs::list`.
    PlanListsRawFiles {
        /// The record's number.
        base: u8,
    },
    /// PlanRun writes the plan, unless there is one: `crates/lake/src/plan.rs::write_once`.
    PlanIsWritten {
        /// What it would write.
        plan: Plan,
    },
    /// The job reads the raw files and writes its folder: `functions/launch-emr-step/src/lib.rs::handle`. A second step of the
    /// same attempt is assumed not to write there.
    JobRuns,
    /// The audit reads the record: `functions/validate-partitions/src/staged.rs::audit`.
    AuditReadsRecord,
    /// The audit compares the raw files with the plan, and the files with those of the record:
    /// `functions/validate-partitions/src/staged.rs::audit`.
    AuditListsRawFiles {
        /// The record's number.
        compared: u8,
    },
    /// Only in a broken protocol: the audit notes what it is about to compare with.
    AuditNotes {
        /// The record's number.
        compared: u8,
    },
    /// The audit has passed, and notes what it compared with: `crates/lake/src/slices.rs::write`.
    AuditIsWritten {
        /// The record's number.
        compared: u8,
    },
    /// PublishRecord reads the record, compares the folder with its manifest, and decides:
    /// `functions/create-athena-table/src/record.rs::publish`.
    PublishReadsRecord,
    /// PublishRecord replaces the record: `crates/lake/src/record/store.rs::compare_and_swap`.
    PublishSwaps {
        /// The record that it read.
        before: Option<Record>,
    },
    /// PublishRecord had no answer, or was refused, and looks whether the record is its own:
    /// `crates/lake/src/record/store.rs::compare_and_swap`.
    PublishLooksAgain {
        /// What it wanted to write.
        record: Record,
    },
    /// Only in a broken protocol: the record that was replaced is copied to the history.
    PublishKeeps {
        /// The record.
        before: Record,
    },
    /// The catalog is updated: `functions/create-athena-table/src/catalog.rs::update`.
    Catalog(catalog::Step),
}

/// What an invocation does after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Its next step.
    Step(Step),
    /// It ends with an answer.
    Answer(Answer),
}

/// What an invocation tells the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is a plan.
    Planned,
    /// The job has ended.
    Written,
    /// The audit passed.
    Audited,
    /// The error `RawFilesChanged`.
    RawFilesChanged,
    /// The error `RecordChanged`.
    RecordChanged,
    /// The run is published, or another view that makes it superfluous, or the day is held.
    Decided,
    /// An error that nothing catches.
    Refused,
    /// A table of the catalog is as the record says.
    Updated {
        /// The table.
        table: u8,
    },
    /// The lease was lost: `Retry` invokes once more.
    LeaseLost {
        /// The table.
        table: u8,
    },
}

impl Invocation {
    /// The first invocation of an attempt.
    pub fn of_attempt(run: u8, attempt: u8) -> Self {
        Self { run, attempt, step: Step::PlanReadsRecord }
    }

    /// The invocation that `Retry` starts when this one does not answer: from the first step of its function.
    pub fn again(self, protocol: Protocol) -> Self {
        let step = match self.step {
            Step::PlanReadsRecord | Step::PlanListsRawFiles { .. } | Step::PlanIsWritten { .. } => {
                Step::PlanReadsRecord
            }
            Step::JobRuns => Step::JobRuns,
            Step::AuditReadsRecord
            | Step::AuditListsRawFiles { .. }
            | Step::AuditNotes { .. }
            | Step::AuditIsWritten { .. } => first_of_audit(protocol),
            Step::PublishReadsRecord
            | Step::PublishSwaps { .. }
            | Step::PublishLooksAgain { .. }
            | Step::PublishKeeps { .. } => Step::PublishReadsRecord,
            Step::Catalog(step) => Step::Catalog(catalog::Step::first(step.table(), protocol)),
        };
        Self { step, ..self }
    }

    /// Where plan and audit of its attempt are. Their keys have the attempt, whatever the folder has.
    pub fn place(self) -> usize {
        usize::from(self.run) * ATTEMPTS + usize::from(self.attempt)
    }

    /// Whether its next step is a PUT of the record whose answer can be lost.
    pub fn can_lose_answer(self) -> bool {
        matches!(self.step, Step::PublishSwaps { .. })
    }

    /// Takes the next step. `zombie`: the state machine does not wait for it. `answered`: the answer of a PUT arrives.
    pub fn step(self, lake: &mut Lake, scenario: &Scenario, protocol: Protocol, zombie: bool, answered: bool) -> Next {
        let folder = Folder::of(self.run, self.attempt, protocol);
        let place = usize::from(folder.0);
        let attempt = self.place();
        match self.step {
            Step::PlanReadsRecord => Next::Step(Step::PlanListsRawFiles { base: Record::number(lake.record) }),
            Step::PlanListsRawFiles { base } => Next::Step(Step::PlanIsWritten { plan: Plan { base, view: lake.raw } }),
            Step::PlanIsWritten { plan } => {
                if lake.plans[attempt].is_none() || protocol.is(Broken::PlanOverwritten) {
                    lake.plans[attempt] = Some(plan);
                }
                Next::Answer(Answer::Planned)
            }
            Step::JobRuns => {
                if !zombie || protocol.is(Broken::StepsShareFolder) {
                    lake.files[place] = Files::Written { read: lake.raw, audited: 0 };
                }
                Next::Answer(Answer::Written)
            }
            Step::AuditReadsRecord => {
                let compared = Record::number(lake.record);
                Next::Step(if protocol.is(Broken::AuditListsFirst) {
                    Step::AuditIsWritten { compared }
                } else {
                    Step::AuditListsRawFiles { compared }
                })
            }
            Step::AuditListsRawFiles { compared } => {
                let plan = lake.plans[attempt].expect("a run that is audited has a plan");
                if plan.view != lake.raw && !protocol.is(Broken::RawFilesNotCompared) {
                    return Next::Answer(Answer::RawFilesChanged);
                }
                Next::Step(match protocol.broken {
                    Some(Broken::AuditListsFirst) => Step::AuditReadsRecord,
                    Some(Broken::ComparedBeforeVerdict) => Step::AuditNotes { compared },
                    _ => Step::AuditIsWritten { compared },
                })
            }
            Step::AuditNotes { compared } => {
                lake.audits[attempt] = Some(compared);
                Next::Step(Step::AuditIsWritten { compared })
            }
            Step::AuditIsWritten { compared } => {
                lake.audits[attempt] = Some(compared);
                // Files that changed meanwhile are not those that were audited: the manifest says so.
                if let Files::Written { audited, .. } = &mut lake.files[place] {
                    *audited |= 1 << compared;
                }
                Next::Answer(Answer::Audited)
            }
            Step::PublishReadsRecord => self.decide(lake, scenario, protocol),
            Step::PublishSwaps { before } => {
                let plan = lake.plans[attempt].expect("a run that is published has a plan");
                let mut record = Record::following(before);
                record.published = Some(crate::lake::Publication { folder, view: plan.view });
                if protocol.is(Broken::HeldIgnored) {
                    record.held = false;
                }
                if protocol.is(Broken::RemovedForgotten) {
                    record.removed = crate::lake::Folders::default();
                }
                // A lost race that is not noticed: the record is written over whatever is there now.
                let before = if protocol.is(Broken::LostRaceWritesAgain) { lake.record } else { before };
                let written = lake.swap(before, record, Writer::Run, protocol);
                match before {
                    _ if !answered => Next::Step(Step::PublishLooksAgain { record }),
                    _ if !written => Next::Step(Step::PublishReadsRecord),
                    Some(before) if protocol.is(Broken::HistoryAfterRecord) => {
                        Next::Step(Step::PublishKeeps { before })
                    }
                    _ => Next::Answer(Answer::Decided),
                }
            }
            Step::PublishLooksAgain { record } => {
                if lake.record == Some(record) && !protocol.is(Broken::LostAnswerIsLostRace) {
                    Next::Answer(Answer::Decided)
                } else {
                    Next::Step(Step::PublishReadsRecord)
                }
            }
            Step::PublishKeeps { before } => {
                lake.keep(before);
                Next::Answer(Answer::Decided)
            }
            Step::Catalog(step) => match step.step(lake, protocol) {
                catalog::Next::Step(next) => Next::Step(Step::Catalog(next)),
                catalog::Next::Updated => Next::Answer(Answer::Updated { table: step.table() }),
                catalog::Next::LeaseLost => Next::Answer(Answer::LeaseLost { table: step.table() }),
            },
        }
    }

    /// What PublishRecord does about the record that is there.
    fn decide(self, lake: &mut Lake, scenario: &Scenario, protocol: Protocol) -> Next {
        let folder = Folder::of(self.run, self.attempt, protocol);
        let attempt = self.place();
        let plan = lake.plans[attempt].expect("a run that is published has a plan");
        let current = lake.record;
        let theirs = Record::published(current);
        if current.is_some_and(|current| current.removed.contains(folder))
            && !protocol.is(Broken::PublishIgnoresRemoved)
        {
            return Next::Answer(Answer::Refused);
        }
        if theirs.is_some_and(|theirs| theirs.folder == folder) && !protocol.is(Broken::LostAnswerIsLostRace) {
            return Next::Answer(Answer::Decided);
        }
        if current.is_some_and(|current| current.held) && !protocol.is(Broken::HeldIgnored) {
            return Next::Answer(Answer::Decided);
        }
        if !matches!(lake.files(folder), Files::Written { audited, .. } if audited != 0) {
            // The folder is not what its manifest says.
            return Next::Answer(Answer::Refused);
        }
        let comparison =
            view::compare(scenario.files(Some(plan.view)), scenario.files(theirs.map(|theirs| theirs.view)));
        let audited = lake.audits[attempt] == Some(Record::number(current));
        let go_on = Next::Step(Step::PublishSwaps { before: current });
        if protocol.is(Broken::DivergedIsSuperseded) {
            let is_newer = plan.base == Record::number(current)
                || comparison == Comparison::Newer
                || comparison == Comparison::Diverged && plan.view == lake.raw;
            return match (is_newer, audited) {
                (true, true) => go_on,
                (true, false) => Next::Answer(Answer::RecordChanged),
                (false, _) => self.superseded(lake, folder, plan.view),
            };
        }
        match comparison {
            Comparison::Same if plan.base != Record::number(current) => self.superseded(lake, folder, plan.view),
            // The audit listed the raw files after it had read this record, and they were ours: nothing is newer.
            _ if audited => go_on,
            Comparison::Older if theirs.is_some_and(|theirs| theirs.view == lake.raw) => {
                self.superseded(lake, folder, plan.view)
            }
            Comparison::Newer if protocol.is(Broken::AuditNotRepeated) => go_on,
            _ => Next::Answer(Answer::RecordChanged),
        }
    }

    /// Ends as superseded by what is published.
    fn superseded(self, lake: &mut Lake, ours: Folder, view: View) -> Next {
        let is_superseded =
            Record::published(lake.record).is_some_and(|theirs| theirs.folder != ours && theirs.view >= view);
        if !is_superseded {
            lake.violations.add(Violation::FalseSuccess);
        }
        Next::Answer(Answer::Decided)
    }
}

fn first_of_audit(protocol: Protocol) -> Step {
    // What was compared is known later when the raw files are listed first.
    if protocol.is(Broken::AuditListsFirst) { Step::AuditListsRawFiles { compared: 0 } } else { Step::AuditReadsRecord }
}

impl Execution {
    /// Whether it is listed as RUNNING.
    pub fn is_running(self) -> bool {
        matches!(self, Execution::Running(_))
    }

    /// Whether it has ended.
    pub fn is_over(self) -> bool {
        matches!(self, Execution::Succeeded | Execution::Failed)
    }
}

/// What the state machine does with an answer: `statemachines/create_datalake.asl.json`.
pub fn after(invocation: Invocation, answer: Answer, scenario: &Scenario, protocol: Protocol) -> Execution {
    let Invocation { run, attempt, .. } = invocation;
    let on = |step| Execution::Running(Invocation { run, attempt, step });
    let catalog = |table| on(Step::Catalog(catalog::Step::first(table, protocol)));
    match answer {
        Answer::Planned => on(Step::JobRuns),
        Answer::Written | Answer::RecordChanged => on(first_of_audit(protocol)),
        Answer::Audited => on(Step::PublishReadsRecord),
        Answer::RawFilesChanged if attempt + 1 < scenario.attempts => {
            Execution::Running(Invocation::of_attempt(run, attempt + 1))
        }
        Answer::RawFilesChanged | Answer::Refused => Execution::Failed,
        Answer::Decided => catalog(0),
        Answer::LeaseLost { table } => catalog(table),
        Answer::Updated { table } if table + 1 < scenario.tables => catalog(table + 1),
        Answer::Updated { .. } => Execution::Succeeded,
    }
}

/// Where an execution goes on after one of its other days found that its record changed: all of its days are audited again.
pub fn audited_again(invocation: Invocation, protocol: Protocol) -> Execution {
    Execution::Running(Invocation { step: first_of_audit(protocol), ..invocation })
}
