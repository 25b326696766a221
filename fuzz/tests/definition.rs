//! State machines: a definition is refused with the place of the fault, or it is run.
//!
//! A run is on a virtual clock, with tasks that answer, fail or take long as chance has it, and is stopped after some
//! thousand events. It ends, and its history is sound: ids without gaps, each event after the one that led to it, the
//! outcome in the last one. A second run on the same answers gives the same history.

#[path = "../../crates/asl/tests/stories/virtual_clock.rs"]
mod virtual_clock;

use std::sync::Mutex;
use std::time::Duration;

use asl::{
    Clock as _, Event, EventKind, Execution, ExecutionContext, Failure, History, Outcome, Resource, StateMachine,
    TaskCall, Tasks,
};
use async_trait::async_trait;
use fuzz::{Random, Target};
use serde_json::{Value, json};
use virtual_clock::VirtualClock;

/// After so many events a run is stopped: a loop is as good as two turns of it.
const MOST_EVENTS: usize = 1500;

const RICH: &str = include_str!("../corpus/definition/rich.json");

#[test]
fn definition() {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\"StartAt\":",
        "\"States\":",
        "\"Type\":",
        "\"Next\":",
        "\"End\":true",
        "\"$\"",
        "\"$.a[*]\"",
        "\"$$.Map.Item.Value\"",
        "\"States.Format('{}', $.a)\"",
        "null",
        "true",
        "0",
        "-1",
        "1e999",
        "99999999999999999999",
        "\"Pass\"",
        "\"Map\"",
        "\"Choice\"",
        "\"Assign\":{}",
        "\"QueryLanguage\":\"JSONata\"",
        "\"2300-01-01T00:00:00Z\"",
        "\\ud800",
        "\\u0000",
    ];
    Target::new("definition").pieces(pieces).build(disrupted).fixed_cases(1000).run(check);
}

/// A machine with a state of every type, some of whose nodes are replaced by others, by texts that mean something, or left
/// out.
fn disrupted(random: &mut Random) -> Vec<u8> {
    let mut machine: Value = serde_json::from_str(RICH).expect("a definition");
    for _ in 0..=random.below(4) {
        let mut places = Vec::new();
        walk(&machine, String::new(), &mut places);
        let replacement = match random.below(3) {
            0 => machine.pointer(&places[random.below(places.len())]).cloned().unwrap_or_default(),
            _ => meaningful(random),
        };
        let place = places[random.below(places.len())].clone();
        if random.once_in(6)
            && let Some((parent, name)) = place.rsplit_once('/')
            && let Some(fields) = machine.pointer_mut(parent).and_then(Value::as_object_mut)
        {
            fields.remove(name);
        } else if let Some(node) = machine.pointer_mut(&place) {
            *node = replacement;
        }
    }
    machine.to_string().into_bytes()
}

fn meaningful(random: &mut Random) -> Value {
    let texts = [
        "",
        "$",
        "$$",
        "$.items",
        "$.items[0]",
        "$.items[*]",
        "$..*",
        "$..*..*..*",
        "$.gone",
        "$.gone[1:]",
        "Succeed",
        "Fail",
        "Wait",
        "Pass",
        "States.ALL",
        "States.Timeout",
        "FULL",
        "2020-04-01T10:00:00Z",
        "9999-12-31T23:59:59Z",
        "Done",
        "Each",
        "Both",
        "States.ArrayRange(0, 900, 1)",
        "States.Array($, $)",
        "States.StringToJson($.s)",
        "States.Base64Decode($.s)",
        "States.MathRandom(0, 9)",
        "States.JsonMerge($, $, false)",
    ];
    match random.below(6) {
        0 => json!(null),
        1 => json!(random.below(9)),
        2 => [json!(-1), json!(0.5), json!(1e300), json!(99_999_999), json!(9_007_199_254_740_993_i64)]
            [random.below(5)]
        .clone(),
        3 => [json!({}), json!([]), json!([{}]), json!(true), json!({ "a.$": "$" })][random.below(5)].clone(),
        _ => json!(texts[random.below(texts.len())]),
    }
}

/// The places of all nodes below the root.
fn walk(value: &Value, here: String, places: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        let place = format!("{here}/{name}");
        places.push(place.clone());
        walk(child, place, places);
    }
}

fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let machine = match StateMachine::parse(&text) {
        Ok(machine) => machine,
        Err(refused) => {
            assert!(!refused.to_string().is_empty());
            return;
        }
    };
    let mut random = Random::of(bytes);
    let input = input(&mut random);
    let seed = random.number();
    let first = run(&machine, &input, seed);
    let again = run(&machine, &input, seed);
    // Intrinsic functions return random identifiers and numbers.
    if !text.contains("UUID") && !text.contains("MathRandom") {
        assert_eq!(first, again, "the same answers gave another history");
    }
}

fn input(random: &mut Random) -> Value {
    let item = |random: &mut Random| {
        [json!(1), json!(-2), json!("abc"), json!(null), json!({ "a": [1, { "a": 2 }] }), json!([])][random.below(6)]
            .clone()
    };
    let items: Vec<Value> = (0..random.below(6)).map(|_| item(random)).collect();
    let long = "x".repeat([0, 3, 1000, 200_000][random.below(4)]);
    match random.below(5) {
        0 => item(random),
        1 => json!({ "items": items, "s": long, "a": item(random) }),
        _ => json!({ "items": items, "s": "{\"a\":1}" }),
    }
}

fn run(machine: &StateMachine, input: &Value, seed: u64) -> Vec<Event> {
    let context = ExecutionContext {
        execution_arn: "arn:aws:states:us-east-1:000000000000:execution:m:run-1".into(),
        execution_name: "run-1".into(),
        role_arn: "arn:aws:iam::000000000000:role/states".into(),
        started: chrono::DateTime::default(),
        state_machine_arn: "arn:aws:states:us-east-1:000000000000:stateMachine:m".into(),
        state_machine_name: "m".into(),
        region: "us-east-1".into(),
    };
    let stage =
        Stage { clock: VirtualClock::default(), random: Mutex::new(Random::new(seed)), events: Mutex::default() };
    let execution = Execution::new(machine, &context, input.clone());
    let execution = execution.tasks(&stage).history(&stage).clock(&stage.clock);
    let outcome = stage.clock.run(execution.run());
    let events = stage.events.into_inner().expect("events");
    assert_sound(&events, outcome);
    events
}

struct Stage {
    clock: VirtualClock,
    random: Mutex<Random>,
    events: Mutex<Vec<Event>>,
}

#[async_trait]
impl Tasks for Stage {
    async fn run(&self, resource: &Resource, input: Value, call: &TaskCall<'_>) -> Result<Value, Failure> {
        let turn = self.random.lock().expect("chance").below(8);
        if resource.to_string().contains(".sync") {
            call.submitted(&json!({ "submitted": call.state }));
        }
        match turn {
            0 => Err(Failure::new("Flaky", "once in a while")),
            1 => {
                self.clock.sleep(Duration::from_secs(2)).await;
                Err(Failure::new("Bad", "after two seconds"))
            }
            2 => {
                self.clock.sleep(Duration::from_secs(7)).await;
                Ok(input)
            }
            3 => Ok(json!("x".repeat(300_000))),
            _ => Ok(input),
        }
    }
}

impl History for Stage {
    fn record(&self, event: Event) {
        self.events.lock().expect("events").push(event);
    }

    fn full(&self) -> Option<String> {
        (self.events.lock().expect("events").len() >= MOST_EVENTS).then(|| "enough".to_owned())
    }
}

fn assert_sound(events: &[Event], outcome: Outcome) {
    assert!(events.len() <= MOST_EVENTS + 1, "{} events", events.len());
    for (event, id) in events.iter().zip(1..) {
        assert_eq!(event.id, id);
        assert!(event.previous_event_id < event.id);
        assert!(serde_json::to_value(event).is_ok());
    }
    assert!(matches!(events.first().map(|event| &event.kind), Some(EventKind::ExecutionStarted { .. })));
    let ending = match outcome {
        Outcome::Succeeded(output) => EventKind::ExecutionSucceeded(output),
        Outcome::Failed(why) => EventKind::ExecutionFailed(why),
        Outcome::TimedOut(why) => EventKind::ExecutionTimedOut(why),
        Outcome::Aborted(why) => EventKind::ExecutionAborted(why),
    };
    assert_eq!(events.last().map(|event| event.kind.clone()), Some(ending));
}
