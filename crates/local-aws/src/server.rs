//! HTTP on one loopback port: which service a request is for, and a quiet end of the server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::{Body, S3ErrorCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::athena::Athena;
use crate::aws_json::{self, AwsError, Version};
use crate::emr::Emr;
use crate::faults::{Called, Faults};
use crate::foreign;
use crate::glue::Glue;
use crate::in_process::Call;
use crate::lambda::{self, Functions};
use crate::protocol::{self, Protocol};
use crate::s3::S3;
use crate::state::State;
use crate::step_functions::StepFunctions;
use crate::unread;

/// The most that the body of a JSON request may have: Lambda's own limit is 6 MB.
const LARGEST_JSON: usize = 16 * 1024 * 1024;

/// How long requests under way may go on after the end of the server was asked for.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Everything that answers.
pub(crate) struct Services {
    pub(crate) s3: S3,
    pub(crate) functions: Functions,
    pub(crate) step_functions: Arc<StepFunctions>,
    pub(crate) emr: Emr,
    pub(crate) athena: Arc<Athena>,
    pub(crate) glue: Arc<Glue>,
    pub(crate) state: Arc<State>,
    pub(crate) faults: Faults,
}

/// Why a connection is closed that no answer is sent on.
#[derive(Debug, thiserror::Error)]
#[error("no answer, as the fault plan has it")]
struct NoAnswer;

/// Answers on the listener, and to calls from within the process, until `stop` becomes true, then finishes what is under way.
pub(crate) async fn serve(
    listener: TcpListener,
    mut calls: mpsc::UnboundedReceiver<Call>,
    services: Arc<Services>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => {}
            Some(Call { request, reply }) = calls.recv() => {
                let services = Arc::clone(&services);
                connections.spawn(async move {
                    if let Some(response) = services.respond(request).await {
                        // Who asked may have gone away.
                        let _ = reply.send(response);
                    }
                });
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, Arc::clone(&services), stop.clone()));
                }
                // Out of file handles: others will be closed.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
    drop((listener, calls));
    let finished = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_REQUESTS, finished).await;
}

/// Completes when the end of the server is asked for, or its owner is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}

async fn converse(stream: TcpStream, services: Arc<Services>, mut stop: watch::Receiver<bool>) {
    // Small answers are to leave at once.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request: Request<Incoming>| {
        let services = Arc::clone(&services);
        async move {
            let (request, rest) = unread::share(request);
            let mut response = services.respond(request).await.ok_or(NoAnswer)?;
            foreign::contain(response.headers_mut());
            rest.discard().await;
            Ok::<_, NoAnswer>(response)
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
    /// The answer as the fault plan has it. None: the connection is to break without one.
    async fn respond(self: &Arc<Self>, request: Request<Body>) -> Option<Response<Body>> {
        if !self.faults.are_planned() {
            return Some(self.answer(request).await);
        }
        let called = Called::by(&request);
        // What is carried out late must not miss what the client sent before the connection broke.
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head, Body::from(body.collect().await.ok()?.to_bytes()));
        let services = Arc::clone(self);
        let faced = self.faults.face(&called, async move { services.answer(request).await }).await;
        faced.over_http(&called).await
    }

    /// Answers, whatever is asked, with the id of the request.
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let protocol = Protocol::of(&head);
        let response = match foreign::check(&head) {
            Ok(()) => self.answer_service(&protocol, Request::from_parts(head, body)).await,
            Err(reason) => {
                tracing::warn!(%reason, method = %head.method, path = head.uri.path(), "a request was refused");
                protocol.deny(&reason.to_string())
            }
        };
        protocol.stamp(response)
    }

    async fn answer_service(&self, protocol: &Protocol, request: Request<Body>) -> Response<Body> {
        match protocol {
            Protocol::Json(target) => self.answer_json(target, request).await,
            // Objects need no more: a write of one is kept or refused by itself.
            Protocol::Lambda(path) => self.answer_lambda(path, request).await,
            Protocol::S3 => match self.s3.answer(request).await {
                Ok(response) => response,
                Err(error) => protocol::s3_error(S3ErrorCode::InternalError, &format!("{error:?}")),
            },
        }
    }

    async fn answer_lambda(&self, path: &str, request: Request<Body>) -> Response<Body> {
        let (method, headers) = (request.method().clone(), request.headers().clone());
        match read(request).await {
            Ok(body) => self.functions.respond(&method, path, &headers, body).await,
            Err(error) => lambda::refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestTooLargeException",
                &format!("the body could not be read: {error}"),
            ),
        }
    }

    async fn answer_json(&self, target: &str, request: Request<Body>) -> Response<Body> {
        let (service, operation) = target.split_once('.').unwrap_or((target, ""));
        let input = match read(request).await {
            Ok(body) => aws_json::parse(&body),
            Err(error) => Err(AwsError::new("SerializationException", format!("the body could not be read: {error}"))),
        };
        let version = Version::of(target);
        let input =
            input.and_then(|input| self.state.broken().map_or(Ok(input), |broken| Err(AwsError::storage(broken))));
        let answer = match (service, input) {
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
}

/// The whole body of a request of bounded size.
async fn read(request: Request<Body>) -> Result<Bytes, s3s::StdError> {
    Ok(Limited::new(request.into_body(), LARGEST_JSON).collect().await?.to_bytes())
}
