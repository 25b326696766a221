//! EMR: clusters, steps, and the job that they run.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use aws_sdk_emr::Client;
use aws_sdk_emr::types::{
    ActionOnFailure, ClusterState, HadoopJarStepConfig, JobFlowInstancesConfig, Step, StepConfig, StepState,
};

use local_aws::{SparkEngine, SparkSql};

use crate::{World, code, eventually};

const JOB: &str = "s3://pregao-results/jobs/etl.sql";

fn spark_step(name: &str, arguments: &[&str], on_failure: ActionOnFailure) -> StepConfig {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let jar = HadoopJarStepConfig::builder().jar("command-runner.jar").set_args(Some(arguments)).build();
    StepConfig::builder().name(name).action_on_failure(on_failure).hadoop_jar_step(jar).build()
}

/// The step that the launch function adds.
pub(crate) fn job_step(run: &str) -> StepConfig {
    let run = format!("run={run}");
    let arguments = [
        "spark-sql",
        "--conf",
        "spark.sql.catalogImplementation=in-memory",
        "-f",
        JOB,
        "-d",
        "from=2020-04-01",
        "-d",
        "to=2020-04-02",
        "-d",
        "days={2020-04-01,2020-04-02}",
        "-d",
        &run,
        "-d",
        "raw=s3://pregao-raw",
        "-d",
        "lake=s3://pregao-lake",
    ];
    spark_step("job", &arguments, ActionOnFailure::Continue)
}

pub(crate) async fn run_cluster(emr: &Client, keep_alive: bool, steps: Vec<StepConfig>) -> String {
    let instances = JobFlowInstancesConfig::builder()
        .keep_job_flow_alive_when_no_steps(keep_alive)
        .master_instance_type("m5.xlarge")
        .instance_count(3)
        .slave_instance_type("m5.xlarge")
        .build();
    let run = emr.run_job_flow().name("test").release_label("emr-7.5.0").instances(instances).set_steps(Some(steps));
    run.send().await.expect("the cluster starts").job_flow_id.expect("an id")
}

pub(crate) async fn ended_step(emr: &Client, cluster: &str, step: &str) -> Step {
    eventually(async || {
        let described = emr.describe_step().cluster_id(cluster).step_id(step).send().await.expect("a description");
        let step = described.step.expect("a step");
        let state = step.status()?.state()?.clone();
        (!matches!(state, StepState::Pending | StepState::Running)).then_some(step)
    })
    .await
}

async fn cluster_state(emr: &Client, cluster: &str) -> ClusterState {
    let described = emr.describe_cluster().cluster_id(cluster).send().await.expect("a description");
    described.cluster.expect("a cluster").status.expect("a status").state.expect("a state")
}

pub(crate) async fn step_ids(emr: &Client, cluster: &str) -> Vec<String> {
    let listed = emr.list_steps().cluster_id(cluster).send().await.expect("the steps");
    listed.steps().iter().rev().map(|step| step.id().expect("an id").to_owned()).collect()
}

