//! What is remembered of one app between its calls to WeChat: which of its AppSecrets WeChat takes, whether it has known a login
//! code of the app, and whether it answers at all. After several calls in a row without an answer the next are refused at once, so that an outage of WeChat costs clients no
//! wait and us no places, until one call a second, let through to see, is answered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::App;
use crate::secret::Secret;

/// Calls in a row without an answer that open the breaker.
const UNANSWERED: u32 = 5;
/// Time between two calls that are let through to see whether WeChat is back.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// So many codes that WeChat does not know, and none that it does, are a gateway with another appid than its mini program.
const STRANGE_CODES: u32 = 20;

/// The state of every app that has called.
#[derive(Debug, Default)]
pub(super) struct AppStates(Mutex<HashMap<String, Arc<AppState>>>);

/// One app's.
#[derive(Debug, Default)]
pub(super) struct AppState {
    next_is_live: AtomicBool,
    unanswered: Mutex<Unanswered>,
    /// Codes that WeChat did not know, before the first that it did; `KNOWN` from then on.
    strange_codes: AtomicU32,
}

/// No number of codes.
const KNOWN: u32 = u32::MAX;

#[derive(Debug, Default)]
struct Unanswered {
    calls: u32,
    /// When the last one was let through although the breaker was open.
    probed: Option<Instant>,
}

impl AppStates {
    /// An app's state. Apps are those of the configuration, so there are few.
    pub(super) fn of(&self, appid: &str) -> Arc<AppState> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = states.get(appid) {
            return Arc::clone(state);
        }
        Arc::clone(states.entry(appid.to_owned()).or_default())
    }
}

impl AppState {
    /// The AppSecret that WeChat took last, at first `secret`.
    pub(super) fn secret<'a>(&self, app: &'a App) -> &'a Secret {
        match &app.secret_next {
            Some(next) if self.next_is_live.load(Ordering::Relaxed) => next,
            _ => &app.secret,
        }
    }

    /// WeChat refuses this secret: the app's other one, if there is another.
    pub(super) fn other_secret<'a>(&self, app: &'a App, refused: &Secret) -> Option<&'a Secret> {
        let next = app.secret_next.as_ref()?;
        Some(if refused == next { &app.secret } else { next })
    }

    /// Notes the secret that WeChat took, and tells when it is another than before.
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
        if unanswered.calls < UNANSWERED {
            return true;
        }
        let may_probe = unanswered
            .probed
            .is_none_or(|probed| now.saturating_duration_since(probed) >= PROBE_EVERY);
        if may_probe {
            unanswered.probed = Some(now);
        }
        may_probe
    }

    /// Notes whether a call was answered, whatever the answer said.
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
        if answered && before >= UNANSWERED {
            tracing::info!(appid = app.appid, "wechat answers again");
        } else if !answered && before + 1 == UNANSWERED {
            tracing::warn!(
                appid = app.appid,
                calls = UNANSWERED,
                "wechat does not answer; calls are refused at once, but for one a second that tries"
            );
        }
    }

    /// Notes whether WeChat knew a login code. Tells, once, when it has known none of many: the sign of a wrong appid. Anybody can
    /// send codes, so later ones say nothing.
    pub(super) fn knew_code(&self, app: &App, known: bool) {
        if known {
            self.strange_codes.store(KNOWN, Ordering::Relaxed);
            return;
        }
        let more = |count: u32| (count != KNOWN).then(|| (count + 1).min(STRANGE_CODES + 1));
        let before = self
            .strange_codes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        if before == Ok(STRANGE_CODES - 1) {
            tracing::warn!(
                appid = app.appid,
                logins = STRANGE_CODES,
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
        let later = start + PROBE_EVERY;
        assert!(state.admits(later));
        assert!(!state.admits(later), "only one probes");
        state.note(&app, true, later);
        assert!(state.admits(later));
    }
}
