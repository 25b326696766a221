//! Requests to the services that only `pregao doctor` asks: EC2, IAM, Lambda, Service Quotas and STS.
//!
//! Their SDK crates would take minutes to build, EC2's most of them, for a dozen calls that read. So the requests are written
//! here, and signed by the SDKs' own crate for signatures.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::{Credentials, ProvideCredentials};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use chrono::{DateTime, TimeDelta, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The characters that a form does not encode.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A service without a client in this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Ec2,
    Iam,
    Lambda,
    Quotas,
    Sts,
}

impl Service {
    /// Returns the name of the service in host names and signatures.
    fn name(self) -> &'static str {
        match self {
            Service::Ec2 => "ec2",
            Service::Iam => "iam",
            Service::Lambda => "lambda",
            Service::Quotas => "servicequotas",
            Service::Sts => "sts",
        }
    }

    /// Returns the environment variable with another endpoint of this service, as all AWS SDKs read it.
    fn endpoint_variable(self) -> &'static str {
        match self {
            Service::Ec2 => "AWS_ENDPOINT_URL_EC2",
            Service::Iam => "AWS_ENDPOINT_URL_IAM",
            Service::Lambda => "AWS_ENDPOINT_URL_LAMBDA",
            Service::Quotas => "AWS_ENDPOINT_URL_SERVICE_QUOTAS",
            Service::Sts => "AWS_ENDPOINT_URL_STS",
        }
    }

    /// Returns the version in requests of the query protocol.
    fn version(self) -> &'static str {
        match self {
            Service::Ec2 => "2016-11-15",
            Service::Iam => "2010-05-08",
            Service::Lambda => "2015-03-31",
            Service::Quotas => "2019-06-24",
            Service::Sts => "2011-06-15",
        }
    }

    /// Returns the URL of the service in a region, and the region of the signature.
    /// <https://docs.aws.amazon.com/general/latest/gr/iam-service.html>
    fn endpoint(self, region: &str) -> (String, String) {
        let is_china = region.starts_with("cn-");
        let suffix = if is_china { "amazonaws.com.cn" } else { "amazonaws.com" };
        if self != Service::Iam {
            return (format!("https://{}.{region}.{suffix}", self.name()), region.to_owned());
        }
        let (host, signed) = match region {
            _ if is_china => ("iam.cn-north-1", "cn-north-1"),
            _ if region.starts_with("us-gov-") => ("iam.us-gov", "us-gov-west-1"),
            _ => ("iam", "us-east-1"),
        };
        (format!("https://{host}.{suffix}"), signed.to_owned())
    }
}

/// The error of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    /// There are no credentials.
    #[error("there are no credentials: {0}")]
    NoCredentials(String),
    /// The service cannot be reached.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, String),
    /// The service refused the request.
    #[error("{code}: {message}")]
    Refused { code: String, message: String },
    /// The response has another form than documented.
    #[error("the response cannot be read: {0}")]
    Unreadable(String),
}

impl ApiError {
    /// Returns the error code of the service.
    pub(super) fn code(&self) -> &str {
        match self {
            ApiError::Refused { code, .. } => code,
            _ => "",
        }
    }
}

/// The services in one region, with the credentials of the configuration.
pub(super) struct Api {
    connector: aws_smithy_http_client::Connector,
    sdk: SdkConfig,
    region: String,
    /// The time of the newest response by the clock of the service, minus the time by that of this machine.
    skew: Mutex<Option<TimeDelta>>,
}

impl Api {
    pub(super) fn new(sdk: &SdkConfig, region: &str) -> Api {
        Api { connector: lake::connector(), sdk: sdk.clone(), region: region.to_owned(), skew: Mutex::new(None) }
    }

    /// By how much the clock of the services is ahead of that of this machine, or `None` before the first response. Responses
    /// that refuse a request tell it too.
    pub(super) fn skew(&self) -> Option<TimeDelta> {
        *self.skew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls an operation of a service with the query protocol: STS, IAM, EC2.
    pub(super) async fn query<T: DeserializeOwned>(
        &self,
        service: Service,
        action: &str,
        parameters: &[(String, String)],
    ) -> Result<T, ApiError> {
        let fixed = [("Action".to_owned(), action.to_owned()), ("Version".to_owned(), service.version().to_owned())];
        let pairs = fixed.iter().chain(parameters);
        let encoded = |text: &str| utf8_percent_encode(text, FORM).to_string();
        let form: Vec<String> = pairs.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        let text = self.send(service, "POST", "/", &headers, form.join("&")).await?;
        quick_xml::de::from_str(&text).map_err(|error| ApiError::Unreadable(error.to_string()))
    }

    /// Calls an operation of Service Quotas.
    pub(super) async fn quotas<T: DeserializeOwned>(&self, operation: &str, input: &Value) -> Result<T, ApiError> {
        let target = format!("ServiceQuotasV20190624.{operation}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", &target)];
        let text = self.send(Service::Quotas, "POST", "/", &headers, input.to_string()).await?;
        serde_json::from_str(&text).map_err(|error| ApiError::Unreadable(error.to_string()))
    }

