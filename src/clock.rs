//! The one place that reads the wall clock. Deadlines use tokio's clock instead, which tests can pause.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970. A clock set before that reads as 0.
#[expect(clippy::disallowed_methods, reason = "this is the one clock function")]
#[must_use]
pub fn unix_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970.
#[must_use]
pub fn unix_seconds() -> u64 {
    unix_millis() / 1000
}
