//! Expiry and renewal of sessions: arithmetic on given times, without a clock.
//!
//! Only the store counts idle time, so that a jump of the gateway's clock does not log users out.
//! The gateway's clock decides only about age and renewal, where a jump does little harm.

use std::time::Duration;

use super::Session;
use crate::config;

/// Remaining lifetime of a session over `max_per_user`: time for requests in flight, and for the
/// other device to notice.
pub(super) const GRACE_PERIOD: Duration = Duration::from_secs(30);
/// How long a user's session_keys are kept after the last login.
pub(super) const SESSION_KEY_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// Minimum time between two renewals of a session; a tenth of `session.ttl` where that is shorter.
/// A write per request would cost more than the request's lookup.
const RENEW_EVERY: Duration = Duration::from_secs(600);

/// `session.ttl`, `session.max_age` and `session.max_per_user`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    pub(super) ttl: Duration,
    pub(super) renew_every: Duration,
    pub(super) max_age: Duration,
    /// `None` for no limit.
    pub(super) max_per_user: Option<usize>,
}

impl Lifetime {
    pub(super) fn new(config: &config::Session) -> Self {
        let max_per_user = usize::try_from(config.max_per_user).unwrap_or(usize::MAX);
        Self {
            ttl: config.ttl,
            renew_every: RENEW_EVERY.min(config.ttl / 10),
            max_age: config.max_age,
            max_per_user: Some(max_per_user).filter(|&max| max > 0),
        }
    }

    /// Lifetime of a new session that is not used.
    pub(super) fn at_first(&self) -> Duration {
        self.ttl.min(self.max_age)
    }

    /// Whether the session has reached `max_age`.
    pub(super) fn is_over(&self, session: &Session, now: u64) -> bool {
        self.left_of_age(session, now).is_zero()
    }

    /// Whether a renewal is due. A renewal time in the future means that a clock was set back; then
    /// it is due as well.
    pub(super) fn renewal_is_due(&self, session: &Session, now: u64) -> bool {
        now.abs_diff(session.renewed) >= self.renew_every.as_secs().max(1)
    }

    /// Lifetime after a renewal at `now`.
    pub(super) fn once_renewed(&self, session: &Session, now: u64) -> Duration {
        self.ttl.min(self.left_of_age(session, now))
    }

    fn left_of_age(&self, session: &Session, now: u64) -> Duration {
        let age = Duration::from_secs(now.saturating_sub(session.created));
        self.max_age.saturating_sub(age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Origin;
    use crate::session::tests::{identity, session_config};

    fn session(created: u64, renewed: u64) -> Session {
        Session {
            identity: identity("o1"),
            created,
            renewed,
            origin: Origin::default(),
        }
    }

    #[test]
    fn a_renewal_never_reaches_beyond_the_greatest_age() {
        let lifetime = Lifetime::new(&session_config());
        let day = 24 * 3600;
        let left = lifetime.once_renewed(&session(0, 0), 29 * day);
        assert_eq!(left, Duration::from_secs(day));
        assert!(!lifetime.is_over(&session(0, 0), 30 * day - 1));
        assert!(lifetime.is_over(&session(0, 0), 30 * day));
    }

    #[test]
    fn a_short_ttl_is_renewed_after_a_tenth_of_it() {
        let mut config = session_config();
        assert_eq!(Lifetime::new(&config).renew_every, RENEW_EVERY);
        config.ttl = Duration::from_secs(600);
        let short = Lifetime::new(&config);
        assert_eq!(short.renew_every, Duration::from_secs(60));
    }

    #[test]
    fn renewal_is_due_after_renew_every_and_after_a_clock_set_back() {
        let lifetime = Lifetime::new(&session_config());
        assert!(!lifetime.renewal_is_due(&session(0, 1000), 1599));
        assert!(lifetime.renewal_is_due(&session(0, 1000), 1600));
        assert!(!lifetime.renewal_is_due(&session(0, 1000), 999));
        assert!(lifetime.renewal_is_due(&session(0, 100_000), 1000));
    }
}
