//! Each operator on values of each type.

use serde_json::json;

use super::*;
use crate::data::rule::Rule;
use crate::data::testing::with_data;

fn rule(rule: Value) -> Result<Rule, DefinitionError> {
    Rule::parse(Fields::parse(rule, "/C").expect("an object"))
}

fn holds(json: Value, input: &Value) -> Result<bool, String> {
    let rule = rule(json.clone()).unwrap_or_else(|error| panic!("{json}: {error}"));
    with_data(input, |data| rule.matches(data))
}

/// Checks an operator on pairs of a value and an operand, given as a constant and by a path.
fn check(operator: &str, cases: &[(Value, Value, bool)]) {
    for (value, other, expected) in cases {
        let input = json!({ "v": value, "o": other });
        let constant = json!({ "Variable": "$.v", operator: other });
        assert_eq!(holds(constant, &input), Ok(*expected), "{value} {operator} {other}");
        let path = json!({ "Variable": "$.v", format!("{operator}Path"): "$.o" });
        assert_eq!(holds(path, &input), Ok(*expected), "{value} {operator}Path {other}");
    }
}

/// Checks the five relations of a type, on three values in ascending order and one of another type.
fn check_relations(kind: &str, low: &Value, middle: &Value, high: &Value, foreign: &Value) {
    for (relation, below, same, above) in [
        ("Equals", false, true, false),
        ("LessThan", true, false, false),
        ("LessThanEquals", true, true, false),
        ("GreaterThan", false, false, true),
        ("GreaterThanEquals", false, true, true),
    ] {
        let cases = [
            (low.clone(), middle.clone(), below),
            (middle.clone(), middle.clone(), same),
            (high.clone(), middle.clone(), above),
            (foreign.clone(), middle.clone(), false),
            (Value::Null, middle.clone(), false),
            (json!([]), middle.clone(), false),
        ];
        check(&format!("{kind}{relation}"), &cases);
    }
}

#[test]
fn strings_compare_by_their_characters() {
    check_relations("String", &json!("A"), &json!("B"), &json!("a"), &json!(1));
}

#[test]
fn numbers_compare_whatever_their_notation() {
    check_relations("Numeric", &json!(1.5), &json!(2), &json!(2.5), &json!("2"));
    check(
        "NumericEquals",
        &[
            (json!(2.0), json!(2), true),
            (json!(9007199254740993_i64), json!(9007199254740992_i64), false),
            (json!(u64::MAX), json!(1.0), false),
        ],
    );
}

#[test]
fn timestamps_compare_as_moments() {
    check_relations(
        "Timestamp",
        &json!("2020-04-01T10:00:00Z"),
        &json!("2020-04-01T11:00:00Z"),
        &json!("2020-04-01T11:00:00.001Z"),
        &json!("2020-04-01 12:00:00"),
    );
    let zones = (json!("2020-04-01T08:00:00-03:00"), json!("2020-04-01T11:00:00Z"), true);
    check("TimestampEquals", &[zones]);
}

#[test]
fn booleans_are_equal_or_not() {
    check(
        "BooleanEquals",
        &[
            (json!(true), json!(true), true),
            (json!(false), json!(false), true),
            (json!(false), json!(true), false),
            (json!("true"), json!(true), false),
            (json!(1), json!(true), false),
        ],
    );
}

#[test]
fn patterns_match_strings_only() {
    let matches = |value: Value| holds(json!({ "Variable": "$", "StringMatches": "log-*" }), &value);
    assert_eq!(matches(json!("log-1")), Ok(true));
    assert_eq!(matches(json!("lag-1")), Ok(false));
    assert_eq!(matches(json!(["log-1"])), Ok(false));
}

#[test]
fn type_tests_tell_kinds_apart() {
    let values = [
        (json!(null), vec!["IsNull"]),
        (json!(true), vec!["IsBoolean"]),
        (json!(0), vec!["IsNumeric"]),
        (json!(1.5), vec!["IsNumeric"]),
        (json!("x"), vec!["IsString"]),
        (json!("2020-04-01T10:00:00Z"), vec!["IsString", "IsTimestamp"]),
        (json!([]), vec![]),
        (json!({}), vec![]),
    ];
    for (value, kinds) in values {
        for test in ["IsNull", "IsBoolean", "IsNumeric", "IsString", "IsTimestamp"] {
            let expected = kinds.contains(&test);
            for (operand, expected) in [(true, expected), (false, !expected)] {
                let rule = json!({ "Variable": "$", test: operand });
                assert_eq!(holds(rule, &value), Ok(expected), "{value} {test} {operand}");
            }
        }
    }
}

