//! What a connection is doing: its requests, and the stream below them, tell and ask here.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::http2::stall::StallRegistry;
use crate::http::framing::Refused;

/// How often a connection that is told to go is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What the requests of a connection and its stream tell each other.
#[derive(Debug)]
pub(super) struct ConnectionState {
    started: Instant,
    under_way: AtomicUsize,
    /// Requests so far.
    begun: AtomicU64,
    /// When the last request ended, in milliseconds since the start.
    idle_since: AtomicU64,
    /// Requests whose client left before they were answered.
    cancelled: AtomicU64,
    /// How many requests there were when the bytes came that may be half a head, and one more; 0 when there are none.
    half_sent: AtomicU64,
    /// The end of an answer is still to be written.
    writing: AtomicBool,
    /// Answers whose client may stop reading them while the connection itself moves on.
    pub(super) unread: StallRegistry,
    /// Wants to know of the end of a request.
    waiting: AtomicWaker,
    is_tunnel: AtomicBool,
    /// The client was told to go, and has had its time: what it begins now is not waited for.
    is_closed: AtomicBool,
    /// Nothing is waited for that can be left out.
    skips_linger: AtomicBool,
    /// Set once: what a refused request's place was taken by.
    refused: OnceLock<Box<Refused>>,
}

/// One request under way; dropping it ends it.
#[derive(Debug)]
pub(super) struct RequestGuard {
    activity: Arc<ConnectionState>,
    answered: bool,
    counts: bool,
}

impl ConnectionState {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            under_way: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            half_sent: AtomicU64::new(0),
            writing: AtomicBool::new(false),
            unread: StallRegistry::default(),
            waiting: AtomicWaker::new(),
            is_tunnel: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            skips_linger: AtomicBool::new(false),
            refused: OnceLock::new(),
        })
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Counts a request in.
    pub(super) fn begin(self: &Arc<Self>) -> RequestGuard {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let counts = !self.is_closed.load(Ordering::Relaxed);
        self.under_way
            .fetch_add(usize::from(counts), Ordering::Relaxed);
        RequestGuard {
            activity: Arc::clone(self),
            answered: false,
            counts,
        }
    }

    /// Requests so far, and those of them whose client left before they were answered.
    pub(super) fn requests(&self) -> (u64, u64) {
        (self.begun(), self.cancelled.load(Ordering::Relaxed))
    }

    /// Since when the connection could be closed without anybody losing anything: no request is under way and none half sent.
    pub(super) fn idles_since(&self) -> Option<Instant> {
        let half_sent = self.half_sent.load(Ordering::Relaxed);
        let next = self.begun().saturating_add(1);
        let idles = self.is_idle() && half_sent != next && !self.writing.load(Ordering::Relaxed);
        idles.then(|| self.idle_since())
    }

    /// Ends when no request has been under way for so long.
    pub(super) async fn idling(&self, time: Duration) {
        let since = Instant::now();
        let mut wake = since + time;
        loop {
            tokio::time::sleep_until(wake).await;
            let idle = self.is_idle() && !self.writing.load(Ordering::Relaxed);
            let due = self.idle_since().max(since) + time;
            if idle && due <= Instant::now() {
                return;
            }
            wake = if idle { due } else { Instant::now() + time };
        }
    }

    /// Ends when the client has had so long to leave and what it had begun by then is answered.
    pub(super) async fn left(&self, time: Duration) {
        tokio::time::sleep(time).await;
        self.is_closed.store(true, Ordering::Relaxed);
        while !self.is_idle() || self.writing.load(Ordering::Relaxed) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// From now on nothing is waited for that can be left out.
    pub(super) fn skip_linger(&self) {
        self.skips_linger.store(true, Ordering::Relaxed);
    }

    /// Whether `skip_linger` was called.
    pub(super) fn skips_linger(&self) -> bool {
        self.skips_linger.load(Ordering::Relaxed)
    }

    /// Requests so far.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Bytes came that may be half a head, behind so many requests.
    pub(super) fn half_sent(&self, begun: u64) {
        self.half_sent
            .store(begun.saturating_add(1), Ordering::Relaxed);
    }

    /// Nothing of a head has come after all.
    pub(super) fn nothing_sent(&self) {
        self.half_sent.store(0, Ordering::Relaxed);
    }

    /// Whether the client is waited for to read.
    pub(super) fn write_waits(&self, waits: bool) {
        self.writing.store(waits, Ordering::Relaxed);
    }

    /// Whether no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        // Pairs with the end of a request on another thread: who sees none under way sees when the last one ended.
        self.under_way.load(Ordering::Acquire) == 0
    }

    /// Whether so many requests have come and ended.
    pub(super) fn has_answered(&self, requests: u64) -> bool {
        self.begun() >= requests && self.is_idle()
    }

    /// Wakes at the end of a request; `false` when that has come already.
    pub(super) fn wake_when_answered(&self, requests: u64, waker: &Waker) -> bool {
        self.waiting.register(waker);
        !self.has_answered(requests)
    }

    /// Whether the connection has become a tunnel.
    pub(super) fn is_tunnel(&self) -> bool {
        self.is_tunnel.load(Ordering::Acquire)
    }

    /// The next request is a stand-in for one that is refused.
    pub(super) fn refuse(&self, refused: Refused) {
        // Nothing is passed on behind the first.
        let _ = self.refused.set(Box::new(refused));
    }

    /// The request that this one stands in for.
    pub(super) fn refused(&self) -> Option<&Refused> {
        self.refused.get().map(Box::as_ref)
    }

    /// From now on nothing is done.
    pub(super) fn rest(&self) {
        self.idle_since.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    /// When it began to be idle, if it is.
    pub(super) fn idle_since(&self) -> Instant {
        self.started + Duration::from_millis(self.idle_since.load(Ordering::Relaxed))
    }
}

impl RequestGuard {
    /// The connection has become a tunnel, which has a deadline of its own: it is never idle again.
    pub(super) fn into_tunnel(self) {
        self.activity.is_tunnel.store(true, Ordering::Release);
        self.activity.under_way.fetch_add(1, Ordering::Relaxed);
    }

    /// There is an answer: who leaves now has not taken the request back.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if !self.answered {
            self.activity.cancelled.fetch_add(1, Ordering::Relaxed);
        }
        self.activity.rest();
        self.activity
            .under_way
            .fetch_sub(usize::from(self.counts), Ordering::Release);
        self.activity.waiting.wake();
    }
}
