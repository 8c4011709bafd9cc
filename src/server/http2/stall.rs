//! Stall deadline of HTTP/2 responses. A client that opens no window for a response occupies a
//! connection to the upstream without a byte waiting on the socket. That response alone is aborted:
//! the connection of a proxy carries the responses of many users.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::settings::MAX_STREAMS;
use super::state::Http2Request;
use crate::server::min_rate::MinRate;

/// Bytes given to hyper at once. hyper asks for more when they have gone out, so a client must read
/// this many within the deadline, whatever the size of the upstream's chunks.
const MAX_CHUNK: usize = 16 * 1024;

/// The responses of one connection that may be waiting for the client.
#[derive(Debug, Default)]
pub(in crate::server) struct StallRegistry(Mutex<Vec<Weak<dyn Abort>>>);

/// A response body that can be aborted while hyper holds it, and keeps its request in flight until
/// then.
#[derive(Debug)]
pub(in crate::server) struct TrackedBody<B>(Arc<Mutex<State<B>>>);

#[derive(Debug)]
struct State<B> {
    /// `None` once it was aborted.
    response: Option<(B, Http2Request)>,
    /// The rest of the upstream's last chunk, which hyper has not been given yet.
    rest: Bytes,
    /// Since when the client has had something to read.
    offered: Option<Instant>,
    rate: MinRate,
}

trait Abort: fmt::Debug + Send + Sync {
    /// Aborts the response when its client has read nothing for this long, or too slowly.
    fn abort_if_stalled(&self, timeout: Duration);
}

/// The client did not read its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct ResponseStalled;

impl fmt::Display for ResponseStalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client did not read its response")
    }
}

impl std::error::Error for ResponseStalled {}

impl StallRegistry {
    /// Tracks how a response is read, from its head on.
    pub(in crate::server) fn track<B>(&self, body: B, mut request: Http2Request) -> TrackedBody<B>
    where
        B: fmt::Debug + Send + 'static,
    {
        request.response_started();
        let mut rate = MinRate::default();
        rate.start_waiting(0);
        let state = Arc::new(Mutex::new(State {
            response: Some((body, request)),
            rest: Bytes::new(),
            offered: Some(Instant::now()),
            rate,
        }));
        let mut responses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if responses.len() >= 2 * MAX_STREAMS {
            responses.retain(|response| response.strong_count() > 0);
        }
        let weak: Weak<Mutex<State<B>>> = Arc::downgrade(&state);
        responses.push(weak);
        TrackedBody(state)
    }

    /// Aborts the responses that have been waiting for the client for longer than `timeout`.
    pub(in crate::server) fn abort_stalled(&self, timeout: Duration) {
        // A response is dropped outside of the lock.
        let responses: Vec<_> = {
            let responses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            responses.iter().filter_map(Weak::upgrade).collect()
        };
        for response in responses {
            response.abort_if_stalled(timeout);
        }
    }
}

impl<B: fmt::Debug + Send> Abort for Mutex<State<B>> {
    fn abort_if_stalled(&self, timeout: Duration) {
        let mut state = self.lock().unwrap_or_else(PoisonError::into_inner);
        let stalls = |offered: Instant| offered.elapsed() > timeout;
        if state.offered.is_some_and(stalls) || state.rate.is_below(0, timeout) {
            state.rest = Bytes::new();
            let response = state.response.take();
            drop(state);
            drop(response);
        }
    }
}

