//! The Spark job: its SQL in S3, and what runs it on a cluster and on EMR Serverless.

use aws_sdk_emr::types::HadoopJarStepConfig;
use lake::config::Buckets;
use lake::{Error, Lake, cluster, keys, objects};
use market::partition::DateRange;
use market::run::RunId;
use sha2::{Digest, Sha256};

/// Uploads the SQL of the job. Returns the step that runs it.
pub(crate) async fn step(lake: &Lake, run: &RunId, range: DateRange) -> Result<HadoopJarStepConfig, Error> {
    let job = upload_sql(lake).await?;
    let arguments = step_arguments(&lake.config.buckets, &job, run, range);
    Ok(HadoopJarStepConfig::builder().jar("command-runner.jar").set_args(Some(arguments)).build())
}

/// Uploads the SQL of the job, and the program that runs it where there is no `spark-sql`. Returns the URI of the program, and its
/// arguments.
pub(crate) async fn program(lake: &Lake, run: &RunId, range: DateRange) -> Result<(String, Vec<String>), Error> {
    let job = upload_sql(lake).await?;
    let program = market::spark_job::PROGRAM;
    let key = keys::job_program(&digest(program));
    let results = &lake.config.buckets.results;
    objects::put_new(lake, results, &key, "text/x-python", program.as_bytes().to_vec()).await?;
    Ok((keys::uri(results, &key), program_arguments(&lake.config.buckets, &job, run, range)))
}

/// Uploads the SQL of the job under its digest. Returns its key.
async fn upload_sql(lake: &Lake) -> Result<String, Error> {
    let text = market::spark_job::sql();
    let key = keys::job(&digest(&text));
    // An existing object with this digest has the same content.
    objects::put_new(lake, &lake.config.buckets.results, &key, "application/sql", text.into_bytes()).await?;
    Ok(key)
}

/// Returns the `spark-sql` command of the job. No shell interprets it: AWS passes regular expressions in the same way
/// (<https://docs.aws.amazon.com/emr/latest/ReleaseGuide/UsingEMR_s3distcp.html>). If one expanded the glob of the days, the job
/// would refuse it.
fn step_arguments(buckets: &Buckets, job: &str, run: &RunId, range: DateRange) -> Vec<String> {
    let settings = cluster::JOB_SETTINGS.iter().flat_map(|setting| ["--conf".to_owned(), (*setting).to_owned()]);
    let job = ["-f".to_owned(), keys::uri(&buckets.results, job)];
    let variables = definitions(buckets, run, range).into_iter().flat_map(|definition| ["-d".to_owned(), definition]);
    ["spark-sql".to_owned()].into_iter().chain(settings).chain(job).chain(variables).collect()
}

/// Returns the arguments of the program: the URI of the SQL, and the variables.
fn program_arguments(buckets: &Buckets, job: &str, run: &RunId, range: DateRange) -> Vec<String> {
    let job = keys::uri(&buckets.results, job);
    [job].into_iter().chain(definitions(buckets, run, range)).collect()
}

/// Returns the variables of the job as `NAME=VALUE`.
fn definitions(buckets: &Buckets, run: &RunId, range: DateRange) -> Vec<String> {
    let (raw, lake) = (format!("s3://{}", buckets.raw), format!("s3://{}", buckets.lake));
    let variables = market::spark_job::variables(range, run, &raw, &lake);
    variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_job_have_its_variables() {
        let range = DateRange::new("2020-04-01".parse().expect("a day"), "2020-04-02".parse().expect("a day"));
        let run = "nightly-7".parse().expect("a run");
        let range = range.expect("a range");
        let arguments = step_arguments(&Buckets::default(), "jobs/etl-ab.sql", &run, range);
        assert_eq!(
            arguments.join(" "),
            "spark-sql --conf spark.sql.catalogImplementation=in-memory \
             --conf spark.hadoop.fs.s3a.committer.abort.pending.uploads=false -f s3://pregao-results/jobs/etl-ab.sql \
             -d from=2020-04-01 -d to=2020-04-02 -d days={2020-04-01,2020-04-02} -d run=nightly-7 -d raw=s3://pregao-raw -d lake=s3://pregao-lake"
        );
        assert_eq!(
            program_arguments(&Buckets::default(), "jobs/etl-ab.sql", &run, range).join(" "),
            "s3://pregao-results/jobs/etl-ab.sql from=2020-04-01 to=2020-04-02 days={2020-04-01,2020-04-02} run=nightly-7 \
             raw=s3://pregao-raw lake=s3://pregao-lake"
        );
    }

    #[test]
    fn a_job_is_named_by_its_text() {
        assert_eq!(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
