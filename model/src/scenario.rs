//! How much of everything there is. A scenario is checked exhaustively.

use crate::view::{Files, NO_FILES, View};

/// What can happen, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// The states that the raw files go through.
    pub raw: &'static [Files],
    /// Runs of the day.
    pub runs: u8,
    /// How many of them go on at once.
    pub at_once: u8,
    /// Attempts of a run.
    pub attempts: u8,
    /// Tables in the catalog.
    pub tables: u8,
    /// How many of the following faults happen, all in all.
    pub faults: u8,
    /// How often an invocation does not answer and `Retry` starts another, while the first one goes on or dies.
    pub zombies: u8,
    /// How often the answer of a PUT is lost that was executed.
    pub lost: u8,
    /// How often an execution is aborted, or the last `Retry` fails.
    pub aborts: u8,
    /// How often another day of a run, which was published for this one, has to be audited again.
    pub other_days: u8,
    /// How often a lease expires while its holder lives.
    pub expiries: u8,
    /// Vacuums, one after another.
    pub vacuums: u8,
    /// Rollbacks, one after another.
    pub rollbacks: u8,
    /// Releases.
    pub releases: u8,
}

impl Scenario {
    /// How much there is of something, by the name of its field.
    pub fn field(&mut self, name: &str) -> Option<&mut u8> {
        Some(match name {
            "runs" => &mut self.runs,
            "at_once" => &mut self.at_once,
            "attempts" => &mut self.attempts,
            "tables" => &mut self.tables,
            "faults" => &mut self.faults,
            "zombies" => &mut self.zombies,
            "lost" => &mut self.lost,
            "aborts" => &mut self.aborts,
            "other_days" => &mut self.other_days,
            "expiries" => &mut self.expiries,
            "vacuums" => &mut self.vacuums,
            "rollbacks" => &mut self.rollbacks,
            "releases" => &mut self.releases,
            _ => return None,
        })
    }

    /// The raw files of a view.
    pub fn files(&self, view: Option<View>) -> &Files {
        view.map_or(&NO_FILES, |view| &self.raw[usize::from(view)])
    }
}

const UNCHANGED: &[Files] = &[[1, 0, 0, 0]];
const LATE: &[Files] = &[[1, 0, 0, 0], [1, 1, 0, 0]];
const LATE_AND_REPLACED: &[Files] = &[[1, 0, 0, 0], [1, 1, 0, 0], [2, 1, 0, 0]];
const REMOVED: &[Files] = &[[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 1]];

/// Two runs, and a file that comes late.
pub const LATE_FILE: Scenario = Scenario {
    name: "late-file",
    raw: LATE_AND_REPLACED,
    runs: 2,
    at_once: 3,
    attempts: 2,
    tables: 2,
    faults: 9,
    zombies: 0,
    lost: 1,
    aborts: 0,
    other_days: 0,
    expiries: 1,
    vacuums: 0,
    rollbacks: 0,
    releases: 0,
};

/// A raw file is removed while others come.
pub const REMOVED_FILE: Scenario = Scenario { name: "removed-file", raw: REMOVED, tables: 1, ..LATE_FILE };

/// A run of more days than this one.
pub const OTHER_DAYS: Scenario = Scenario { name: "other-days", raw: LATE, other_days: 1, tables: 1, ..LATE_FILE };

/// An invocation goes on after another was started for it.
pub const ZOMBIE: Scenario = Scenario { name: "zombie", raw: LATE, zombies: 1, tables: 1, ..LATE_FILE };

/// Files are removed.
pub const VACUUM: Scenario =
    Scenario { name: "vacuum", raw: LATE, tables: 1, aborts: 1, expiries: 0, vacuums: 1, ..LATE_FILE };

/// An operator goes back to an earlier record.
pub const OPERATOR: Scenario = Scenario {
    name: "operator",
    raw: UNCHANGED,
    runs: 3,
    attempts: 1,
    tables: 1,
    expiries: 0,
    rollbacks: 1,
    releases: 1,
    ..LATE_FILE
};

/// An operator goes back to an earlier record while files are removed.
pub const OPERATOR_AND_VACUUM: Scenario =
    Scenario { name: "operator-and-vacuum", at_once: 2, raw: UNCHANGED, lost: 0, releases: 0, vacuums: 1, ..OPERATOR };

/// Three runs.
pub const THREE_RUNS: Scenario =
    Scenario { name: "three-runs", runs: 3, attempts: 1, tables: 1, expiries: 0, ..LATE_FILE };

/// Three runs that see the same raw files.
pub const ONE_VIEW: Scenario = Scenario { name: "one-view", raw: UNCHANGED, lost: 0, ..THREE_RUNS };

/// Everything at once, with one fault of any kind.
pub const EVERYTHING: Scenario = Scenario {
    name: "everything",
    raw: LATE,
    runs: 2,
    at_once: 3,
    attempts: 2,
    tables: 1,
    faults: 1,
    zombies: 1,
    lost: 1,
    aborts: 1,
    other_days: 1,
    expiries: 1,
    vacuums: 1,
    rollbacks: 1,
    releases: 1,
};

/// All scenarios, the small ones first.
pub const ALL: &[Scenario] = &[
    ONE_VIEW,
    REMOVED_FILE,
    OTHER_DAYS,
    LATE_FILE,
    ZOMBIE,
    OPERATOR,
    VACUUM,
    OPERATOR_AND_VACUUM,
    THREE_RUNS,
    EVERYTHING,
];
