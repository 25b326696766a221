//! Classification of requests: the service, AWS's name of the operation, and the key that it is about.

use http::{Method, Request};
use strum::{EnumString, IntoStaticStr};

use crate::emr_serverless::{self, Operation};
use crate::lambda;
use crate::sts;
use crate::url_encoding::decode_lossy;

/// The service of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Service {
    S3,
    Athena,
    Glue,
    #[strum(serialize = "states")]
    StepFunctions,
    Emr,
    #[strum(serialize = "emr-serverless")]
    EmrServerless,
    Lambda,
    Sts,
    /// The engine of Spark jobs. Its calls come from clusters and job runs, not from clients.
    Spark,
    /// The deliveries of the event rules.
    Events,
}

impl Service {
    /// The name in plans and in the log.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

/// The properties of a call that a plan can select by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceCall {
    pub(crate) service: Service,
    pub(crate) operation: String,
    /// `BUCKET/KEY` of an object, `BUCKET/` or `BUCKET/PREFIX` of a listing, the name of a function, of a Spark step or job run, or
    /// of an event rule, or empty.
    pub(crate) key: String,
}

impl ServiceCall {
    pub(crate) fn new(service: Service, operation: &str, key: &str) -> ServiceCall {
        ServiceCall { service, operation: operation.to_owned(), key: key.to_owned() }
    }

    /// Classifies an HTTP request.
    pub(crate) fn from_request<B>(request: &Request<B>) -> ServiceCall {
        if let Some(target) = request.headers().get("x-amz-target") {
            let target = String::from_utf8_lossy(target.as_bytes());
            let (service, operation) = target.split_once('.').unwrap_or((&target, ""));
            let service = match service {
                "AWSStepFunctions" => Service::StepFunctions,
                "ElasticMapReduce" => Service::Emr,
                "AWSGlue" => Service::Glue,
                _ => Service::Athena,
            };
            return ServiceCall::new(service, operation, "");
        }
        let path = request.uri().path();
        if emr_serverless::is_addressed(request.headers()) {
            return ServiceCall::new(Service::EmrServerless, Operation::of(request.method(), path).name(), "");
        }
        if sts::is_addressed(request.headers(), path) {
            // The name of the operation is in the body.
            return ServiceCall::new(
                Service::Sts,
                request.uri().query().and_then(sts::action).as_deref().unwrap_or(""),
                "",
            );
        }
        if let Some(rest) = path.strip_prefix(lambda::PATH).filter(|rest| rest.is_empty() || rest.starts_with('/')) {
            let rest = rest.trim_matches('/');
            let (name, action) = rest.split_once('/').unwrap_or((rest, ""));
            let operation = if action == "invocations" { "Invoke" } else { "GetFunction" };
            return ServiceCall::new(Service::Lambda, operation, name);
        }
        ServiceCall::from_s3_request(request, path)
    }

