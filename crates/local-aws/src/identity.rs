//! The endpoint's account and region, and the ARNs of its resources.

/// The endpoint's account.
pub const ACCOUNT: &str = "000000000000";
/// The endpoint's region.
pub const REGION: &str = "us-east-1";

/// The ARN of a state machine.
pub fn state_machine_arn(name: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}")
}

/// The ARN of an execution of a state machine.
pub(crate) fn execution_arn(machine: &str, name: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:execution:{machine}:{name}")
}

/// The ARN of an express execution of a state machine. Only tests of states are such.
pub(crate) fn express_execution_arn(machine: &str, name: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:express:{machine}:{name}")
}

/// The ARN of a function.
pub fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

/// The ARN of the role in descriptions. There is no access control, so it grants and denies nothing.
pub(crate) fn role_arn() -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/pregao-local")
}
