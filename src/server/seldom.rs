//! Keeps out of the log what a stranger can repeat at will: told at once, then at most every ten seconds, with a count.

use std::time::Duration;

use tokio::time::Instant;

const TELL_EVERY: Duration = Duration::from_secs(10);

/// Something that is told seldom.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    last_told: Option<Instant>,
    since: u64,
}

impl Seldom {
    /// Counts one more; how many there were since the last time when it is to be told now.
    pub(super) fn count(&mut self) -> Option<u64> {
        self.since = self.since.saturating_add(1);
        let now = Instant::now();
        let recently = |last: Instant| now.saturating_duration_since(last) < TELL_EVERY;
        if self.last_told.is_some_and(recently) {
            return None;
        }
        self.last_told = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_warning_is_logged_at_once_and_later_ones_with_a_count() {
        let mut seldom = Seldom::default();
        assert_eq!(seldom.count(), Some(1));
        for _ in 0..1000 {
            assert_eq!(seldom.count(), None);
        }
        tokio::time::advance(TELL_EVERY).await;
        assert_eq!(seldom.count(), Some(1001));
        assert_eq!(seldom.count(), None);
    }
}