    fn from_s3_request<B>(request: &Request<B>, path: &str) -> ServiceCall {
        let query = request.uri().query().unwrap_or_default();
        let parameter = |name: &str| {
            query.split('&').find_map(|part| {
                let (key, value) = part.split_once('=').unwrap_or((part, ""));
                (key == name).then(|| decode_lossy(value))
            })
        };
        let has = |name: &str| parameter(name).is_some();
        let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
        let copies = request.headers().contains_key("x-amz-copy-source");
        let operation = match (request.method(), key.is_empty()) {
            (&Method::GET, true) if bucket.is_empty() => "ListBuckets",
            (&Method::GET, true) if has("list-type") => "ListObjectsV2",
            (&Method::GET, true) if has("uploads") => "ListMultipartUploads",
            (&Method::GET, true) if has("location") => "GetBucketLocation",
            (&Method::GET, true) => "ListObjects",
            (&Method::HEAD, true) => "HeadBucket",
            (&Method::PUT, true) => "CreateBucket",
            (&Method::DELETE, true) => "DeleteBucket",
            (&Method::POST, true) if has("delete") => "DeleteObjects",
            (&Method::GET, false) if has("uploadId") => "ListParts",
            (&Method::GET, false) if has("attributes") => "GetObjectAttributes",
            (&Method::GET, false) => "GetObject",
            (&Method::HEAD, false) => "HeadObject",
            (&Method::PUT, false) if has("partNumber") && copies => "UploadPartCopy",
            (&Method::PUT, false) if has("partNumber") => "UploadPart",
            (&Method::PUT, false) if copies => "CopyObject",
            (&Method::PUT, false) => "PutObject",
            (&Method::DELETE, false) if has("uploadId") => "AbortMultipartUpload",
            (&Method::DELETE, false) => "DeleteObject",
            (&Method::POST, false) if has("uploads") => "CreateMultipartUpload",
            (&Method::POST, false) if has("uploadId") => "CompleteMultipartUpload",
            _ => "PostObject",
        };
        let key = if key.is_empty() { parameter("prefix").unwrap_or_default() } else { decode_lossy(key) };
        ServiceCall::new(Service::S3, operation, &format!("{bucket}/{key}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_names_of_their_operations() {
        for (method, uri, headers, expected) in [
            ("PUT", "/b/a%20b/c.csv?x-id=PutObject", &[][..], "s3 PutObject b/a b/c.csv"),
            ("PUT", "/b/k", &["x-amz-copy-source"], "s3 CopyObject b/k"),
            ("PUT", "/b/k?partNumber=1&uploadId=u", &[], "s3 UploadPart b/k"),
            ("PUT", "/b/k?partNumber=1&uploadId=u", &["x-amz-copy-source"], "s3 UploadPartCopy b/k"),
            ("GET", "/b/k", &[], "s3 GetObject b/k"),
            ("HEAD", "/b/k", &[], "s3 HeadObject b/k"),
            ("DELETE", "/b/k", &[], "s3 DeleteObject b/k"),
            ("POST", "/b?delete", &[], "s3 DeleteObjects b/"),
            ("POST", "/b/k?uploads", &[], "s3 CreateMultipartUpload b/k"),
            ("POST", "/b/k?uploadId=u", &[], "s3 CompleteMultipartUpload b/k"),
            ("GET", "/b?list-type=2&prefix=landing%2F", &[], "s3 ListObjectsV2 b/landing/"),
            ("GET", "/b/?list-type=2", &[], "s3 ListObjectsV2 b/"),
            ("GET", "/", &[], "s3 ListBuckets /"),
            ("POST", "/2015-03-31/functions/ingest/invocations", &[], "lambda Invoke ingest"),
            ("GET", "/%", &[], "s3 ListObjects %/"),
        ] {
            let mut request = Request::builder().method(method).uri(uri);
            for header in headers {
                request = request.header(*header, "/b/source");
            }
            let call = ServiceCall::from_request(&request.body(()).unwrap());
            assert_eq!(format!("{} {} {}", call.service.name(), call.operation, call.key), expected);
        }
        for (target, service, operation) in [
            ("AmazonAthena.StartQueryExecution", Service::Athena, "StartQueryExecution"),
            ("AWSGlue.BatchCreatePartition", Service::Glue, "BatchCreatePartition"),
            ("AWSStepFunctions.StartExecution", Service::StepFunctions, "StartExecution"),
            ("ElasticMapReduce.DescribeStep", Service::Emr, "DescribeStep"),
        ] {
            let request = Request::builder().method("POST").uri("/").header("x-amz-target", target).body(()).unwrap();
            assert_eq!(ServiceCall::from_request(&request), ServiceCall::new(service, operation, ""));
        }
        let signature = "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/emr-serverless/aws4_request, Signature=a";
        let request = Request::builder().method("DELETE").uri("/applications/a1/jobruns/j1?x=y");
        let request = request.header("authorization", signature).body(()).unwrap();
        let call = ServiceCall::from_request(&request);
        assert_eq!(call, ServiceCall::new(Service::EmrServerless, "CancelJobRun", ""));
        assert_eq!((call.service.name(), "emr-serverless".parse()), ("emr-serverless", Ok(Service::EmrServerless)));
    }
}
