//! Variables of Step Functions: in descriptions, histories and redrives.

use aws_sdk_sfn::types::{ExecutionStatus, StateExitedEventDetails};
use local_aws::function_arn;
use serde_json::{Value, json};

use crate::step_functions::{create, end_of, start};
use crate::{World, code};

/// Returns the details of the exits of an execution's states, by their names.
async fn exit_of(world: &World, execution: &str, state: &str) -> StateExitedEventDetails {
    let history = world.lake.sfn.get_execution_history().execution_arn(execution).send().await.expect("a history");
    let mut exits = history.events().iter().filter_map(|event| event.state_exited_event_details());
    exits.rfind(|exit| exit.name() == state).expect("an exit").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn assigned_variables_are_in_the_history_and_their_readers_in_the_description() {
    let world = World::new().await;
    let sfn = &world.lake.sfn;
    let definition = json!({
        "StartAt": "First",
        "States": {
            "First": { "Type": "Pass", "Assign": { "day.$": "$.day", "fixed": { "n": 1 } }, "Result": {}, "Next": "Second" },
            "Second": { "Type": "Pass", "Parameters": { "day.$": "$day", "n.$": "States.MathAdd($fixed.n, 1)" }, "End": true },
        },
    });
    let machine = create(sfn, "variables", &json!({ "StartAt": "W", "States": { "W": { "Type": "Succeed" } } })).await;
    let described = sfn.describe_state_machine().state_machine_arn(&machine).send().await.expect("a description");
    assert_eq!(described.variable_references(), None);
    sfn.update_state_machine().state_machine_arn(&machine).definition(definition.to_string()).send().await.expect("ok");
    let described = sfn.describe_state_machine().state_machine_arn(&machine).send().await.expect("a description");
    let references = described.variable_references().expect("references");
    assert_eq!(
        references.iter().collect::<Vec<_>>(),
        [(&"Second".to_owned(), &vec!["day".to_owned(), "fixed".to_owned()])]
    );

    // `$` of a Pass state with a Result is the Result, so that there is no `$.day`.
    let execution = start(sfn, &machine, "failed", &json!({ "day": "2020-04-01" })).await;
    let (status, said) = end_of(sfn, &execution).await;
    assert_eq!((status, &said["error"]), (ExecutionStatus::Failed, &json!("States.Runtime")));

    let definition = definition.to_string().replace(r#""Result":{},"#, "");
    sfn.update_state_machine().state_machine_arn(&machine).definition(definition).send().await.expect("ok");
    let execution = start(sfn, &machine, "one", &json!({ "day": "2020-04-01" })).await;
    assert_eq!(end_of(sfn, &execution).await, (ExecutionStatus::Succeeded, json!({ "day": "2020-04-01", "n": 2 })));
    let exit = exit_of(&world, &execution, "First").await;
    let assigned = exit.assigned_variables().expect("variables");
    assert_eq!((assigned["day"].as_str(), assigned["fixed"].as_str()), ("\"2020-04-01\"", "{\"n\":1}"));
    assert!(!exit.assigned_variables_details().expect("details").truncated());
    assert_eq!(exit_of(&world, &execution, "Second").await.assigned_variables(), None);
    let of_execution = sfn.describe_state_machine_for_execution().execution_arn(&execution).send().await.expect("it");
    assert!(of_execution.variable_references().expect("references").contains_key("Second"));
    let history = sfn.get_execution_history().execution_arn(&execution).include_execution_data(false).send().await;
    let without = history.expect("a history");
    let mut exits = without.events().iter().filter_map(|event| event.state_exited_event_details());
    assert!(exits.all(|exit| exit.assigned_variables().is_none() && exit.output().is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_execution_has_the_variables_of_the_states_before() {
    let world = World::failing("service=lambda&key=ingest&n=1:deny").await;
    let sfn = &world.lake.sfn;
    let invoke = json!({ "FunctionName": function_arn("ingest"), "Payload.$": "$days" });
    let machine = create(
        sfn,
        "redriven",
        &json!({
            "StartAt": "A",
            "States": {
                "A": { "Type": "Pass", "Assign": { "days.$": "$", "from": 1 }, "Next": "B" },
                "B": { "Type": "Pass", "Assign": { "from": 2 }, "Result": {}, "Next": "Ingest" },
                "Ingest": {
                    "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": invoke,
                    "ResultSelector": { "from.$": "$from", "days.$": "$days.to" }, "End": true,
                },
            },
        }),
    )
    .await;
    let execution = start(sfn, &machine, "one", &json!({ "from": "2020-04-01", "to": "2020-04-01" })).await;
    assert_eq!(end_of(sfn, &execution).await.0, ExecutionStatus::Failed);
    sfn.redrive_execution().execution_arn(&execution).send().await.expect("it is redriven");
    let expected = json!({ "from": 2, "days": "2020-04-01" });
    assert_eq!(end_of(sfn, &execution).await, (ExecutionStatus::Succeeded, expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn assignments_that_cannot_be_are_refused_at_creation() {
    let world = World::new().await;
    let create = async |state: Value| {
        let definition = json!({ "StartAt": "S", "States": { "S": state } });
        let role = "arn:aws:iam::000000000000:role/x";
        let create = world.lake.sfn.create_state_machine().name("m").definition(definition.to_string()).role_arn(role);
        code(create.send().await)
    };
    let inner = json!({ "StartAt": "I", "States": { "I": { "Type": "Pass", "Assign": { "a": 1 }, "End": true } } });
    for state in [
        json!({ "Type": "Pass", "Assign": { "not a name": 1 }, "End": true }),
        json!({ "Type": "Pass", "Assign": { "states": 1 }, "End": true }),
        json!({ "Type": "Succeed", "Assign": { "a": 1 } }),
        json!({ "Type": "Map", "Assign": { "a.$": "$" }, "ItemProcessor": inner, "End": true }),
    ] {
        assert_eq!(create(state.clone()).await, "InvalidDefinition", "{state}");
    }
}
