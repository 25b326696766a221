//! `States.UUID`.

use serde_json::Value;
use uuid::Uuid;

/// A random (version 4) UUID.
pub(super) fn uuid() -> Value {
    Value::from(Uuid::new_v4().to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::super::testing::evaluate;

    #[test]
    fn uuids_are_random_and_version_4() {
        let mut pair = [(); 2].map(|()| evaluate("States.UUID()", json!({})).expect("a UUID"));
        for text in &pair {
            let uuid = Uuid::parse_str(text.as_str().expect("text")).expect("a UUID");
            assert_eq!(uuid.get_version_num(), 4);
        }
        let [first, second] = &mut pair;
        assert_ne!(first, second);
    }
}
