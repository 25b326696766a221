//! `States.ArrayPartition`, `ArrayContains`, `ArrayRange`, `ArrayGetItem`, `ArrayLength`, `ArrayUnique`.

use serde_json::Value;

use super::arguments::{Arguments, json_equal};

/// The maximum length of a range on AWS.
const MAX_RANGE: usize = 1_000;

pub(super) fn partition(arguments: Arguments<'_>) -> Result<Value, String> {
    let (items, size) = (arguments.array(0)?, arguments.whole(1)?);
    match usize::try_from(size) {
        Ok(size) if size > 0 => Ok(items.chunks(size).map(Value::from).collect()),
        _ => Err("the chunk size is not positive".to_owned()),
    }
}

pub(super) fn contains(arguments: Arguments<'_>) -> Result<Value, String> {
    let (items, value) = (arguments.array(0)?, arguments.value(1)?);
    Ok(Value::from(items.iter().any(|item| json_equal(item, value))))
}

pub(super) fn range(arguments: Arguments<'_>) -> Result<Value, String> {
    let (first, last) = (arguments.whole(0)?, arguments.whole(1)?);
    let step = arguments.whole(2)?;
    if step == 0 {
        return Err("the step is zero".to_owned());
    }
    let within = |item: &i64| if step > 0 { *item <= last } else { *item >= last };
    let items = std::iter::successors(Some(first), |item| item.checked_add(step))
        .take_while(within)
        .take(MAX_RANGE + 1)
        .collect::<Vec<_>>();
    match items.len() {
        0..=MAX_RANGE => Ok(Value::from(items)),
        _ => Err(format!("the range has more than {MAX_RANGE} items")),
    }
}

pub(super) fn get_item(arguments: Arguments<'_>) -> Result<Value, String> {
    let (items, index) = (arguments.array(0)?, arguments.whole(1)?);
    let item = usize::try_from(index).ok().and_then(|index| items.get(index));
    match item {
        Some(item) => Ok(item.clone()),
        // As AWS does, although it refuses the same index in a longer array.
        None if items.is_empty() => Ok(Value::Null),
        None => Err(format!("the array has no item {index}")),
    }
}

pub(super) fn length(arguments: Arguments<'_>) -> Result<Value, String> {
    Ok(Value::from(arguments.array(0)?.len()))
}

