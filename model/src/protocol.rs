//! The protocol, and ways to break it. Each way takes one thing out that a property needs, so that a checker which does not
//! find a counterexample is too weak.

use crate::properties as property;
use crate::scenario::{self, Scenario};

/// The protocol that is checked: as it is, or broken in one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocol {
    /// What is broken.
    pub broken: Option<Broken>,
}

impl Protocol {
    /// Whether it is broken in this way.
    pub fn is(self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }
}

macro_rules! broken {
    ($($(#[doc = $doc:literal])+ $name:ident => $property:ident in $scenario:ident,)+) => {
        /// A way to break the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Broken {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Broken {
            /// All of them.
            pub const ALL: &[Broken] = &[$(Broken::$name),+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Broken::$name => stringify!($name),)+
                }
            }

            /// What is different from the protocol.
            pub fn what(self) -> &'static str {
                match self {
                    $(Broken::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }

            /// The property that it violates, among others maybe.
            pub fn property(self) -> &'static str {
                match self {
                    $(Broken::$name => property::$property,)+
                }
            }

            /// Where a counterexample is to be found.
            pub fn scenario(self) -> Scenario {
                match self {
                    $(Broken::$name => scenario::$scenario,)+
                }
            }
        }
    };
}

broken! {
    /// The record is written without a condition.
    PutWithoutCondition => NO_REVERSAL in LATE_FILE,
    /// A run that lost the race writes over the new record without evaluating it.
    LostRaceWritesAgain => NO_REVERSAL in LATE_FILE,
    /// The audit lists the raw files before it reads the record.
    AuditListsFirst => NO_REVERSAL in LATE_FILE,
    /// The audit does not compare the raw files with the plan.
    RawFilesNotCompared => AUDITED in LATE_FILE,
    /// A publication goes on although the audit compared with another record.
    AuditNotRepeated => AUDITED in LATE_FILE,
    /// The audit notes what it compares with before it has compared.
    ComparedBeforeVerdict => AUDITED in ZOMBIE,
    /// A second invocation of PlanRun replaces the plan.
    PlanOverwritten => AUDITED in ZOMBIE,
    /// All attempts of a run write into one folder.
    AttemptsShareFolder => AUDITED in OTHER_DAYS,
    /// A step that two invocations added writes into the folder once more.
    StepsShareFolder => AUDITED in ZOMBIE,
    /// The catalog is updated without a lease.
    CatalogWithoutLease => CATALOG in LATE_FILE,
    /// The lease is taken without a condition.
    LeaseWithoutCondition => CATALOG in ONE_VIEW,
    /// The lease is released although a call to the catalog had no answer.
    ReleasedWithoutAnswer => CATALOG in ZOMBIE,
    /// The lease of a holder that died does not expire.
    LeaseNeverExpires => ENDS in ZOMBIE,
    /// The record is read before the lease is taken.
    RecordReadBeforeLease => CATALOG in LATE_FILE,
    /// A call to the catalog takes effect after the lease ended.
    CatalogCallAfterLease => CATALOG in LATE_FILE,
    /// Files are deleted before the record says that they are removed.
    VacuumDeletesFirst => NOT_REMOVED in VACUUM,
    /// Running executions are listed before the folders.
    VacuumListsExecutionsFirst => NOT_REMOVED in VACUUM,
    /// Vacuum does not look at the catalog.
    VacuumIgnoresCatalog => NOT_REMOVED in VACUUM,
    /// The retention of a record ends while an update of the catalog goes on that read it.
    RetentionTooShort => NOT_REMOVED in VACUUM,
    /// The retention counts from when the record is read, and not from before the catalog is listed.
    RetentionCountedLate => NOT_REMOVED in VACUUM,
    /// A run is published although its files are marked as removed.
    PublishIgnoresRemoved => NOT_REMOVED in VACUUM,
    /// An earlier record is published once more although its files are marked as removed.
    RollbackIgnoresRemoved => NOT_REMOVED in OPERATOR_AND_VACUUM,
    /// A new record forgets which files are removed.
    RemovedForgotten => NOT_REMOVED in OPERATOR_AND_VACUUM,
    /// A run publishes a day that an operator holds.
    HeldIgnored => HELD in OPERATOR,
    /// A rollback that starts over looks for the record to go back to once more.
    RollbackChoosesAgain => HELD in OPERATOR,
    /// A PUT that was executed and whose answer was lost counts as a lost race.
    LostAnswerIsLostRace => OUTCOME in LATE_FILE,
    /// A run ends as superseded by a view that is neither newer nor older by its files.
    DivergedIsSuperseded => OUTCOME in REMOVED_FILE,
    /// The copy in the history is written after the record.
    HistoryAfterRecord => HISTORY in LATE_FILE,
}
