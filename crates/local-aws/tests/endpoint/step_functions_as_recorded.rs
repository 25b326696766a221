//! Step Functions: answers and messages as recorded on AWS, or as its API reference has them. Requests are raw, because SDKs
//! check some of these constraints themselves.

use serde_json::{Value, json};

use crate::World;
use crate::protocols;

pub(crate) const ROLE: &str = "arn:aws:iam::000000000000:role/x";

/// Calls an operation.
fn call(world: &World, operation: &str, input: &Value) -> (u16, Value) {
    protocols::call(world, &format!("AWSStepFunctions.{operation}"), input)
}

/// Calls an operation that succeeds.
pub(crate) fn ok(world: &World, operation: &str, input: &Value) -> Value {
    let (status, output) = call(world, operation, input);
    assert_eq!(status, 200, "{operation} of {input}: {output}");
    output
}

/// Checks that an operation is refused with this code and message.
pub(crate) fn refused(world: &World, operation: &str, input: &Value, code: &str, message: &str) {
    let (status, output) = call(world, operation, input);
    assert_eq!((status, output["__type"].as_str()), (400, Some(code)), "{operation} of {input}: {output}");
    assert_eq!(output["message"], message, "{operation} of {input}");
}

/// The message of a constraint of the API model.
fn constraint(value: &str, member: &str, must: &str) -> String {
    format!("1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: Member must {must}")
}

pub(crate) fn only(state: Value) -> String {
    json!({ "StartAt": "S", "States": { "S": state } }).to_string()
}

pub(crate) fn pass() -> String {
    only(json!({ "Type": "Pass", "End": true }))
}

pub(crate) fn create(world: &World, name: &str, definition: &str) -> String {
    let input = json!({ "name": name, "definition": definition, "roleArn": ROLE });
    ok(world, "CreateStateMachine", &input)["stateMachineArn"].as_str().unwrap().to_owned()
}

/// Runs a machine to its end, and returns the description.
pub(crate) async fn ended(world: &World, machine: &str, input: &Value) -> Value {
    let start = json!({ "stateMachineArn": machine, "input": input.to_string() });
    let execution = ok(world, "StartExecution", &start)["executionArn"].clone();
    crate::eventually(async || {
        let described = ok(world, "DescribeExecution", &json!({ "executionArn": execution }));
        (described["status"] != "RUNNING").then_some(described)
    })
    .await
}

