//! The circuit breaker of a link: after a few consecutive commands without a reply all further ones
//! fail at once, so that a frozen Redis costs callers no wait, until a supervisor's ping gets a
//! reply.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Consecutive commands without a reply that open the breaker.
pub(super) const MAX_UNANSWERED_COMMANDS: u32 = 5;

pub(super) struct LinkHealth {
    address: Box<str>,
    silent: AtomicU32,
    logged: AtomicBool,
}

impl LinkHealth {
    pub(super) fn new(address: &str) -> Self {
        Self {
            address: address.into(),
            silent: AtomicU32::new(0),
            logged: AtomicBool::new(false),
        }
    }

    /// Host and port, for messages.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Whether commands fail at once.
    pub(super) fn is_open(&self) -> bool {
        self.silent.load(Ordering::Relaxed) >= MAX_UNANSWERED_COMMANDS
    }

    /// Records a command without a reply. True when that opens the breaker: every connection should
    /// then be pinged.
    pub(super) fn unanswered(&self) -> bool {
        let before = self.silent.load(Ordering::Relaxed);
        if before >= MAX_UNANSWERED_COMMANDS {
            return false;
        }
        let count = self.silent.fetch_add(1, Ordering::Relaxed) + 1;
        if count >= MAX_UNANSWERED_COMMANDS && !self.logged.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                redis.address = %self.address,
                commands = MAX_UNANSWERED_COMMANDS,
                "redis does not reply; commands fail at once until a ping gets a reply"
            );
        }
        count == MAX_UNANSWERED_COMMANDS
    }

    /// Records a reply, of any content.
    pub(super) fn answered(&self) {
        // Read before the write: while all is well, no core takes this cache line exclusively.
        if self.silent.load(Ordering::Relaxed) != 0 {
            self.silent.store(0, Ordering::Relaxed);
        }
        if self.logged.load(Ordering::Relaxed) && self.logged.swap(false, Ordering::Relaxed) {
            tracing::info!(redis.address = %self.address, "redis replies again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_silent_commands_in_a_row_open_the_breaker_and_one_answer_closes_it() {
        let health = LinkHealth::new("h:1");
        for _ in 0..4 {
            health.unanswered();
        }
        health.answered();
        for _ in 0..4 {
            health.unanswered();
        }
        assert!(!health.is_open());
        assert!(health.unanswered());
        assert!(health.is_open());
        health.answered();
        assert!(!health.is_open());
    }
}
