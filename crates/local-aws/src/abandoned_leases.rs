//! Leases of functions that ended with the process that ran them.
//!
//! A lease expires, so on AWS others wait for 30 seconds after its holder has died. Here a holder is known to be dead: the functions of
//! a home run in the process that owns it, and so do the services that execute their requests.

use std::fs;

use lake::{keys, lease};

use crate::s3::{ObjectStore, StoreError};

/// Removes the leases that functions of an earlier owner of the home did not release. Call it before a function can run.
///
/// Leases of clients stay: a client may go on at the next owner.
pub(crate) fn remove(store: &ObjectStore, bucket: &str) -> Result<(), StoreError> {
    let mut abandoned = Vec::new();
    for (object, path) in store.files_with_prefix(bucket, keys::CATALOG_LEASES)? {
        // A lease that cannot be read has no holder.
        if fs::read(&path).is_ok_and(|json| lease::is_held_by_create_athena_table(&json)) {
            abandoned.push(object.key);
        }
    }
    if abandoned.is_empty() { Ok(()) } else { store.delete_all(bucket, &abandoned) }
}
