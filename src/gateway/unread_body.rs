//! A request's body until somebody takes it to forward it, and what becomes of it when nobody does.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::http::body;

/// What is read of a body that nobody wanted, at most. More is not worth a connection.
const MAX_DISCARDED_BYTES: u64 = 64 * 1024;
/// And how long it is waited for. It left the client together with the head.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(500);

/// The body; empty once it was taken.
pub(super) struct UnreadBody(Option<Incoming>);

impl UnreadBody {
    pub(super) fn new(body: Incoming) -> Self {
        Self(Some(body))
    }

    /// The body itself, as far as it was not read.
    pub(super) fn take(&mut self) -> Option<Incoming> {
        self.0.take()
    }

    /// Reads what is left and throws it away, so that the connection can go on. Whether all of it came: else the connection has to
    /// end, and the client to be told.
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
