//! The response of an endpoint: its head is cleaned for the client, its body is streamed, and its
//! connection returns to the pool at the end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderName, TRAILER, UPGRADE};
use hyper::http::response::Parts;
use hyper::{HeaderMap, Response, StatusCode, Version};
use tokio::time::Sleep;

use super::ResponseKind;
use super::pool::ConnectionGuard;
use super::tunnel::{Tunnel, Upgrade};
use crate::error::{Error, chain};
use crate::http::headers::remove_hop_by_hop;
use crate::http::request_id::X_REQUEST_ID;

/// A header that only the gateway's own responses carry.
const GATEWAY_ERROR: HeaderName = HeaderName::from_static("x-gateway-error");

/// The body of a response. It ends with an error, never early, when the upstream breaks off or is
/// silent for the route's timeout.
#[derive(Debug)]
pub struct ResponseBody {
    incoming: Incoming,
    guard: Option<ConnectionGuard>,
    timeout: Duration,
    /// Armed only while the upstream is silent.
    timer: Option<Pin<Box<Sleep>>>,
}

/// The cause of a response that broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BrokenOff(String);

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BrokenOff {}

/// Cleans the head for the client and ties the connection to the body.
pub(super) fn finish(
    response: Response<Incoming>,
    guard: ConnectionGuard,
    timeout: Duration,
    upgrade: Option<Upgrade>,
) -> Result<ResponseKind, Error> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return switch(response, guard, upgrade);
    }
    let (mut parts, incoming) = response.into_parts();
    clean(&mut parts);
    let body = ResponseBody {
        incoming,
        guard: Some(guard),
        timeout,
        timer: None,
    };
    Ok(ResponseKind::Final(Response::from_parts(parts, body)))
}

/// Keeps the headers that are meant for the client and removes those of this hop.
fn clean(parts: &mut Parts) {
    remove_hop_by_hop(&mut parts.headers);
    parts.headers.remove(GATEWAY_ERROR);
    if parts.status == StatusCode::NO_CONTENT {
        parts.headers.remove(CONTENT_LENGTH);
    }
    // hyper would pass an upstream's 1.0 on to clients that speak 1.1.
    parts.version = Version::HTTP_11;
}

/// Removes the fields from trailers that have a meaning in a head.
fn clean_trailers(trailers: &mut HeaderMap) {
    remove_hop_by_hop(trailers);
    for name in [GATEWAY_ERROR, X_REQUEST_ID, CONTENT_LENGTH, HOST, TRAILER] {
        trailers.remove(name);
    }
}

fn switch(
    mut response: Response<Incoming>,
    guard: ConnectionGuard,
    upgrade: Option<Upgrade>,
) -> Result<ResponseKind, Error> {
    let Some(upgrade) = upgrade else {
        let cause = "the upstream switched protocols without being asked to";
        return Err(Error::UpstreamProtocol(cause.to_owned()));
    };
    let agreed = response.headers().get(UPGRADE).is_some_and(|value| {
        value
            .as_bytes()
            .eq_ignore_ascii_case(upgrade.protocol().as_bytes())
    });
    if !agreed {
        let cause = "the upstream switched to a protocol that was not requested";
        return Err(Error::UpstreamProtocol(cause.to_owned()));
    }
    let upstream = hyper::upgrade::on(&mut response);
    let (mut parts, _) = response.into_parts();
    clean(&mut parts);
    // A 101 has no body, whatever its headers declare.
    parts.headers.remove(CONTENT_LENGTH);
    upgrade.mark(&mut parts.headers);
    let tunnel = Tunnel::new(upgrade, upstream, guard);
    Ok(ResponseKind::Switching(
        Response::from_parts(parts, ()),
        Box::new(tunnel),
    ))
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) else {
            let timer = this
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(this.timeout)));
            loop {
                ready!(timer.as_mut().poll(cx));
                // While the client still sends its body, the upstream has no reason to respond.
                let busy_until = this.guard.as_ref().and_then(ConnectionGuard::busy_until);
                match busy_until.map(|until| until + this.timeout) {
                    Some(due) if due > timer.deadline() => timer.as_mut().reset(due),
                    _ => break,
                }
            }
            let cause = "the upstream fell silent in the middle of its response";
            return Poll::Ready(Some(Err(Box::new(BrokenOff(cause.to_owned())))));
        };
        this.timer = None;
        match frame {
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    clean_trailers(trailers);
                    // Trailers are the last frame, and hyper does not poll again.
                    if let Some(guard) = this.guard.take() {
                        guard.complete();
                    }
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.guard = None;
                Poll::Ready(Some(Err(Box::new(BrokenOff(chain(&error))))))
            }
            None => {
                if let Some(guard) = this.guard.take() {
                    guard.complete();
                }
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for ResponseBody {
    /// hyper does not poll again once a body of known length is complete, so its end is noticed
    /// here.
    fn drop(&mut self) {
        if let (true, Some(guard)) = (self.incoming.is_end_stream(), self.guard.take()) {
            guard.complete();
        }
    }
}
