//! Quarantined files: their names, and the object with the reason of each.

use serde::{Deserialize, Serialize};

use crate::keys;

/// The reason of a quarantined file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The URI of the file before.
    pub source: String,
    /// The code of the refusal, or [`SUPERSEDED`].
    pub reason: String,
    /// The reason in a sentence.
    pub message: String,
    /// The size of the file.
    pub bytes: u64,
    /// Its ETag before.
    pub etag: String,
    /// When it was moved.
    pub time: String,
}

/// The code of a file that another of the same snapshot has replaced.
pub const SUPERSEDED: &str = "superseded";

/// The name of a file in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// The name of the file. If another file has that name, the name with its ETag.
    AsItWas,
    /// The name of the file with its ETag: there will be more files of that name.
    ByVersion,
}

/// The longest name that is kept, in bytes. With an ETag and the suffix of the reason it stays below the 255 bytes that file
/// systems allow.
const MAX_NAME: usize = 160;

/// Returns the names in quarantine that a file at `key` with this ETag may have, in the order in which they are tried.
pub fn names(key: &str, etag: &str, naming: Naming) -> Vec<String> {
    let name = match keys::file_name(key.trim_end_matches('/')) {
        "" => "unnamed",
        name => name,
    };
    let kept = &name[..name.floor_char_boundary(MAX_NAME)];
    let by_version = format!("{kept}.{etag}");
    // A file with the name of a reason could occupy the key of another file's reason.
    let plain = naming == Naming::AsItWas && kept == name && !name.ends_with(keys::REASON_SUFFIX);
    if plain { vec![name.to_owned(), by_version] } else { vec![by_version] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(key: &str, naming: Naming) -> Vec<String> {
        names(key, "9e10", naming)
    }

    #[test]
    fn no_file_takes_the_name_of_another_or_of_a_reason() {
        assert_eq!(names_of("landing/april/foo.csv", Naming::AsItWas), ["foo.csv", "foo.csv.9e10"]);
        assert_eq!(names_of("quotes/date=2020-04-01/x.csv", Naming::ByVersion), ["x.csv.9e10"]);
        assert_eq!(names_of("landing/foo.csv.reason.json", Naming::AsItWas), ["foo.csv.reason.json.9e10"]);
        assert_eq!(names_of("landing/april/", Naming::AsItWas), ["april", "april.9e10"]);
        assert_eq!(names_of("landing//", Naming::AsItWas)[0], "landing");
        assert_eq!(names_of("//", Naming::AsItWas)[0], "unnamed");
        let long = names_of(&format!("landing/{}", "é".repeat(400)), Naming::AsItWas);
        assert_eq!(long, [format!("{}.9e10", "é".repeat(80))]);
    }
}
