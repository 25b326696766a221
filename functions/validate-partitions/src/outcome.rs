//! Stage `outcome`: adds up the outcomes of the slices of a run.

use chrono::NaiveDate;
use lake::plan::Plan;
use lake::slices::{PassedTable, SliceAudit, SlicePublication};
use lake::truncated_list::TruncatedList;
use lake::{Error, Lake, invocation};
use market::run::RunId;
use serde::Serialize;

/// The outcome of a run of which at least one day passed the audit.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Number of published days.
    pub published: u64,
    /// Days of which another run has published the same or a newer view of the raw files.
    pub superseded: TruncatedList<NaiveDate>,
    /// Days that a rollback holds.
    pub held: TruncatedList<NaiveDate>,
    /// The days that failed. They are not published.
    pub failed: TruncatedList<NaiveDate>,
    /// What failed on these days, and what to do; `None` if no day failed.
    pub verdict: Option<String>,
}

/// Maximum number of failed days in the text of the verdict.
const DAYS_NAMED: usize = 5;

/// Maximum number of lines of the verdict. Step Functions takes a cause of at most 32,768 characters.
const LINES: usize = 60;

/// Adds up the outcomes of all slices of a run.
///
/// # Errors
/// [`Error::Quality`] if every day failed, or a slice has no outcome.
pub(crate) async fn of_run(lake: &Lake, run: &RunId) -> Result<Outcome, Error> {
    let plan = Plan::read(lake, run).await?;
    invocation::record_days(plan.range);
    let (mut outcome, mut sum) = (Outcome::default(), SliceAudit::default());
    for slice in plan.slice_numbers() {
        let SlicePublication { published, superseded, held } = SlicePublication::read(lake, run, slice).await?;
        outcome.published += published;
        outcome.superseded.append(superseded);
        outcome.held.append(held);
        let audit = SliceAudit::read(lake, run, slice).await?;
        sum.records.extend(audit.records);
        sum.failed.extend(audit.failed);
        sum.failures.extend(audit.failures);
        sum.tables.extend(audit.tables);
    }
    log(run, &sum);
    let verdict = (!sum.failed.is_empty()).then(|| verdict(&sum));
    if let (true, Some(verdict)) = (sum.records.is_empty(), &verdict) {
        return Err(Error::Quality(verdict.clone()));
    }
    outcome.failed = sum.failed.into_iter().collect();
    outcome.verdict = verdict;
    Ok(outcome)
}

fn log(run: &RunId, sum: &SliceAudit) {
    let rows: u64 = sum.tables.iter().map(|PassedTable { rows, .. }| rows).sum();
    tracing::info!(%run, passed = sum.records.len(), failed = sum.failed.len(), rows, "the days of the run");
}

/// Describes the failed days, each failed check, what to do about it, and the URIs of the reports.
fn verdict(sum: &SliceAudit) -> String {
    let (failed, passed) = (sum.failed.len(), sum.records.len());
    let mut lines = vec![if passed == 0 {
        "the audit failed, and nothing was published".to_owned()
    } else {
        let named = sum.failed.iter().take(DAYS_NAMED).map(NaiveDate::to_string).collect::<Vec<_>>().join(", ");
        let more = if failed > DAYS_NAMED { format!(" and {} more", failed - DAYS_NAMED) } else { String::new() };
        let are = if failed == 1 { "is" } else { "are" };
        let others = if passed == 1 { "other day".to_owned() } else { format!("other {passed} days") };
        format!("the audit of {named}{more} failed, which {are} not published; the {others} passed")
    }];
    lines.extend(sum.failures.iter().take(LINES).cloned());
    if sum.failures.len() > LINES {
        lines.push(format!("and {} more lines, in the reports", sum.failures.len() - LINES));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_names_the_days_and_the_checks() {
        let day = |day: u32| NaiveDate::from_ymd_opt(2020, 4, day).expect("a day");
        let of = |passed: u32, failed: u32, lines: usize| {
            verdict(&SliceAudit {
                records: (1..=passed).map(|at| (day(at), 0)).collect(),
                failed: (20..20 + failed).map(day).collect(),
                failures: vec!["quotes: schema".to_owned(); lines],
                tables: Vec::new(),
            })
        };
        assert_eq!(of(0, 2, 1), "the audit failed, and nothing was published\nquotes: schema");
        assert_eq!(
            of(1, 1, 1),
            "the audit of 2020-04-20 failed, which is not published; the other day passed\nquotes: schema"
        );
        assert!(
            of(9, 7, 0).starts_with(
                "the audit of 2020-04-20, 2020-04-21, 2020-04-22, 2020-04-23, 2020-04-24 and 2 more failed, which are not \
                 published; the other 9 days passed"
            ),
            "{}",
            of(9, 7, 0)
        );
        assert_eq!(of(0, 1, LINES + 3).lines().count(), LINES + 2, "the cause of an execution is limited");
        assert!(of(0, 1, LINES + 3).ends_with("and 3 more lines, in the reports"));
    }
}
