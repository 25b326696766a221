//! Properties of all definitions and inputs: no panic, each execution ends, and its history is consistent.

use asl::{EventKind, Failure, Outcome, StateMachine, StateTest, TestStatus};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use crate::fakes::{Stage, context, fails, ok};

/// Returns a machine with a state of each type and most fields, for mutation.
fn rich_machine() -> Value {
    json!({
        "Comment": "Everything at once",
        "TimeoutSeconds": 86400,
        "StartAt": "Shape",
        "States": {
            "Shape": {
                "Type": "Pass",
                "Parameters": {
                    "n.$": "States.MathAdd(States.ArrayLength($.items), 1)",
                    "items.$": "$.items", "all.$": "$..a", "run.$": "$$.Execution.Name",
                    "text.$": "States.Format('{}-{}', $.s, States.JsonToString($.items[0]))",
                },
                "Assign": { "n.$": "$.n", "all": { "items.$": "$.items" } },
                "Next": "Each",
            },
            "Each": {
                "Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": 2,
                "ItemSelector": { "value.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index", "n.$": "$.n" },
                "ItemProcessor": {
                    "ProcessorConfig": { "Mode": "INLINE" },
                    "StartAt": "Work",
                    "States": {
                        "Work": {
                            "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "TimeoutSeconds": 5,
                            "Retry": [{ "ErrorEquals": ["Flaky"], "IntervalSeconds": 1, "MaxAttempts": 2, "BackoffRate": 1.5, "JitterStrategy": "FULL" }],
                            "ResultPath": "$.got", "Next": "Rest",
                        },
                        "Rest": { "Type": "Wait", "SecondsPath": "$.i", "Assign": { "value.$": "$.value" }, "Next": "Good?" },
                        "Good?": {
                            "Type": "Choice",
                            "Choices": [
                                { "And": [{ "Variable": "$.value", "IsNumeric": true }, { "Not": { "Variable": "$.value", "NumericLessThan": 0 } }], "Next": "Fine" },
                                { "Or": [{ "Variable": "$.value", "StringMatches": "a*" }, { "Variable": "$value", "IsNull": true }], "Assign": { "fine": true }, "Next": "Fine" },
                            ],
                            "Default": "Bad",
                        },
                        "Fine": { "Type": "Succeed", "OutputPath": "$.got" },
                        "Bad": { "Type": "Fail", "Error": "Bad", "CausePath": "States.Format('{}', $.value)" },
                    },
                },
                "ResultSelector": { "first.$": "$[0]", "count.$": "States.ArrayLength($)" },
                "Retry": [{ "ErrorEquals": ["States.ALL"], "MaxAttempts": 1 }],
                "Catch": [{ "ErrorEquals": ["Bad", "States.Timeout"], "ResultPath": "$.error", "Next": "Both" }],
                "ResultPath": "$.results", "Next": "Both",
            },
            "Both": {
                "Type": "Parallel",
                "Branches": [
                    { "StartAt": "Until", "States": { "Until": { "Type": "Wait", "Timestamp": "2020-04-01T10:00:30Z", "End": true } } },
                    { "StartAt": "Call", "States": { "Call": {
                        "Type": "Task", "Resource": "arn:aws:lambda:us-east-1:000000000000:function:f",
                        "InputPath": "$.items", "TimeoutSecondsPath": "$[0]", "End": true } } },
                ],
                "Catch": [{ "ErrorEquals": ["States.ALL"], "Assign": { "why.$": "$.Cause" }, "Next": "Done" }],
                "Assign": { "branches.$": "$" }, "OutputPath": "$[1]", "Next": "Done",
            },
            "Done": { "Type": "Succeed" },
        },
    })
}

