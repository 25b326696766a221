//! Versions and aliases of state machines, as recorded on AWS.

use serde_json::{Value, json};

use crate::World;
use crate::step_functions_as_recorded::{ROLE, create, ended, ok, only, refused};

/// A machine whose output is `number`.
fn gives(number: u32) -> String {
    only(json!({ "Type": "Pass", "Result": number, "End": true }))
}

fn update(world: &World, machine: &str, definition: &str, more: Value) -> Value {
    let mut update = json!({ "stateMachineArn": machine, "definition": definition });
    update.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ok(world, "UpdateStateMachine", &update)
}

fn publish(world: &World, machine: &str) -> String {
    let answer = ok(world, "PublishStateMachineVersion", &json!({ "stateMachineArn": machine }));
    assert!(answer["creationDate"].is_number());
    answer["stateMachineVersionArn"].as_str().unwrap().to_owned()
}

/// Returns the values of a member of each item of a listing.
fn listed(world: &World, operation: &str, input: &Value, list: &str, member: &str) -> Vec<String> {
    let answer = ok(world, operation, input);
    answer[list].as_array().unwrap().iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

fn versions(world: &World, machine: &str) -> Vec<String> {
    let input = json!({ "stateMachineArn": machine });
    listed(world, "ListStateMachineVersions", &input, "stateMachineVersions", "stateMachineVersionArn")
}

fn routes(routes: &[(&str, u32)]) -> Value {
    routes.iter().map(|(arn, weight)| json!({ "stateMachineVersionArn": arn, "weight": weight })).collect()
}

/// Changes a machine, and returns the ARN of the version that the change publishes.
fn update_and_publish(world: &World, machine: &str, definition: &str) -> String {
    let updated = update(world, machine, definition, json!({ "publish": true }));
    updated["stateMachineVersionArn"].as_str().expect("an ARN").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_published_listed_and_deleted() {
    let world = World::new().await;
    let machine = create(&world, "m", &gives(0));
    assert!(versions(&world, &machine).is_empty());
    let first = publish(&world, &machine);
    assert_eq!(first, format!("{machine}:1"));
    assert_eq!(publish(&world, &machine), first, "the same revision is the same version");
    let updated = update(&world, &machine, &gives(1), json!({ "publish": true, "versionDescription": "second" }));
    let second = format!("{machine}:2");
    assert_eq!(updated["stateMachineVersionArn"], second);
    let revision = updated["revisionId"].clone();
    let again = update(&world, &machine, &gives(1), json!({ "publish": true }));
    assert_eq!((&again["stateMachineVersionArn"], &again["revisionId"]), (&json!(second), &revision));
    assert_eq!(versions(&world, &machine), [second.clone(), first.clone()], "newest first");

    let described = |arn: &str| ok(&world, "DescribeStateMachine", &json!({ "stateMachineArn": arn }));
    let (old, new) = (described(&first), described(&second));
    assert_eq!(
        (old["definition"].as_str().unwrap(), old.get("revisionId"), old.get("description")),
        (gives(0).as_str(), None, None)
    );
    assert_eq!((&old["stateMachineArn"], &old["name"], &old["status"]), (&json!(first), &json!("m"), &json!("ACTIVE")));
    assert_eq!((&new["revisionId"], &new["description"]), (&revision, &json!("second")));
    assert_eq!(described(&machine).get("description"), None);

    let stale = json!({ "stateMachineArn": machine, "revisionId": "other" });
    let current = revision.as_str().unwrap();
    let message = format!(
        "Failed to publish the State Machine version for revision other. The current State Machine revision is {current}."
    );
    refused(&world, "PublishStateMachineVersion", &stale, "ConflictException", &message);
    let message = format!("State Machine Does Not Exist: '{second}'");
    let of_version = json!({ "stateMachineArn": second, "definition": gives(3) });
    refused(&world, "UpdateStateMachine", &of_version, "StateMachineDoesNotExist", &message);
    refused(
        &world,
        "PublishStateMachineVersion",
        &json!({ "stateMachineArn": second }),
        "StateMachineDoesNotExist",
        &message,
    );

    for _ in 0..2 {
        assert_eq!(ok(&world, "DeleteStateMachineVersion", &json!({ "stateMachineVersionArn": second })), json!({}));
    }
    assert_eq!(versions(&world, &machine), std::slice::from_ref(&first));
    let gone = json!({ "stateMachineArn": second });
    refused(&world, "DescribeStateMachine", &gone, "StateMachineDoesNotExist", &message);
    refused(&world, "StartExecution", &gone, "StateMachineDoesNotExist", &message);
    assert_eq!(publish(&world, &machine), format!("{machine}:3"), "a number is not given twice");
    let page = ok(&world, "ListStateMachineVersions", &json!({ "stateMachineArn": machine, "maxResults": 1 }));
    let next = json!({ "stateMachineArn": machine, "nextToken": page["nextToken"] });
    assert_eq!(
        listed(&world, "ListStateMachineVersions", &next, "stateMachineVersions", "stateMachineVersionArn"),
        [first]
    );

    let qualified = json!({ "stateMachineArn": format!("{machine}:3") });
    let message = format!("'{machine}:3' is qualified: name the state machine alone");
    refused(&world, "DeleteStateMachine", &qualified, "ValidationException", &message);
    ok(&world, "DeleteStateMachine", &json!({ "stateMachineArn": machine }));
    create(&world, "m", &gives(0));
    assert_eq!(versions(&world, &machine), [""; 0], "versions end with their machine");
    assert_eq!(publish(&world, &machine), format!("{machine}:1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_created_with_its_first_version() {
    let world = World::new().await;
    let with = |more: Value| {
        let mut input = json!({ "name": "m", "definition": gives(1), "roleArn": ROLE });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let published = with(json!({ "publish": true, "versionDescription": "first" }));
    let created = ok(&world, "CreateStateMachine", &published);
    let machine = created["stateMachineArn"].as_str().unwrap();
    assert_eq!(created["stateMachineVersionArn"], format!("{machine}:1"));
    assert_eq!(ok(&world, "CreateStateMachine", &published), created);
    let described = ok(&world, "DescribeStateMachine", &json!({ "stateMachineArn": format!("{machine}:1") }));
    assert_eq!(described["description"], "first");
    let message = format!("State Machine Already Exists: '{machine}'");
    let other = with(json!({ "publish": true, "versionDescription": "other" }));
    refused(&world, "CreateStateMachine", &other, "StateMachineAlreadyExists", &message);
    let unpublished = json!({ "name": "u", "definition": gives(1), "roleArn": ROLE });
    let machine = ok(&world, "CreateStateMachine", &unpublished)["stateMachineArn"].clone();
    assert_eq!(ok(&world, "CreateStateMachine", &unpublished)["stateMachineArn"], machine);
    let mut later = unpublished;
    later["publish"] = true.into();
    let message = format!("State Machine Already Exists: '{}'", machine.as_str().unwrap());
    refused(&world, "CreateStateMachine", &later, "StateMachineAlreadyExists", &message);
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_run_the_version_that_they_were_started_of() {
    let world = World::new().await;
    let machine = create(&world, "m", &gives(1));
    let first = publish(&world, &machine);
    let revision = update(&world, &machine, &gives(2), json!({ "publish": true }))["revisionId"].clone();
    let second = format!("{machine}:2");
    update(&world, &machine, &gives(3), json!({}));
    let alias = json!({ "name": "PROD", "routingConfiguration": routes(&[(&first, 0), (&second, 100)]) });
    let alias = ok(&world, "CreateStateMachineAlias", &alias)["stateMachineAliasArn"].as_str().unwrap().to_owned();
    assert_eq!(alias, format!("{machine}:PROD"));
    let cases = [
        (&machine, "3", Value::Null, Value::Null),
        (&first, "1", json!(first), Value::Null),
        (&alias, "2", json!(second), json!(alias)),
    ];
    for (started, output, version, by) in cases {
        let described = ended(&world, started, &json!({})).await;
        let found = (&described["output"], &described["stateMachineVersionArn"], &described["stateMachineAliasArn"]);
        assert_eq!(found, (&json!(output), &version, &by), "{started}");
        assert_eq!(described["stateMachineArn"], machine);
        let execution = described["executionArn"].clone();
        let history = ok(&world, "GetExecutionHistory", &json!({ "executionArn": execution }));
        let begun = &history["events"][0]["executionStartedEventDetails"];
        assert_eq!((&begun["stateMachineVersionArn"], &begun["stateMachineAliasArn"]), (&version, &by));
        let listing = json!({ "stateMachineArn": started, "maxResults": 1 });
        let newest = ok(&world, "ListExecutions", &listing)["executions"][0].clone();
        assert_eq!((&newest["executionArn"], &newest["stateMachineVersionArn"]), (&execution, &version));
        let of = ok(&world, "DescribeStateMachineForExecution", &json!({ "executionArn": execution }));
        let expected = if *started == alias { &revision } else { &Value::Null };
        assert_eq!((&of["stateMachineArn"], &of["revisionId"]), (&json!(machine), expected));
    }
    let count = |arn: &str| {
        ok(&world, "ListExecutions", &json!({ "stateMachineArn": arn }))["executions"].as_array().unwrap().len()
    };
    assert_eq!([&machine, &first, &second, &alias].map(|arn| count(arn)), [3, 1, 1, 1]);

    let start = json!({ "Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Parameters": { "StateMachineArn": alias }, "End": true });
    let parent = create(&world, "parent", &only(start));
    let described = ended(&world, &parent, &json!({})).await;
    let result: Value = serde_json::from_str(described["output"].as_str().unwrap()).unwrap();
    assert_eq!((&result["Output"], &result["StateMachineAliasArn"]), (&json!(2), &json!(alias)));
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_are_created_changed_listed_and_deleted() {
    let world = World::new().await;
    let machine = create(&world, "m", &gives(1));
    let first = publish(&world, &machine);
    let second = update_and_publish(&world, &machine, &gives(2));
    let alias =
        |name: &str, routing: &Value| json!({ "name": name, "description": "d", "routingConfiguration": routing });
    let single = routes(&[(&first, 100)]);
    let created = ok(&world, "CreateStateMachineAlias", &alias("a.1", &single));
    assert_eq!(ok(&world, "CreateStateMachineAlias", &alias("a.1", &single)), created);
    let conflict = "Failed to create alias because an alias with the same name and a different routing configuration already exists.";
    let other = json!({ "name": "a.1", "description": "other", "routingConfiguration": single });
    refused(&world, "CreateStateMachineAlias", &other, "ConflictException", conflict);
    refused(
        &world,
        "CreateStateMachineAlias",
        &alias("a.1", &routes(&[(&second, 100)])),
        "ConflictException",
        conflict,
    );
    ok(&world, "CreateStateMachineAlias", &alias("b", &routes(&[(&second, 100)])));
    let names = |arn: &str| {
        listed(
            &world,
            "ListStateMachineAliases",
            &json!({ "stateMachineArn": arn }),
            "stateMachineAliases",
            "stateMachineAliasArn",
        )
    };
    let (a, b) = (format!("{machine}:a.1"), format!("{machine}:b"));
    assert_eq!((names(&machine), names(&second)), (vec![a.clone(), b.clone()], vec![b.clone()]));
    let page = ok(&world, "ListStateMachineAliases", &json!({ "stateMachineArn": machine, "maxResults": 1 }));
    let next = json!({ "stateMachineArn": machine, "nextToken": page["nextToken"] });
    assert_eq!(
        listed(&world, "ListStateMachineAliases", &next, "stateMachineAliases", "stateMachineAliasArn"),
        std::slice::from_ref(&b)
    );

    let named = json!({ "stateMachineAliasArn": a });
    let before = ok(&world, "DescribeStateMachineAlias", &named);
    assert_eq!(
        (&before["name"], &before["description"], &before["routingConfiguration"]),
        (&json!("a.1"), &json!("d"), &single)
    );
    let both = routes(&[(&first, 50), (&second, 50)]);
    let changed = json!({ "stateMachineAliasArn": a, "routingConfiguration": both });
    assert!(ok(&world, "UpdateStateMachineAlias", &changed)["updateDate"].is_number());
    let after = ok(&world, "DescribeStateMachineAlias", &named);
    assert_eq!((&after["description"], &after["routingConfiguration"]), (&json!("d"), &both));
    assert_eq!(after["creationDate"], before["creationDate"]);

    let message = "Version to be deleted must not be referenced by an alias. Current list of aliases referencing this version: [a.1, b]";
    refused(
        &world,
        "DeleteStateMachineVersion",
        &json!({ "stateMachineVersionArn": second }),
        "ConflictException",
        message,
    );
    for _ in 0..2 {
        assert_eq!(ok(&world, "DeleteStateMachineAlias", &named), json!({}));
    }
    let absent = "Request references a resource that does not exist.";
    refused(&world, "DescribeStateMachineAlias", &named, "ResourceNotFound", absent);
    refused(&world, "UpdateStateMachineAlias", &changed, "ResourceNotFound", absent);
    let message = format!("State Machine Does Not Exist: '{a}'");
    refused(&world, "StartExecution", &json!({ "stateMachineArn": a }), "StateMachineDoesNotExist", &message);
    assert_eq!(names(&machine), [b]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_that_cannot_be_is_refused_as_on_aws() {
    let world = World::new().await;
    let machine = create(&world, "m", &gives(1));
    let first = publish(&world, &machine);
    let second = update_and_publish(&world, &machine, &gives(2));
    let elsewhere = publish(&world, &create(&world, "other", &gives(1)));
    let refused = |name: &str, routing: &[(&str, u32)], code: &str, message: &str| {
        let input = json!({ "name": name, "routingConfiguration": routes(routing) });
        refused(&world, "CreateStateMachineAlias", &input, code, message);
    };
    let invalid = "ValidationException";
    let not_versions =
        format!("Routing configuration must contain state machine version ARNs. Received: [{machine}, {second}]");
    refused("a", &[(&machine, 50), (&second, 50)], invalid, &not_versions);
    let not_distinct =
        format!("Routing configuration must contain distinct state machine version ARNs. Received: [{first}, {first}]");
    refused("a", &[(&first, 50), (&first, 50)], invalid, &not_distinct);
    for weight in [29, 31] {
        let message = format!("Sum of routing configuration weights must equal 100. Received: [70, {weight}]");
        refused("a", &[(&first, 70), (&second, weight)], invalid, &message);
    }
    let large = "1 validation error detected: Value '101' at 'routingConfiguration.1.member.weight' failed to satisfy constraint: Member must have value less than or equal to 100";
    refused("a", &[(&first, 101)], invalid, large);
    for name in ["123", "INVALID ALIAS", "!INVALID", "ALIAS@"] {
        let message = format!(
            r"1 validation error detected: Value '{name}' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$"
        );
        refused(name, &[(&first, 100)], invalid, &message);
    }
    let message = format!("The versions are of several state machines: [{first}, {elsewhere}]");
    refused("a", &[(&first, 50), (&elsewhere, 50)], invalid, &message);
    let absent = "Request references a resource that does not exist.";
    refused("a", &[(&format!("{machine}:9"), 100)], "ResourceNotFound", absent);
}
