//! Fault injection in the embedded endpoint, by `local --faults` or an environment variable.

use std::env;

use local_aws::FaultPlan;

use crate::args::Command;
use crate::error_report::Hint;

/// The environment variable with a fault plan.
pub(crate) const VARIABLE: &str = "PREGAO_FAULTS";

/// The environment variable with the seed of that plan.
const SEED: &str = "PREGAO_FAULTS_SEED";

/// Reads the fault plan of the environment, if there is one.
pub(crate) fn from_environment() -> anyhow::Result<Option<FaultPlan>> {
    from_environment_and(None)
}

/// [`from_environment`] with more items. The items of the environment come first.
pub(crate) fn from_environment_and(more: Option<&str>) -> anyhow::Result<Option<FaultPlan>> {
    let set = env::var(VARIABLE).ok().filter(|plan| !plan.is_empty());
    let plan = [set.as_deref(), more].into_iter().flatten().collect::<Vec<_>>().join(",");
    if plan.is_empty() {
        return Ok(None);
    }
    let seed = match env::var(SEED) {
        Ok(seed) => seed.parse().map_err(|_| anyhow::anyhow!("{SEED}={seed} is no whole number"))?,
        Err(_) => 1,
    };
    plan.parse::<FaultPlan>()
        .map(|plan| Some(plan.with_seed(seed)))
        .hint(format!("mend {VARIABLE}; docs/faults.md has the form of a plan"))
}

/// Whether the endpoint of this command has a fault plan.
pub(crate) fn are_planned(command: &Command) -> bool {
    matches!(command, Command::Local(args) if args.faults.is_some()) || env::var_os(VARIABLE).is_some()
}
