//! The steps of `pregao smoke`: what each promises, where that is documented, and what it depends on.

use std::time::Duration;

use lake::Config;
use strum::{IntoStaticStr, VariantArray};

use super::files::{Files, MARKET, NUMBERS};
use crate::error_report::fail;
use crate::price;

/// A step, in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub(super) enum Step {
    Doctor,
    Upload,
    LandingRule,
    Lambda,
    Numbers,
    Emr,
    Abort,
    Redrive,
    TwoRuns,
    FailedAudit,
    Status,
    CleanUp,
}

impl Step {
    pub(super) fn name(self) -> &'static str {
        self.into()
    }

    /// What is promised, and the document that promises it.
    pub(super) fn promise(self) -> (&'static str, &'static str) {
        match self {
            Step::Doctor => (
                "the machine, or the account, has what a lake needs",
                "docs/operations.md#check-the-machine-or-the-account",
            ),
            Step::Upload => (
                "an upload that ends with exit code 0 has stored every byte of every file",
                "docs/semantics.md#callers",
            ),
            Step::LandingRule => {
                ("an object that any client puts into landing/ is ingested", "docs/aws.md#what-starts-a-run")
            }
            Step::Lambda => (
                "a run by the function transform publishes each record of the raw files once",
                "docs/tables.md#raw-files",
            ),
            Step::Numbers => (
                "a query returns the exact numbers of the raw files, in whatever notation they are",
                "docs/tables.md#number-contract",
            ),
            Step::Emr => {
                ("a run by Spark on EMR publishes the same rows as one by Lambda", "docs/semantics.md#callers")
            }
            Step::Abort => (
                "an aborted run changes nothing that is published, and its cluster is terminated",
                "docs/aws.md#clusters",
            ),
            Step::Redrive => (
                "an aborted run that is redriven starts another step and publishes the same rows",
                "docs/operations.md#start-again-or-redrive",
            ),
            Step::TwoRuns => {
                ("two runs of a day at once leave the rows of one of them, in all tables", "docs/semantics.md#readers")
            }
            Step::FailedAudit => {
                ("a day that fails its audit is not published, and keeps its earlier rows", "docs/quality.md#checks")
            }
            Step::Status => {
                ("status names the state of each day, and the run that has to be read", "docs/operations.md#the-days")
            }
            Step::CleanUp => {
                ("nothing of pregao smoke is left in tables, records, catalog and raw files", "docs/aws.md#smoke-test")
            }
        }
    }

    /// What is done.
    pub(super) fn done(self) -> String {
        match self {
            Step::Doctor => "made the checks of pregao doctor".to_owned(),
            Step::Upload => {
                format!("uploaded a generated day ({MARKET}) as pregao upload does, and read each object again")
            }
            Step::LandingRule => {
                format!(
                    "put the files of {NUMBERS} into landing/ by PutObject alone, and waited until they were in their places"
                )
            }
            Step::Lambda => format!("ran {MARKET} and {NUMBERS} with the engine lambda, and counted the rows"),
            Step::Numbers => format!("queried the rows of a snapshot of {NUMBERS}, whose numbers are known"),
            Step::Emr => {
                format!("ran {MARKET} and {NUMBERS} once more, with the engine emr, and compared all rows by digests")
            }
            Step::Abort => {
                "started a run with the engine emr, and stopped its execution when its cluster was there".to_owned()
            }
            Step::Redrive => "redrove the aborted execution, and compared all rows by digests".to_owned(),
            Step::TwoRuns => {
                format!(
                    "ran {MARKET} twice at once, and compared record, rows and the paths of the files of all tables"
                )
            }
            Step::FailedAudit => {
                format!(
                    "replaced the quotes of {NUMBERS} by ones whose prices are no numbers, ran the day, and compared records and rows"
                )
            }
            Step::Status => "read the states of both days as pregao status does".to_owned(),
            Step::CleanUp => "removed days, runs and files, and looked for what is left".to_owned(),
        }
    }

    /// The steps without whose success this one says nothing.
    pub(super) fn needs(self) -> &'static [Step] {
        match self {
            Step::Doctor | Step::Upload | Step::LandingRule | Step::CleanUp => &[],
            Step::Lambda => &[Step::Upload],
            Step::Numbers | Step::Emr | Step::Abort | Step::TwoRuns | Step::FailedAudit => &[Step::Lambda],
            // Also of a run whose cluster was not stopped.
            Step::Redrive => &[Step::Lambda],
            Step::Status => &[Step::FailedAudit],
        }
    }

    /// Whether it starts a cluster.
    pub(super) fn has_cluster(self) -> bool {
        matches!(self, Step::Emr | Step::Abort | Step::Redrive)
    }

    /// The time that it may take. A cluster starts in five to ten minutes.
    pub(super) fn limit(self) -> Duration {
        Duration::from_mins(match self {
            Step::Emr | Step::Redrive => 30,
            Step::Abort => 25,
            Step::Doctor | Step::Numbers | Step::Status => 5,
            Step::Upload | Step::LandingRule | Step::Lambda | Step::TwoRuns | Step::FailedAudit | Step::CleanUp => 15,
        })
    }

    /// The time that it takes in an account, about.
    pub(super) fn expected(self) -> Duration {
        Duration::from_mins(match self {
            Step::Emr | Step::Redrive => 12,
            Step::Abort => 6,
            Step::Lambda | Step::TwoRuns | Step::FailedAudit | Step::CleanUp => 2,
            Step::Doctor | Step::Upload | Step::LandingRule | Step::Numbers | Step::Status => 1,
        })
    }

    /// Estimates its cost on AWS in USD; `None` if a price is not known.
    pub(super) fn usd(self, config: &Config, files: &Files) -> Option<f64> {
        let (market, numbers) = (files.market.bytes(), files.numbers.bytes());
        let counted = |folder: &super::files::Folder| folder.files.len() as u64;
        let lambda = |days, bytes| price::total(&price::of_lambda(days, bytes));
        Some(match self {
            Step::Doctor | Step::Numbers | Step::Status => 0.0,
            Step::Upload => price::of_upload(counted(&files.market)),
            Step::LandingRule => price::of_upload(counted(&files.numbers)),
            Step::Lambda => lambda(2, market + numbers)?,
            // A cluster is paid for until it is terminated, and also one that is aborted counts as a whole run here.
            Step::Emr | Step::Abort | Step::Redrive => price::total(&price::of_emr(&config.emr, 2, market + numbers))?,
            Step::TwoRuns => 2.0 * lambda(1, market)?,
            Step::FailedAudit => price::of_upload(counted(&files.unreadable)) + lambda(1, numbers)?,
            Step::CleanUp => lambda(1, 0)?,
        })
    }
}

