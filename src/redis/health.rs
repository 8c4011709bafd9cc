//! The breaker of one link: after a few commands in a row without an answer it refuses at once, so that a frozen Redis
//! costs callers nothing, until a supervisor's ping is answered.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Unanswered commands in a row that open the breaker.
pub(super) const SILENT_COMMANDS: u32 = 5;

pub(super) struct Health {
    address: Box<str>,
    silent: AtomicU32,
    logged: AtomicBool,
}

impl Health {
    pub(super) fn new(address: &str) -> Self {
        Self {
            address: address.into(),
            silent: AtomicU32::new(0),
            logged: AtomicBool::new(false),
        }
    }

    /// Host and port, for texts.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Whether commands are refused at once.
    pub(super) fn is_open(&self) -> bool {
        self.silent.load(Ordering::Relaxed) >= SILENT_COMMANDS
    }

    /// Notes a command without an answer. True when that opens the breaker: then every connection is worth a ping.
    pub(super) fn unanswered(&self) -> bool {
        let before = self.silent.load(Ordering::Relaxed);
        if before >= SILENT_COMMANDS {
            return false;
        }
        let count = self.silent.fetch_add(1, Ordering::Relaxed) + 1;
        if count >= SILENT_COMMANDS && !self.logged.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                redis.address = %self.address,
                commands = SILENT_COMMANDS,
                "redis does not answer; refusing at once until a ping is answered"
            );
        }
        count == SILENT_COMMANDS
    }

    /// Notes an answer, whatever it says.
    pub(super) fn answered(&self) {
        // Read first: in good times no core takes this cache line for itself.
        if self.silent.load(Ordering::Relaxed) != 0 {
            self.silent.store(0, Ordering::Relaxed);
        }
        if self.logged.load(Ordering::Relaxed) && self.logged.swap(false, Ordering::Relaxed) {
            tracing::info!(redis.address = %self.address, "redis answers again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_silent_commands_in_a_row_open_the_breaker_and_one_answer_closes_it() {
        let health = Health::new("h:1");
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