#[test]
fn only_is_present_may_ask_for_what_is_not_there() {
    let input = json!({ "here": null, "n": 1 });
    for (path, operand, expected) in [
        ("$.here", true, true),
        ("$.here", false, false),
        ("$.gone", true, false),
        ("$.gone", false, true),
        ("$.gone.deeper[3]", false, true),
    ] {
        let rule = json!({ "Variable": path, "IsPresent": operand });
        assert_eq!(holds(rule, &input), Ok(expected), "{path} {operand}");
    }
    for rule in [
        json!({ "Variable": "$.gone", "IsNull": true }),
        json!({ "Variable": "$.gone", "StringEquals": "x" }),
        json!({ "Not": { "Variable": "$.gone", "BooleanEquals": true } }),
    ] {
        let error = holds(rule.clone(), &input).expect_err("nothing there");
        assert_eq!(
            error, "Invalid path '$.gone': The choice state's condition path references an invalid value.",
            "{rule}"
        );
    }
    let other_side = json!({ "Variable": "$.n", "NumericEqualsPath": "$.gone" });
    assert!(holds(other_side, &input).is_err());
}

#[test]
fn rules_combine_and_stop_early() {
    let input = json!({ "a": 1, "b": 2 });
    let a = |n: i64| json!({ "Variable": "$.a", "NumericEquals": n });
    let b = |n: i64| json!({ "Variable": "$.b", "NumericEquals": n });
    let gone = json!({ "Variable": "$.gone", "NumericEquals": 1 });
    let cases = [
        (json!({ "And": [a(1), b(2)] }), true),
        (json!({ "And": [a(1), b(3)] }), false),
        (json!({ "Or": [a(9), b(2)] }), true),
        (json!({ "Or": [a(9), b(9)] }), false),
        (json!({ "Not": a(9) }), true),
        (json!({ "Not": { "Or": [a(9), { "And": [a(1), { "Not": b(9) }] }] } }), false),
        (json!({ "And": [{ "Variable": "$.gone", "IsPresent": true }, gone.clone()] }), false),
        (json!({ "Or": [a(1), gone] }), true),
    ];
    for (rule, expected) in cases {
        assert_eq!(holds(rule.clone(), &input), Ok(expected), "{rule}");
    }
}

#[test]
fn rules_may_read_the_context_object() {
    let rule = json!({ "Variable": "$$.Execution.Name", "StringEquals": "run-1" });
    assert_eq!(holds(rule, &json!({})), Ok(true));
}

#[test]
fn faulty_rules_are_refused_where_they_are() {
    let cases = [
        (json!({}), "/C"),
        (json!({ "Variable": "$.a" }), "/C"),
        (json!({ "Variable": "$.a", "NumericEquals": 1, "StringEquals": "x" }), "/C"),
        (json!({ "StringEquals": "x" }), "/C"),
        (json!({ "Variable": "a", "IsNull": true }), "/C/Variable"),
        (json!({ "Variable": "$.a[*]", "IsNull": true }), "/C/Variable"),
        (json!({ "Variable": "$.a", "StringEquals": 1 }), "/C/StringEquals"),
        (json!({ "Variable": "$.a", "NumericEquals": "1" }), "/C/NumericEquals"),
        (json!({ "Variable": "$.a", "BooleanEquals": "true" }), "/C/BooleanEquals"),
        (json!({ "Variable": "$.a", "TimestampEquals": "soon" }), "/C/TimestampEquals"),
        (json!({ "Variable": "$.a", "StringEqualsPath": "b" }), "/C/StringEqualsPath"),
        (json!({ "Variable": "$.a", "StringMatches": "\\" }), "/C/StringMatches"),
        (json!({ "Variable": "$.a", "StringMatchesPath": "$.b" }), "/C/StringMatchesPath"),
        (json!({ "Variable": "$.a", "BooleanLessThan": true }), "/C/BooleanLessThan"),
        (json!({ "Variable": "$.a", "IsOdd": true }), "/C/IsOdd"),
        (json!({ "Variable": "$.a", "IsNull": "yes" }), "/C/IsNull"),
        (json!({ "Variable": "$.a", "NullEquals": null }), "/C/NullEquals"),
        (json!({ "And": [] }), "/C/And"),
        (json!({ "And": {} }), "/C/And"),
        (json!({ "Or": [{ "And": [{ "Not": 1 }] }] }), "/C/Or[0]/And[0]/Not"),
        (json!({ "And": [{ "Variable": "$.a", "IsNull": true, "Next": "X" }] }), "/C/And[0]"),
    ];
    for (json, location) in cases {
        let error = rule(json.clone()).expect_err("refused");
        assert_eq!(error.location, location, "{json}: {error}");
    }
}