/// Estimates the cost of all steps in USD.
///
/// # Errors
/// If the price of a cluster is not known, so that the cost has no bound.
pub(crate) fn estimate(config: &Config, files: &Files, with_emr: bool) -> anyhow::Result<f64> {
    let steps = Step::VARIANTS.iter().filter(|step| with_emr || !step.has_cluster());
    match steps.map(|step| step.usd(config, files)).sum::<Option<f64>>() {
        Some(usd) => Ok(usd),
        None => fail(
            "the cost of a cluster is not known: there is no price of one of emr.instance_types",
            "pregao smoke --without-emr leaves out the steps that start clusters",
        ),
    }
}

/// The time in minutes that all steps take in an account, about.
pub(crate) fn minutes(with_emr: bool) -> u64 {
    let steps = Step::VARIANTS.iter().filter(|step| with_emr || !step.has_cluster());
    steps.map(|step| step.expected()).sum::<Duration>().as_secs().div_ceil(60)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn each_promise_is_in_the_document_that_it_names() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for step in Step::VARIANTS {
            let (file, section) = step.promise().1.split_once('#').expect("a section");
            let text = fs::read_to_string(root.join(file)).expect(file);
            let slug = |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            let is_there = text.lines().any(|line| line.starts_with('#') && slug(line) == section);
            assert!(is_there, "{file} has no section {section}");
        }
    }

    #[test]
    fn a_step_needs_only_earlier_ones() {
        for step in Step::VARIANTS {
            assert!(step.needs().iter().all(|needed| needed < step), "{step:?}");
        }
    }

    #[test]
    fn all_steps_take_less_than_an_hour_and_cost_less_than_two_dollars() {
        assert!((30..=55).contains(&minutes(true)), "{}", minutes(true));
        assert!(minutes(false) < 15);
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::default();
        let files = Files::write(&config, folder.path()).expect("files");
        let usd = estimate(&config, &files, true).expect("a price");
        assert!((0.1..1.0).contains(&usd), "{usd}");
        assert!(estimate(&config, &files, false).expect("a price") < usd / 5.0);
        config.set("emr.instance_types", "[\"x9.metal\"]").expect("a type");
        assert!(estimate(&config, &files, true).is_err());
        assert!(estimate(&config, &files, false).is_ok());
    }
}
