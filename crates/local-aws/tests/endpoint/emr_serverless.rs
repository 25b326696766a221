//! EMR Serverless: job runs, which execute the same job as a step of EMR.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_sdk_emrserverless::Client;
use aws_sdk_emrserverless::operation::start_job_run::builders::StartJobRunFluentBuilder;
use aws_sdk_emrserverless::primitives::DateTime;
use aws_sdk_emrserverless::types::{
    ApplicationState, ConfigurationOverrides, Hive, JobDriver, JobRun, JobRunMode, JobRunState,
    MonitoringConfiguration, S3MonitoringConfiguration, SparkSubmit,
};
use local_aws::APPLICATION;

use crate::emr::{ended_step, job_step, program, run_cluster, step_ids};
use crate::{World, code, eventually};

const PROGRAM: &str = "s3://pregao-results/jobs/run_sql-ab12.py";
const JOB: &str = "s3://pregao-results/jobs/etl.sql";
const ROLE: &str = "arn:aws:iam::000000000000:role/jobs";

/// Puts the program and the SQL that job runs name.
async fn put_job(world: &World) {
    world.put("pregao-results", "jobs/run_sql-ab12.py", "# the program").await;
    world.put("pregao-results", "jobs/etl.sql", "-- the job").await;
}

/// The arguments of the program that are those of [`job_step`].
fn arguments(run: &str) -> Vec<String> {
    let run = format!("run={run}");
    let definitions = ["from=2020-04-01", "to=2020-04-02", "days={2020-04-01,2020-04-02}", &run];
    let buckets = ["raw=s3://pregao-raw", "lake=s3://pregao-lake"];
    [JOB].iter().chain(&definitions).chain(&buckets).map(|argument| (*argument).to_owned()).collect()
}

fn driver(program: &str, arguments: Vec<String>) -> JobDriver {
    let submit = SparkSubmit::builder().entry_point(program).set_entry_point_arguments(Some(arguments));
    JobDriver::SparkSubmit(submit.spark_submit_parameters("--conf spark.executor.cores=4").build().expect("a driver"))
}

/// The job run that the launch function starts.
fn job_run(client: &Client, run: &str) -> StartJobRunFluentBuilder {
    let start = client.start_job_run().application_id(APPLICATION).client_token(format!("token-{run}"));
    start.execution_role_arn(ROLE).name(format!("pregao-{run}")).job_driver(driver(PROGRAM, arguments(run)))
}

async fn started(start: StartJobRunFluentBuilder) -> String {
    start.send().await.expect("the job run starts").job_run_id
}

async fn described(client: &Client, id: &str) -> JobRun {
    let get = client.get_job_run().application_id(APPLICATION).job_run_id(id);
    get.send().await.expect("a description").job_run.expect("a job run")
}

async fn ended(client: &Client, id: &str) -> JobRun {
    let has_ended =
        |job: &JobRun| matches!(job.state(), JobRunState::Success | JobRunState::Failed | JobRunState::Cancelled);
    eventually(async || Some(described(client, id).await).filter(has_ended)).await
}

async fn listed(client: &Client, states: &[JobRunState]) -> Vec<String> {
    let list = client.list_job_runs().application_id(APPLICATION).set_states(Some(states.to_vec()));
    list.send().await.expect("a listing").job_runs.into_iter().map(|job| job.id).collect()
}

/// The log of the driver, decompressed, if the logs go to `logs` in the results bucket.
fn log(world: &World, logs: &str, id: &str) -> String {
    let key = format!("{logs}/applications/{APPLICATION}/jobs/{id}/SPARK_DRIVER/stderr.gz");
    let file = fs::File::open(world.home().join("s3/pregao-results").join(key)).expect("a log");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("it is gzip");
    text
}

