//! How the answers of an HTTP/2 connection are read. A client that opens no window for one holds its upstream's place without a
//! single byte waiting on the socket. That answer alone is given up: a proxy's connection carries those of many users.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::MAX_STREAMS;
use crate::server::connection_state::RequestGuard;
use crate::server::min_rate::MinRate;

/// Bytes handed to hyper at once. It asks for more when they have gone out, so this is what a client must fetch within the
/// deadline, however large the pieces are that the upstream sends.
const PIECE: usize = 16 * 1024;

/// The answers of one connection that may be waiting for their client.
#[derive(Debug, Default)]
pub(in crate::server) struct StallRegistry(Mutex<Vec<Weak<dyn Fetched>>>);

/// An answer's body that can be given up while hyper holds it, and keeps its request counted as under way until then.
#[derive(Debug)]
pub(in crate::server) struct TrackedBody<B>(Arc<Mutex<State<B>>>);

#[derive(Debug)]
struct State<B> {
    /// `None` once it was given up.
    answer: Option<(B, RequestGuard)>,
    /// Of the upstream's last piece, what hyper has not been handed yet.
    rest: Bytes,
    /// Since when the client has had something to fetch.
    offered: Option<Instant>,
    pace: MinRate,
}

trait Fetched: fmt::Debug + Send + Sync {
    /// Gives the answer up when its client has fetched nothing for so long, or too little.
    fn abort_stalled(&self, limit: Duration);
}

/// The client did not fetch its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct ResponseStalled;

impl fmt::Display for ResponseStalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client did not fetch its answer")
    }
}

impl std::error::Error for ResponseStalled {}

impl StallRegistry {
    /// Watches how an answer is read, from its head on.
    pub(in crate::server) fn watch<B>(&self, body: B, mut under_way: RequestGuard) -> TrackedBody<B>
    where
        B: fmt::Debug + Send + 'static,
    {
        under_way.answered();
        let mut pace = MinRate::default();
        pace.wait(0);
        let state = Arc::new(Mutex::new(State {
            answer: Some((body, under_way)),
            rest: Bytes::new(),
            offered: Some(Instant::now()),
            pace,
        }));
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= 2 * MAX_STREAMS {
            answers.retain(|answer| answer.strong_count() > 0);
        }
        let weak: Weak<Mutex<State<B>>> = Arc::downgrade(&state);
        answers.push(weak);
        TrackedBody(state)
    }

    /// Gives up what has been waiting for its client for longer than the limit.
    pub(in crate::server) fn abort_stalled(&self, limit: Duration) {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is dropped along with an answer is no business of the list.
        let answers: Vec<_> = answers.iter().filter_map(Weak::upgrade).collect();
        for answer in answers {
            answer.abort_stalled(limit);
        }
    }
}

impl<B: fmt::Debug + Send> Fetched for Mutex<State<B>> {
    fn abort_stalled(&self, limit: Duration) {
        let mut state = self.lock().unwrap_or_else(PoisonError::into_inner);
        let stalls = |offered: Instant| offered.elapsed() > limit;
        if state.offered.is_some_and(stalls) || state.pace.is_below(0, limit) {
            state.rest = Bytes::new();
            let answer = state.answer.take();
            drop(state);
            drop(answer);
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
            answer,
            rest,
            offered,
            pace,
        } = &mut *state;
        // hyper asks when all before has gone out: the upstream is waited for, or there is more.
        *offered = None;
        pace.go_on();
        let Some((body, _)) = answer else {
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
        pace.wait(0);
        let frame = match frame.into_data() {
            Ok(mut data) => {
                *rest = data.split_off(data.len().min(PIECE));
                // As if it were read: how much of it is cannot be seen.
                pace.count(data.len());
                Frame::data(data)
            }
            Err(trailers) => trailers,
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.state();
        let ended = |(body, _): &(B, RequestGuard)| body.is_end_stream();
        state.rest.is_empty() && state.answer.as_ref().is_some_and(ended)
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.state();
        let Some((body, _)) = &state.answer else {
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

    const LIMIT: Duration = Duration::from_secs(30);

    type Answer = http_body_util::combinators::UnsyncBoxBody<Bytes, BoxedError>;
    type BoxedError = Box<dyn std::error::Error + Send + Sync>;

    fn watched(activity: &Arc<ConnectionState>, bytes: usize) -> TrackedBody<Answer> {
        let body = Full::new(Bytes::from(vec![b'x'; bytes]));
        let body = body.map_err(|never| match never {}).boxed_unsync();
        activity.unread.watch(body, activity.begin())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_nobody_fetches_is_given_up_and_the_others_go_on() {
        let activity = ConnectionState::new();
        let mut stalled = watched(&activity, 10);
        tokio::time::advance(LIMIT).await;
        let fresh = watched(&activity, 10);
        tokio::time::advance(LIMIT / 2).await;
        activity.unread.abort_stalled(LIMIT);
        let error = stalled.frame().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the client did not fetch its answer");
        assert_eq!(fresh.collect().await.unwrap().to_bytes().len(), 10);
    }

    /// Fetches a piece every so often; how many there were when the answer was given up.
    async fn pieces_fetched_every(time: Duration) -> Option<usize> {
        let activity = ConnectionState::new();
        let mut slow = watched(&activity, 50 * PIECE);
        for number in 0..50 {
            if slow.frame().await.unwrap().is_err() {
                return Some(number);
            }
            tokio::time::advance(time).await;
            activity.unread.abort_stalled(LIMIT);
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_fetched_below_a_kib_a_second_is_given_up_though_something_always_moves() {
        assert_eq!(pieces_fetched_every(LIMIT).await, Some(2));
        assert_eq!(pieces_fetched_every(Duration::from_secs(20)).await, Some(2));
        assert_eq!(pieces_fetched_every(Duration::from_secs(15)).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_silence_of_the_upstream_is_no_slow_reading() {
        let activity = ConnectionState::new();
        let (events, upstream) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
        let events_body = http_body_util::StreamBody::new(futures_util::stream::unfold(
            upstream,
            async |mut upstream| {
                let event = upstream.recv().await?;
                Some((Ok::<_, BoxedError>(Frame::data(event)), upstream))
            },
        ));
        let mut reading = activity
            .unread
            .watch(events_body.boxed_unsync(), activity.begin());
        for _ in 0..100 {
            let later = async {
                tokio::time::advance(2 * LIMIT).await;
                activity.unread.abort_stalled(LIMIT);
                events.send(Bytes::from_static(b"x")).unwrap();
            };
            let (frame, ()) = tokio::join!(reading.frame(), later);
            frame.unwrap().unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_piece_may_be_fetched_slowly() {
        let activity = ConnectionState::new();
        let mut slow = watched(&activity, 5 * PIECE + 1);
        let mut sizes = Vec::new();
        while let Some(frame) = slow.frame().await {
            sizes.push(frame.unwrap().into_data().unwrap().len());
            tokio::time::advance(LIMIT / 3).await;
            activity.unread.abort_stalled(LIMIT);
        }
        assert_eq!(sizes, [PIECE, PIECE, PIECE, PIECE, PIECE, 1]);
    }
}
