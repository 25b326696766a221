//! The HTTP server on one loopback port: dispatch of requests to services, and graceful shutdown.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::{Body, S3ErrorCode};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::field::Empty;
use tracing::{Instrument, Span, trace_span};

use crate::athena::Athena;
use crate::aws_json::{self, AwsError, Version};
use crate::drain;
use crate::emr::Emr;
use crate::emr_serverless::EmrServerless;
use crate::faults::{Faults, ServiceCall};
use crate::glue::Glue;
use crate::in_process::InProcessRequest;
use crate::lambda::{self, Functions};
use crate::origin;
use crate::protocol::{self, Protocol};
use crate::rest_json;
use crate::s3::S3;
use crate::state::State;
use crate::step_functions::StepFunctions;
use crate::sts;

/// The maximum size of the body of a JSON request. Lambda's own limit is 6 MB.
const MAX_JSON_BYTES: usize = 16 * 1024 * 1024;

/// The timeout of shutdown for requests in progress.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// All services.
pub(crate) struct Services {
    pub(crate) s3: S3,
    pub(crate) functions: Functions,
    pub(crate) step_functions: Arc<StepFunctions>,
    pub(crate) emr: Emr,
    pub(crate) emr_serverless: EmrServerless,
    pub(crate) athena: Arc<Athena>,
    pub(crate) glue: Arc<Glue>,
    pub(crate) state: Arc<State>,
    pub(crate) faults: Faults,
}

/// The error by which hyper closes a connection without a response.
#[derive(Debug, thiserror::Error)]
#[error("no answer, as the fault plan has it")]
struct NoResponse;

/// Serves the listener and the in-process requests until `stop` becomes true, then waits for requests in progress.
pub(crate) async fn serve(
    listener: TcpListener,
    mut calls: mpsc::UnboundedReceiver<InProcessRequest>,
    services: Arc<Services>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => {}
            Some(InProcessRequest { request, caller, reply }) = calls.recv() => {
                let services = Arc::clone(&services);
                let responding = async move {
                    if let Some(response) = services.respond(request).await {
                        // The client may have disconnected.
                        let _ = reply.send(response);
                    }
                };
                connections.spawn(responding.instrument(caller));
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, Arc::clone(&services), stop.clone()));
                }
                // Usually out of file handles: waits a little for other connections to close (backoff).
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
    drop((listener, calls));
    let finished = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, finished).await;
}

/// Completes when shutdown is requested, or the sender is dropped.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}

