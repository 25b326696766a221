//! An HTTP connector for AWS clients in the endpoint's own process. It passes requests through a channel instead of a socket;
//! they are otherwise the same as over the network.

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http::{Method, Request, Response};
use s3s::Body;
use tokio::sync::{mpsc, oneshot};
use tracing::Span;

/// A request, the span of its caller, and the channel for its response.
#[derive(Debug)]
pub(crate) struct InProcessRequest {
    pub(crate) request: Request<Body>,
    pub(crate) caller: Span,
    /// If it is dropped without a response, the client sees a broken connection.
    pub(crate) reply: oneshot::Sender<Response<Body>>,
}

/// Returns the HTTP client for AWS SDKs, and the receiver of its requests. A request that is not received or gets no response
/// fails at the client as a broken connection.
pub(crate) fn network() -> (SharedHttpClient, mpsc::UnboundedReceiver<InProcessRequest>) {
    let (calls, taken) = mpsc::unbounded_channel();
    (http_client_fn(move |_, _| SharedHttpConnector::new(Connector(calls.clone()))), taken)
}

#[derive(Debug)]
struct Connector(mpsc::UnboundedSender<InProcessRequest>);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(exchange(self.0.clone(), request))
    }
}

async fn exchange(
    calls: mpsc::UnboundedSender<InProcessRequest>,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let expects_body = request.method() != Method::HEAD;
    let (reply, answer) = oneshot::channel();
    let request = request.map(Body::http_body);
    calls.send(InProcessRequest { request, caller: Span::current(), reply }).map_err(|_| shut_down())?;
    let response = answer.await.map_err(|_| connection_broken())?;
    // As on a network, the response to a HEAD has no body, whatever the service returned.
    let response = response.map(|body| if expects_body { SdkBody::from_body_1_x(body) } else { SdkBody::empty() });
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}

fn shut_down() -> ConnectorError {
    ConnectorError::io("the endpoint has ended".into())
}

fn connection_broken() -> ConnectorError {
    ConnectorError::io("the connection to the endpoint broke".into())
}
