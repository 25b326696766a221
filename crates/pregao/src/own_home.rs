//! Homes of commands that work on a lake of their own, and never on a user's.

use std::fs::{self, DirBuilder};
use std::io;
use std::path::Path;

use anyhow::Context;

use crate::error_report::{Hint, fail};

/// A command with homes of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnHome {
    /// What the home is: `demo`.
    pub what: &'static str,
    /// The file that marks such a home.
    pub marker: &'static str,
    /// Its text.
    pub text: &'static str,
}

impl OwnHome {
    /// Marks a home as one of the command if it does not exist or is empty. Refuses it if it has other files and no mark.
    pub(crate) fn claim(&self, home: &Path) -> anyhow::Result<()> {
        let cannot = |what: &str| format!("cannot {what} {}", home.display());
        let is_empty = match fs::read_dir(home) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder(home)
                    .with_context(|| cannot("create"))
                    .hint("choose a folder that can be written with --home")?;
                true
            }
            Err(error) => return Err(error).with_context(|| cannot("read")),
        };
        if self.is_marked(home) {
            return Ok(());
        }
        if !is_empty {
            let what = self.what;
            return fail(
                format!(
                    "{} holds something that is no {what}, and the {what} would put generated numbers among it",
                    home.display()
                ),
                "leave --home out, or name a folder that is empty or not there",
            );
        }
        let marker = home.join(self.marker);
        fs::write(&marker, self.text).with_context(|| format!("cannot write {}", marker.display()))
    }

    /// Removes a home of the command, if it is there.
    pub(crate) fn remove(&self, home: &Path) -> anyhow::Result<()> {
        if !self.is_marked(home) {
            return Ok(());
        }
        fs::remove_dir_all(home).with_context(|| format!("cannot remove {}", home.display()))
    }

    fn is_marked(&self, home: &Path) -> bool {
        home.join(self.marker).is_file()
    }
}

/// Creates a folder that only its owner can read, like every home.
fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: OwnHome = OwnHome { what: "demo", marker: "demo.txt", text: "of a demo\n" };

    #[test]
    fn only_a_home_that_the_command_made_is_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for fresh in ["new/deeper", "empty"] {
            fs::create_dir_all(at("empty")).expect("a folder");
            HOME.claim(&at(fresh)).expect("it is taken");
            fs::write(at(fresh).join("state.db"), "").expect("a file");
            HOME.claim(&at(fresh)).expect("it is taken again");
        }
        fs::create_dir_all(at("lake/s3/pregao-raw")).expect("a folder");
        fs::create_dir_all(at("marked/demo.txt")).expect("a folder that is called as the mark");
        for other in ["lake", "marked"] {
            let refused = HOME.claim(&at(other)).expect_err("refused").to_string();
            assert!(refused.contains(other) && refused.contains("no demo"), "{refused}");
        }
        fs::write(at("file"), "").expect("a file");
        assert!(HOME.claim(&at("file")).is_err());
    }

    #[test]
    fn only_a_home_that_the_command_made_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (own, other) = (folder.path().join("own"), folder.path().join("other"));
        HOME.claim(&own).expect("it is taken");
        fs::create_dir_all(other.join("s3")).expect("a folder");
        for home in [&own, &other, &folder.path().join("missing")] {
            HOME.remove(home).expect("no error");
        }
        assert_eq!((own.exists(), other.exists()), (false, true));
    }
}
