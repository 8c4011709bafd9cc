//! The request body on its way to the upstream: counted, limited, and ended with an error when the
//! client stops sending.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::identity_headers::{HeaderPolicy, clean_trailers};

/// Average rate that a client must reach once the gateway has waited for its body longer than the
/// timeout between two pieces.
const MIN_BYTES_PER_SECOND: u64 = 1024;

/// A request body, as hyper's client reads it.
#[derive(Debug)]
pub struct RequestBody {
    source: Source,
    watch: Option<Arc<BodyWatch>>,
}

#[derive(Debug)]
enum Source {
    None,
    /// Read earlier, to find its token.
    Whole(Option<Bytes>),
    Stream(Box<Stream>),
}

#[derive(Debug)]
struct Stream {
    incoming: Incoming,
    /// Bytes left of the limit.
    left: Option<u64>,
    received: u64,
    /// Timeout between two pieces.
    timeout: Duration,
    /// Armed only while the client is silent.
    timer: Option<Pin<Box<Sleep>>>,
    silent_since: Option<Instant>,
    /// Time spent waiting for the client, in total.
    waited: Duration,
    policy: Arc<HeaderPolicy>,
}

/// Progress of a body, for the gateway and the retries while hyper reads it.
#[derive(Debug)]
pub struct BodyWatch {
    started: Instant,
    /// Timeout between two pieces from the client.
    timeout: Duration,
    /// The next piece is due from the client, not from the upstream's reading.
    waits_for_client: AtomicBool,
    progress_ms: AtomicU64,
    bytes: AtomicU64,
    ended: AtomicBool,
    failure: AtomicU8,
}

/// The cause of a request body that broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFailure {
    /// Over the limit.
    TooLarge,
    /// No progress within the deadline.
    TimedOut,
    /// Cut off, or damaged framing.
    Damaged,
}

impl fmt::Display for BodyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the request body is over the limit",
            Self::TimedOut => "the client stopped sending its body",
            Self::Damaged => "the request body is damaged or incomplete",
        })
    }
}

impl std::error::Error for BodyFailure {}

impl RequestBody {
    /// No body.
    #[must_use]
    pub fn none() -> Self {
        Self {
            source: Source::None,
            watch: None,
        }
    }

    /// A body that was read already.
    #[must_use]
    pub fn whole(bytes: Bytes) -> Self {
        let watch = BodyWatch::new(Duration::ZERO);
        watch.bytes.store(length(&bytes), Ordering::Relaxed);
        watch.ended.store(true, Ordering::Relaxed);
        Self {
            source: Source::Whole(Some(bytes)),
            watch: Some(watch),
        }
    }

    /// A body that streams: at most `limit` bytes, each piece within `timeout`.
    #[must_use]
    pub fn stream(
        incoming: Incoming,
        limit: Option<u64>,
        timeout: Duration,
        policy: Arc<HeaderPolicy>,
    ) -> Self {
        if incoming.is_end_stream() {
            return Self::none();
        }
        let stream = Stream {
            incoming,
            left: limit,
            received: 0,
            timeout,
            timer: None,
            silent_since: None,
            waited: Duration::ZERO,
            policy,
        };
        Self {
            source: Source::Stream(Box::new(stream)),
            watch: Some(BodyWatch::new(timeout)),
        }
    }

    /// The progress of the body, which outlives it; `None` without a body.
    #[must_use]
    pub fn watch(&self) -> Option<Arc<BodyWatch>> {
        self.watch.clone()
    }
}

impl BodyWatch {
    fn new(timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            timeout,
            waits_for_client: AtomicBool::new(false),
            progress_ms: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            failure: AtomicU8::new(0),
        })
    }

    /// The time until which the body accounts for silence: when the last piece was passed on, or
    /// when the client's time for the next piece ends.
    #[must_use]
    pub fn busy_until(&self) -> Instant {
        let last = Duration::from_millis(self.progress_ms.load(Ordering::Relaxed));
        let allowance = if self.waits_for_client.load(Ordering::Relaxed) {
            self.timeout
        } else {
            Duration::ZERO
        };
        self.started + last + allowance
    }

    /// Bytes read from the client so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether the whole body was passed on.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// The cause, if the body broke off.
    #[must_use]
    pub fn failure(&self) -> Option<BodyFailure> {
        match self.failure.load(Ordering::Relaxed) {
            1 => Some(BodyFailure::TooLarge),
            2 => Some(BodyFailure::TimedOut),
            3 => Some(BodyFailure::Damaged),
            _ => None,
        }
    }

    fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.progress_ms.store(elapsed, Ordering::Relaxed);
    }

    fn fail(&self, failure: BodyFailure) -> BodyFailure {
        let number = match failure {
            BodyFailure::TooLarge => 1,
            BodyFailure::TimedOut => 2,
            BodyFailure::Damaged => 3,
        };
        self.failure.store(number, Ordering::Relaxed);
        failure
    }
}

impl Stream {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            self.silent_since.get_or_insert_with(Instant::now);
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(self.timeout)));
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Some(Err(BodyFailure::TimedOut)));
        };
        self.timer = None;
        if let Some(since) = self.silent_since.take() {
            self.waited += since.elapsed();
        }
        let Some(frame) = frame else {
            return Poll::Ready(None);
        };
        let Ok(mut frame) = frame else {
            return Poll::Ready(Some(Err(BodyFailure::Damaged)));
        };
        if let Some(trailers) = frame.trailers_mut() {
            clean_trailers(trailers, &self.policy);
        }
        let bytes = frame.data_ref().map_or(0, length);
        self.received = self.received.saturating_add(bytes);
        if self.is_below_min_rate() {
            return Poll::Ready(Some(Err(BodyFailure::TimedOut)));
        }
        if let Some(left) = &mut self.left {
            let Some(rest) = left.checked_sub(bytes) else {
                return Poll::Ready(Some(Err(BodyFailure::TooLarge)));
            };
            *left = rest;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    /// Whether the client only keeps the request open by a byte now and then. Time in which the
    /// upstream did not read is not counted.
    fn is_below_min_rate(&self) -> bool {
        let waited = self.waited.as_secs();
        self.waited > self.timeout && self.received < waited.saturating_mul(MIN_BYTES_PER_SECOND)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        let this = self.get_mut();
        let stream = match &mut this.source {
            Source::None => return Poll::Ready(None),
            Source::Whole(bytes) => return Poll::Ready(bytes.take().map(|it| Ok(Frame::data(it)))),
            Source::Stream(stream) => stream,
        };
        let polled = stream.poll(cx);
        let Some(watch) = &this.watch else {
            return polled;
        };
        watch
            .waits_for_client
            .store(polled.is_pending(), Ordering::Relaxed);
        let frame = ready!(polled);
        match frame {
            Some(Ok(frame)) => {
                watch.advance(frame.data_ref().map_or(0, length));
                if stream.incoming.is_end_stream() {
                    watch.ended.store(true, Ordering::Relaxed);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(failure)) => Poll::Ready(Some(Err(watch.fail(failure)))),
            None => {
                watch.advance(0);
                watch.ended.store(true, Ordering::Relaxed);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::None => true,
            Source::Whole(bytes) => bytes.is_none(),
            Source::Stream(stream) => stream.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::None => SizeHint::with_exact(0),
            Source::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, length)),
            Source::Stream(stream) => stream.incoming.size_hint(),
        }
    }
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
