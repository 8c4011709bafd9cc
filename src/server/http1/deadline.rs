//! The deadline of a request head: its bytes must all arrive within `server.header_timeout`.

use std::time::Duration;

use tokio::time::Instant;

use crate::server::connection_state::ConnectionState;

/// The time that a head takes to arrive. A head that follows request `n` is no longer partial once
/// request `n + 1` has started, so the number of requests tells whether it is still awaited.
#[derive(Debug)]
pub(in crate::server) struct HeadDeadline {
    timeout: Duration,
    /// When the first bytes of the head arrived, and the number of requests before it.
    started: Option<(Instant, u64)>,
}

impl HeadDeadline {
    /// The deadline of the first head, whose first bytes have been read to detect the protocol.
    pub(in crate::server) fn new(timeout: Duration, state: &ConnectionState) -> Self {
        state.set_partial_head(0);
        Self {
            timeout,
            started: Some((Instant::now(), 0)),
        }
    }

    pub(in crate::server) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The next head starts now: its first bytes arrived behind the last request.
    pub(in crate::server) fn start(&mut self, state: &ConnectionState) {
        let requests = state.requests();
        self.started = Some((Instant::now(), requests));
        state.set_partial_head(requests);
    }

    /// Starts the next head unless its first bytes arrived before.
    pub(in crate::server) fn bytes_arrived(&mut self, state: &ConnectionState) {
        let requests = state.requests();
        if self.started.is_none_or(|(_, before)| before != requests) {
            self.start(state);
        }
    }

    /// The bytes that arrived were no head.
    pub(in crate::server) fn clear(&mut self, state: &ConnectionState) {
        self.started = None;
        state.clear_partial_head();
    }

    /// A request is in flight.
    pub(in crate::server) fn stop(&mut self) {
        self.started = None;
    }

    /// When the partial head is due; `None` without one.
    pub(in crate::server) fn due(&self, state: &ConnectionState) -> Option<Instant> {
        let (started, before) = self.started?;
        (before == state.requests()).then(|| started + self.timeout)
    }
}
