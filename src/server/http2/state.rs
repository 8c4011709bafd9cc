//! State of one HTTP/2 connection: cancelled requests, and its end after GOAWAY.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::server::connection_state::{ConnectionState, RequestGuard};

/// How often a connection that was told to leave is checked for requests in flight.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What HTTP/2 keeps beside the state that both protocols share.
#[derive(Debug)]
pub(in crate::server) struct Http2State {
    connection: Arc<ConnectionState>,
    /// Requests that the client cancelled before their response started.
    cancelled: AtomicU64,
    /// The client's time to leave is over: requests that start now are not waited for.
    is_closing: AtomicBool,
}

/// One HTTP/2 request; dropping it ends the request.
#[derive(Debug)]
pub(in crate::server) struct Http2Request {
    /// `None` when the connection does not wait for it.
    _guard: Option<RequestGuard>,
    state: Arc<Http2State>,
    has_response: bool,
}

impl Http2State {
    pub(in crate::server) fn new(connection: Arc<ConnectionState>) -> Arc<Self> {
        Arc::new(Self {
            connection,
            cancelled: AtomicU64::new(0),
            is_closing: AtomicBool::new(false),
        })
    }

    pub(in crate::server) fn start_request(self: &Arc<Self>) -> Http2Request {
        let guard = if self.is_closing.load(Ordering::Relaxed) {
            self.connection.count_request();
            None
        } else {
            Some(self.connection.start_request())
        };
        Http2Request {
            _guard: guard,
            state: Arc::clone(self),
            has_response: false,
        }
    }

    /// Requests so far, and how many of them the client cancelled before their response started.
    pub(super) fn requests(&self) -> (u64, u64) {
        let cancelled = self.cancelled.load(Ordering::Relaxed);
        (self.connection.requests(), cancelled)
    }

    /// Completes when the connection has been idle for this long.
    pub(super) async fn idle_for(&self, timeout: Duration) {
        let start = Instant::now();
        let mut wake = start + timeout;
        loop {
            tokio::time::sleep_until(wake).await;
            let due = self.connection.idle_since().max(start) + timeout;
            let is_idle = self.is_idle();
            if is_idle && due <= Instant::now() {
                return;
            }
            wake = if is_idle {
                due
            } else {
                Instant::now() + timeout
            };
        }
    }

    /// Completes when the client has had this long to leave and every request that started in that
    /// time has ended.
    pub(super) async fn drained_after(&self, timeout: Duration) {
        tokio::time::sleep(timeout).await;
        self.is_closing.store(true, Ordering::Relaxed);
        while !self.is_idle() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    fn is_idle(&self) -> bool {
        self.connection.is_idle() && !self.connection.write_pending()
    }
}

impl Http2Request {
    /// The response has started: a client that leaves from now on does not cancel the request.
    pub(in crate::server) fn response_started(&mut self) {
        self.has_response = true;
    }
}

impl Drop for Http2Request {
    fn drop(&mut self) {
        if !self.has_response {
            self.state.cancelled.fetch_add(1, Ordering::Relaxed);
        }
    }
}
