//! The minimum rate at which a client must read a response. Only the time spent waiting for the
//! client counts: while there is nothing to send, no time passes.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes per second that a client must read on average, once it has been waited for longer than
/// `server.body_timeout`.
const MIN_BYTES_PER_SECOND: u64 = 1024;

/// How fast the client reads one response, measured from the first wait: the bytes that the kernel
/// took before that show nothing.
#[derive(Debug, Default)]
pub(super) struct MinRate {
    /// The number of the connection's request that the response is for.
    request: u64,
    waiting_since: Option<Instant>,
    waited: Duration,
    bytes_read: u64,
}

impl MinRate {
    /// The client is waited for, with the response to this request.
    pub(super) fn start_waiting(&mut self, request: u64) {
        if self.request != request {
            *self = Self {
                request,
                ..Self::default()
            };
        }
        self.waiting_since.get_or_insert_with(Instant::now);
    }

    /// The client is no longer waited for.
    pub(super) fn stop_waiting(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Counts bytes that the client reads.
    pub(super) fn count(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes_read = self.bytes_read.saturating_add(bytes);
    }

    /// Counts bytes that the client read; whether the rate is below `MIN_BYTES_PER_SECOND` after
    /// more than `grace` of waiting.
    pub(super) fn is_below(&mut self, bytes: usize, grace: Duration) -> bool {
        let since = self.waiting_since;
        let waited = self.waited + since.map_or(Duration::ZERO, |since| since.elapsed());
        if waited.is_zero() {
            return false;
        }
        self.count(bytes);
        let required = waited.as_secs().saturating_mul(MIN_BYTES_PER_SECOND);
        waited > grace && self.bytes_read < required
    }
}