fn output(described: &Value) -> Value {
    serde_json::from_str(described["output"].as_str().unwrap_or_else(|| panic!("{described}"))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_model_is_refused_before_it_is_read() {
    let world = World::new().await;
    let machine = local_aws::state_machine_arn("upload_raw_data");
    let execution = "arn:aws:states:us-east-1:000000000000:execution:m:e";
    let at_most = |length: usize| format!("have length less than or equal to {length}");
    let long = |length: usize| "x".repeat(length);
    let cases = [
        (
            "ListStateMachines",
            json!({ "maxResults": 1001 }),
            "'1001'".to_owned(),
            "maxResults",
            "have value less than or equal to 1000".to_owned(),
        ),
        (
            "ListStateMachines",
            json!({ "maxResults": -1 }),
            "'-1'".to_owned(),
            "maxResults",
            "have value greater than or equal to 0".to_owned(),
        ),
        (
            "ListStateMachines",
            json!({ "nextToken": long(1025) }),
            format!("'{}'", long(1025)),
            "nextToken",
            at_most(1024),
        ),
        (
            "ListStateMachines",
            json!({ "nextToken": "" }),
            "''".to_owned(),
            "nextToken",
            "have length greater than or equal to 1".to_owned(),
        ),
        (
            "ListExecutions",
            json!({ "stateMachineArn": machine, "maxResults": 1001 }),
            "'1001'".to_owned(),
            "maxResults",
            "have value less than or equal to 1000".to_owned(),
        ),
        (
            "ListExecutions",
            json!({ "stateMachineArn": machine, "nextToken": long(3097) }),
            format!("'{}'", long(3097)),
            "nextToken",
            at_most(3096),
        ),
        (
            "ListExecutions",
            json!({ "stateMachineArn": machine, "statusFilter": "succeeded" }),
            "'succeeded'".to_owned(),
            "statusFilter",
            "satisfy enum value set: [SUCCEEDED, TIMED_OUT, PENDING_REDRIVE, ABORTED, FAILED, RUNNING]".to_owned(),
        ),
        (
            "GetExecutionHistory",
            json!({ "executionArn": execution, "maxResults": 1001 }),
            "'1001'".to_owned(),
            "maxResults",
            "have value less than or equal to 1000".to_owned(),
        ),
        (
            "GetExecutionHistory",
            json!({ "executionArn": execution, "nextToken": long(1025) }),
            format!("'{}'", long(1025)),
            "nextToken",
            at_most(1024),
        ),
        (
            "StopExecution",
            json!({ "executionArn": execution, "error": long(257) }),
            format!("'{}'", long(257)),
            "error",
            at_most(256),
        ),
        (
            "StopExecution",
            json!({ "executionArn": execution, "cause": long(32_769) }),
            format!("'{}'", long(32_769)),
            "cause",
            at_most(32_768),
        ),
        (
            "DescribeExecution",
            json!({ "executionArn": execution, "includedData": "NONSENSE" }),
            "'NONSENSE'".to_owned(),
            "includedData",
            "satisfy enum value set: [METADATA_ONLY, ALL_DATA]".to_owned(),
        ),
        ("DescribeStateMachine", json!({}), "null".to_owned(), "stateMachineArn", "not be null".to_owned()),
        (
            "DescribeStateMachine",
            json!({ "stateMachineArn": long(257) }),
            format!("'{}'", long(257)),
            "stateMachineArn",
            at_most(256),
        ),
        (
            "StartExecution",
            json!({ "stateMachineArn": machine, "name": long(81) }),
            format!("'{}'", long(81)),
            "name",
            at_most(80),
        ),
        (
            "CreateStateMachine",
            json!({ "name": long(81), "definition": pass(), "roleArn": ROLE }),
            format!("'{}'", long(81)),
            "name",
            at_most(80),
        ),
        (
            "ValidateStateMachineDefinition",
            json!({ "definition": pass(), "maxResults": 101 }),
            "'101'".to_owned(),
            "maxResults",
            "have value less than or equal to 100".to_owned(),
        ),
        (
            "RedriveExecution",
            json!({ "executionArn": execution, "clientToken": long(65) }),
            format!("'{}'", long(65)),
            "clientToken",
            at_most(64),
        ),
    ];
    for (operation, input, value, member, must) in cases {
        refused(&world, operation, &input, "ValidationException", &constraint(&value, member, &must));
    }
    let (_, both) = call(&world, "TagResource", &json!({}));
    assert!(both["message"].as_str().unwrap().starts_with("2 validation errors detected: "), "{both}");
    for (input, code) in [
        (json!({ "stateMachineArn": machine, "redriveFilter": "REDRIVEN" }), "ValidationException"),
        (json!({ "stateMachineArn": machine, "mapRunArn": "arn" }), "ValidationException"),
        (json!({ "mapRunArn": "arn" }), "ResourceNotFound"),
        (json!({}), "ValidationException"),
        (json!({ "stateMachineArn": machine, "nextToken": "nobody gave it" }), "InvalidToken"),
    ] {
        let (status, output) = call(&world, "ListExecutions", &input);
        assert_eq!((status, output["__type"].as_str()), (400, Some(code)), "{input}: {output}");
    }
    // Zero is the default.
    assert_eq!(
        ok(&world, "ListStateMachines", &json!({ "maxResults": 0 }))["stateMachines"].as_array().unwrap().len(),
        4
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn arns_and_inputs_that_are_none_are_named() {
    let world = World::new().await;
    let machine = create(&world, "m", &pass());
    let execution = machine.replace("stateMachine", "execution") + ":e";
    for (operation, member) in [
        ("DescribeStateMachine", "stateMachineArn"),
        ("ListExecutions", "stateMachineArn"),
        ("StartExecution", "stateMachineArn"),
        ("DescribeExecution", "executionArn"),
        ("GetExecutionHistory", "executionArn"),
        ("ListTagsForResource", "resourceArn"),
    ] {
        let message = "Invalid Arn: 'Invalid ARN prefix: nonsense'";
        refused(&world, operation, &json!({ member: "nonsense" }), "InvalidArn", message);
    }
    let wrong = |found: &str| format!("Invalid Arn: 'Resource type not valid in this context: {found}'");
    refused(&world, "StartExecution", &json!({ "stateMachineArn": execution }), "InvalidArn", &wrong("execution"));
    refused(&world, "DescribeExecution", &json!({ "executionArn": machine }), "InvalidArn", &wrong("stateMachine"));
    for version in [format!("{machine}:1"), format!("{machine}x")] {
        let message = format!("State Machine Does Not Exist: '{version}'");
        refused(
            &world,
            "DescribeStateMachine",
            &json!({ "stateMachineArn": version }),
            "StateMachineDoesNotExist",
            &message,
        );
        let message = format!("Resource not found: '{version}'");
        refused(&world, "ListTagsForResource", &json!({ "resourceArn": version }), "ResourceNotFound", &message);
    }
    for (text, reason) in [
        (
            "not some json",
            "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
        ),
        ("{'a': 1}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name"),
        ("", "Invalid execution input."),
    ] {
        let input = json!({ "stateMachineArn": machine, "input": text });
        let message = format!("Invalid State Machine Execution Input: '{reason}'");
        refused(&world, "StartExecution", &input, "InvalidExecutionInput", &message);
    }
    let role = json!({ "name": "r", "definition": pass(), "roleArn": "role" });
    refused(&world, "CreateStateMachine", &role, "InvalidArn", "Invalid Role Arn: 'role'");
    let role = json!({ "stateMachineArn": machine, "roleArn": "role" });
    refused(&world, "UpdateStateMachine", &role, "InvalidArn", "Invalid Role Arn: 'role'");
    let message = "This operation is not supported by this type of state machine";
    refused(
        &world,
        "StartSyncExecution",
        &json!({ "stateMachineArn": machine }),
        "StateMachineTypeNotSupported",
        message,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_has_a_revision_once_it_is_updated() {
    let world = World::new().await;
    let machine = create(&world, "m", &pass());
    let described = || ok(&world, "DescribeStateMachine", &json!({ "stateMachineArn": machine }));
    assert_eq!(described().get("revisionId"), None);
    let message =
        "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must be specified";
    refused(&world, "UpdateStateMachine", &json!({ "stateMachineArn": machine }), "MissingRequiredParameter", message);
    let succeed = only(json!({ "Type": "Succeed" }));
    let update = json!({ "stateMachineArn": machine, "definition": succeed });
    let first = ok(&world, "UpdateStateMachine", &update)["revisionId"].clone();
    assert!(first.is_string() && described()["revisionId"] == first, "{first}");
    // The same parameters are the same revision.
    assert_eq!(ok(&world, "UpdateStateMachine", &update)["revisionId"], first);
    let update = json!({ "stateMachineArn": machine, "roleArn": "arn:aws:iam::000000000000:role/y" });
    assert_ne!(ok(&world, "UpdateStateMachine", &update)["revisionId"], first);
    let only_description = json!({ "name": "d", "definition": pass(), "roleArn": ROLE, "versionDescription": "first" });
    let message = "Version description can only be set when publish is true";
    refused(&world, "CreateStateMachine", &only_description, "ValidationException", message);
    assert_eq!(
        ok(&world, "DescribeStateMachine", &json!({ "stateMachineArn": machine, "includedData": "METADATA_ONLY" }))["definition"],
        "{}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_tracing_and_tags_are_kept() {
    let world = World::new().await;
    let group =
        json!({ "cloudWatchLogsLogGroup": { "logGroupArn": "arn:aws:logs:us-east-1:000000000000:log-group:g:*" } });
    let logging = json!({ "level": "ALL", "includeExecutionData": true, "destinations": [group] });
    let tags = json!([{ "key": "team", "value": "data" }, { "key": "stage", "value": "" }]);
    let new = json!({
        "name": "kept", "definition": pass(), "roleArn": ROLE,
        "loggingConfiguration": logging, "tracingConfiguration": { "enabled": true }, "tags": tags,
    });
    let machine = ok(&world, "CreateStateMachine", &new)["stateMachineArn"].clone();
    let described = ok(&world, "DescribeStateMachine", &json!({ "stateMachineArn": machine }));
    assert_eq!(
        (&described["loggingConfiguration"], &described["tracingConfiguration"]),
        (&logging, &json!({ "enabled": true }))
    );
    let listed = |world: &World| ok(world, "ListTagsForResource", &json!({ "resourceArn": machine }))["tags"].clone();
    assert_eq!(listed(&world), tags);
    // The same again, with another role and other tags, is the same machine.
    let mut again = new.clone();
    again["tags"] = json!([{ "key": "other", "value": "x" }]);
    again["roleArn"] = "arn:aws:iam::000000000000:role/y".into();
    assert_eq!(ok(&world, "CreateStateMachine", &again)["stateMachineArn"], machine);
    assert_eq!(listed(&world), tags);
    again["tracingConfiguration"] = json!({ "enabled": false });
    let message = format!("State Machine Already Exists: '{}'", machine.as_str().unwrap());
    refused(&world, "CreateStateMachine", &again, "StateMachineAlreadyExists", &message);

    let execution = ended(&world, machine.as_str().unwrap(), &json!({})).await["executionArn"].clone();
    let of_execution = ok(&world, "DescribeStateMachineForExecution", &json!({ "executionArn": execution }));
    assert_eq!(of_execution["tracingConfiguration"], json!({ "enabled": true }));

    ok(
        &world,
        "TagResource",
        &json!({ "resourceArn": machine, "tags": [{ "key": "team", "value": "lake" }, { "key": "x", "value": "y" }] }),
    );
    ok(&world, "UntagResource", &json!({ "resourceArn": machine, "tagKeys": ["stage", "none"] }));
    ok(
        &world,
        "UpdateStateMachine",
        &json!({ "stateMachineArn": machine, "loggingConfiguration": { "level": "OFF" } }),
    );
    let world = world.restarted().await;
    assert_eq!(listed(&world), json!([{ "key": "team", "value": "lake" }, { "key": "x", "value": "y" }]));
    let described = ok(&world, "DescribeStateMachine", &json!({ "stateMachineArn": machine }));
    assert_eq!(described["loggingConfiguration"], json!({ "level": "OFF", "includeExecutionData": false }));
    assert_eq!(described["tracingConfiguration"], json!({ "enabled": true }));

    for logging in [
        json!({ "level": "ALL" }),
        json!({ "level": "ERROR", "destinations": [] }),
        json!({ "destinations": [group, group] }),
    ] {
        let new = json!({ "name": "n", "definition": pass(), "roleArn": ROLE, "loggingConfiguration": logging });
        let message = "Invalid Logging Configuration: Must specify exactly one Log Destination.";
        refused(&world, "CreateStateMachine", &new, "InvalidLoggingConfiguration", message);
    }
    let tags: Vec<Value> = (0..51).map(|number| json!({ "key": number.to_string(), "value": "" })).collect();
    let (_, answer) = call(&world, "TagResource", &json!({ "resourceArn": machine, "tags": tags }));
    assert_eq!(answer["__type"], "TooManyTags");
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_are_diagnosed_as_on_aws() {
    let world = World::new().await;
    let task = |resource: &str| only(json!({ "Type": "Task", "Resource": resource, "End": true }));
    let source = |text: &str, column: u32| format!("[Source: (String)\"{text}\"; line: 1, column: {column}]");
    let no_json = format!(
        "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at {}",
        source("not a definition", 4)
    );
    let unknown = "The resource provided arn:aws:states:::dynamodb:query is not recognized. The value is not a valid resource ARN, or \
        the resource is not available in this region.";
    let in_branch = json!({
        "Type": "Parallel", "End": true,
        "Branches": [serde_json::from_str::<Value>(&task("arn:aws:states:::dynamodb:query").replace("\"S\"", "\"B\"")).unwrap()],
    });
    let template = json!({ "Type": "Pass", "Parameters": { "r.$": "States.Nope(" }, "End": true });
    let no_template = "The value for the field 'r.$' must be a valid JSONPath or a valid intrinsic function call";
    let cases: [(String, &str, &str, Option<String>); 12] = [
        ("not a definition".to_owned(), "INVALID_JSON_DESCRIPTION", &no_json, Some(source("not a definition", 4))),
        (" ".to_owned(), "SCHEMA_VALIDATION_FAILED", "Definition must be a valid JSON object", None),
        ("[]".to_owned(), "SCHEMA_VALIDATION_FAILED", "Definition must be a valid JSON object", None),
        (
            "{}".to_owned(),
            "SCHEMA_VALIDATION_FAILED",
            "These fields are required: [States, StartAt]",
            Some("/".to_owned()),
        ),
        (
            only(json!({ "Type": "Pass", "Next": "Gone" })),
            "MISSING_TRANSITION_TARGET",
            "Missing 'Next' target: Gone",
            Some("/States/S/Next".to_owned()),
        ),
        (
            task("arn:aws:states:::dynamodb:query"),
            "SCHEMA_VALIDATION_FAILED",
            unknown,
            Some("/States/S/Resource".to_owned()),
        ),
        (
            only(in_branch),
            "SCHEMA_VALIDATION_FAILED",
            unknown,
            Some("/States/S/Branches[0]/States/B/Resource".to_owned()),
        ),
        (
            task("arn:aws:states:::aws-sdk:s3:getObject"),
            "SCHEMA_VALIDATION_FAILED",
            "The resource arn:aws:states:::aws-sdk:s3:getObject is not supported by this endpoint",
            Some("/States/S/Resource".to_owned()),
        ),
        (
            only(json!({ "Type": "Wait", "Timestamp": "tomorrow", "End": true })),
            "SCHEMA_VALIDATION_FAILED",
            "String does not match RFC3339 timestamp",
            Some("/States/S/Timestamp".to_owned()),
        ),
        (only(template), "SCHEMA_VALIDATION_FAILED", no_template, Some("/States/S/Parameters".to_owned())),
        (
            only(json!({ "Type": "Pass", "OutputPath": "x", "End": true })),
            "SCHEMA_VALIDATION_FAILED",
            "Value must be a valid JSONPath.",
            Some("/States/S/OutputPath".to_owned()),
        ),
        (
            only(
                json!({ "Type": "Choice", "Choices": [{ "Variable": "$", "IsPresent": true, "Assign": { "states": 1 }, "Next": "S" }] }),
            ),
            "SCHEMA_VALIDATION_FAILED",
            "The name 'states' is reserved",
            Some("/States/S/Choices[0]/Assign/states".to_owned()),
        ),
    ];
    for (definition, code, message, location) in cases {
        let answer = ok(&world, "ValidateStateMachineDefinition", &json!({ "definition": definition }));
        assert_eq!((&answer["result"], &answer["truncated"]), (&json!("FAIL"), &json!(false)), "{definition}");
        let found = &answer["diagnostics"][0];
        assert_eq!((found["severity"].as_str(), found["code"].as_str()), (Some("ERROR"), Some(code)), "{definition}");
        assert!(found["message"].as_str().unwrap().starts_with(message), "{definition}: {found}");
        assert_eq!(found.get("location").and_then(Value::as_str), location.as_deref(), "{definition}");

        let new = json!({ "name": "d", "definition": definition, "roleArn": ROLE });
        let (status, refusal) = call(&world, "CreateStateMachine", &new);
        assert_eq!((status, refusal["__type"].as_str()), (400, Some("InvalidDefinition")), "{definition}: {refusal}");
        let start = format!("Invalid State Machine Definition: '{code}: {message}");
        assert!(refusal["message"].as_str().unwrap().starts_with(&start), "{definition}: {refusal}");
    }
    for kind in ["STANDARD", "EXPRESS"] {
        let answer = ok(&world, "ValidateStateMachineDefinition", &json!({ "definition": pass(), "type": kind }));
        assert_eq!(answer, json!({ "result": "OK", "diagnostics": [], "truncated": false }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_answer_with_what_the_sdk_says_of_the_call() {
    let world = World::new().await;
    let child = create(&world, "child", &pass());
    let run = |resource: &str, parameters: Value| {
        only(
            json!({ "Type": "Task", "Resource": format!("arn:aws:states:::{resource}"), "Parameters": parameters, "End": true }),
        )
    };
    // An input of null is an empty object.
    let parameters = json!({ "StateMachineArn": child, "Input.$": "$.none" });
    let values = create(&world, "values", &run("states:startExecution.sync:2", parameters.clone()));
    let execution = ended(&world, &values, &json!({ "none": null })).await;
    let result = output(&execution);
    assert_eq!((&result["Input"], &result["Output"], &result["Status"]), (&json!({}), &json!({}), &json!("SUCCEEDED")));
    assert_eq!((&result["RedriveCount"], &result["RedriveStatus"]), (&json!(0), &json!("NOT_REDRIVABLE")));
    let history = ok(&world, "GetExecutionHistory", &json!({ "executionArn": execution["executionArn"] }));
    let submitted =
        history["events"].as_array().unwrap().iter().find(|event| event["type"] == "TaskSubmitted").unwrap();
    let submitted: Value =
        serde_json::from_str(submitted["taskSubmittedEventDetails"]["output"].as_str().unwrap()).unwrap();
    let fired = create(&world, "fired", &run("states:startExecution", parameters));
    let started = output(&ended(&world, &fired, &json!({ "none": null })).await);
    let invoke = json!({ "FunctionName": "validate-partitions", "Payload": { "date": "2020-04-01" }, "InvocationType": "Event" });
    let event = output(&ended(&world, &create(&world, "event", &run("lambda:invoke", invoke)), &json!({})).await);
    for (result, status) in [(submitted, 200), (started, 200), (event, 202)] {
        assert_eq!(result["SdkHttpMetadata"]["HttpStatusCode"], status, "{result}");
        let request = &result["SdkResponseMetadata"]["RequestId"];
        assert!(
            request.is_string() && result["SdkHttpMetadata"]["HttpHeaders"]["x-amzn-RequestId"] == *request,
            "{result}"
        );
        assert_eq!(result["SdkHttpMetadata"]["AllHttpHeaders"]["x-amzn-RequestId"], json!([request]), "{result}");
    }

    let none = format!("{child}x");
    let missing = create(&world, "missing", &run("states:startExecution", json!({ "StateMachineArn": none })));
    let failed = ended(&world, &missing, &json!({})).await;
    assert_eq!(
        (&failed["error"], &failed["redriveStatus"]),
        (&json!("StepFunctions.StateMachineDoesNotExistException"), &json!("REDRIVABLE"))
    );
    let start = format!(
        "State Machine Does Not Exist: '{none}' (Service: AWSStepFunctions; Status Code: 400; Error Code: StateMachineDoesNotExist; Request ID: "
    );
    let cause = failed["cause"].as_str().unwrap();
    assert!(cause.starts_with(&start) && cause.ends_with("; Proxy: null)"), "{cause}");
    let missing = create(&world, "no_function", &run("lambda:invoke", json!({ "FunctionName": "nobody" })));
    let failed = ended(&world, &missing, &json!({})).await;
    assert_eq!(failed["error"], "Lambda.ResourceNotFoundException");
    let start = format!(
        "Function not found: {}:$LATEST (Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException; Request ID: ",
        local_aws::function_arn("nobody")
    );
    let cause = failed["cause"].as_str().unwrap();
    assert!(cause.starts_with(&start) && cause.ends_with("; Proxy: null)"), "{cause}");
}
