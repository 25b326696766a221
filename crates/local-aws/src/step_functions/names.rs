//! Validation of names and ARNs of Step Functions.

use crate::aws_json::AwsError;

/// Checks the name of a state machine or an execution: 1 to 80 characters, none of which AWS reserves.
pub(super) fn check_name(name: &str) -> Result<(), AwsError> {
    const RESERVED: &str = "<>{}[]?*\"#%\\^|~`$&,;:/";
    let is_reserved =
        |character: char| RESERVED.contains(character) || character.is_whitespace() || character.is_control();
    if (1..=80).contains(&name.chars().count()) && !name.contains(is_reserved) {
        return Ok(());
    }
    Err(AwsError::new(
        "InvalidName",
        format!("Invalid Name: '{name}': 1 to 80 characters, no spaces and none of {RESERVED}"),
    ))
}

/// Returns the name in the ARN of a state machine: `create_datalake` of
/// `arn:aws:states:us-east-1:000000000000:stateMachine:create_datalake`.
pub(super) fn machine_name(arn: &str) -> Result<&str, AwsError> {
    parts(arn)
        .and_then(|parts| match parts[..] {
            ["stateMachine", name] if !name.is_empty() => Some(name),
            _ => None,
        })
        .ok_or_else(|| invalid_arn(arn))
}

/// Checks the ARN of an execution: `arn:aws:states:us-east-1:000000000000:execution:create_datalake:2020-04-01`.
pub(super) fn check_execution_arn(arn: &str) -> Result<(), AwsError> {
    match parts(arn).as_deref() {
        Some(["execution", machine, name]) if !machine.is_empty() && !name.is_empty() => Ok(()),
        _ => Err(invalid_arn(arn)),
    }
}

/// Returns the parts of an ARN after region and account.
fn parts(arn: &str) -> Option<Vec<&str>> {
    let mut parts = arn.split(':');
    let service: Vec<&str> = parts.by_ref().take(3).collect();
    (service == ["arn", "aws", "states"]).then(|| parts.skip(2).collect())
}

fn invalid_arn(arn: &str) -> AwsError {
    AwsError::new("InvalidArn", format!("Invalid Arn: '{arn}'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{execution_arn, state_machine_arn};

    #[test]
    fn names() {
        let longest = "x".repeat(80);
        for name in ["a", "2020-04-01_1", "é.(x)", longest.as_str()] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let too_long = "x".repeat(81);
        for name in ["", "a b", "a/b", "a:b", "a\tb", too_long.as_str()] {
            assert_eq!(check_name(name).unwrap_err().code(), "InvalidName", "{name}");
        }
    }

    #[test]
    fn arns() {
        assert_eq!(machine_name(&state_machine_arn("m")).unwrap(), "m");
        check_execution_arn(&execution_arn("m", "e")).unwrap();
        for bad in [
            "",
            "m",
            "arn:aws:states:r:a:stateMachine",
            "arn:aws:lambda:r:a:stateMachine:m",
            "arn:aws:states:r:a:execution:m:e",
        ] {
            assert_eq!(machine_name(bad).unwrap_err().code(), "InvalidArn", "{bad}");
        }
        assert!(check_execution_arn(&state_machine_arn("m")).is_err());
    }
}
