//! How fast a client reads an answer, by the time that it is waited for: while there is nothing to send, no time passes.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes per second that a client must read on average, once it has been waited for longer than `server.body_timeout`.
const MIN_BYTES_PER_SECOND: u64 = 1024;

/// How fast the client reads one answer, from the first time that it was waited for: what the kernel took before that says nothing.
#[derive(Debug, Default)]
pub(super) struct MinRate {
    /// Which of the connection's requests is answered.
    request: u64,
    since: Option<Instant>,
    waited: Duration,
    read: u64,
}

impl MinRate {
    /// The client is waited for, with the answer to this request.
    pub(super) fn wait(&mut self, request: u64) {
        if self.request != request {
            *self = Self {
                request,
                ..Self::default()
            };
        }
        self.since.get_or_insert_with(Instant::now);
    }

    /// It is not waited for any more.
    pub(super) fn go_on(&mut self) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Counts what it takes.
    pub(super) fn count(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.read = self.read.saturating_add(bytes);
    }

    /// Counts what it took; whether that is less than `MIN_BYTES_PER_SECOND`, waited for longer than `patience`.
    pub(super) fn is_below(&mut self, bytes: usize, patience: Duration) -> bool {
        let waited = self.waited + self.since.map_or(Duration::ZERO, |since| since.elapsed());
        if waited.is_zero() {
            return false;
        }
        self.count(bytes);
        waited > patience && self.read < waited.as_secs().saturating_mul(MIN_BYTES_PER_SECOND)
    }
}
