//! Who gives a command, as the publication records name their actors.

use std::env;

/// The name of the user of this machine, as the environment has it.
pub fn name() -> String {
    let named = ["USER", "LOGNAME", "USERNAME"].into_iter().filter_map(|variable| env::var(variable).ok());
    named.into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| "an unnamed user".to_owned())
}