/// The files below a folder: path and bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).expect("an entry");
        let name = name.to_string_lossy();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            found.insert(name.into_owned(), fs::read(&path).expect("a file"));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_run_writes_what_a_step_writes() {
    let of_a_step = World::new().await;
    of_a_step.put_raw_quotes(3).await;
    put_job(&of_a_step).await;
    let cluster = run_cluster(&of_a_step.lake.emr, false, vec![job_step("r1")]).await;
    let step = step_ids(&of_a_step.lake.emr, &cluster).await.remove(0);
    ended_step(&of_a_step.lake.emr, &cluster, &step).await;

    let world = World::new().await;
    world.put_raw_quotes(3).await;
    put_job(&world).await;
    // A file of an earlier attempt of the run.
    world.put("pregao-lake", "runs/run=r1/quotes/year=2020/month=4/day=1/left-over.parquet", "x").await;
    let client = &world.lake.emr_serverless;
    let logs = S3MonitoringConfiguration::builder().log_uri("s3://pregao-results/logs/of/jobs/").build();
    let monitoring = MonitoringConfiguration::builder().s3_monitoring_configuration(logs).build();
    let overrides = ConfigurationOverrides::builder().monitoring_configuration(monitoring).build();
    let start = job_run(client, "r1").configuration_overrides(overrides.clone()).tags("a", "b");
    let started = start.send().await.expect("it starts");
    assert_eq!(started.application_id, APPLICATION);
    let id = started.job_run_id;
    assert_eq!(
        started.arn,
        format!("arn:aws:emr-serverless:us-east-1:000000000000:/applications/{APPLICATION}/jobruns/{id}")
    );
    assert!(id.len() == 16 && id.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit()), "{id}");
    let ended = ended(client, &id).await;
    assert_eq!(ended.state(), &JobRunState::Success, "{ended:?}");

    let written = files(&world.home().join("s3/pregao-lake"));
    assert_eq!(written, files(&of_a_step.home().join("s3/pregao-lake")));
    assert!(written.keys().any(|path| path.starts_with("runs/run=r1/quotes/year=2020/month=4/day=1/")), "{written:?}");
    assert_eq!(fs::read_dir(world.home().join("tmp")).unwrap().count(), 0);
    let log = log(&world, "logs/of/jobs", &id);
    assert!(log.contains("202004011320_flashpanel.csv") && log.contains("3 records = 3 published"), "{log}");

    assert_eq!((ended.application_id(), ended.job_run_id(), ended.arn()), (APPLICATION, &*id, &*started.arn));
    assert_eq!((ended.name(), ended.execution_role(), ended.state_details()), (Some("pregao-r1"), ROLE, ""));
    assert_eq!(ended.release_label(), lake::Config::default().emr.release);
    assert!(ended.created_by().starts_with("arn:aws:iam::000000000000:"), "{ended:?}");
    assert_eq!(ended.configuration_overrides(), Some(&overrides));
    assert_eq!(ended.job_driver(), Some(&driver(PROGRAM, arguments("r1"))));
    assert_eq!(ended.tags().and_then(|tags| tags.get("a")).map(String::as_str), Some("b"));
    assert_eq!((ended.mode(), ended.attempt()), (Some(&JobRunMode::Batch), Some(1)));
    // The default of the service is 12 hours.
    assert_eq!(ended.execution_timeout_minutes(), Some(720));
    let times = [*ended.created_at(), *ended.started_at().unwrap(), *ended.ended_at().unwrap()];
    assert!(times.is_sorted() && times[2] == *ended.updated_at(), "{ended:?}");
    let seconds = (times[2].as_secs_f64() - times[1].as_secs_f64()).ceil();
    assert_eq!(ended.total_execution_duration_seconds().map(f64::from), Some(seconds));
    let billed = ended.billed_resource_utilization().unwrap();
    assert_eq!(
        (billed.v_cpu_hour(), billed.memory_gb_hour(), billed.storage_gb_hour()),
        (Some(0.0), Some(0.0), Some(0.0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_starts_one_job_run() {
    let world = World::new().await;
    let client = &world.lake.emr_serverless;
    let first = started(job_run(client, "r1")).await;
    let ended = ended(client, &first).await;
    assert_eq!(started(job_run(client, "r1")).await, first, "also when it has ended");
    assert_eq!(described(client, &first).await, ended);
    assert_eq!(code(job_run(client, "r1").name("other").send().await), "ConflictException");
    assert_eq!(code(job_run(client, "r2").client_token("token-r1").send().await), "ConflictException");
    assert_eq!(listed(client, &[]).await, [first.as_str()]);
    let second = started(job_run(client, "r1").client_token("another")).await;
    assert_eq!(listed(client, &[]).await, [second, first]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_lost_starts_no_second_job_run() {
    let world = World::failing("op=StartJobRun&n=1:lost").await;
    let client = &world.lake.emr_serverless;
    // The SDK repeats it, with a token of its own.
    let id = started(job_run(client, "r1").set_client_token(None)).await;
    assert_eq!(listed(client, &[]).await, [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_says_why() {
    let world = World::new().await;
    let client = &world.lake.emr_serverless;
    let failure = async |start: StartJobRunFluentBuilder| {
        let id = started(start).await;
        let failed = ended(client, &id).await;
        assert_eq!(failed.state(), &JobRunState::Failed, "{failed:?}");
        // Without a logUri, the log is among those of steps without one.
        assert!(log(&world, "logs", &id).contains("ERROR: "), "the log of {id}");
        failed.state_details
    };
    let other = job_run(client, "r1").job_driver(driver("s3://b/job.py", arguments("r1")));
    let details = failure(other).await;
    assert!(details.contains("s3://b/job.py") && details.contains("s3://BUCKET/JOB.sql from=YYYY-MM-DD"), "{details}");
    let details = failure(job_run(client, "r2")).await;
    assert!(details.contains(PROGRAM) && details.starts_with("The job file could not be read."), "{details}");
    world.put("pregao-results", "jobs/run_sql-ab12.py", "# the program").await;
    let details = failure(job_run(client, "r3")).await;
    assert!(details.contains(JOB), "{details}");
    put_job(&world).await;
    world.put("pregao-raw", "quotes/date=2020-04-01/202004011320_flashpanel.csv", "no header\n").await;
    let details = failure(job_run(client, "r4")).await;
    assert!(details.starts_with("The engine failed.") && details.contains("202004011320_flashpanel.csv"), "{details}");
    assert!(world.keys("pregao-lake", "").await.is_empty());
    assert_eq!(fs::read_dir(world.home().join("tmp")).unwrap().count(), 0, "nothing is left of a failed job run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_run_is_cancelled() {
    let (folder, engine) = program(r#"echo $$ > "$(dirname "$0")/pid"; exec sleep 600"#);
    let world = World::on(engine).await;
    let client = &world.lake.emr_serverless;
    put_job(&world).await;
    let id = started(job_run(client, "r1")).await;
    let pid =
        eventually(async || fs::read_to_string(folder.path().join("pid")).ok().filter(|pid| pid.ends_with('\n'))).await;
    let running = described(client, &id).await;
    assert_eq!(running.state(), &JobRunState::Running);
    assert!(running.started_at().is_some() && running.ended_at().is_none(), "{running:?}");
    assert_eq!(running.total_execution_duration_seconds(), None);
    let cancel = async || client.cancel_job_run().application_id(APPLICATION).job_run_id(&id).send().await;
    let cancelled = cancel().await.expect("it is cancelled");
    assert_eq!((cancelled.application_id.as_str(), &cancelled.job_run_id), (APPLICATION, &id));
    let ended = ended(client, &id).await;
    assert_eq!((ended.state(), ended.state_details()), (&JobRunState::Cancelled, "Cancelled by user request"));
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "a cancelled job run has released what it used");
    assert_eq!(world.keys("pregao-lake", "").await, [""; 0]);
    assert_eq!(code(cancel().await), "ValidationException");
    world.endpoint.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_run_that_is_delayed_is_cancelled_before_it_begins() {
    let world = World::failing("service=spark&op=RunJob&key=pregao-r1:delay=600s").await;
    let client = &world.lake.emr_serverless;
    put_job(&world).await;
    let id = started(job_run(client, "r1")).await;
    client.cancel_job_run().application_id(APPLICATION).job_run_id(&id).send().await.expect("it is cancelled");
    assert_eq!(ended(client, &id).await.state(), &JobRunState::Cancelled);
    let other = ended(client, &started(job_run(client, "r2")).await).await;
    assert_eq!(other.state(), &JobRunState::Success, "{other:?}");
    world.endpoint.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_makes_calls_and_job_runs_fail() {
    let world = World::failing("service=spark&op=RunJob&n=1:error,service=emr-serverless&op=List*:deny").await;
    let client = &world.lake.emr_serverless;
    put_job(&world).await;
    let lost = ended(client, &started(job_run(client, "r1")).await).await;
    assert_eq!(lost.state(), &JobRunState::Failed);
    assert!(lost.state_details().contains("as the fault plan of this endpoint has it"), "{lost:?}");
    assert_eq!(ended(client, &started(job_run(client, "r2")).await).await.state(), &JobRunState::Success);
    assert_eq!(code(client.list_job_runs().application_id(APPLICATION).send().await), "AccessDeniedException");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_has_failed_after_a_restart() {
    let (folder, engine) = program(r#"touch "$(dirname "$0")/begun"; exec sleep 600"#);
    let world = World::on(engine).await;
    put_job(&world).await;
    let id = started(job_run(&world.lake.emr_serverless, "r1")).await;
    eventually(async || folder.path().join("begun").exists().then_some(())).await;
    let world = world.restarted().await;
    let client = &world.lake.emr_serverless;
    let lost = described(client, &id).await;
    assert_eq!(lost.state(), &JobRunState::Failed);
    assert!(lost.state_details().contains("start it again"), "{lost:?}");
    assert!(lost.ended_at().is_some());
    assert_eq!(world.keys("pregao-lake", "").await, [""; 0]);
    assert_eq!(started(job_run(client, "r1")).await, id, "tokens are kept");
    let again = ended(client, &started(job_run(client, "r1").client_token("again")).await).await;
    assert_eq!(again.state(), &JobRunState::Success, "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn job_runs_are_listed_in_pages_the_newest_first() {
    let (_folder, engine) = program("exec sleep 600");
    let world = World::on(engine).await;
    let client = &world.lake.emr_serverless;
    let before = SystemTime::now();
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(started(job_run(client, &format!("r{number}"))).await);
        ended(client, ids.last().expect("an id")).await;
    }
    put_job(&world).await;
    let running = started(job_run(client, "runs")).await;
    eventually(async || (*described(client, &running).await.state() == JobRunState::Running).then_some(())).await;
    ids.reverse();
    assert_eq!(listed(client, &[JobRunState::Failed]).await, ids);
    assert_eq!(listed(client, &[JobRunState::Running]).await, [running.as_str()]);
    assert_eq!(listed(client, &[JobRunState::Queued, JobRunState::Success]).await, [""; 0]);
    assert_eq!(listed(client, &[JobRunState::Running, JobRunState::Failed]).await.len(), 5);

    let list = || client.list_job_runs().application_id(APPLICATION);
    let page = list().max_results(3).send().await.expect("a page");
    let mut seen: Vec<String> = page.job_runs.iter().map(|job| job.id.clone()).collect();
    assert_eq!(seen, [running.as_str(), &ids[0], &ids[1]]);
    let summary = &page.job_runs[1];
    assert_eq!((summary.application_id(), summary.name()), (APPLICATION, Some("pregao-r3")));
    assert_eq!((summary.state(), summary.execution_role()), (&JobRunState::Failed, ROLE));
    assert!(summary.state_details().contains(PROGRAM) && summary.arn().ends_with(&ids[0]), "{summary:?}");
    // One that is started between two pages shifts none of them.
    started(job_run(client, "late")).await;
    let next = list().max_results(3).set_next_token(page.next_token).send().await.expect("a page");
    seen.extend(next.job_runs.iter().map(|job| job.id.clone()));
    assert_eq!(seen[1..], ids);
    assert_eq!(next.next_token, None);

    let since = async |after: SystemTime, before: SystemTime| {
        let list = list().created_at_after(DateTime::from(after)).created_at_before(DateTime::from(before));
        list.send().await.expect("a listing").job_runs.len()
    };
    let hour = Duration::from_hours(1);
    assert_eq!(since(before - hour, before + hour).await, 6);
    assert_eq!(since(before + hour, before + 2 * hour).await, 0);
    assert_eq!(since(before - 2 * hour, before - hour).await, 0);
    assert_eq!(list().mode(JobRunMode::Batch).send().await.expect("a listing").job_runs.len(), 6);
    assert_eq!(list().mode(JobRunMode::Streaming).send().await.expect("a listing").job_runs.len(), 0);
    assert_eq!(code(list().max_results(51).send().await), "ValidationException");
    assert_eq!(code(list().states(JobRunState::from("DONE")).send().await), "ValidationException");
    assert_eq!(code(list().next_token("x").send().await), "ValidationException");
    world.endpoint.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_application() {
    let world = World::new().await;
    let client = &world.lake.emr_serverless;
    let applications = client.list_applications().send().await.expect("a listing").applications;
    assert_eq!(applications.iter().map(|application| application.id()).collect::<Vec<_>>(), [APPLICATION]);
    let described = client.get_application().application_id(APPLICATION).send().await.expect("a description");
    let application = described.application.expect("an application");
    assert_eq!((application.state(), application.r#type()), (&ApplicationState::Started, "Spark"));
    assert_eq!(application.release_label(), lake::Config::default().emr.release);
    assert_eq!(application.arn(), applications[0].arn());
    let stopped = client.list_applications().states(ApplicationState::Stopped).send().await.expect("a listing");
    assert!(stopped.applications.is_empty());

    let emr = &world.endpoint.lake().config.emr;
    assert_eq!(emr.application_id.as_deref(), Some(APPLICATION));
    assert!(emr.job_role.as_ref().is_some_and(|role| role.starts_with("arn:aws:iam::000000000000:role/")), "{emr:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_and_what_is_not_supported_are_refused() {
    let world = World::new().await;
    let client = &world.lake.emr_serverless;
    let missing = "ResourceNotFoundException";
    assert_eq!(code(job_run(client, "r1").application_id("00other").send().await), missing);
    assert_eq!(code(client.get_application().application_id("00other").send().await), missing);
    assert_eq!(code(client.list_job_runs().application_id("00other").send().await), missing);
    assert_eq!(code(client.get_job_run().application_id(APPLICATION).job_run_id("00other").send().await), missing);
    assert_eq!(code(client.cancel_job_run().application_id(APPLICATION).job_run_id("00other").send().await), missing);
    let hive = JobDriver::Hive(Hive::builder().query("SELECT 1").build().expect("a driver"));
    let refused =
        job_run(client, "r1").job_driver(hive).send().await.expect_err("there is no Hive").into_service_error();
    assert!(refused.is_validation_exception() && refused.to_string().contains("has no Hive"), "{refused:?}");
    for start in [
        job_run(client, "r1").client_token("a b"),
        job_run(client, "r1").mode(JobRunMode::Streaming),
        job_run(client, "r1").execution_timeout_minutes(0),
        job_run(client, "r1").execution_role_arn("nobody"),
    ] {
        assert_eq!(code(start.send().await), "ValidationException");
    }
    assert_eq!(listed(client, &[]).await, [""; 0]);
    let created = client.create_application().release_label("emr-7.13.0").r#type("SPARK").send().await;
    assert_eq!(code(created), "UnknownOperationException");
    let stopped = client.stop_application().application_id(APPLICATION).send().await.expect_err("it is not supported");
    let text = format!("{stopped:?}");
    assert!(text.contains("StopApplication is not an operation of this endpoint"), "{text}");
}
