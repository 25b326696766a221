//! Intrinsic functions: `States.Format('{}/{}', $.bucket, $.key)`.
//!
//! An [`Expression`] is the value of a field whose name ends in `.$`: a path, or a call whose arguments are expressions
//! again. Syntax and number of arguments are checked when the definition is parsed, their types when the call is
//! evaluated. AWS reports every such error as `States.Runtime`, with the messages used here.

mod arguments;
mod array;
mod encoding;
mod expression;
mod format;
mod function;
mod hash;
mod identifier;
mod json;
mod math;
mod parser;
mod text;

pub(crate) use expression::Expression;

#[cfg(test)]
mod testing {
    use serde_json::{Value, json};

    use super::Expression;
    use crate::data::testing::with_data;

    /// Evaluates a call on an input.
    pub(super) fn evaluate(expression: &str, input: Value) -> Result<Value, String> {
        let Expression::Call(call) = Expression::parse(expression)? else {
            panic!("{expression} is not a call");
        };
        with_data(&input, |data| call.evaluate(data))
    }

    /// Checks the results of calls. `None` is a call that must fail.
    pub(super) fn check(cases: &[(&str, Value, Option<Value>)]) {
        for (expression, input, expected) in cases {
            let actual = evaluate(expression, input.clone());
            assert_eq!(actual.clone().ok(), *expected, "{expression} on {input}: {actual:?}");
        }
    }

    #[test]
    fn failures_name_the_call_and_the_reason() {
        let error = evaluate("States.MathAdd('a', 1)", json!({})).expect_err("not a number");
        assert_eq!(
            error,
            "There was an error while evaluating the intrinsic function: States.MathAdd('a', 1). \
             Invalid arguments in States.MathAdd: argument 1 is not a number"
        );
        let error = evaluate("States.Array(States.StringToJson($.missing))", json!({})).expect_err("nothing there");
        assert_eq!(
            error,
            "The function 'States.Array(States.StringToJson($.missing))' had the following error: \
             The JsonPath argument for the field '$.missing' could not be found in the input '{}'"
        );
    }

    #[test]
    fn calls_nest_and_read_the_context_object() {
        check(&[
            (
                "States.Format('{}-{}', $$.Execution.Name, States.ArrayGetItem(States.StringSplit($.key, '/'), 1))",
                json!({ "key": "landing/x.csv" }),
                Some(json!("run-1-x.csv")),
            ),
            (
                "States.ArrayRange(States.MathAdd($.base, 1), States.MathAdd($.base, 5), 2)",
                json!({ "base": 0 }),
                Some(json!([1, 3, 5])),
            ),
        ]);
    }
}
