//! The way to the endpoint from within its own process: what an AWS client asks goes straight to what answers, as the
//! same request that would have gone over the network. Nothing is written to a socket and read from it again.

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http::{Method, Request, Response};
use s3s::Body;
use tokio::sync::{mpsc, oneshot};

/// A request, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: Request<Body>,
    /// Dropped without an answer, it is to the client a connection that broke.
    pub(crate) reply: oneshot::Sender<Response<Body>>,
}

/// What AWS clients take in place of a network, and the calls that they make through it. A call that is not taken, or not
/// replied to, is to its client like a connection that broke.
pub(crate) fn network() -> (SharedHttpClient, mpsc::UnboundedReceiver<Call>) {
    let (calls, taken) = mpsc::unbounded_channel();
    (http_client_fn(move |_, _| SharedHttpConnector::new(Connector(calls.clone()))), taken)
}

#[derive(Debug)]
struct Connector(mpsc::UnboundedSender<Call>);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(exchange(self.0.clone(), request))
    }
}

async fn exchange(calls: mpsc::UnboundedSender<Call>, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let asks_for_a_body = request.method() != Method::HEAD;
    let (reply, answer) = oneshot::channel();
    calls.send(Call { request: request.map(Body::http_body), reply }).map_err(|_| ended())?;
    let response = answer.await.map_err(|_| broke())?;
    // A network carries no body behind the answer to a HEAD, whatever was answered.
    let response = response.map(|body| if asks_for_a_body { SdkBody::from_body_1_x(body) } else { SdkBody::empty() });
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}

fn ended() -> ConnectorError {
    ConnectorError::io("the endpoint has ended".into())
}

fn broke() -> ConnectorError {
    ConnectorError::io("the connection to the endpoint broke".into())
}
