//! Permissions of the home: only its user may enter the folder, so the modes of the files in it do not matter.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// `rwx------`.
const USER_ONLY: u32 = 0o700;

/// Creates the folder with [`USER_ONLY`]. Missing folders above it get the user's default permissions.
pub(crate) fn create(folder: &Path) -> io::Result<()> {
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(USER_ONLY).create(folder) {
        Err(_) if folder.is_dir() => Ok(()),
        created => created,
    }
}

/// Removes the permissions of group and others from the folder, and logs it, if its owner is that of `ours`. Only warns about
/// a folder of another user, who may have shared it on purpose.
pub(crate) fn restrict(folder: &Path, ours: &Metadata) -> io::Result<()> {
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
            restrict(folder.path(), &ours).unwrap();
            assert_eq!(mode(folder.path()) & 0o777, narrowed, "{open:o}");
        }
    }

    #[test]
    fn the_folder_of_another_user_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let own = fs::metadata(folder.path()).unwrap().uid();
        // The root folder belongs to another user, unless the test runs as root, which can give a file away.
        let other = of_nobody().or_else(|| fs::metadata("/").ok()).filter(|found| found.uid() != own);
        let other = other.expect("a file of another user");
        restrict(folder.path(), &other).unwrap();
        assert_eq!(mode(folder.path()), 0o755);
    }

    /// A file that root gave away.
    fn of_nobody() -> Option<Metadata> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::chown(file.path(), Some(65_534), None).ok()?;
        fs::metadata(file.path()).ok()
    }
}
