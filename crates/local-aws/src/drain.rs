//! Draining of request bodies that were not read.
//!
//! A request that is refused by its headers gets its response before its body is read. If the connection were closed then,
//! the kernel would reset it, and a client that is still sending would see a broken pipe instead of the response. So the rest
//! of the body is read and discarded first, up to a limit.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::EXPECT;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use s3s::Body;

/// The maximum number of bytes that are discarded. The connection to a client that sends more is closed.
const MAX_DRAINED: usize = 64 * 1024 * 1024;

/// The timeout for the next bytes of a client.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// The rest of a request's body, after its response.
pub(crate) struct UnreadBody(Option<SharedBody>);

/// A body with two owners: the service that handles the request, and [`UnreadBody`], which reads the rest.
#[derive(Clone)]
struct SharedBody {
    body: Arc<Mutex<Incoming>>,
    /// Whether the client waits for `100 Continue` before it sends the body, and has not got it yet.
    held_back: Arc<AtomicBool>,
}

/// Returns the request, and a second handle on its body.
pub(crate) fn share(request: Request<Incoming>) -> (Request<Body>, UnreadBody) {
    let (head, body) = request.into_parts();
    if body.is_end_stream() {
        return (Request::from_parts(head, Body::empty()), UnreadBody(None));
    }
    let held_back = head.headers.contains_key(EXPECT);
    let shared = SharedBody { body: Arc::new(Mutex::new(body)), held_back: Arc::new(AtomicBool::new(held_back)) };
    (Request::from_parts(head, Body::http_body(shared.clone())), UnreadBody(Some(shared)))
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.held_back.store(false, Ordering::Relaxed);
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

impl UnreadBody {
    /// Reads and discards the rest, so that the client sees the response. Returns whether all of it was read: hyper
    /// closes the connection otherwise.
    pub(crate) async fn discard(self) -> bool {
        let Some(mut shared) = self.0 else { return true };
        // A client that waits for `100 Continue` sees the response instead, and does not send the body.
        if shared.held_back.load(Ordering::Relaxed) {
            return false;
        }
        let mut left = MAX_DRAINED;
        while !shared.is_end_stream() {
            let frame = std::future::poll_fn(|context| Pin::new(&mut shared).poll_frame(context));
            let Ok(Some(Ok(frame))) = tokio::time::timeout(READ_TIMEOUT, frame).await else { return false };
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(less) => left = less,
                None => return false,
            }
        }
        true
    }
}
