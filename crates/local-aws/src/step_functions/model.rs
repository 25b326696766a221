//! The constraints of the API model of Step Functions.
//!
//! <https://docs.aws.amazon.com/step-functions/latest/apireference/API_Operations.html>

use serde_json::Value;

use crate::aws_json::AwsError;
use crate::constraints::{Member, Rule, violated};

const fn member(name: &'static str, rule: Rule) -> Member {
    Member { name, rule }
}

const ARN: Rule = Rule::Length(1, 256);
/// The limit of its size is checked where it is parsed: the message would repeat it.
const DEFINITION: Rule = Rule::Length(1, usize::MAX);
const DESCRIPTION: Rule = Rule::Length(0, 256);
/// A JSON text of data.
const DATA_TEXT: Rule = Rule::Length(0, 262_144);
const ROUTING: Rule = Rule::Length(1, 2);
const PAGE: Member = member("maxResults", Rule::Range(0, 1000));
const TOKEN: Member = member("nextToken", Rule::Length(1, 1024));
const TYPE: Member = member("type", Rule::OneOf(&["EXPRESS", "STANDARD"]));
const DATA: Member = member("includedData", Rule::OneOf(&["METADATA_ONLY", "ALL_DATA"]));

/// In the order in which AWS names them.
const STATUS: Rule = Rule::OneOf(&["SUCCEEDED", "TIMED_OUT", "PENDING_REDRIVE", "ABORTED", "FAILED", "RUNNING"]);

/// Refuses an input that does not satisfy the model of its operation.
pub(super) fn check(operation: &str, input: &Value) -> Result<(), AwsError> {
    let members = members(operation);
    match violated(input, &members) {
        None => Ok(()),
        Some(message) => Err(AwsError::new("ValidationException", message)),
    }
}

fn members(operation: &str) -> Vec<Member> {
    let required = |name, rule| [member(name, Rule::Required), member(name, rule)];
    let of_machine = || required("stateMachineArn", ARN);
    let of_execution = || required("executionArn", ARN);
    match operation {
        "CreateStateMachine" => [
            required("name", Rule::Length(1, 80)).as_slice(),
            &required("definition", DEFINITION),
            &required("roleArn", ARN),
            &[TYPE, member("versionDescription", DESCRIPTION)],
        ]
        .concat(),
        "UpdateStateMachine" => [
            of_machine().as_slice(),
            &[member("definition", DEFINITION), member("roleArn", ARN), member("versionDescription", DESCRIPTION)],
        ]
        .concat(),
        "DeleteStateMachine" => of_machine().to_vec(),
        "DescribeStateMachine" => [of_machine().as_slice(), &[DATA]].concat(),
        "ListStateMachines" => vec![PAGE, TOKEN],
        "PublishStateMachineVersion" => [of_machine().as_slice(), &[member("description", DESCRIPTION)]].concat(),
        "DeleteStateMachineVersion" => required("stateMachineVersionArn", Rule::Length(1, 2000)).to_vec(),
        "ListStateMachineVersions" | "ListStateMachineAliases" => [of_machine().as_slice(), &[PAGE, TOKEN]].concat(),
        "CreateStateMachineAlias" => [
            required("name", Rule::Length(1, 80)).as_slice(),
            &required("routingConfiguration", ROUTING),
            &[member("description", DESCRIPTION)],
        ]
        .concat(),
        "UpdateStateMachineAlias" => [
            required("stateMachineAliasArn", ARN).as_slice(),
            &[member("routingConfiguration", ROUTING), member("description", DESCRIPTION)],
        ]
        .concat(),
        "DescribeStateMachineAlias" | "DeleteStateMachineAlias" => required("stateMachineAliasArn", ARN).to_vec(),
        // AWS diagnoses an empty definition.
        "ValidateStateMachineDefinition" => [
            [member("definition", Rule::Required)].as_slice(),
            &[TYPE, member("severity", Rule::OneOf(&["ERROR", "WARNING"])), member("maxResults", Rule::Range(0, 100))],
        ]
        .concat(),
        "TestState" => [
            required("definition", DEFINITION).as_slice(),
            &[
                member("roleArn", ARN),
                member("inspectionLevel", Rule::OneOf(&["TRACE", "DEBUG", "INFO"])),
                member("stateName", Rule::Length(1, 80)),
                member("variables", DATA_TEXT),
                member("context", DATA_TEXT),
            ],
        ]
        .concat(),
        "StartExecution" => [
            of_machine().as_slice(),
            &[member("name", Rule::Length(1, 80)), member("traceHeader", Rule::Length(0, 256))],
        ]
        .concat(),
        "RedriveExecution" => [of_execution().as_slice(), &[member("clientToken", Rule::Length(1, 64))]].concat(),
        "StopExecution" => [
            of_execution().as_slice(),
            &[member("error", Rule::Length(0, 256)), member("cause", Rule::Length(0, 32_768))],
        ]
        .concat(),
        "DescribeExecution" | "DescribeStateMachineForExecution" => [of_execution().as_slice(), &[DATA]].concat(),
        "ListExecutions" => vec![
            member("stateMachineArn", ARN),
            member("statusFilter", STATUS),
            PAGE,
            member("nextToken", Rule::Length(1, 3096)),
            member("mapRunArn", Rule::Length(1, 2000)),
            member("redriveFilter", Rule::OneOf(&["REDRIVEN", "NOT_REDRIVEN"])),
        ],
        "GetExecutionHistory" => [of_execution().as_slice(), &[PAGE, TOKEN]].concat(),
        "TagResource" => [required("resourceArn", ARN).as_slice(), &[member("tags", Rule::Required)]].concat(),
        "UntagResource" => [required("resourceArn", ARN).as_slice(), &[member("tagKeys", Rule::Required)]].concat(),
        "ListTagsForResource" => required("resourceArn", ARN).to_vec(),
        _ => Vec::new(),
    }
}
