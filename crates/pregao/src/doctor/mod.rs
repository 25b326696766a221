//! Checks of a machine and of an account: whether a lake can be kept on it, and whether a stack can be deployed and run in it.
//!
//! A check that cannot be made, for example for lack of a permission, is `unknown` and not `ok`.

mod account;
mod api;
mod machine;
mod network;
mod quotas;
mod tools;

use lake::Config;

use crate::args::Global;
pub(crate) use crate::output::{CheckResult, DoctorCheck as Check};

impl Check {
    fn new(name: &str, result: CheckResult, found: impl Into<String>, remedy: Option<String>) -> Check {
        Check { name: name.to_owned(), result, found: found.into(), remedy }
    }

    fn ok(name: &str, found: impl Into<String>) -> Check {
        Check::new(name, CheckResult::Ok, found, None)
    }

    fn warning(name: &str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
        Check::new(name, CheckResult::Warning, found, Some(remedy.into()))
    }

    fn failed(name: &str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
        Check::new(name, CheckResult::Failed, found, Some(remedy.into()))
    }

    fn unknown(name: &str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
        Check::new(name, CheckResult::Unknown, found, Some(remedy.into()))
    }
}

/// Checks this machine, and the home of the lake on it.
pub(crate) fn machine(global: &Global) -> Vec<Check> {
    machine::checks(global)
}

/// Returns the failed checks, with their remedies, as the lines of an error.
pub(crate) fn failures(checks: &[Check]) -> String {
    let failed = checks.iter().filter(|check| check.result == CheckResult::Failed);
    let remedy = |check: &Check| check.remedy.clone().unwrap_or_default();
    failed.map(|check| format!("\n  {}: {}\n    {}", check.name, check.found, remedy(check))).collect()
}

/// When an account is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// At any time, by `pregao doctor`.
    Any,
    /// Before a deployment. What only runs need, and a deployment does not change, does not stop it.
    BeforeDeployment,
}

/// Checks the tools and the account with which `pregao deploy` works, and in which the stack runs.
pub(crate) async fn account(config: &Config, moment: Moment) -> Vec<Check> {
    let mut checks = tools::checks();
    checks.extend(account::checks(config, moment).await);
    checks
}
