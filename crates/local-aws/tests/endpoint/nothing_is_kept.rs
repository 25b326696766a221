//! When the state cannot be stored, as on a full disk, the endpoint refuses requests, and no client waits forever.

use aws_sdk_emrserverless::types::{JobDriver, SparkSubmit};
use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};
use local_aws::APPLICATION;
use rusqlite::Connection;
use serde_json::json;

use crate::{World, eventually};

/// Makes every write to this table of the state fail.
fn fill_up(world: &World, what: &str) {
    let rows = Connection::open(world.home().join("state.db")).expect("the state");
    let full = format!("CREATE TRIGGER full BEFORE {what} BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END");
    rows.execute_batch(&full).expect("a trigger");
}

/// Sends requests until the endpoint refuses one, and returns the error message.
async fn refusal<T, E: ProvideErrorMetadata>(mut ask: impl AsyncFnMut() -> Result<T, SdkError<E>>) -> String {
    eventually(async || ask().await.err().map(|error| error.message().unwrap_or("no words").to_owned())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_whose_end_cannot_be_kept_is_not_waited_for() {
    for (what, kept) in [
        ("UPDATE OF completed ON athena_queries", "the end of a query"),
        ("UPDATE OF started ON athena_queries", "the start of a query"),
    ] {
        let world = World::new().await;
        fill_up(&world, what);
        let athena = &world.lake.athena;
        let query = athena.start_query_execution().query_string("SELECT 1").send().await.expect("a query");
        let id = query.query_execution_id.expect("an id");
        let words = refusal(async || athena.get_query_execution().query_execution_id(&id).send().await).await;
        assert!(words.starts_with(kept) && words.contains("disk is full"), "{words}");
        assert_eq!(world.endpoint.storage_failed().await.to_string(), words, "the owner gets the same text");
        world.endpoint.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_goes_no_further_than_what_could_be_kept() {
    for (what, kept) in [
        ("INSERT ON execution_events WHEN NEW.id = 3", "an event of an execution"),
        ("UPDATE OF status ON executions", "the end of an execution"),
    ] {
        let world = World::new().await;
        fill_up(&world, what);
        let sfn = &world.lake.sfn;
        let definition = json!({ "StartAt": "A", "States": {
            "A": { "Type": "Pass", "Next": "B" }, "B": { "Type": "Pass", "End": true } } });
        let machine = sfn
            .create_state_machine()
            .name("passes")
            .definition(definition.to_string())
            .role_arn("arn:aws:iam::000000000000:role/x");
        let machine = machine.send().await.expect("a machine").state_machine_arn;
        let execution = sfn.start_execution().state_machine_arn(machine).name("one").send().await;
        let execution = execution.expect("an execution").execution_arn;
        let words = refusal(async || sfn.describe_execution().execution_arn(&execution).send().await).await;
        assert!(words.starts_with(kept) && words.contains("disk is full"), "{words}");
        assert_eq!(world.endpoint.storage_failed().await.to_string(), words);

        let rows = Connection::open(world.home().join("state.db")).expect("the state");
        rows.execute_batch("DROP TRIGGER full").expect("there is room again");
        let world = world.restarted().await;
        let ended = world.lake.sfn.describe_execution().execution_arn(&execution).send().await.expect("an execution");
        assert_eq!(ended.status.as_str(), "ABORTED", "the next start settles it");
        world.endpoint.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_run_whose_state_cannot_be_kept_is_not_waited_for() {
    for what in ["UPDATE OF started ON emr_job_runs", "UPDATE OF ended ON emr_job_runs"] {
        let world = World::new().await;
        fill_up(&world, what);
        let client = &world.lake.emr_serverless;
        let submit = SparkSubmit::builder().entry_point("s3://pregao-results/run_sql.py").build().expect("a driver");
        let start = client.start_job_run().application_id(APPLICATION).job_driver(JobDriver::SparkSubmit(submit));
        let start = start.execution_role_arn("arn:aws:iam::000000000000:role/x").send().await.expect("a job run");
        let id = &start.job_run_id;
        let get = async || client.get_job_run().application_id(APPLICATION).job_run_id(id).send().await;
        let words = refusal(get).await;
        assert!(words.starts_with("the state of a job run") && words.contains("disk is full"), "{words}");
        assert_eq!(world.endpoint.storage_failed().await.to_string(), words);
        world.endpoint.shutdown().await;
    }
}
