//! A folder that is its user's alone: what lies in it is out of reach of the other users of the machine, whatever
//! the modes of the files.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Reading, writing and entering, for the user only.
const USER_ONLY: u32 = 0o700;

/// Makes the folder, with what is missing above it, which is as the user's other folders are.
pub(crate) fn create(folder: &Path) -> io::Result<()> {
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(USER_ONLY).create(folder) {
        Err(_) if folder.is_dir() => Ok(()),
        created => created,
    }
}

/// Takes group and others out of the folder, if it is of the same user as `ours`, and says so. Of another user's
/// folder it only says how it is.
pub(crate) fn narrow(folder: &Path, ours: &Metadata) -> io::Result<()> {
    let found = fs::metadata(folder)?;
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let folder_name = folder.display();
    if found.uid() != ours.uid() {
        tracing::warn!(
            home = %folder_name,
            "the home is of another user and stays as it is: mode {mode:03o}, so that others may reach what is in it"
        );
        return Ok(());
    }
    fs::set_permissions(folder, Permissions::from_mode(mode & USER_ONLY))?;
    tracing::info!(
        home = %folder_name,
        "the home was open to other users (mode {mode:03o}), and is the user's alone now (mode {:03o})",
        mode & USER_ONLY
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(folder: &Path) -> u32 {
        fs::metadata(folder).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_new_folder_is_the_users_alone() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("a/b");
        create(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&above.path().join("a")) & 0o500, 0o500);
        create(&folder).unwrap();
        fs::write(above.path().join("file"), "").unwrap();
        create(&above.path().join("file")).unwrap_err();
    }

    #[test]
    fn an_open_folder_is_narrowed() {
        let folder = tempfile::tempdir().unwrap();
        let ours = fs::metadata(folder.path()).unwrap();
        for (open, narrowed) in [(0o755, 0o700), (0o777, 0o700), (0o2770, 0o700), (0o750, 0o700), (0o500, 0o500)] {
            fs::set_permissions(folder.path(), Permissions::from_mode(open)).unwrap();
            narrow(folder.path(), &ours).unwrap();
            assert_eq!(mode(folder.path()) & 0o777, narrowed, "{open:o}");
        }
    }

    #[test]
    fn the_folder_of_another_user_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let own = fs::metadata(folder.path()).unwrap().uid();
        // The root folder is of another user, but for root, who can give a file away.
        let other = of_nobody().or_else(|| fs::metadata("/").ok()).filter(|found| found.uid() != own);
        let other = other.expect("a file of another user");
        narrow(folder.path(), &other).unwrap();
        assert_eq!(mode(folder.path()), 0o755);
    }

    /// A file that root gave away.
    fn of_nobody() -> Option<Metadata> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::chown(file.path(), Some(65_534), None).ok()?;
        fs::metadata(file.path()).ok()
    }
}
