//! Shared state of one connection: requests in flight, idle time, partial heads. Admission reads it
//! to find idle connections; HTTP/1 and HTTP/2 each keep what only they need beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The state of one connection.
#[derive(Debug)]
pub(super) struct ConnectionState {
    opened: Instant,
    in_flight: AtomicUsize,
    /// Requests so far.
    requests: AtomicU64,
    /// When the last request ended, in milliseconds after `opened`.
    idle_since_ms: AtomicU64,
    /// One more than the number of requests before the partial head; 0 without a partial head.
    partial_head: AtomicU64,
    /// The end of a response waits for the client to read.
    write_pending: AtomicBool,
}

/// One request in flight; dropping it ends the request.
#[derive(Debug)]
pub(super) struct RequestGuard(Arc<ConnectionState>);

impl ConnectionState {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            in_flight: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            idle_since_ms: AtomicU64::new(0),
            partial_head: AtomicU64::new(0),
            write_pending: AtomicBool::new(false),
        })
    }

    /// Counts a request and keeps it in flight until the guard is dropped.
    pub(super) fn start_request(self: &Arc<Self>) -> RequestGuard {
        self.count_request();
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        RequestGuard(Arc::clone(self))
    }

    /// Counts a request that does not keep the connection busy.
    pub(super) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether no request is in flight.
    pub(super) fn is_idle(&self) -> bool {
        // Pairs with the end of a request on another thread: a reader that sees none in flight also
        // sees when the last one ended.
        self.in_flight.load(Ordering::Acquire) == 0
    }

    /// When the last request ended, or the connection was opened.
    pub(super) fn idle_since(&self) -> Instant {
        self.opened + Duration::from_millis(self.idle_since_ms.load(Ordering::Relaxed))
    }

    /// Starts the idle time over.
    pub(super) fn reset_idle(&self) {
        let elapsed = self.opened.elapsed().as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        self.idle_since_ms.store(elapsed, Ordering::Relaxed);
    }

    /// Since when the connection could be closed without loss: no request is in flight, no head is
    /// partial and no response waits for the client. `None` while there is any of these.
    pub(super) fn evictable_since(&self) -> Option<Instant> {
        let partial_head = self.partial_head.load(Ordering::Relaxed);
        let next = self.requests().saturating_add(1);
        let evictable = self.is_idle() && partial_head != next && !self.write_pending();
        evictable.then(|| self.idle_since())
    }

    /// Bytes arrived that may begin a head, after this many requests.
    pub(super) fn set_partial_head(&self, requests: u64) {
        self.partial_head
            .store(requests.saturating_add(1), Ordering::Relaxed);
    }

    /// The bytes that arrived were no head.
    pub(super) fn clear_partial_head(&self) {
        self.partial_head.store(0, Ordering::Relaxed);
    }

    /// Whether the end of a response waits for the client to read.
    pub(super) fn write_pending(&self) -> bool {
        self.write_pending.load(Ordering::Relaxed)
    }

    pub(super) fn set_write_pending(&self, pending: bool) {
        self.write_pending.store(pending, Ordering::Relaxed);
    }
}

impl RequestGuard {
    /// Keeps the connection busy to its end: a tunnel has a deadline of its own and is never idle.
    pub(super) fn into_tunnel(self) {
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.reset_idle();
        self.0.in_flight.fetch_sub(1, Ordering::Release);
    }
}
