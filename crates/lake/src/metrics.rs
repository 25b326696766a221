//! CloudWatch metrics of the functions, in the embedded metric format: lines of their logs, which need no API call and no
//! permission.
//!
//! Format: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
//! The alarms of `infra/template.yaml` use the same names; `tests/test_stack_template.py` compares them.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::Lake;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "pregao";

/// The dimension of all metrics: the name of the lake bucket, which tells the lakes of an account apart.
pub const DIMENSION: &str = "Lake";

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr)]
pub enum Metric {
    /// Number of files that were moved to quarantine.
    Quarantined,
    /// Number of accepted files with columns that are in no table.
    FilesWithAddedColumns,
    /// Number of objects that have been in `landing/` for more than an hour.
    LandingObjects,
    /// Age of the oldest object in `landing/`; 0 if there is none.
    LandingOldestSeconds,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Quarantined, Self::FilesWithAddedColumns, Self::LandingObjects, Self::LandingOldestSeconds];

    /// Returns its name in CloudWatch.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns its CloudWatch unit.
    pub fn unit(self) -> &'static str {
        match self {
            Self::LandingOldestSeconds => "Seconds",
            Self::Quarantined | Self::FilesWithAddedColumns | Self::LandingObjects => "Count",
        }
    }
}

/// The destination of metrics. A deployed function writes them to its log. On a laptop, where functions run in the process of
/// the command line, they are discarded.
#[derive(Clone, Default)]
pub struct Metrics(Option<Arc<WriteLine>>);

/// A function that writes a line.
type WriteLine = dyn Fn(&str) + Send + Sync;

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Metrics" } else { "no Metrics" })
    }
}

impl Metrics {
    /// Writes metrics to stdout, one line per call. Errors are ignored: a metric must not make its function fail.
    pub fn to_stdout() -> Self {
        Self::to(|line| {
            let _ = writeln!(std::io::stdout().lock(), "{line}");
        })
    }

    /// Passes each line, without line end, to `take`.
    pub fn to(take: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(take)))
    }
}

impl Lake {
    /// Writes metrics with the current time.
    pub fn measure(&self, values: &[(Metric, u64)]) {
        if let Metrics(Some(take)) = &self.metrics {
            take(&line(self.config.buckets.lake.as_str(), values, Utc::now()).to_string());
        }
    }
}

fn line(lake: &str, values: &[(Metric, u64)], now: DateTime<Utc>) -> Value {
    let metrics: Vec<Value> =
        values.iter().map(|(metric, _)| json!({"Name": metric.name(), "Unit": metric.unit()})).collect();
    let directive = json!({"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics});
    let mut line = json!({
        "_aws": {"Timestamp": now.timestamp_millis(), "CloudWatchMetrics": [directive]},
        DIMENSION: lake,
    });
    for (metric, value) in values {
        line[metric.name()] = (*value).into();
    }
    line
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;

    use super::*;
    use crate::Config;

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let now = DateTime::from_timestamp_millis(1_585_747_200_123).expect("a time");
        let values = [(Metric::LandingObjects, 3), (Metric::LandingOldestSeconds, 7200)];
        let expected = r#"{"_aws":{"Timestamp":1585747200123,"CloudWatchMetrics":[{"Namespace":"pregao","Dimensions":[["Lake"]],"Metrics":[{"Name":"LandingObjects","Unit":"Count"},{"Name":"LandingOldestSeconds","Unit":"Seconds"}]}]},"Lake":"pregao-lake","LandingObjects":3,"LandingOldestSeconds":7200}"#;
        assert_eq!(line("pregao-lake", &values, now).to_string(), expected);
    }

    #[test]
    fn each_metric_has_a_name_of_its_own() {
        let names: HashSet<&str> = Metric::ALL.map(Metric::name).into();
        assert_eq!(names.len(), Metric::ALL.len());
        assert!(!names.contains(DIMENSION));
    }

    #[tokio::test]
    async fn only_who_asks_for_metrics_gets_them() {
        let mut lake = Lake::at_endpoint(Config::default(), "http://127.0.0.1:1");
        lake.measure(&[(Metric::Quarantined, 1)]);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let taken = lines.clone();
        lake.metrics = Metrics::to(move |line| taken.lock().expect("not poisoned").push(line.to_owned()));
        lake.clone().measure(&[(Metric::Quarantined, 1)]);
        let lines = lines.lock().expect("not poisoned");
        let [line] = &lines[..] else { panic!("{lines:?}") };
        let read: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&read["Quarantined"], &read["Lake"]), (&json!(1), &json!("pregao-lake")));
        assert!(!line.contains('\n'));
    }
}