    /// Reads a resource of Lambda.
    pub(super) async fn lambda<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let text = self.send(Service::Lambda, "GET", path, &[], String::new()).await?;
        serde_json::from_str(&text).map_err(|error| ApiError::Unreadable(error.to_string()))
    }

    /// Sends a request, once more if the service is throttling or fails. Returns the body of a successful response.
    async fn send(
        &self,
        service: Service,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<String, ApiError> {
        let first = self.send_once(service, method, path, headers, &body).await;
        match &first {
            Err(ApiError::Refused { code, .. }) if code.contains("Throttl") || code.starts_with("Internal") => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.send_once(service, method, path, headers, &body).await
            }
            _ => first,
        }
    }

    async fn send_once(
        &self,
        service: Service,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<String, ApiError> {
        let credentials = self.credentials().await?;
        let (mut endpoint, region) = service.endpoint(&self.region);
        let other = std::env::var(service.endpoint_variable()).ok().filter(|url| !url.is_empty());
        if let Some(url) = other.as_deref().or_else(|| self.sdk.endpoint_url()) {
            url.trim_end_matches('/').clone_into(&mut endpoint);
        }
        let url = format!("{endpoint}{path}");
        let request = signed(&credentials, service, &region, method, &url, headers, body)?;
        let unreachable = |error: &dyn std::fmt::Display| ApiError::Unreachable(endpoint.clone(), error.to_string());
        let response = tokio::time::timeout(TIMEOUT, async {
            let response = self.connector.call(request).await.map_err(|error| unreachable(&causes(&error)))?;
            self.read(response).await
        });
        response.await.map_err(|_| unreachable(&"it does not answer"))?
    }

    async fn credentials(&self) -> Result<Credentials, ApiError> {
        let none = || ApiError::NoCredentials("no credentials provider is configured".to_owned());
        let provider = self.sdk.credentials_provider().ok_or_else(none)?;
        provider.provide_credentials().await.map_err(|error| {
            // The lines after the first list each provider that was tried.
            ApiError::NoCredentials(
                causes(&error).lines().next().unwrap_or_default().trim_end_matches(" Attempted:").to_owned(),
            )
        })
    }

    /// Reads a response: its date, and its body or error.
    async fn read(&self, response: HttpResponse) -> Result<String, ApiError> {
        let date = response.headers().get("date").and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        if let Some(date) = date {
            *self.skew.lock().unwrap_or_else(PoisonError::into_inner) = Some(date.to_utc() - Utc::now());
        }
        let status = response.status();
        let error_type = response.headers().get("x-amzn-errortype").map(str::to_owned);
        let body = ByteStream::new(response.into_body()).collect().await;
        let body = body.map_err(|error| ApiError::Unreadable(error.to_string()))?;
        let text = String::from_utf8_lossy(&body.into_bytes()).into_owned();
        if status.is_success() {
            return Ok(text);
        }
        let (code, mut message) = error_of(&text, error_type.as_deref());
        if message.is_empty() {
            message = text.chars().take(200).collect();
        }
        Err(ApiError::Refused { code: code.unwrap_or_else(|| format!("status {}", status.as_u16())), message })
    }
}

/// Returns an error with its causes.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Builds a request with a signature.
fn signed(
    credentials: &Credentials,
    service: Service,
    region: &str,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<aws_sdk_s3::config::http::HttpRequest, ApiError> {
    let failed = |error: &dyn std::error::Error| ApiError::Unreachable(url.to_owned(), causes(error));
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service.name())
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| failed(&error))?;
    let signable = SignableRequest::new(method, url, headers.iter().copied(), SignableBody::Bytes(body.as_bytes()));
    let signable = signable.map_err(|error| failed(&error))?;
    let (instructions, _) = sign(signable, &parameters.into()).map_err(|error| failed(&error))?.into_parts();
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(SdkBody::from(body)).map_err(|error| failed(&error))?;
    instructions.apply_to_request_http1x(&mut request);
    request.try_into().map_err(|error: aws_smithy_runtime_api::http::HttpError| failed(&error))
}

/// Returns code and message of an error in XML or JSON. `error_type` is the header with the code.
fn error_of(text: &str, error_type: Option<&str>) -> (Option<String>, String) {
    #[derive(Deserialize)]
    struct Json {
        #[serde(rename = "__type")]
        ty: Option<String>,
        #[serde(alias = "Message")]
        message: Option<String>,
    }
    let short = |code: &str| {
        let code = code.split(':').next().unwrap_or(code);
        code.rsplit('#').next().unwrap_or(code).to_owned()
    };
    if let Ok(json) = serde_json::from_str::<Json>(text) {
        return (error_type.or(json.ty.as_deref()).map(short), json.message.unwrap_or_default());
    }
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
    };
    (element("Code").or(error_type.map(short)), element("Message").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_those_of_the_partition() {
        for (service, region, url, signed) in [
            (Service::Ec2, "sa-east-1", "https://ec2.sa-east-1.amazonaws.com", "sa-east-1"),
            (Service::Sts, "cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            (Service::Iam, "sa-east-1", "https://iam.amazonaws.com", "us-east-1"),
            (Service::Iam, "cn-northwest-1", "https://iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            (Service::Iam, "us-gov-east-1", "https://iam.us-gov.amazonaws.com", "us-gov-west-1"),
        ] {
            assert_eq!(service.endpoint(region), (url.to_owned(), signed.to_owned()));
        }
    }

    #[test]
    fn errors_of_all_protocols_are_read() {
        for (text, header, code, message) in [
            (
                "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>",
                None,
                "UnauthorizedOperation",
                "no",
            ),
            (
                r#"{"__type": "com.amazonaws#NoSuchResourceException", "Message": "none"}"#,
                None,
                "NoSuchResourceException",
                "none",
            ),
            (r#"{"message": "denied"}"#, Some("AccessDeniedException:http://x"), "AccessDeniedException", "denied"),
        ] {
            assert_eq!(error_of(text, header), (Some(code.to_owned()), message.to_owned()));
        }
        assert_eq!(error_of("<html>", None), (None, String::new()));
    }
}
