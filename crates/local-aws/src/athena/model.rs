//! The constraints of Athena's API model. <https://docs.aws.amazon.com/athena/latest/APIReference/API_Operations.html>

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::invalid_request;
use crate::aws_json::{self, AwsError};
use crate::constraints::{Member, Rule, violated};

const fn member(name: &'static str, rule: Rule) -> Member {
    Member { name, rule }
}

const PAGE: Member = member("MaxResults", Rule::Range(1, 50));
const TOKEN: Member = member("NextToken", Rule::Length(1, 1024));
const TYPE: Member = member("QueryResultType", Rule::OneOf(&["DATA_MANIFEST", "DATA_ROWS"]));

/// Refuses an input that does not satisfy the model of its operation.
pub(super) fn check(operation: &str, input: &Value) -> Result<(), AwsError> {
    let members: &[Member] = match operation {
        "ListWorkGroups" | "ListDatabases" | "ListTableMetadata" => &[PAGE, TOKEN],
        "ListDataCatalogs" => &[member("MaxResults", Rule::Range(2, 50)), TOKEN],
        "ListQueryExecutions" => &[member("MaxResults", Rule::Range(0, 50)), TOKEN],
        "GetQueryResults" => &[member("MaxResults", Rule::Range(1, 1000)), TOKEN, TYPE],
        "BatchGetQueryExecution" => &[member("QueryExecutionIds", Rule::Length(1, 50))],
        "StartQueryExecution" => {
            &[member("ExecutionParameters", Rule::Length(1, 1000)), member("ClientRequestToken", Rule::Length(32, 128))]
        }
        _ => &[],
    };
    violated(input, members).map_or(Ok(()), |message| Err(invalid_request(message)))
}

/// Deserializes the input of an operation.
pub(super) fn input<T: DeserializeOwned>(value: Value) -> Result<T, AwsError> {
    aws_json::input(value).map_err(|error| invalid_request(error.message()))
}
