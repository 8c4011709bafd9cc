//! A response body that keeps its request in flight.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

use super::state::Http1Request;

/// A response body whose request ends when the body is dropped. A response that is not read shows
/// in the socket, so its deadline is not here.
pub(in crate::server) struct GuardedBody<B> {
    body: B,
    /// `None` for a tunnel.
    _request: Option<Http1Request>,
}

impl<B> GuardedBody<B> {
    pub(in crate::server) fn new(body: B, request: Option<Http1Request>) -> Self {
        Self {
            body,
            _request: request,
        }
    }
}

impl<B: Body + Unpin> Body for GuardedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