impl<B> TrackedBody<B> {
    fn state(&self) -> MutexGuard<'_, State<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Body for TrackedBody<B>
where
    B: Body<Data = Bytes, Error = Box<dyn std::error::Error + Send + Sync>> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut state = self.state();
        let State {
            response,
            rest,
            offered,
            rate,
        } = &mut *state;
        // hyper asks once everything before has gone out: the client is not waited for.
        *offered = None;
        rate.stop_waiting();
        let Some((body, _)) = response else {
            return Poll::Ready(Some(Err(ResponseStalled.into())));
        };
        let frame = if rest.is_empty() {
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            }
        } else {
            Frame::data(std::mem::take(rest))
        };
        *offered = Some(Instant::now());
        rate.start_waiting(0);
        let frame = match frame.into_data() {
            Ok(mut data) => {
                *rest = data.split_off(data.len().min(MAX_CHUNK));
                // Counted as read at once: how much the client reads of it cannot be seen.
                rate.count(data.len());
                Frame::data(data)
            }
            Err(trailers) => trailers,
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.state();
        let ended = |(body, _): &(B, Http2Request)| body.is_end_stream();
        state.rest.is_empty() && state.response.as_ref().is_some_and(ended)
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.state();
        let Some((body, _)) = &state.response else {
            return SizeHint::default();
        };
        let (hint, rest) = (body.size_hint(), state.rest.len());
        let rest = u64::try_from(rest).unwrap_or(u64::MAX);
        let mut with_rest = SizeHint::new();
        if let Some(upper) = hint.upper() {
            with_rest.set_upper(upper.saturating_add(rest));
        }
        with_rest.set_lower(hint.lower().saturating_add(rest));
        with_rest
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;
    use crate::server::connection_state::ConnectionState;
    use crate::server::http2::state::Http2State;

    const TIMEOUT: Duration = Duration::from_secs(30);

    type TestBody = http_body_util::combinators::UnsyncBoxBody<Bytes, BoxedError>;
    type BoxedError = Box<dyn std::error::Error + Send + Sync>;

    fn state() -> Arc<Http2State> {
        Http2State::new(ConnectionState::new())
    }

    fn tracked(stalls: &StallRegistry, bytes: usize) -> TrackedBody<TestBody> {
        let body = Full::new(Bytes::from(vec![b'x'; bytes]));
        let body = body.map_err(|never| match never {}).boxed_unsync();
        stalls.track(body, state().start_request())
    }

    #[tokio::test(start_paused = true)]
    async fn an_unread_response_is_aborted_and_the_others_go_on() {
        let stalls = StallRegistry::default();
        let mut stalled = tracked(&stalls, 10);
        tokio::time::advance(TIMEOUT).await;
        let fresh = tracked(&stalls, 10);
        tokio::time::advance(TIMEOUT / 2).await;
        stalls.abort_stalled(TIMEOUT);
        let error = stalled.frame().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the client did not read its response");
        assert_eq!(fresh.collect().await.unwrap().to_bytes().len(), 10);
    }

    /// Reads a chunk at this interval; the number of chunks read when the response was aborted.
    async fn chunks_read_every(interval: Duration) -> Option<usize> {
        let stalls = StallRegistry::default();
        let mut slow = tracked(&stalls, 50 * MAX_CHUNK);
        for number in 0..50 {
            if slow.frame().await.unwrap().is_err() {
                return Some(number);
            }
            tokio::time::advance(interval).await;
            stalls.abort_stalled(TIMEOUT);
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_read_below_1_kib_per_second_is_aborted_despite_progress() {
        assert_eq!(chunks_read_every(TIMEOUT).await, Some(2));
        assert_eq!(chunks_read_every(Duration::from_secs(20)).await, Some(2));
        assert_eq!(chunks_read_every(Duration::from_secs(15)).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_upstream_does_not_count_as_slow_reading() {
        let stalls = StallRegistry::default();
        let (events, upstream) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
        let events_body = http_body_util::StreamBody::new(futures_util::stream::unfold(
            upstream,
            async |mut upstream| {
                let event = upstream.recv().await?;
                Some((Ok::<_, BoxedError>(Frame::data(event)), upstream))
            },
        ));
        let mut response = stalls.track(events_body.boxed_unsync(), state().start_request());
        for _ in 0..100 {
            let later = async {
                tokio::time::advance(2 * TIMEOUT).await;
                stalls.abort_stalled(TIMEOUT);
                events.send(Bytes::from_static(b"x")).unwrap();
            };
            let (frame, ()) = tokio::join!(response.frame(), later);
            frame.unwrap().unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_chunk_may_be_read_slowly() {
        let stalls = StallRegistry::default();
        let mut slow = tracked(&stalls, 5 * MAX_CHUNK + 1);
        let mut sizes = Vec::new();
        while let Some(frame) = slow.frame().await {
            sizes.push(frame.unwrap().into_data().unwrap().len());
            tokio::time::advance(TIMEOUT / 3).await;
            stalls.abort_stalled(TIMEOUT);
        }
        assert_eq!(
            sizes,
            [MAX_CHUNK, MAX_CHUNK, MAX_CHUNK, MAX_CHUNK, MAX_CHUNK, 1]
        );
    }
}
