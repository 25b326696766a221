//! Step Functions: state machines, executions and their histories.

use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::{ExecutionRedriveStatus, ExecutionStatus, HistoryEventType};
use local_aws::function_arn;
use serde_json::{Value, json};

use crate::{World, code, eventually};

pub(crate) async fn create(sfn: &Client, name: &str, definition: &Value) -> String {
    let create = sfn
        .create_state_machine()
        .name(name)
        .definition(definition.to_string())
        .role_arn("arn:aws:iam::000000000000:role/x");
    create.send().await.expect("the machine is created").state_machine_arn
}

pub(crate) async fn start(sfn: &Client, machine: &str, name: &str, input: &Value) -> String {
    let start = sfn.start_execution().state_machine_arn(machine).name(name).input(input.to_string());
    start.send().await.expect("the execution starts").execution_arn
}

/// Returns the status, and the output, or the error and the cause.
pub(crate) async fn end_of(sfn: &Client, execution: &str) -> (ExecutionStatus, Value) {
    let ended = eventually(async || {
        let described = sfn.describe_execution().execution_arn(execution).send().await.expect("a description");
        (described.status != ExecutionStatus::Running).then_some(described)
    })
    .await;
    let said = match &ended.output {
        Some(output) => serde_json::from_str(output).expect("JSON"),
        None => json!({ "error": ended.error, "cause": ended.cause }),
    };
    assert!(ended.stop_date.is_some());
    (ended.status, said)
}