/// Generates mutations: values of wrong types, paths, calls, names of states.
fn disruptive() -> impl Strategy<Value = Value> {
    let texts = select(vec![
        "",
        "$",
        "$$",
        "$.items",
        "$.items[0]",
        "$n",
        "$all.items[0]",
        "$states.input",
        "$.gone",
        "$$.Map.Item.Index",
        "$.items[?(@.a > 1)]",
        "$..*",
        "$.items[-1:]",
        "States.UUID()",
        "States.ArrayRange(1, 3, 1)",
        "States.StringToJson($.s)",
        "States.MathRandom(0, $.n)",
        "Done",
        "Shape",
        "Both",
        "Work",
        "Pass",
        "Wait",
        "Succeed",
        "Fail",
        "States.ALL",
        "FULL",
        "2020-04-01T10:00:00Z",
    ]);
    prop_oneof![
        3 => texts.prop_map(Value::from),
        2 => any_json(),
        1 => (-3_i64..50).prop_map(Value::from),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let names = prop_oneof![Just("a".to_owned()), Just("items".to_owned()), "\\PC{0,4}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names, inner), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Generates inputs similar to those that the rich machine expects, and others.
fn input() -> impl Strategy<Value = Value> {
    let item = prop_oneof![(-2_i64..9).prop_map(Value::from), Just(json!("abc")), Just(json!(null)), any_json()];
    let expected =
        (prop::collection::vec(item, 0..5), any_json()).prop_map(|(items, s)| json!({ "items": items, "s": s }));
    prop_oneof![4 => expected, 1 => any_json()]
}

/// Generates the outcomes of task calls, each as a number that [`stage`] maps to a success or a failure.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..8)
}

fn stage(answers: Vec<u8>) -> Stage {
    Stage::new(move |called| {
        let turn =
            usize::try_from(called.at_second).unwrap_or(0) + called.retry as usize + called.input.to_string().len();
        match answers[turn % answers.len()] % 6 {
            0 => fails("Flaky"),
            1 => fails("Bad").after_seconds(2),
            2 => ok(called.input.clone()).after_seconds(7),
            3 => ok(json!("x".repeat(300_000))),
            _ => ok(called.input.clone()),
        }
    })
}

/// Replaces one of the nodes of a definition.
fn disrupt(definition: &mut Value, at: Index, replacement: Value) {
    let pointers = pointers(definition, String::new());
    let pointer = at.get(&pointers);
    if let Some(node) = definition.pointer_mut(pointer) {
        *node = replacement;
    }
}

/// Returns the JSON pointers of all nodes below the root.
fn pointers(value: &Value, here: String) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            let escaped = |name: &String| name.replace('~', "~0").replace('/', "~1");
            fields.iter().map(|(name, value)| (escaped(name), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    let below = children.into_iter().flat_map(|(name, child)| {
        let place = format!("{here}/{name}");
        std::iter::once(place.clone()).chain(pointers(child, place))
    });
    below.collect()
}

/// Checks the invariants of a history.
fn assert_sound(stage: &Stage, outcome: &Outcome) {
    let events = stage.events();
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event.id, at as u64 + 1);
        assert!(event.previous_event_id < event.id);
        assert!(serde_json::to_value(event).is_ok());
    }
    assert!(matches!(events.first().map(|event| &event.kind), Some(EventKind::ExecutionStarted { .. })));
    let ending = events.last().map(|event| event.kind.clone());
    let expected = match outcome.clone() {
        Outcome::Succeeded(output) => EventKind::ExecutionSucceeded(output),
        Outcome::Failed(why) => EventKind::ExecutionFailed(why),
        Outcome::TimedOut(why) => EventKind::ExecutionTimedOut(why),
        Outcome::Aborted(why) => EventKind::ExecutionAborted(why),
    };
    assert_eq!(ending, Some(expected));
}

#[test]
fn the_machine_that_is_broken_below_runs_when_it_is_whole() {
    let stage = stage(vec![5]);
    let outcome = stage.run(rich_machine(), json!({ "items": [1, "abc", null], "s": "x" }));
    assert_eq!(outcome, Outcome::Succeeded(json!([1, "abc", null])));
    assert_sound(&stage, &outcome);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = StateMachine::parse(&text);
    }

    #[test]
    fn any_json_is_read_or_refused(definition in any_json()) {
        let _ = StateMachine::parse(&definition.to_string());
    }

    #[test]
    fn any_states_are_read_or_refused(states in prop::collection::vec(("[A-C]", any_json()), 0..3)) {
        let states: Map<String, Value> = states.into_iter().collect();
        let _ = StateMachine::parse(&json!({ "StartAt": "A", "States": states }).to_string());
    }

    #[test]
    fn a_machine_ends_on_any_input(input in input(), answers in answers()) {
        let stage = stage(answers);
        let outcome = stage.run(rich_machine(), input);
        assert_sound(&stage, &outcome);
    }

    #[test]
    fn a_disrupted_machine_is_refused_or_ends(
        disruptions in prop::collection::vec((any::<Index>(), disruptive()), 1..4),
        input in input(),
        answers in answers(),
    ) {
        let mut definition = rich_machine();
        for (at, replacement) in disruptions {
            disrupt(&mut definition, at, replacement);
        }
        match StateMachine::parse(&definition.to_string()) {
            Err(refused) => prop_assert!(!refused.location.is_empty()),
            Ok(_) => {
                let stage = stage(answers);
                let outcome = stage.run(definition, input);
                assert_sound(&stage, &outcome);
            }
        }
    }

    #[test]
    fn any_state_of_a_disrupted_machine_can_be_tested(
        disruptions in prop::collection::vec((any::<Index>(), disruptive()), 0..3),
        input in input(),
        answers in answers(),
        mocked in prop::option::of(prop_oneof![any_json().prop_map(Ok), Just(Err(Failure::new("Bad", "mocked")))]),
        retries in 0_u64..4,
    ) {
        let mut definition = rich_machine();
        for (at, replacement) in disruptions {
            disrupt(&mut definition, at, replacement);
        }
        let Ok(machine) = StateMachine::parse(&definition.to_string()) else { return Ok(()) };
        let (stage, context) = (stage(answers), context());
        for state in ["Shape", "Each", "Work", "Rest", "Good?", "Fine", "Bad", "Both", "Until", "Call", "Done"] {
            let Some(state) = machine.state(state) else { continue };
            let mut test = StateTest::new(state, &context, input.clone()).tasks(&stage).clock(&stage.clock).retries(retries);
            if let Some(result) = mocked.clone() {
                test = test.mock(result);
            }
            let tested = stage.clock.run(test.run());
            prop_assert_eq!(&tested.inspection["input"], &input);
            match tested.status {
                TestStatus::Succeeded => prop_assert!(tested.output.is_some() && tested.failure.is_none()),
                TestStatus::CaughtError => prop_assert!(tested.output.is_some() && tested.failure.is_some() && tested.next.is_some()),
                TestStatus::Failed | TestStatus::Retriable => prop_assert!(tested.output.is_none() && tested.failure.is_some()),
            }
        }
    }

    #[test]
    fn any_expression_is_refused_or_evaluated(
        pieces in prop::collection::vec(select(vec![
            "$", "$$", "$v", ".", "..", "a", "items", "[", "]", "0", "-1", ":", "*", "?", "(@", "@.a", ")", "(", "'", "\"", "\\", ",", " ", "==", "&&", "!",
            "States.", "Array", "Format", "Hash", "MathAdd", "StringSplit", "Base64Decode", "UUID", "{}", "{", "1.5", "true", "null", "é",
        ]), 0..14),
        input in input(),
    ) {
        let text = pieces.concat();
        let definition = json!({ "StartAt": "S", "States": { "S": { "Type": "Pass", "Parameters": { "x.$": text }, "End": true } } });
        if StateMachine::parse(&definition.to_string()).is_ok() {
            let stage = Stage::bare();
            let outcome = stage.run(definition, input);
            assert_sound(&stage, &outcome);
        }
    }

    #[test]
    fn any_call_with_the_right_count_of_arguments_is_evaluated(
        function in select(vec![
            "ArrayPartition({a}, {b})", "ArrayContains({a}, {b})", "ArrayRange({a}, {b}, {c})", "ArrayGetItem({a}, {b})",
            "ArrayLength({a})", "ArrayUnique({a})", "Base64Encode({a})", "Base64Decode({a})", "Hash({a}, {b})", "JsonMerge({a}, {b}, {c})",
            "StringToJson({a})", "JsonToString({a})", "MathRandom({a}, {b}, {c})", "MathAdd({a}, {b})", "StringSplit({a}, {b})", "Format({a}, {b})",
        ]),
        (a, b, c) in (any_json(), any_json(), any_json()),
    ) {
        let call = function.replace("{a}", "$.a").replace("{b}", "$.b").replace("{c}", "$.c");
        let definition = json!({ "StartAt": "S", "States": { "S": { "Type": "Pass", "Parameters": { "x.$": format!("States.{call}") }, "End": true } } });
        let stage = Stage::bare();
        let outcome = stage.run(definition, json!({ "a": a, "b": b, "c": c }));
        assert_sound(&stage, &outcome);
    }
}
