//! Bodies that nobody wanted.
//!
//! A request that is refused by its head is answered before its body is read. Were the connection closed then, the
//! system would reset it, and the client, which is still sending, would see a broken pipe instead of the answer. So what
//! is left of a body is read and thrown away first, up to a limit.

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

/// The most that is read for nothing. A client that sends more is cut off.
const LARGEST: usize = 64 * 1024 * 1024;

/// How long to wait for a client that sends nothing more.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a request may still send, once it was answered.
pub(crate) struct Rest(Option<Shared>);

/// A body with two holders: who answers, and who reads on when that one does not.
#[derive(Clone)]
struct Shared {
    body: Arc<Mutex<Incoming>>,
    /// The client waits for a sign before it sends the body, and got none yet.
    held_back: Arc<AtomicBool>,
}

/// The request as it is, and the hold on what is left of its body.
pub(crate) fn share(request: Request<Incoming>) -> (Request<Body>, Rest) {
    let (head, body) = request.into_parts();
    if body.is_end_stream() {
        return (Request::from_parts(head, Body::empty()), Rest(None));
    }
    let held_back = head.headers.contains_key(EXPECT);
    let shared = Shared { body: Arc::new(Mutex::new(body)), held_back: Arc::new(AtomicBool::new(held_back)) };
    (Request::from_parts(head, Body::http_body(shared.clone())), Rest(Some(shared)))
}

impl HttpBody for Shared {
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

impl Rest {
    /// Reads what is left, so that the answer can be seen.
    pub(crate) async fn discard(self) {
        let Some(mut shared) = self.0 else { return };
        // Who waits for a sign sees the answer instead, and keeps the body.
        if shared.held_back.load(Ordering::Relaxed) {
            return;
        }
        let mut left = LARGEST;
        while !shared.is_end_stream() {
            let frame = std::future::poll_fn(|context| Pin::new(&mut shared).poll_frame(context));
            let Ok(Some(Ok(frame))) = tokio::time::timeout(PATIENCE, frame).await else { return };
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(less) => left = less,
                None => return,
            }
        }
    }
}