fn state_of(step: &Step) -> &StepState {
    step.status().and_then(|status| status.state()).expect("a state")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spark_job_writes_the_tables_of_a_run() {
    let world = World::new().await;
    let emr = &world.lake.emr;
    world.put_raw_quotes(3).await;
    world.put("pregao-results", "jobs/etl.sql", "-- the job").await;
    // Files of an earlier attempt of the run, and of another run.
    world.put("pregao-lake", "runs/run=r1/quotes/year=2020/month=4/day=1/left-over.parquet", "x").await;
    let others = [
        "runs/run=r0/quotes/year=2020/month=4/day=1/other.parquet",
        "runs/run=r1/quotes/year=2020/month=4/day=9/other.parquet",
        "quotes/year=2020/month=4/day=1/run=r1/other.parquet",
    ];
    for other in others {
        world.put("pregao-lake", other, "x").await;
    }
    let cluster = run_cluster(emr, false, vec![job_step("r1")]).await;
    let step = step_ids(emr, &cluster).await.remove(0);
    let ended = ended_step(emr, &cluster, &step).await;
    assert_eq!(state_of(&ended), &StepState::Completed, "{ended:?}");
    let timeline = ended.status().unwrap().timeline().unwrap();
    assert!(timeline.end_date_time() >= timeline.start_date_time());

    let keys = world.keys("pregao-lake", "").await;
    let of_run = |table: &str| {
        keys.iter().filter(|key| key.starts_with(&format!("runs/run=r1/{table}/year=2020/month=4/day=1/"))).count()
    };
    assert_eq!((of_run("quotes"), of_run("options"), of_run("rejects")), (1, 0, 1), "{keys:?}");
    assert!(
        others.iter().all(|other| keys.iter().any(|key| key == other))
            && !keys.iter().any(|key| key.contains("left-over")),
        "{keys:?}"
    );
    let file = world
        .home()
        .join("s3/pregao-lake")
        .join(keys.iter().find(|key| key.starts_with("runs/run=r1/quotes/year=2020/month=4/day=1/")).unwrap());
    assert_eq!(fs::read(file).unwrap()[..4], *b"PAR1");
    assert_eq!(fs::read_dir(world.home().join("tmp")).unwrap().count(), 0);

    let log = world.home().join(format!("s3/pregao-results/logs/{cluster}/steps/{step}/stderr.gz"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs::File::open(log).unwrap()).read_to_string(&mut text).unwrap();
    assert!(text.contains("202004011320_flashpanel.csv") && text.contains("3 records = 3 published"), "{text}");

    let state =
        eventually(async || Some(cluster_state(emr, &cluster).await).filter(|state| *state != ClusterState::Running))
            .await;
    assert_eq!(state, ClusterState::Terminated);
    let described = emr.describe_cluster().cluster_id(&cluster).send().await.unwrap().cluster.unwrap();
    let reason = described.status().unwrap().state_change_reason().unwrap();
    assert_eq!((reason.code().unwrap().as_str(), reason.message()), ("ALL_STEPS_COMPLETED", Some("Steps completed")));
    assert_eq!(described.auto_terminate(), Some(true));
    let late = emr.add_job_flow_steps().job_flow_id(&cluster).steps(job_step("r2")).send().await;
    assert_eq!(code(late), "ValidationException");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_says_why() {
    let world = World::new().await;
    let emr = &world.lake.emr;
    let cluster = run_cluster(emr, true, vec![]).await;
    let add = async |step: StepConfig| {
        let added = emr.add_job_flow_steps().job_flow_id(&cluster).steps(step).send().await.expect("the step is added");
        ended_step(emr, &cluster, &added.step_ids()[0]).await
    };
    let message = |step: &Step| {
        let details = step.status().unwrap().failure_details().expect("details");
        assert!(details.log_file().unwrap().starts_with("s3://pregao-results/logs/"), "{details:?}");
        details.message().unwrap().to_owned()
    };
    let unsupported = add(spark_step("other", &["spark-submit", "job.py"], ActionOnFailure::Continue)).await;
    assert_eq!(state_of(&unsupported), &StepState::Failed);
    assert!(message(&unsupported).contains("spark-sql -f s3://BUCKET/JOB.sql"));
    let no_job = add(job_step("r1")).await;
    assert!(message(&no_job).contains("s3://pregao-results/jobs/etl.sql"), "{no_job:?}");
    world.put("pregao-results", "jobs/etl.sql", "-- the job").await;
    world.put("pregao-raw", "quotes/date=2020-04-01/202004011320_flashpanel.csv", "no header\n").await;
    let bad_file = add(job_step("r1")).await;
    assert!(message(&bad_file).contains("202004011320_flashpanel.csv"), "{bad_file:?}");
    assert!(world.keys("pregao-lake", "").await.is_empty());
    assert_eq!(fs::read_dir(world.home().join("tmp")).unwrap().count(), 0, "nothing is left of a failed step");

    assert_eq!(code(emr.describe_cluster().cluster_id("j-NOBODY").send().await), "InvalidRequestException");
    assert_eq!(
        code(emr.describe_step().cluster_id(&cluster).step_id("s-NOBODY").send().await),
        "InvalidRequestException"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_step_does_to_the_cluster_what_it_says() {
    let world = World::new().await;
    let emr = &world.lake.emr;
    let failing = |on_failure| spark_step("fails", &["no"], on_failure);
    let cluster =
        run_cluster(emr, true, vec![failing(ActionOnFailure::TerminateCluster), failing(ActionOnFailure::Continue)])
            .await;
    let steps = step_ids(emr, &cluster).await;
    assert_eq!(state_of(&ended_step(emr, &cluster, &steps[0]).await), &StepState::Failed);
    assert_eq!(state_of(&ended_step(emr, &cluster, &steps[1]).await), &StepState::Cancelled);
    let state =
        eventually(async || Some(cluster_state(emr, &cluster).await).filter(|state| *state != ClusterState::Running))
            .await;
    assert_eq!(state, ClusterState::TerminatedWithErrors);

    let cluster =
        run_cluster(emr, true, vec![failing(ActionOnFailure::CancelAndWait), failing(ActionOnFailure::Continue)]).await;
    let steps = step_ids(emr, &cluster).await;
    assert_eq!(state_of(&ended_step(emr, &cluster, &steps[1]).await), &StepState::Cancelled);
    eventually(async || (cluster_state(emr, &cluster).await == ClusterState::Waiting).then_some(())).await;
    let listed = emr.list_clusters().cluster_states(ClusterState::Waiting).send().await.unwrap();
    assert_eq!(listed.clusters().iter().map(|cluster| cluster.id().unwrap()).collect::<Vec<_>>(), [cluster.as_str()]);

    // A cluster that is kept alive waits for steps after a restart.
    let world = world.restarted().await;
    let emr = &world.lake.emr;
    eventually(async || (cluster_state(emr, &cluster).await == ClusterState::Waiting).then_some(())).await;
    let groups = emr.list_instance_groups().cluster_id(&cluster).send().await.unwrap();
    assert_eq!(groups.instance_groups().len(), 2);
    emr.set_termination_protection().job_flow_ids(&cluster).termination_protected(true).send().await.unwrap();
    assert_eq!(code(emr.terminate_job_flows().job_flow_ids(&cluster).send().await), "ValidationException");
    emr.set_termination_protection().job_flow_ids(&cluster).termination_protected(false).send().await.unwrap();
    emr.terminate_job_flows().job_flow_ids(&cluster).send().await.unwrap();
    eventually(async || (cluster_state(emr, &cluster).await == ClusterState::Terminated).then_some(())).await;
}

/// A fake `spark-sql`, in a temporary folder.
pub(crate) fn program(script: &str) -> (tempfile::TempDir, SparkEngine) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spark-sql");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be run");
    (folder, SparkEngine::SparkSql(SparkSql::new(path)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spark_of_this_machine_runs_the_job() {
    // It records its arguments, and writes a file as Spark would.
    let script = r#"
        echo "$@" > "$(dirname "$0")/told"
        ls raw/quotes/date=2020-04-01 > "$(dirname "$0")/raw"
        day=lake/runs/run=r1/quotes/year=2020/month=4/day=1
        mkdir -p $day && touch $day/part-0.snappy.parquet $day/_SUCCESS
        cat etl.sql >&2"#;
    let (folder, engine) = program(script);
    let world = World::on(engine).await;
    let emr = &world.lake.emr;
    world.put_raw_quotes(3).await;
    world.put("pregao-results", "jobs/etl.sql", "-- the job").await;
    let cluster = run_cluster(emr, false, vec![job_step("r1")]).await;
    let ended = ended_step(emr, &cluster, &step_ids(emr, &cluster).await[0]).await;
    assert_eq!(state_of(&ended), &StepState::Completed, "{ended:?}");

    let told = fs::read_to_string(folder.path().join("told")).expect("it was called");
    let variables = "-d from=2020-04-01 -d to=2020-04-02 -d days={2020-04-01,2020-04-02} -d run=r1 -d raw=/";
    for part in ["spark.sql.catalogImplementation=in-memory", variables] {
        assert!(told.contains(part), "{told}");
    }
    let raw = fs::read_to_string(folder.path().join("raw")).expect("it was called");
    assert_eq!(raw, "202004011320_flashpanel.csv\n");
    let keys = world.keys("pregao-lake", "").await;
    assert_eq!(keys, ["runs/run=r1/quotes/year=2020/month=4/day=1/part-0.snappy.parquet"]);
    world.endpoint.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spark_that_fails_says_why() {
    let (_folder, engine) = program("echo 'java.lang.RuntimeException: no such day' >&2; exit 3");
    let world = World::on(engine).await;
    let emr = &world.lake.emr;
    world.put("pregao-results", "jobs/etl.sql", "-- the job").await;
    let cluster = run_cluster(emr, false, vec![job_step("r1")]).await;
    let ended = ended_step(emr, &cluster, &step_ids(emr, &cluster).await[0]).await;
    assert_eq!(state_of(&ended), &StepState::Failed);
    let failure = ended.status().and_then(|status| status.failure_details()).expect("details");
    let message = failure.message().unwrap_or_default();
    assert!(message.contains("exit status: 3") && message.contains("RuntimeException: no such day"), "{message}");
    world.endpoint.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_step_is_cancelled() {
    let (folder, engine) = program(r#"echo $$ > "$(dirname "$0")/pid"; exec sleep 600"#);
    let world = World::on(engine).await;
    let emr = &world.lake.emr;
    world.put("pregao-results", "jobs/etl.sql", "-- the job").await;
    let cluster = run_cluster(emr, false, vec![job_step("r1")]).await;
    let step = step_ids(emr, &cluster).await.remove(0);
    let pid =
        eventually(async || fs::read_to_string(folder.path().join("pid")).ok().filter(|pid| pid.ends_with('\n'))).await;
    let cancelled = emr.cancel_steps().cluster_id(&cluster).step_ids(&step).send().await.expect("it is cancelled");
    assert_eq!(cancelled.cancel_steps_info_list()[0].status().map(|status| status.as_str()), Some("SUBMITTED"));
    assert_eq!(state_of(&ended_step(emr, &cluster, &step).await), &StepState::Cancelled);
    let gone = async || (!std::path::Path::new("/proc").join(pid.trim()).exists()).then_some(());
    eventually(gone).await;
    eventually(async || (cluster_state(emr, &cluster).await == ClusterState::Terminated).then_some(())).await;
    assert_eq!(world.keys("pregao-lake", "").await, [""; 0]);
    world.endpoint.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_goes_on_behind_what_it_gave() {
    let world = World::new().await;
    let emr = &world.lake.emr;
    // Pages of fifty, newest first. A step is added before the second page.
    let mut clusters = Vec::new();
    for _ in 0..52 {
        clusters.push(run_cluster(emr, true, vec![]).await);
    }
    let page = emr.list_clusters().send().await.expect("a page");
    let mut seen: Vec<String> = page.clusters().iter().map(|cluster| cluster.id().expect("an id").to_owned()).collect();
    assert_eq!(seen.len(), 50);
    let late = run_cluster(emr, true, vec![]).await;
    let next = emr.list_clusters().marker(page.marker().expect("there are more")).send().await.expect("a page");
    assert_eq!(next.marker(), None);
    seen.extend(next.clusters().iter().map(|cluster| cluster.id().expect("an id").to_owned()));
    clusters.reverse();
    assert_eq!(seen, clusters);

    let add = async |count: usize| {
        let steps = (0..count).map(|_| spark_step("fails", &["no"], ActionOnFailure::Continue)).collect();
        let added = emr.add_job_flow_steps().job_flow_id(&late).set_steps(Some(steps)).send().await;
        added.expect("they are added").step_ids.expect("ids")
    };
    let mut steps = add(51).await;
    let page = emr.list_steps().cluster_id(&late).send().await.expect("a page");
    let mut seen: Vec<String> = page.steps().iter().map(|step| step.id().expect("an id").to_owned()).collect();
    assert_eq!(seen.len(), 50);
    add(1).await;
    let list = emr.list_steps().cluster_id(&late).marker(page.marker().expect("there are more"));
    let next = list.send().await.expect("a page");
    seen.extend(next.steps().iter().map(|step| step.id().expect("an id").to_owned()));
    steps.reverse();
    assert_eq!((seen, next.marker()), (steps, None));
    world.endpoint.shutdown().await;
}