pub(crate) fn waits_for_ever() -> Value {
    json!({ "StartAt": "Wait", "States": { "Wait": { "Type": "Wait", "Seconds": 86_400, "End": true } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_is_started_once_and_described_in_full() {
    let world = World::new().await;
    let sfn = &world.lake.sfn;
    let machine = create(
        sfn,
        "doubled",
        &json!({
            "StartAt": "Big?",
            "States": {
                "Big?": { "Type": "Choice", "Choices": [{ "Variable": "$.n", "NumericGreaterThan": 10, "Next": "TooBig" }], "Default": "Double" },
                "Double": { "Type": "Pass", "Parameters": { "twice.$": "States.MathAdd($.n, $.n)", "name.$": "$$.Execution.Name" }, "End": true },
                "TooBig": { "Type": "Fail", "Error": "TooBig", "Cause": "at most 10" }
            }
        }),
    )
    .await;
    let execution = start(sfn, &machine, "one", &json!({ "n": 4 })).await;
    assert_eq!(end_of(sfn, &execution).await, (ExecutionStatus::Succeeded, json!({ "twice": 8, "name": "one" })));
    let failed = start(sfn, &machine, "two", &json!({ "n": 11 })).await;
    assert_eq!(
        end_of(sfn, &failed).await,
        (ExecutionStatus::Failed, json!({ "error": "TooBig", "cause": "at most 10" }))
    );

    let described = |arn: &str| sfn.describe_execution().execution_arn(arn).send();
    let (good, bad) = (described(&execution).await.unwrap(), described(&failed).await.unwrap());
    assert_eq!((good.redrive_count, bad.redrive_count), (Some(0), Some(0)));
    assert_eq!(good.redrive_status, Some(ExecutionRedriveStatus::NotRedrivable));
    assert_eq!(good.redrive_status_reason.as_deref(), Some("Execution is SUCCEEDED and cannot be redriven"));
    assert_eq!((bad.redrive_status, bad.redrive_status_reason), (Some(ExecutionRedriveStatus::Redrivable), None));

    let again = sfn.start_execution().state_machine_arn(&machine).name("one").input(r#"{"n": 4}"#).send().await;
    assert_eq!(code(again), "ExecutionAlreadyExists", "an execution that has ended is not started again");
    let wrong_name = sfn.start_execution().state_machine_arn(&machine).name("a b").send().await;
    assert_eq!(code(wrong_name), "InvalidName");
    let wrong_input = sfn.start_execution().state_machine_arn(&machine).input("{").send().await;
    assert_eq!(code(wrong_input), "InvalidExecutionInput");
    let wrong_machine = sfn.start_execution().state_machine_arn(format!("{machine}x")).send().await;
    assert_eq!(code(wrong_machine), "StateMachineDoesNotExist");
    assert_eq!(code(sfn.start_execution().state_machine_arn("x").send().await), "InvalidArn");
    assert_eq!(
        code(sfn.describe_execution().execution_arn(format!("{execution}x")).send().await),
        "ExecutionDoesNotExist"
    );

    let history = sfn.get_execution_history().execution_arn(&execution).send().await.unwrap();
    let types: Vec<HistoryEventType> = history.events().iter().map(|event| event.r#type().clone()).collect();
    use HistoryEventType::{
        ChoiceStateEntered, ChoiceStateExited, ExecutionStarted, ExecutionSucceeded, PassStateEntered, PassStateExited,
    };
    assert_eq!(
        types,
        [
            ExecutionStarted,
            ChoiceStateEntered,
            ChoiceStateExited,
            PassStateEntered,
            PassStateExited,
            ExecutionSucceeded
        ]
    );
    assert_eq!(history.events()[3].state_entered_event_details().unwrap().name(), "Double");
    let page =
        sfn.get_execution_history().execution_arn(&execution).max_results(2).reverse_order(true).send().await.unwrap();
    assert_eq!(page.events().iter().map(|event| event.id()).collect::<Vec<_>>(), [6, 5]);
    let next = sfn
        .get_execution_history()
        .execution_arn(&execution)
        .max_results(2)
        .reverse_order(true)
        .next_token(page.next_token.unwrap());
    assert_eq!(next.send().await.unwrap().events()[0].id(), 4);

    let listed = sfn.list_executions().state_machine_arn(&machine).send().await.unwrap();
    assert_eq!(
        listed.executions().iter().map(|execution| execution.name()).collect::<Vec<_>>(),
        ["two", "one"],
        "newest first"
    );
    let failures =
        sfn.list_executions().state_machine_arn(&machine).status_filter(ExecutionStatus::Failed).send().await.unwrap();
    assert_eq!(failures.executions().len(), 1);
    let of_execution = sfn.describe_state_machine_for_execution().execution_arn(&execution).send().await.unwrap();
    assert_eq!(of_execution.name(), "doubled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_execution_is_found_by_its_name_and_can_be_stopped() {
    let world = World::new().await;
    let sfn = &world.lake.sfn;
    let machine = create(sfn, "waits", &waits_for_ever()).await;
    let execution = start(sfn, &machine, "e", &json!({ "a": 1 })).await;
    assert_eq!(start(sfn, &machine, "e", &json!({ "a": 1 })).await, execution);
    let other = sfn.start_execution().state_machine_arn(&machine).name("e").input("{}").send().await;
    assert_eq!(code(other), "ExecutionAlreadyExists");
    sfn.stop_execution().execution_arn(&execution).error("Enough").cause("it is late").send().await.unwrap();
    assert_eq!(
        end_of(sfn, &execution).await,
        (ExecutionStatus::Aborted, json!({ "error": "Enough", "cause": "it is late" }))
    );
    sfn.stop_execution().execution_arn(&execution).send().await.expect("stopping twice is no error");
}

#[tokio::test(flavor = "multi_thread")]
async fn children_answer_their_parents_and_end_with_them() {
    let world = World::new().await;
    let sfn = &world.lake.sfn;
    let child = create(
        sfn,
        "child",
        &json!({
            "StartAt": "Ok?",
            "States": {
                "Ok?": { "Type": "Choice", "Choices": [{ "Variable": "$.ok", "BooleanEquals": true, "Next": "Yes" }], "Default": "No" },
                "Yes": { "Type": "Pass", "Result": { "answer": [42] }, "End": true },
                "No": { "Type": "Fail", "Error": "Child", "Cause": "said no" }
            }
        }),
    )
    .await;
    let parent = |resource: &str| {
        json!({
            "StartAt": "Child",
            "States": { "Child": {
                "Type": "Task",
                "Resource": format!("arn:aws:states:::states:{resource}"),
                "Parameters": { "StateMachineArn": child, "Input": { "ok.$": "$.ok" } },
                "End": true
            }}
        })
    };
    let values = create(sfn, "values", &parent("startExecution.sync:2")).await;
    let (_, output) = end_of(sfn, &start(sfn, &values, "yes", &json!({ "ok": true })).await).await;
    assert_eq!((&output["Output"], &output["Status"]), (&json!({ "answer": [42] }), &json!("SUCCEEDED")));
    let text = create(sfn, "text", &parent("startExecution.sync")).await;
    let (_, output) = end_of(sfn, &start(sfn, &text, "yes", &json!({ "ok": true })).await).await;
    assert_eq!(output["Output"], r#"{"answer":[42]}"#);
    let fired = create(sfn, "fired", &parent("startExecution")).await;
    let (_, output) = end_of(sfn, &start(sfn, &fired, "yes", &json!({ "ok": true })).await).await;
    assert!(output["ExecutionArn"].as_str().unwrap().contains(":execution:child:"), "{output}");

    let (status, said) = end_of(sfn, &start(sfn, &values, "no", &json!({ "ok": false })).await).await;
    assert_eq!((status, &said["error"]), (ExecutionStatus::Failed, &json!("States.TaskFailed")));
    let cause: Value = serde_json::from_str(said["cause"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&cause["Error"], &cause["Cause"], &cause["Status"]),
        (&json!("Child"), &json!("said no"), &json!("FAILED"))
    );

    let slow = create(sfn, "slow", &waits_for_ever()).await;
    let waiting = create(
        sfn,
        "waiting",
        &json!({ "StartAt": "Child", "States": { "Child": {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Parameters": { "StateMachineArn": slow, "Name": "only" },
            "End": true
        }}}),
    )
    .await;
    let execution = start(sfn, &waiting, "e", &json!({})).await;
    let child = eventually(async || {
        let listed = sfn.list_executions().state_machine_arn(&slow).send().await.expect("a list");
        listed.executions().first().map(|child| child.execution_arn().to_owned())
    })
    .await;
    sfn.stop_execution().execution_arn(&execution).send().await.unwrap();
    let (status, said) = end_of(sfn, &child).await;
    assert_eq!(status, ExecutionStatus::Aborted);
    assert!(said["cause"].as_str().unwrap().contains(&execution), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_are_tasks_and_their_errors_can_be_caught() {
    let world = World::new().await;
    let sfn = &world.lake.sfn;
    let machine = create(
        sfn,
        "caught",
        &json!({
            "StartAt": "Look",
            "States": {
                "Look": {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::lambda:invoke",
                    "Parameters": { "FunctionName": local_aws::function_arn("poll-step"), "Payload.$": "$" },
                    "Catch": [{ "ErrorEquals": ["InvalidInput"], "ResultPath": "$.caught", "Next": "Caught" }],
                    "End": true
                },
                "Caught": { "Type": "Pass", "End": true }
            }
        }),
    )
    .await;
    let (status, output) = end_of(sfn, &start(sfn, &machine, "e", &json!({ "step": 1 })).await).await;
    assert_eq!((status, &output["caught"]["Error"]), (ExecutionStatus::Succeeded, &json!("InvalidInput")));
    let cause: Value = serde_json::from_str(output["caught"]["Cause"].as_str().unwrap()).unwrap();
    assert_eq!(cause["errorType"], "InvalidInput");
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_are_created_changed_and_deleted() {
    let world = World::new().await;
    let sfn = &world.lake.sfn;
    let listed = sfn.list_state_machines().send().await.unwrap();
    let names: Vec<&str> = listed.state_machines().iter().map(|machine| machine.name()).collect();
    assert_eq!(names, ["athena_update", "backfill", "create_datalake", "upload_raw_data"]);
    let ours = sfn
        .describe_state_machine()
        .state_machine_arn(local_aws::state_machine_arn("create_datalake"))
        .send()
        .await
        .unwrap();
    assert!(ours.definition().contains(&local_aws::function_arn("validate-partitions")));

    let machine = create(sfn, "mine", &waits_for_ever()).await;
    assert_eq!(create(sfn, "mine", &waits_for_ever()).await, machine, "the same again is the same");
    let other = json!({ "StartAt": "A", "States": { "A": { "Type": "Succeed" } } }).to_string();
    let taken = sfn
        .create_state_machine()
        .name("mine")
        .definition(&other)
        .role_arn("arn:aws:iam::000000000000:role/x")
        .send()
        .await;
    assert_eq!(code(taken), "StateMachineAlreadyExists");
    sfn.update_state_machine().state_machine_arn(&machine).definition(&other).send().await.unwrap();
    let execution = start(sfn, &machine, "e", &json!(7)).await;
    assert_eq!(end_of(sfn, &execution).await, (ExecutionStatus::Succeeded, json!(7)));
    let wrong = sfn
        .update_state_machine()
        .state_machine_arn(&machine)
        .definition(r#"{"StartAt": "A", "States": {}}"#)
        .send()
        .await;
    assert_eq!(code(wrong), "InvalidDefinition");
    let checked =
        sfn.validate_state_machine_definition().definition(r#"{"StartAt": "A", "States": {}}"#).send().await.unwrap();
    assert_eq!((checked.result().as_str(), checked.diagnostics().is_empty()), ("FAIL", false));
    sfn.delete_state_machine().state_machine_arn(&machine).send().await.unwrap();
    assert_eq!(code(sfn.describe_state_machine().state_machine_arn(&machine).send().await), "StateMachineDoesNotExist");
    sfn.describe_execution().execution_arn(&execution).send().await.expect("executions outlive their machine");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_ends_with_its_process_and_says_so() {
    let world = World::new().await;
    let machine = create(&world.lake.sfn, "waits", &waits_for_ever()).await;
    let execution = start(&world.lake.sfn, &machine, "e", &json!({})).await;
    let world = world.restarted().await;
    let (status, said) = end_of(&world.lake.sfn, &execution).await;
    assert_eq!(status, ExecutionStatus::Aborted);
    assert!(said["cause"].as_str().unwrap().contains("start the workflow again"), "{said}");
    let history = world.lake.sfn.get_execution_history().execution_arn(&execution).send().await.unwrap();
    assert_eq!(history.events().last().unwrap().r#type(), &HistoryEventType::ExecutionAborted);
}

/// A state machine that loops through two states, this many times.
fn counts_to(last: u32) -> Value {
    json!({
        "StartAt": "Count",
        "States": {
            "Count": { "Type": "Pass", "Parameters": { "n.$": "States.MathAdd($.n, 1)" }, "Next": "Enough?" },
            "Enough?": {
                "Type": "Choice",
                "Choices": [{ "Variable": "$.n", "NumericGreaterThanEquals": last, "Next": "Yes" }],
                "Default": "Count"
            },
            "Yes": { "Type": "Succeed" }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_grows_is_read_without_gaps_or_repeats() {
    let world = World::new().await;
    let sfn = &world.lake.sfn;
    let machine = create(sfn, "counts", &counts_to(400)).await;
    let execution = start(sfn, &machine, "e", &json!({ "n": 0 })).await;
    // Repeatedly until it has ended, from the newest event to the first, by pages of seven.
    loop {
        let get = sfn.get_execution_history().execution_arn(&execution).reverse_order(true).max_results(7);
        let mut pages = get.into_paginator().items().send();
        let (mut ids, mut over) = (Vec::new(), false);
        while let Some(event) = pages.next().await {
            let event = event.expect("an event");
            over |= event.r#type == HistoryEventType::ExecutionSucceeded;
            ids.push(event.id);
        }
        let newest = ids.first().copied().unwrap_or_default();
        assert_eq!(ids, (1..=newest).rev().collect::<Vec<_>>());
        if over {
            break;
        }
    }
    // The last event and the status are visible together.
    let described = sfn.describe_execution().execution_arn(&execution).send().await.unwrap();
    assert_eq!((described.status, described.output.as_deref()), (ExecutionStatus::Succeeded, Some(r#"{"n":400}"#)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sees_the_last_event_sees_the_end() {
    let world = World::new().await;
    let sfn = &world.lake.sfn;
    let machine = create(sfn, "counts", &counts_to(3)).await;
    for number in 0..60 {
        let execution = start(sfn, &machine, &format!("e{number}"), &json!({ "n": 0 })).await;
        eventually(async || {
            let get = sfn.get_execution_history().execution_arn(&execution).reverse_order(true).max_results(1);
            let newest = get.send().await.expect("a history");
            let newest = newest.events().first().map(|event| event.r#type.clone());
            (newest == Some(HistoryEventType::ExecutionSucceeded)).then_some(())
        })
        .await;
        let described = sfn.describe_execution().execution_arn(&execution).send().await.unwrap();
        assert_eq!((described.status, described.output.as_deref()), (ExecutionStatus::Succeeded, Some(r#"{"n":3}"#)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_goes_on_behind_what_it_gave() {
    let world = World::new().await;
    let sfn = &world.lake.sfn;
    let machine = create(sfn, "counts", &counts_to(1)).await;
    for name in ["a", "b", "c", "d", "e"] {
        start(sfn, &machine, name, &json!({ "n": 0 })).await;
    }
    // Newest first. An execution is added before each page.
    let (mut names, mut token) = (Vec::new(), None);
    for late in ["f", "g", "h", "i"] {
        start(sfn, &machine, late, &json!({ "n": 0 })).await;
        let list = sfn.list_executions().state_machine_arn(&machine).max_results(2).set_next_token(token);
        let page = list.send().await.expect("a page");
        names.extend(page.executions.into_iter().map(|execution| execution.name));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(names, ["f", "e", "d", "c", "b", "a"]);

    // By name. One is deleted before the second page.
    let page = sfn.list_state_machines().max_results(3).send().await.expect("a page");
    let names: Vec<&str> = page.state_machines().iter().map(|machine| machine.name()).collect();
    assert_eq!(names, ["athena_update", "backfill", "counts"]);
    sfn.delete_state_machine().state_machine_arn(&machine).send().await.expect("it is deleted");
    let next = sfn.list_state_machines().max_results(3).set_next_token(page.next_token).send().await.expect("a page");
    let names: Vec<&str> = next.state_machines().iter().map(|machine| machine.name()).collect();
    assert_eq!((names, next.next_token()), (vec!["create_datalake", "upload_raw_data"], None));
    let wrong = sfn.list_state_machines().next_token("row-2").send().await;
    assert_eq!(code(wrong), "InvalidToken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_with_a_large_input_keeps_it_once() {
    let world = World::new().await;
    let sfn = &world.lake.sfn;
    let wraps = json!({
        "StartAt": "Pass",
        "States": { "Pass": { "Type": "Pass", "Next": "Again?" }, "Again?": {
            "Type": "Choice",
            "Choices": [{ "Variable": "$.never", "IsPresent": true, "Next": "Done" }],
            "Default": "Pass"
        }, "Done": { "Type": "Succeed" } }
    });
    let machine = create(sfn, "for_ever", &wraps).await;
    let input = json!({ "large": "x".repeat(250_000) });
    let execution = start(sfn, &machine, "one", &input).await;
    let (status, said) = end_of(sfn, &execution).await;
    assert_eq!(status, ExecutionStatus::Failed);
    assert!(said["cause"].as_str().unwrap().contains("maximum number of history events (25000)"), "{said}");
    let events = sfn.get_execution_history().execution_arn(&execution).max_results(20).send().await.unwrap().events;
    let entered = events[1].state_entered_event_details.as_ref().unwrap();
    assert_eq!(entered.input.as_deref(), Some(input.to_string().as_str()));
    let bytes: u64 = ["state.db", "state.db-wal"]
        .into_iter()
        .filter_map(|name| std::fs::metadata(world.home().join(name)).ok())
        .map(|file| file.len())
        .sum();
    assert!(bytes < 50 << 20, "{bytes} bytes of state for 25,000 events");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_starts_itself_comes_to_an_end() {
    let world = World::new().await;
    let sfn = &world.lake.sfn;
    let itself = "arn:aws:states:us-east-1:000000000000:stateMachine:itself";
    let definition = json!({
        "StartAt": "Start",
        "States": { "Start": {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Parameters": { "StateMachineArn": itself },
            "End": true
        } }
    });
    let machine = create(sfn, "itself", &definition).await;
    assert_eq!(machine, itself);
    let (status, said) = end_of(sfn, &start(sfn, &machine, "one", &json!({})).await).await;
    assert_eq!((status, said["error"].as_str()), (ExecutionStatus::Failed, Some("States.TaskFailed")));
    assert!(said["cause"].as_str().unwrap().chars().count() <= 32_768);
    let mut all = Vec::new();
    let mut token = None;
    loop {
        let list = sfn.list_executions().state_machine_arn(&machine).max_results(1000).set_next_token(token);
        let page = list.send().await.expect("a page of executions");
        all.extend(page.executions);
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), 1001, "the first one and a thousand below it");
    let last = sfn.describe_execution().execution_arn(&all[0].execution_arn).send().await.expect("a description");
    assert_eq!(last.error.as_deref(), Some("StepFunctions.ExecutionLimitExceededException"));
}

/// Returns the types of the events of an execution.
async fn types(sfn: &Client, execution: &str) -> Vec<String> {
    let history = sfn.get_execution_history().execution_arn(execution).send().await.expect("a history");
    history.events().iter().map(|event| event.r#type().as_str().to_owned()).collect()
}

/// <https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html>
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_execution_is_redriven_from_the_state_that_failed() {
    let world = World::failing("service=lambda&key=ingest&n=1:deny").await;
    let sfn = &world.lake.sfn;
    let input = json!({ "from": "2020-04-01", "to": "2020-04-01" });
    let invoke = json!({ "FunctionName": function_arn("ingest"), "Payload.$": "$.days" });
    let machine = create(
        sfn,
        "redriven",
        &json!({
            "StartAt": "Prepare",
            "States": {
                "Prepare": { "Type": "Pass", "Parameters": { "days.$": "$" }, "Next": "Ingest" },
                "Ingest": {
                    "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": invoke,
                    "ResultSelector": { "redrives.$": "$$.Execution.RedriveCount" }, "End": true,
                },
            },
        }),
    )
    .await;
    let execution = start(sfn, &machine, "one", &input).await;
    assert_eq!(end_of(sfn, &execution).await.0, ExecutionStatus::Failed);
    let before = types(sfn, &execution).await.len();
    let redriven = sfn.redrive_execution().execution_arn(&execution).send().await.expect("it is redriven");
    assert_eq!(end_of(sfn, &execution).await, (ExecutionStatus::Succeeded, json!({ "redrives": 1 })));
    let described = sfn.describe_execution().execution_arn(&execution).send().await.expect("a description");
    assert_eq!((described.redrive_count, described.redrive_date), (Some(1), Some(redriven.redrive_date)));
    assert_eq!((described.error, described.cause), (None, None));
    assert_eq!(
        types(sfn, &execution).await[before..],
        ["ExecutionRedriven", "TaskScheduled", "TaskStarted", "TaskSucceeded", "TaskStateExited", "ExecutionSucceeded"]
    );
    let again = sfn.redrive_execution().execution_arn(&execution).send().await;
    assert_eq!(code(again), "ExecutionNotRedrivable", "it has succeeded");
    let listed = sfn.list_executions().state_machine_arn(&machine).send().await.expect("a listing");
    assert_eq!(listed.executions()[0].redrive_count, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_execution_is_redriven_as_often_as_it_is_aborted() {
    let world = World::new().await;
    let sfn = &world.lake.sfn;
    let machine = create(sfn, "waits", &waits_for_ever()).await;
    let execution = start(sfn, &machine, "e", &json!({})).await;
    assert_eq!(code(sfn.redrive_execution().execution_arn(&execution).send().await), "ExecutionNotRedrivable");
    for redrives in 0..3 {
        if redrives > 0 {
            sfn.redrive_execution().execution_arn(&execution).send().await.expect("it is redriven");
            let described = sfn.describe_execution().execution_arn(&execution).send().await.expect("a description");
            assert_eq!((described.status, described.redrive_count), (ExecutionStatus::Running, Some(redrives)));
            assert_eq!(described.stop_date, None);
        }
        sfn.stop_execution().execution_arn(&execution).send().await.expect("it is stopped");
        assert_eq!(end_of(sfn, &execution).await.0, ExecutionStatus::Aborted);
    }
    assert_eq!(
        types(sfn, &execution).await,
        [
            "ExecutionStarted",
            "WaitStateEntered",
            "ExecutionAborted",
            "ExecutionRedriven",
            "ExecutionAborted",
            "ExecutionRedriven",
            "ExecutionAborted",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_failed_in_a_map_is_not_redriven() {
    let world = World::new().await;
    let sfn = &world.lake.sfn;
    let fails = json!({ "StartAt": "Fails", "States": { "Fails": { "Type": "Fail", "Error": "E" } } });
    let map = json!({ "Type": "Map", "ItemsPath": "$.items", "ItemProcessor": fails, "End": true });
    let machine = create(sfn, "maps", &json!({ "StartAt": "Map", "States": { "Map": map } })).await;
    let execution = start(sfn, &machine, "e", &json!({ "items": [1, 2] })).await;
    assert_eq!(end_of(sfn, &execution).await.0, ExecutionStatus::Failed);
    assert_eq!(code(sfn.redrive_execution().execution_arn(&execution).send().await), "ExecutionNotRedrivable");
    assert_eq!(end_of(sfn, &execution).await.0, ExecutionStatus::Failed, "and it stays as it was");
}
