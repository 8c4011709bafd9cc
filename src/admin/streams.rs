//! Relayed bodies whose beginning was already read: that beginning, then the rest as it arrives.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A backend's request body on its way to WeChat.
pub(super) struct Upload {
    pub(super) start: VecDeque<Bytes>,
    pub(super) rest: Incoming,
    /// Counts the chunks, which proves progress to the task that waits for the response.
    pub(super) moved: Arc<AtomicU64>,
}

/// WeChat's response body on its way to the backend. Fails after `relay.timeout` without a chunk.
pub(super) struct Download {
    start: VecDeque<Bytes>,
    rest: reqwest::Body,
    patience: Duration,
    silence: Pin<Box<Sleep>>,
}

#[derive(Debug)]
struct Silent;

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wechat stalled in the middle of its response (relay.timeout)")
    }
}

impl std::error::Error for Silent {}

impl Download {
    pub(super) fn new(start: VecDeque<Bytes>, rest: reqwest::Body, patience: Duration) -> Self {
        Self {
            start,
            rest,
            patience,
            silence: Box::pin(sleep(patience)),
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let polled = match this.start.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => Pin::new(&mut this.rest).poll_frame(cx),
        };
        if polled.is_ready() {
            this.moved.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.start.is_empty() && self.rest.is_end_stream()
    }

    /// Exact if the backend declared a length: WeChat refuses some uploads without one.
    fn size_hint(&self) -> SizeHint {
        with_start(&self.start, self.rest.size_hint())
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = Cause;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        let this = self.get_mut();
        if let Some(piece) = this.start.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match Pin::new(&mut this.rest).poll_frame(cx) {
            Poll::Ready(frame) => {
                let next = Instant::now() + this.patience;
                this.silence.as_mut().reset(next);
                Poll::Ready(frame.map(|frame| frame.map_err(|error| error.without_url().into())))
            }
            Poll::Pending if this.silence.as_mut().poll(cx).is_ready() => {
                Poll::Ready(Some(Err(Silent.into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.start.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        with_start(&self.start, self.rest.size_hint())
    }
}

fn with_start(start: &VecDeque<Bytes>, rest: SizeHint) -> SizeHint {
    let ahead = start.iter().map(Bytes::len).sum::<usize>();
    let ahead = u64::try_from(ahead).unwrap_or(u64::MAX);
    let mut hint = SizeHint::new();
    hint.set_lower(rest.lower().saturating_add(ahead));
    if let Some(upper) = rest.upper() {
        hint.set_upper(upper.saturating_add(ahead));
    }
    hint
}
