//! The request body until it is forwarded, and its disposal if it is not.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::http::body;

/// Most bytes read of an unwanted body; beyond that, closing the connection is cheaper.
const MAX_DISCARDED_BYTES: u64 = 64 * 1024;
/// Most time spent on it. Usually the body arrived with the head.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(500);

/// The body; empty once taken.
pub(super) struct UnreadBody(Option<Incoming>);

impl UnreadBody {
    pub(super) fn new(body: Incoming) -> Self {
        Self(Some(body))
    }

    /// Takes the unread part of the body.
    pub(super) fn take(&mut self) -> Option<Incoming> {
        self.0.take()
    }

    /// Reads and discards the rest, so that the connection can be reused. False if the rest did not
    /// arrive in full: the connection has to be closed, and the client to be told.
    pub(super) async fn discard(&mut self) -> bool {
        self.is_end_stream()
            || body::read(self, MAX_DISCARDED_BYTES, DISCARD_TIMEOUT)
                .await
                .is_ok()
    }
}

impl Body for UnreadBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.get_mut().0 {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
