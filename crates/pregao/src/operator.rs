//! The user of a command, for publication records.

use std::env;

/// Returns the user name from the environment.
pub(crate) fn name() -> String {
    let named = ["USER", "LOGNAME", "USERNAME"].into_iter().filter_map(|variable| env::var(variable).ok());
    named.into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| "an unnamed user".to_owned())
}