pub(super) fn unique(arguments: Arguments<'_>) -> Result<Value, String> {
    let mut unique: Vec<Value> = Vec::new();
    for item in arguments.array(0)? {
        if !unique.iter().any(|seen| json_equal(seen, item)) {
            unique.push(item.clone());
        }
    }
    Ok(Value::from(unique))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::check;

    #[test]
    fn partition_cuts_chunks() {
        let nine = json!({ "a": [1, 2, 3, 4, 5, 6, 7, 8, 9] });
        check(&[
            ("States.ArrayPartition($.a, 4)", nine.clone(), Some(json!([[1, 2, 3, 4], [5, 6, 7, 8], [9]]))),
            ("States.ArrayPartition($.a, 10)", json!({ "a": [1] }), Some(json!([[1]]))),
            ("States.ArrayPartition($.a, 2147483647)", json!({ "a": [1] }), Some(json!([[1]]))),
            ("States.ArrayPartition($.a, 3)", json!({ "a": [] }), Some(json!([]))),
            ("States.ArrayPartition($.a, 2.6)", json!({ "a": [1, 2, 3] }), Some(json!([[1, 2], [3]]))),
            ("States.ArrayPartition($.a, 0.6)", nine.clone(), None),
            ("States.ArrayPartition($.a, 0)", nine.clone(), None),
            ("States.ArrayPartition($.a, -1)", nine.clone(), None),
            ("States.ArrayPartition($.a, '2')", nine.clone(), None),
            ("States.ArrayPartition($.a, null)", nine, None),
            ("States.ArrayPartition('abc', 2)", json!({}), None),
        ]);
    }

    #[test]
    fn contains_compares_json_values() {
        let input = json!({ "a": [1, "2", { "x": [1, 2.0] }, null], "o": { "x": [1.0, 2] } });
        check(&[
            ("States.ArrayContains($.a, 1)", input.clone(), Some(json!(true))),
            ("States.ArrayContains($.a, 1.0)", input.clone(), Some(json!(true))),
            ("States.ArrayContains($.a, 2)", input.clone(), Some(json!(false))),
            ("States.ArrayContains($.a, '2')", input.clone(), Some(json!(true))),
            ("States.ArrayContains($.a, $.o)", input.clone(), Some(json!(true))),
            ("States.ArrayContains($.a, null)", input.clone(), Some(json!(true))),
            ("States.ArrayContains($.o, 1)", input, None),
        ]);
    }

    #[test]
    fn range_includes_both_ends_and_drops_fractions() {
        let thousand: Vec<i64> = (1..=1000).collect();
        check(&[
            ("States.ArrayRange(1, 9, 2)", json!({}), Some(json!([1, 3, 5, 7, 9]))),
            ("States.ArrayRange(-2, 2, 2)", json!({}), Some(json!([-2, 0, 2]))),
            ("States.ArrayRange(5, 1, -2)", json!({}), Some(json!([5, 3, 1]))),
            ("States.ArrayRange(3, 3, -1)", json!({}), Some(json!([3]))),
            ("States.ArrayRange(5, 1, 1)", json!({}), Some(json!([]))),
            ("States.ArrayRange(1.6, 1.4, 1)", json!({}), Some(json!([1]))),
            ("States.ArrayRange(1.4, 5.6, 2.2)", json!({}), Some(json!([1, 3, 5]))),
            ("States.ArrayRange(1, 1000, 1)", json!({}), Some(json!(thousand))),
            ("States.ArrayRange(1, 1001, 1)", json!({}), None),
            ("States.ArrayRange(0, 9223372036854775807, 1)", json!({}), None),
            (
                "States.ArrayRange(9223372036854775806, 1e300, 1)",
                json!({}),
                Some(json!([9223372036854775806_i64, 9223372036854775807_i64])),
            ),
            ("States.ArrayRange(1, 10, 0)", json!({}), None),
            ("States.ArrayRange(1, 10, 0.49)", json!({}), None),
            ("States.ArrayRange('a', 5, 1)", json!({}), None),
        ]);
    }

    #[test]
    fn get_item_counts_from_zero() {
        let input = json!({ "a": [10, 20, null], "none": [] });
        check(&[
            ("States.ArrayGetItem($.a, 0)", input.clone(), Some(json!(10))),
            ("States.ArrayGetItem($.a, 1.9)", input.clone(), Some(json!(20))),
            ("States.ArrayGetItem($.a, 2)", input.clone(), Some(json!(null))),
            ("States.ArrayGetItem($.none, 999)", input.clone(), Some(json!(null))),
            ("States.ArrayGetItem($.a, 3)", input.clone(), None),
            ("States.ArrayGetItem($.a, -1)", input.clone(), None),
            ("States.ArrayGetItem($.a, '1')", input.clone(), None),
            ("States.ArrayGetItem('abc', 0)", input, None),
        ]);
    }

    #[test]
    fn length_and_unique() {
        let input = json!({ "a": [1, "1", 1.0, { "x": 1, "y": 2 }, { "y": 2, "x": 1 }], "o": {} });
        check(&[
            ("States.ArrayLength($.a)", input.clone(), Some(json!(5))),
            ("States.ArrayLength($.o)", input.clone(), None),
            ("States.ArrayUnique($.a)", input.clone(), Some(json!([1, "1", { "x": 1, "y": 2 }]))),
            ("States.ArrayUnique($.o)", input, None),
        ]);
    }
}
