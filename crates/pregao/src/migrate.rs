//! Migrates publication records before a command reads them.

use lake::{Error, Lake, migration};

use crate::progress::Progress;

/// Migrates the lake if that has not been done yet, and prints what was done.
///
/// # Errors
/// As [`migration::ensure`].
pub(crate) async fn ensure(lake: &Lake) -> Result<(), Error> {
    let Some(migrated) = migration::ensure(lake).await? else { return Ok(()) };
    let progress = Progress::new();
    progress.line(&format!("wrote the records of {} days that an older version has published", migrated.days));
    for (day, why) in &migrated.left_out {
        progress.warning(&format!("{day} has no record: {why}; pregao run --from {day} makes one"));
    }
    Ok(())
}
