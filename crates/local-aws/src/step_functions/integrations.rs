//! The resources of Task states: those that this endpoint runs, and those that only AWS does.

use asl::{DefinitionError, Resource, StateMachine};

/// What this endpoint runs, besides functions by their ARN.
const RUN_HERE: [&str; 4] =
    ["lambda:invoke", "states:startExecution", "states:startExecution.sync", "states:startExecution.sync:2"];

/// The optimized integrations of AWS: each service with its actions.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/integrate-optimized.html>
const OPTIMIZED: &str = "\
    apigateway invoke;\
    athena startQueryExecution stopQueryExecution getQueryExecution getQueryResults;\
    batch submitJob;\
    bedrock invokeModel createModelCustomizationJob;\
    codebuild startBuild stopBuild batchDeleteBuilds batchGetReports startBuildBatch stopBuildBatch retryBuildBatch deleteBuildBatch;\
    databrew startJobRun;\
    dynamodb getItem putItem updateItem deleteItem;\
    ecs runTask;\
    eks call runJob createCluster deleteCluster createNodegroup deleteNodegroup createFargateProfile deleteFargateProfile;\
    elasticmapreduce createCluster terminateCluster addStep cancelStep setClusterTerminationProtection \
    modifyInstanceFleetByName modifyInstanceGroupByName;\
    emr-containers createVirtualCluster deleteVirtualCluster startJobRun;\
    emr-serverless createApplication startApplication stopApplication deleteApplication startJobRun cancelJobRun;\
    events putEvents;\
    glue startJobRun;\
    http invoke;\
    lambda invoke;\
    mediaconvert createJob;\
    sagemaker createEndpoint createEndpointConfig createHyperParameterTuningJob createLabelingJob createModel \
    createProcessingJob createTrainingJob createTransformJob updateEndpoint;\
    sns publish;\
    sqs sendMessage;\
    states startExecution";

/// Refuses a machine with a resource that this endpoint cannot run, so that it does not fail when it is too late.
pub(super) fn check(machine: &StateMachine) -> Result<(), DefinitionError> {
    machine.resources().into_iter().try_for_each(|(location, resource)| check_resource(location, resource))
}

/// Refuses a resource that this endpoint cannot run.
pub(super) fn check_resource(location: &str, resource: &Resource) -> Result<(), DefinitionError> {
    match resource {
        Resource::Integration { arn, service, action }
            if !RUN_HERE.contains(&format!("{service}:{action}").as_str()) =>
        {
            Err(DefinitionError::resource(location, refusal(arn, service, action)))
        }
        _ => Ok(()),
    }
}

fn refusal(arn: &str, service: &str, action: &str) -> String {
    if is_of_aws(service, action) {
        return format!(
            "The resource {arn} is not supported by this endpoint, which runs functions by their ARN and arn:aws:states:::{}",
            RUN_HERE.join(", arn:aws:states:::")
        );
    }
    format!(
        "The resource provided {arn} is not recognized. The value is not a valid resource ARN, or the resource is not \
         available in this region."
    )
}

fn is_of_aws(service: &str, action: &str) -> bool {
    if service.starts_with("aws-sdk:") {
        return true;
    }
    let name = action.split('.').next().unwrap_or(action);
    OPTIMIZED.split(';').any(|entry| {
        let mut words = entry.split_whitespace();
        words.next() == Some(service) && words.any(|known| known == name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(action: &str) -> Option<String> {
        let resource = format!("arn:aws:states:::{action}");
        let state = json!({ "Type": "Task", "Resource": resource, "End": true });
        let machine = json!({ "StartAt": "S", "States": { "S": state } });
        let machine = StateMachine::parse(&machine.to_string()).unwrap();
        check(&machine).err().map(|error| error.to_string())
    }

    #[test]
    fn what_cannot_run_is_refused_with_the_reason() {
        for action in RUN_HERE {
            assert_eq!(refused(action), None, "{action}");
        }
        for action in ["dynamodb:query", "lambda:list", "nothing:here", "sqs:publish"] {
            let message = refused(action).unwrap();
            let expected = format!(
                "SCHEMA_VALIDATION_FAILED: The resource provided arn:aws:states:::{action} is not recognized. The value is not \
                 a valid resource ARN, or the resource is not available in this region. at /States/S/Resource"
            );
            assert_eq!(message, expected);
        }
        for action in
            ["dynamodb:getItem", "aws-sdk:s3:getObject", "elasticmapreduce:addStep.sync", "athena:getQueryResults"]
        {
            let message = refused(action).unwrap();
            assert!(message.contains("is not supported by this endpoint, which runs functions"), "{message}");
            assert!(message.ends_with(" at /States/S/Resource"), "{message}");
        }
    }
}
