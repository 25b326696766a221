//! The resources of Task states.

use std::fmt;

/// The `Resource` of a Task state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// A Lambda function by its ARN, `arn:aws:lambda:us-east-1:000000000000:function:ingest`. Its payload is the task's
    /// input, its result the task's result.
    Lambda {
        /// The whole ARN.
        arn: String,
    },
    /// A service integration, `arn:aws:states:::states:startExecution.sync:2`.
    Integration {
        /// The whole ARN.
        arn: String,
        /// `lambda`, `states`, `aws-sdk:s3`: the `resourceType` of the task's events.
        service: String,
        /// `invoke`, `startExecution.sync:2`: the `resource` of the task's events.
        action: String,
    },
}

impl Resource {
    /// Returns the ARN.
    pub fn arn(&self) -> &str {
        match self {
            Self::Lambda { arn } | Self::Integration { arn, .. } => arn,
        }
    }

    pub(crate) fn parse(arn: &str) -> Result<Self, String> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let [prefix, _partition, service, region, account, rest] = parts.as_slice() else {
            return Err("Value is not a valid resource ARN".to_owned());
        };
        match (*prefix, *service) {
            ("arn", "lambda") if rest.starts_with("function:") => Ok(Self::Lambda { arn: arn.to_owned() }),
            ("arn", "states") if region.is_empty() && account.is_empty() => Self::integration(arn, rest),
            ("arn", "states") if rest.starts_with("activity:") => {
                Err("Activities are not supported: use a Lambda function".to_owned())
            }
            _ => Err("Value is not a valid resource ARN".to_owned()),
        }
    }

    fn integration(arn: &str, rest: &str) -> Result<Self, String> {
        let services = if rest.starts_with("aws-sdk:") { 2 } else { 1 };
        let split = rest.match_indices(':').nth(services - 1).map(|(colon, _)| (&rest[..colon], &rest[colon + 1..]));
        match split {
            Some((_, action)) if action.contains(".waitForTaskToken") => Err(
                "The callback pattern '.waitForTaskToken' is not supported: use '.sync' or a request-response integration"
                    .to_owned(),
            ),
            Some((service, action)) if !service.is_empty() && !action.is_empty() => {
                Ok(Self::Integration {
                    arn: arn.to_owned(),
                    service: service.to_owned(),
                    action: action.to_owned(),
                })
            }
            _ => Err("Value is not a valid resource ARN".to_owned()),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.arn())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integrations_split_into_service_and_action() {
        let cases = [
            ("arn:aws:states:::lambda:invoke", "lambda", "invoke"),
            ("arn:aws:states:::states:startExecution.sync:2", "states", "startExecution.sync:2"),
            ("arn:aws:states:::aws-sdk:s3:getObject", "aws-sdk:s3", "getObject"),
            ("arn:aws-cn:states:::elasticmapreduce:addStep.sync", "elasticmapreduce", "addStep.sync"),
        ];
        for (arn, service, action) in cases {
            let expected =
                Resource::Integration { arn: arn.to_owned(), service: service.to_owned(), action: action.to_owned() };
            assert_eq!(Resource::parse(arn), Ok(expected), "{arn}");
        }
    }

    #[test]
    fn functions_are_named_by_their_arn() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:ingest:live";
        let resource = Resource::parse(arn).expect("a function");
        assert_eq!(resource, Resource::Lambda { arn: arn.into() });
        assert_eq!(resource.to_string(), arn);
    }

    #[test]
    fn other_resources_are_refused() {
        for arn in [
            "",
            "ingest",
            "${IngestFunctionArn}",
            "arn:aws:s3:::bucket",
            "arn:aws:lambda:us-east-1:0:layer:x",
            "arn:aws:states:::lambda",
            "arn:aws:states:::aws-sdk:s3",
            "arn:aws:states:::lambda:",
            "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "arn:aws:states:us-east-1:000000000000:activity:review",
        ] {
            assert!(Resource::parse(arn).is_err(), "{arn}");
        }
    }
}
