//! Throttles log lines that a client can trigger at will: the first is logged at once, later ones
//! at most once per interval, with a count.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// One throttled log line. Shared by reference; an event costs an uncontended lock.
#[derive(Debug)]
pub struct LogThrottle {
    every: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_line: Option<Instant>,
    events: u64,
}

impl LogThrottle {
    /// The interval of most lines: short enough to follow an attack, long enough not to fill a
    /// disk.
    pub const TEN_SECONDS: Duration = Duration::from_secs(10);
    /// The interval of lines about a cause that persists until an operator removes it.
    pub const MINUTE: Duration = Duration::from_secs(60);

    /// At most one line per interval.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        Self {
            every,
            state: Mutex::default(),
        }
    }

    /// Counts one event. `Some` when a line is due: the number of events since the last line,
    /// including this one.
    pub fn count(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.events = state.events.saturating_add(1);
        let now = Instant::now();
        let is_recent = |last: Instant| now.saturating_duration_since(last) < self.every;
        if state.last_line.is_some_and(is_recent) {
            return None;
        }
        state.last_line = Some(now);
        Some(std::mem::take(&mut state.events))
    }

    /// As `count`, for a line without that number.
    pub fn is_due(&self) -> bool {
        self.count().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_event_is_logged_at_once_and_later_ones_with_a_count() {
        let throttle = LogThrottle::new(LogThrottle::TEN_SECONDS);
        assert_eq!(throttle.count(), Some(1));
        for _ in 0..1000 {
            assert_eq!(throttle.count(), None);
        }
        tokio::time::advance(LogThrottle::TEN_SECONDS).await;
        assert_eq!(throttle.count(), Some(1001));
        assert_eq!(throttle.count(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_due_again_after_the_interval_alone() {
        let throttle = LogThrottle::new(LogThrottle::MINUTE);
        assert!(throttle.is_due());
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!throttle.is_due());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(throttle.is_due());
    }
}
