//! State of one app between calls to WeChat: the AppSecret that WeChat accepts, whether any of its
//! login codes was known, and a circuit breaker. After several consecutive calls without a response
//! the next calls fail at once, so that an outage of WeChat costs clients no wait and the gateway
//! no connections; one probe call a second closes the breaker again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::App;
use crate::secret::Secret;

/// Consecutive calls without a response that open the breaker.
const MAX_UNANSWERED_CALLS: u32 = 5;
/// Time between two probe calls while the breaker is open.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Unknown login codes, without any known one, that suggest a wrong appid in the configuration.
const MAX_UNKNOWN_CODES: u32 = 20;

/// The state of every app that has made a call.
#[derive(Debug, Default)]
pub(super) struct AppStates(Mutex<HashMap<String, Arc<AppState>>>);

/// The state of one app.
#[derive(Debug, Default)]
pub(super) struct AppState {
    next_is_live: AtomicBool,
    unanswered: Mutex<Unanswered>,
    /// The number of unknown login codes before the first known one; `KNOWN` from then on.
    strange_codes: AtomicU32,
}

/// Marks that a login code was known; larger than any count.
const KNOWN: u32 = u32::MAX;

#[derive(Debug, Default)]
struct Unanswered {
    calls: u32,
    /// The time of the last probe call.
    probed: Option<Instant>,
}

impl AppStates {
    /// The state of an app. Apps come from the configuration, so there are few.
    pub(super) fn of(&self, appid: &str) -> Arc<AppState> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = states.get(appid) {
            return Arc::clone(state);
        }
        Arc::clone(states.entry(appid.to_owned()).or_default())
    }

    /// Forgets the apps that a new configuration does not have.
    pub(super) fn retain(&self, apps: &[App]) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|appid, _| apps.iter().any(|app| app.appid == *appid));
    }
}

impl AppState {
    /// The AppSecret that WeChat accepted last; initially `secret`.
    pub(super) fn secret<'a>(&self, app: &'a App) -> &'a Secret {
        match &app.secret_next {
            Some(next) if self.next_is_live.load(Ordering::Relaxed) => next,
            _ => &app.secret,
        }
    }

    /// The other AppSecret of the app, after WeChat refused this one.
    pub(super) fn other_secret<'a>(&self, app: &'a App, refused: &Secret) -> Option<&'a Secret> {
        let next = app.secret_next.as_ref()?;
        Some(if refused == next { &app.secret } else { next })
    }

    /// Records the AppSecret that WeChat accepted, and logs a change.
    pub(super) fn took(&self, app: &App, secret: &Secret) {
        let is_next = app.secret_next.as_ref() == Some(secret) && *secret != app.secret;
        if self.next_is_live.load(Ordering::Relaxed) == is_next {
            return;
        }
        if self.next_is_live.swap(is_next, Ordering::Relaxed) == is_next {
            return;
        }
        if is_next {
            tracing::warn!(
                appid = app.appid,
                "wechat takes `apps.secret_next` now and `apps.secret` no longer; make it `secret`, and the old one \
                 `secret_previous`"
            );
        } else {
            tracing::warn!(appid = app.appid, "wechat takes `apps.secret` again");
        }
    }

    /// Whether a call may be made now.
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut unanswered = self.unanswered();
        if unanswered.calls < MAX_UNANSWERED_CALLS {
            return true;
        }
        let may_probe = unanswered
            .probed
            .is_none_or(|probed| now.saturating_duration_since(probed) >= PROBE_INTERVAL);
        if may_probe {
            unanswered.probed = Some(now);
        }
        may_probe
    }

    /// Records whether a call got a response, of any content.
    pub(super) fn note(&self, app: &App, answered: bool, now: Instant) {
        let mut unanswered = self.unanswered();
        let before = unanswered.calls;
        if answered {
            *unanswered = Unanswered::default();
        } else {
            unanswered.calls = before.saturating_add(1);
            unanswered.probed = Some(now);
        }
        drop(unanswered);
        if answered && before >= MAX_UNANSWERED_CALLS {
            tracing::info!(appid = app.appid, "wechat responds again");
        } else if !answered && before + 1 == MAX_UNANSWERED_CALLS {
            tracing::warn!(
                appid = app.appid,
                calls = MAX_UNANSWERED_CALLS,
                "wechat does not respond; calls fail at once, except for one a second"
            );
        }
    }

    /// Records whether WeChat knew a login code. Warns once, after many unknown codes in a row: the
    /// sign of a wrong appid. Clients can send any code, so later unknown ones are not logged.
    pub(super) fn knew_code(&self, app: &App, known: bool) {
        if known {
            self.strange_codes.store(KNOWN, Ordering::Relaxed);
            return;
        }
        let more = |count: u32| (count != KNOWN).then(|| (count + 1).min(MAX_UNKNOWN_CODES + 1));
        let before = self
            .strange_codes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        if before == Ok(MAX_UNKNOWN_CODES - 1) {
            tracing::warn!(
                appid = app.appid,
                logins = MAX_UNKNOWN_CODES,
                "wechat knew none of the login codes so far (40029); check that `apps.appid` is the appid of the mini program \
                 that sends them"
            );
        }
    }

    fn unanswered(&self) -> MutexGuard<'_, Unanswered> {
        self.unanswered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::app;

    #[test]
    fn five_unanswered_calls_in_a_row_refuse_all_but_one_a_second() {
        let (state, app) = (AppState::default(), app("wx1"));
        let start = Instant::now();
        for _ in 0..4 {
            state.note(&app, false, start);
        }
        state.note(&app, true, start);
        for _ in 0..4 {
            state.note(&app, false, start);
        }
        assert!(state.admits(start));
        state.note(&app, false, start);
        assert!(!state.admits(start));
        let later = start + PROBE_INTERVAL;
        assert!(state.admits(later));
        assert!(!state.admits(later), "only one probes");
        state.note(&app, true, later);
        assert!(state.admits(later));
    }
}
