//! The engine that converts the raw files of a run: the Lambda function `transform`, or Spark on EMR. Both write the same rows.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::config::Transform;
use crate::error::Error;

/// An engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// The Rust engine in the function `transform`, one invocation for each day.
    Lambda,
    /// Spark, or the embedded engine in its place on a laptop: one step for all days.
    #[default]
    Emr,
}

/// The requested engine of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// Lambda if the days fit, otherwise EMR.
    Auto,
    /// Lambda.
    Lambda,
    /// EMR.
    #[default]
    Emr,
}

/// The maximum number of days of a run by Lambda. Step Functions keeps at most 25,000 events of an execution, and each day takes
/// eight.
pub const MAX_DAYS: usize = 1_000;

impl EngineChoice {
    /// Returns the engine of a run that reads these days. `days` has the total size of the raw files of each day, in bytes.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if Lambda is requested and the days do not fit; the message has the numbers.
    pub fn resolve(self, limits: &Transform, days: &BTreeMap<NaiveDate, u64>) -> Result<Engine, Error> {
        match (self, obstacle(limits, days)) {
            (EngineChoice::Emr, _) | (EngineChoice::Auto, Some(_)) => Ok(Engine::Emr),
            (EngineChoice::Auto | EngineChoice::Lambda, None) => Ok(Engine::Lambda),
            (EngineChoice::Lambda, Some(obstacle)) => {
                Err(Error::invalid_input(format!("{obstacle}; use the engine emr")))
            }
        }
    }
}

/// Returns why Lambda cannot process these days.
fn obstacle(limits: &Transform, days: &BTreeMap<NaiveDate, u64>) -> Option<String> {
    if days.len() > MAX_DAYS {
        return Some(format!("the run has {} days with raw files, and the engine lambda takes {MAX_DAYS}", days.len()));
    }
    let limit = limits.max_day_bytes;
    let (day, bytes) = days.iter().max_by_key(|(_, bytes)| **bytes).filter(|(_, bytes)| **bytes > limit)?;
    Some(format!("the raw files of {day} have {bytes} bytes, and transform.max_day_bytes is {limit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(bytes: &[u64]) -> BTreeMap<NaiveDate, u64> {
        let first: NaiveDate = "2010-01-04".parse().expect("a date");
        first.iter_days().zip(bytes.iter().copied()).collect()
    }

    #[test]
    fn auto_takes_lambda_if_each_day_fits() {
        let limits = Transform { max_day_bytes: 100, ..Transform::default() };
        for (days, fits) in [
            (days(&[]), true),
            (days(&[100, 99]), true),
            (days(&[1, 101]), false),
            (days(&[1; MAX_DAYS]), true),
            (days(&[1; MAX_DAYS + 1]), false),
        ] {
            let auto = EngineChoice::Auto.resolve(&limits, &days).expect("auto always finds one");
            assert_eq!(auto, if fits { Engine::Lambda } else { Engine::Emr }, "{} days", days.len());
            assert_eq!(EngineChoice::Emr.resolve(&limits, &days).expect("emr always fits"), Engine::Emr);
            assert_eq!(EngineChoice::Lambda.resolve(&limits, &days).is_ok(), fits, "{} days", days.len());
        }
        let error = EngineChoice::Lambda.resolve(&limits, &days(&[1, 101])).expect_err("too large").to_string();
        assert_eq!(
            error,
            "the raw files of 2010-01-05 have 101 bytes, and transform.max_day_bytes is 100; use the engine emr"
        );
    }
}