async fn serve_connection(stream: TcpStream, services: Arc<Services>, mut stop: watch::Receiver<bool>) {
    // Without Nagle's algorithm, which would delay small responses.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request: Request<Incoming>| {
        let services = Arc::clone(&services);
        async move {
            let (request, rest) = drain::share(request);
            let mut response = services.respond(request).await.ok_or(NoResponse)?;
            origin::add_security_headers(response.headers_mut());
            if !rest.discard().await {
                // hyper closes the connection without this header, and a client would send its next request over it.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, NoResponse>(response)
        }
    });
    let mut connection =
        std::pin::pin!(http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

impl Services {
    /// Handles a request, with the faults of the plan. `None`: the connection is to break without a response.
    async fn respond(self: &Arc<Self>, request: Request<Body>) -> Option<Response<Body>> {
        if !self.faults.is_enabled() {
            return Some(self.handle(request).await);
        }
        let service_call = ServiceCall::from_request(&request);
        // The body is read first: a call that is executed after the connection broke needs all of it.
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head, Body::from(body.collect().await.ok()?.to_bytes()));
        let services = Arc::clone(self);
        let outcome = self.faults.inject(&service_call, async move { services.handle(request).await }).await;
        outcome.into_response(&service_call).await
    }

    /// Handles a request, in a span of its own. Each response has a request id.
    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let protocol = Protocol::from_head(&head);
        let id = protocol.new_request_id();
        let request = Request::from_parts(head, body);
        let span = request_span(&request, &id);
        let response = self.check_and_dispatch(&protocol, request, &id).instrument(span.clone()).await;
        span.record("status", response.status().as_u16());
        protocol.stamp(response, &id)
    }

    async fn check_and_dispatch(&self, protocol: &Protocol, request: Request<Body>, id: &str) -> Response<Body> {
        let (head, body) = request.into_parts();
        match origin::check(&head) {
            Ok(()) => self.dispatch(protocol, Request::from_parts(head, body), id).await,
            Err(reason) => {
                tracing::warn!(%reason, method = %head.method, path = head.uri.path(), "a request was refused");
                protocol.deny(&reason.to_string())
            }
        }
    }

    async fn dispatch(&self, protocol: &Protocol, request: Request<Body>, id: &str) -> Response<Body> {
        match protocol {
            Protocol::Json(target) => self.handle_json(target, request).await,
            Protocol::EmrServerless => self.handle_emr_serverless(request).await,
            // S3 and Lambda are not refused after a storage failure: each write of an object succeeds or fails by itself.
            Protocol::Lambda(path) => self.handle_lambda(path, request).await,
            Protocol::Sts => handle_sts(request, id).await,
            Protocol::S3 => match self.s3.handle(request).await {
                Ok(response) => response,
                Err(error) => protocol::s3_error(S3ErrorCode::InternalError, &format!("{error:?}")),
            },
        }
    }

    async fn handle_lambda(&self, path: &str, request: Request<Body>) -> Response<Body> {
        let (method, headers) = (request.method().clone(), request.headers().clone());
        match read(request).await {
            Ok(body) => self.functions.respond(&method, path, &headers, body).await,
            Err(error) => lambda::error_response(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestTooLargeException",
                &format!("the body could not be read: {error}"),
            ),
        }
    }

    async fn handle_json(&self, target: &str, request: Request<Body>) -> Response<Body> {
        let (service, operation) = target.split_once('.').unwrap_or((target, ""));
        let version = Version::from_target(target);
        let answer = match (service, self.input(request).await) {
            (_, Err(error)) => Err(error),
            ("AWSStepFunctions", Ok(input)) => self.step_functions.call(operation, input).await,
            ("AmazonAthena", Ok(input)) if operation == Athena::RESULTS => {
                return version.respond_text(self.athena.results(input));
            }
            ("AmazonAthena", Ok(input)) => self.athena.call(operation, input).await,
            ("AWSGlue", Ok(input)) => self.glue.call(operation, input).await,
            ("ElasticMapReduce", Ok(input)) => self.emr.call(operation, input),
            (_, Ok(_)) => Err(AwsError::unknown_operation(target)),
        };
        version.respond(answer)
    }

    async fn handle_emr_serverless(&self, request: Request<Body>) -> Response<Body> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let input = self.input(request).await;
        rest_json::respond(input.and_then(|input| self.emr_serverless.call(&method, &uri, input)))
    }

    /// Reads the input of an operation, unless the state cannot be stored.
    async fn input(&self, request: Request<Body>) -> Result<Value, AwsError> {
        let body = read(request)
            .await
            .map_err(|error| AwsError::new("SerializationException", format!("the body could not be read: {error}")))?;
        let input = aws_json::parse(&body)?;
        self.state.storage_failure().map_or(Ok(input), |failure| Err(AwsError::storage(failure)))
    }
}

/// Answers a request of STS, which has no state.
async fn handle_sts(request: Request<Body>, id: &str) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    match read(request).await {
        Ok(form) => sts::respond(&query, &form, id),
        Err(error) => sts::error(StatusCode::BAD_REQUEST, "MalformedInput", &error.to_string(), id),
    }
}

/// Creates the span of a request. Classifies the request only if the span is enabled.
fn request_span<B>(request: &Request<B>, id: &str) -> Span {
    let span = trace_span!("request", id, service = Empty, operation = Empty, key = Empty, status = Empty);
    if !span.is_disabled() {
        let ServiceCall { service, operation, key } = ServiceCall::from_request(request);
        span.record("service", service.name());
        span.record("operation", operation);
        if !key.is_empty() {
            span.record("key", key);
        }
    }
    span
}

/// Reads the whole body of a request, up to [`MAX_JSON_BYTES`].
async fn read(request: Request<Body>) -> Result<Bytes, s3s::StdError> {
    Ok(Limited::new(request.into_body(), MAX_JSON_BYTES).collect().await?.to_bytes())
}
