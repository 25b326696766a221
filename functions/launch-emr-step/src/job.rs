//! The Spark job as an EMR step: its SQL in S3, and the command that runs it.

use aws_sdk_emr::types::HadoopJarStepConfig;
use lake::config::Buckets;
use lake::{Error, Lake, keys, objects};
use market::partition::DateRange;
use market::run::RunId;
use sha2::{Digest, Sha256};

/// Uploads the SQL of the job under its digest. Returns the step that runs it.
pub(crate) async fn upload(lake: &Lake, run: &RunId, range: DateRange) -> Result<HadoopJarStepConfig, Error> {
    let text = market::spark_job::sql();
    let key = keys::job(&digest(&text));
    // An existing object with this digest has the same content.
    objects::put_new(lake, &lake.config.buckets.results, &key, "application/sql", text.into_bytes()).await?;
    let arguments = arguments(&lake.config.buckets, &key, run, range);
    Ok(HadoopJarStepConfig::builder().jar("command-runner.jar").set_args(Some(arguments)).build())
}

/// The settings of the job.
const SETTINGS: [&str; 2] = [
    // It suffices, because the job creates no permanent tables.
    "spark.sql.catalogImplementation=in-memory",
    // When a job ends, the committers of S3A abort all uploads below its destination, and with them those of another job that
    // writes there (CommitConstants and AbstractS3ACommitter of hadoop-aws). EMR writes by S3A since 7.10, and by a committer of
    // its own, of which this is not documented. Each run has a destination of its own, but attempts of a run share one. What
    // an attempt leaves behind, the lifecycle rule of the bucket removes.
    // <https://hadoop.apache.org/docs/stable/hadoop-aws/tools/hadoop-aws/committers.html>
    // <https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-s3a-migrate.html>
    // <https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-spark-magic-commit-protocol.html>
    "spark.hadoop.fs.s3a.committer.abort.pending.uploads=false",
];

/// Returns the `spark-sql` command of the job. No shell interprets it: AWS passes regular expressions in the same way
/// (<https://docs.aws.amazon.com/emr/latest/ReleaseGuide/UsingEMR_s3distcp.html>). If one expanded the glob of the days, the job
/// would refuse it.
fn arguments(buckets: &Buckets, job: &str, run: &RunId, range: DateRange) -> Vec<String> {
    let (raw, lake) = (format!("s3://{}", buckets.raw), format!("s3://{}", buckets.lake));
    let variables = market::spark_job::variables(range, run, &raw, &lake);
    let settings = SETTINGS.iter().flat_map(|setting| ["--conf".to_owned(), (*setting).to_owned()]);
    let job = ["-f".to_owned(), keys::uri(&buckets.results, job)];
    let variables = variables.into_iter().flat_map(|(name, value)| ["-d".to_owned(), format!("{name}={value}")]);
    ["spark-sql".to_owned()].into_iter().chain(settings).chain(job).chain(variables).collect()
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_is_spark_sql_with_its_variables() {
        let range = DateRange::new("2020-04-01".parse().expect("a day"), "2020-04-02".parse().expect("a day"));
        let run = "nightly-7".parse().expect("a run");
        let arguments = arguments(&Buckets::default(), "jobs/etl-ab.sql", &run, range.expect("a range"));
        assert_eq!(
            arguments.join(" "),
            "spark-sql --conf spark.sql.catalogImplementation=in-memory \
             --conf spark.hadoop.fs.s3a.committer.abort.pending.uploads=false -f s3://pregao-results/jobs/etl-ab.sql \
             -d from=2020-04-01 -d to=2020-04-02 -d days={2020-04-01,2020-04-02} -d run=nightly-7 -d raw=s3://pregao-raw -d lake=s3://pregao-lake"
        );
    }

    #[test]
    fn a_job_is_named_by_its_text() {
        assert_eq!(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
