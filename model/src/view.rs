//! Views: what raw files a run has seen.
//!
//! A scenario names the states that the raw files of the day go through, in order. A listing sees one of them, so that a view
//! is a position in this order. The position is the truth that properties compare; the protocol compares the files, as
//! `lake::record::view` does.

/// A position in the order of the raw files' states.
pub type View = u8;

/// How many raw files a state has places for.
pub const FILES: usize = 4;

/// A state of the raw files: the version of each file, 0 where it is missing.
pub type Files = [u8; FILES];

/// The files of a day of which nothing is published.
pub const NO_FILES: Files = [0; FILES];

/// How one view stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same files in the same versions.
    Same,
    /// It has all of the other's files, in the same versions or later ones, and something more.
    Newer,
    /// The other one is newer.
    Older,
    /// Each has something that the other one lacks.
    Diverged,
}

/// How `ours` stands to `theirs`, by the files alone: `crates/lake/src/record/view.rs::compare`.
pub fn compare(ours: &Files, theirs: &Files) -> Comparison {
    let covers = |one: &Files, other: &Files| one.iter().zip(other).all(|(one, other)| one >= other);
    match (covers(ours, theirs), covers(theirs, ours)) {
        (true, true) => Comparison::Same,
        (true, false) => Comparison::Newer,
        (false, true) => Comparison::Older,
        (false, false) => Comparison::Diverged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_compared_by_their_files() {
        let (first, late, replaced) = ([1, 0, 0, 0], [1, 1, 0, 0], [2, 0, 0, 0]);
        assert_eq!(compare(&first, &first), Comparison::Same);
        assert_eq!(compare(&late, &first), Comparison::Newer);
        assert_eq!(compare(&replaced, &first), Comparison::Newer);
        assert_eq!(compare(&first, &replaced), Comparison::Older);
        assert_eq!(compare(&late, &replaced), Comparison::Diverged);
        assert_eq!(compare(&first, &NO_FILES), Comparison::Newer);
    }
}
