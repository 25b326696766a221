//! CloudWatch metrics of the functions, in the embedded metric format: lines of their logs, which need no API call and no
//! permission.
//!
//! Format: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
//! The alarms and the dashboard of `infra/template.yaml` use the same names; `tests/test_stack_template.py` compares them.

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::VariantArray)]
pub enum Metric {
    /// Number of raw files that were accepted.
    AcceptedFiles,
    /// Size of the accepted raw files.
    AcceptedBytes,
    /// Number of files that were moved to quarantine.
    Quarantined,
    /// Number of accepted files with columns that are in no table.
    FilesWithAddedColumns,
    /// Number of objects that have been in `landing/` for more than an hour.
    LandingObjects,
    /// Age of the oldest object in `landing/`; 0 if there is none.
    LandingOldestSeconds,
    /// Number of snapshots that the session expects on the days of a run, and that are not there.
    MissingSnapshots,
    /// How long the engine took in the function `transform` for a day.
    TransformSeconds,
    /// How long a Spark step took, from its creation to its end.
    StepSeconds,
    /// Number of rows of `quotes` and `options` in partitions that were pointed at another run.
    PublishedRows,
    /// Number of rows of `rejects` in such partitions.
    PublishedRejects,
    /// Size of the Parquet files in such partitions.
    PublishedBytes,
    /// Bytes that Athena scanned for the functions.
    ScannedBytes,
    /// Estimated cost in USD, by the list prices of [`price`](crate::price): of the functions, their queries and the clusters of
    /// runs.
    Cost,
}

/// The CloudWatch unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// A unit that CloudWatch does not have, such as USD.
    None,
}

impl Metric {
    /// Returns its name in CloudWatch.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns its unit.
    pub fn unit(self) -> Unit {
        match self {
            Self::AcceptedFiles
            | Self::Quarantined
            | Self::FilesWithAddedColumns
            | Self::LandingObjects
            | Self::MissingSnapshots
            | Self::PublishedRows
            | Self::PublishedRejects => Unit::Count,
            Self::AcceptedBytes | Self::PublishedBytes | Self::ScannedBytes => Unit::Bytes,
            Self::LandingOldestSeconds | Self::TransformSeconds | Self::StepSeconds => Unit::Seconds,
            Self::Cost => Unit::None,
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
    /// Writes metrics with the current time. Values are finite.
    pub fn measure(&self, values: &[(Metric, f64)]) {
        if let Metrics(Some(take)) = &self.metrics {
            take(&line(self.config.buckets.lake.as_str(), values, Utc::now()).to_string());
        }
    }
}

fn line(lake: &str, values: &[(Metric, f64)], now: DateTime<Utc>) -> Value {
    let metrics: Vec<Value> =
        values.iter().map(|(metric, _)| json!({"Name": metric.name(), "Unit": <&str>::from(metric.unit())})).collect();
    let directive = json!({"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics});
    let mut line = json!({
        "_aws": {"Timestamp": now.timestamp_millis(), "CloudWatchMetrics": [directive]},
        DIMENSION: lake,
    });
    for (metric, value) in values {
        line[metric.name()] = number(*value);
    }
    line
}

/// Returns a value as JSON: a whole number without decimals.
fn number(value: f64) -> Value {
    const LARGEST: f64 = (1_u64 << 53) as f64;
    let is_whole = value.fract() == 0.0 && value.abs() < LARGEST;
    if is_whole { Value::from(value as i64) } else { Value::from(value) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;

    use strum::VariantArray;

    use super::*;
    use crate::Config;

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let now = DateTime::from_timestamp_millis(1_585_747_200_123).expect("a time");
        let values = [(Metric::LandingObjects, 3.0), (Metric::LandingOldestSeconds, 7200.0), (Metric::Cost, 0.000_25)];
        let expected = r#"{"_aws":{"Timestamp":1585747200123,"CloudWatchMetrics":[{"Namespace":"pregao","Dimensions":[["Lake"]],"Metrics":[{"Name":"LandingObjects","Unit":"Count"},{"Name":"LandingOldestSeconds","Unit":"Seconds"},{"Name":"Cost","Unit":"None"}]}]},"Lake":"pregao-lake","LandingObjects":3,"LandingOldestSeconds":7200,"Cost":0.00025}"#;
        assert_eq!(line("pregao-lake", &values, now).to_string(), expected);
    }

    #[test]
    fn each_metric_has_a_name_of_its_own() {
        let names: HashSet<&str> = Metric::VARIANTS.iter().map(|metric| metric.name()).collect();
        assert_eq!(names.len(), Metric::VARIANTS.len());
        assert!(!names.contains(DIMENSION));
    }

    #[tokio::test]
    async fn only_who_asks_for_metrics_gets_them() {
        let mut lake = Lake::at_endpoint(Config::default(), "http://127.0.0.1:1");
        lake.measure(&[(Metric::Quarantined, 1.0)]);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let taken = lines.clone();
        lake.metrics = Metrics::to(move |line| taken.lock().expect("not poisoned").push(line.to_owned()));
        lake.clone().measure(&[(Metric::Quarantined, 1.0)]);
        let lines = lines.lock().expect("not poisoned");
        let [line] = &lines[..] else { panic!("{lines:?}") };
        let read: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&read["Quarantined"], &read["Lake"]), (&json!(1), &json!("pregao-lake")));
        assert!(!line.contains('\n'));
    }
}
