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

/// Checks the ARN of a role: `arn:aws:iam::000000000000:role/states`.
pub(super) fn check_role(arn: &str) -> Result<(), AwsError> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let is_account = |account: &str| account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit());
    match parts[..] {
        ["arn", _, "iam", "", account, role] if is_account(account) && role.len() > 5 && role.starts_with("role/") => {
            Ok(())
        }
        _ => Err(AwsError::new("InvalidArn", format!("Invalid Role Arn: '{arn}'"))),
    }
}

/// What an ARN names besides a state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Qualifier<'a> {
    /// A version, by its number.
    Version(&'a str),
    /// An alias, by its name, which is no number.
    Alias(&'a str),
}

/// Returns the name of the machine in an ARN, and the version or alias in it.
pub(super) fn qualified(arn: &str) -> Result<(&str, Option<Qualifier<'_>>), AwsError> {
    let name = machine_name(arn)?;
    let qualifier = match parts(arn)?[..] {
        [_, _, number] if number.bytes().all(|digit| digit.is_ascii_digit()) => Some(Qualifier::Version(number)),
        [_, _, alias] => Some(Qualifier::Alias(alias)),
        _ => None,
    };
    Ok((name, qualifier))
}

/// Checks the name of an alias: letters, digits, `_`, `-` and `.`, and not only digits.
pub(super) fn check_alias_name(name: &str) -> Result<(), AwsError> {
    const PATTERN: &str = r"^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$";
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if name.bytes().all(is_known) && name.bytes().any(|byte| !byte.is_ascii_digit()) {
        return Ok(());
    }
    let message = format!(
        "1 validation error detected: Value '{name}' at 'name' failed to satisfy constraint: Member must satisfy regular \
         expression pattern: {PATTERN}"
    );
    Err(AwsError::new("ValidationException", message))
}

/// Returns the name in the ARN of a state machine: `create_datalake` of
/// `arn:aws:states:us-east-1:000000000000:stateMachine:create_datalake`. It may name a version or an alias.
pub(super) fn machine_name(arn: &str) -> Result<&str, AwsError> {
    match parts(arn)?[..] {
        ["stateMachine", name] | ["stateMachine", name, _] if !name.is_empty() => Ok(name),
        ["stateMachine", ..] | [] => Err(invalid_arn(arn)),
        [other, ..] => Err(wrong_type(other)),
    }
}

/// Checks the ARN of an execution: `arn:aws:states:us-east-1:000000000000:execution:create_datalake:2020-04-01`.
pub(super) fn check_execution_arn(arn: &str) -> Result<(), AwsError> {
    match parts(arn)?[..] {
        ["execution", machine, name] if !machine.is_empty() && !name.is_empty() => Ok(()),
        ["execution", ..] | [] => Err(invalid_arn(arn)),
        [other, ..] => Err(wrong_type(other)),
    }
}

/// Returns the parts of an ARN after region and account.
fn parts(arn: &str) -> Result<Vec<&str>, AwsError> {
    let mut parts = arn.split(':');
    match [parts.next(), parts.next(), parts.next()] {
        [Some("arn"), Some("aws"), Some("states")] => Ok(parts.skip(2).collect()),
        [Some("arn"), Some(_), Some(_)] => Err(invalid_arn(arn)),
        _ => Err(AwsError::new("InvalidArn", format!("Invalid Arn: 'Invalid ARN prefix: {arn}'"))),
    }
}

fn invalid_arn(arn: &str) -> AwsError {
    AwsError::new("InvalidArn", format!("Invalid Arn: '{arn}'"))
}

fn wrong_type(found: &str) -> AwsError {
    AwsError::new("InvalidArn", format!("Invalid Arn: 'Resource type not valid in this context: {found}'"))
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
        for (error, message) in [
            (machine_name("nonsense").err(), "Invalid Arn: 'Invalid ARN prefix: nonsense'"),
            (check_execution_arn("nonsense").err(), "Invalid Arn: 'Invalid ARN prefix: nonsense'"),
            (
                check_execution_arn(&state_machine_arn("m")).err(),
                "Invalid Arn: 'Resource type not valid in this context: stateMachine'",
            ),
            (
                machine_name(&execution_arn("m", "e")).err(),
                "Invalid Arn: 'Resource type not valid in this context: execution'",
            ),
        ] {
            assert_eq!(error.unwrap().message(), message);
        }
    }

    #[test]
    fn roles() {
        for good in ["arn:aws:iam::000000000000:role/x", "arn:aws-cn:iam::123456789012:role/service-role/x"] {
            assert!(check_role(good).is_ok(), "{good}");
        }
        for bad in
            ["", "role", "arn:aws:iam::0:role/x", "arn:aws:iam::000000000000:role/", "arn:aws:iam::000000000000:user/x"]
        {
            assert_eq!(check_role(bad).unwrap_err().code(), "InvalidArn", "{bad}");
        }
    }
}
