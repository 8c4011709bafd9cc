//! `decrypt.checksession`: finds out, when a client's data does not decrypt, whether the data is
//! old or the session_key is dead. WeChat is asked at most once per user and interval, whatever the
//! user sends, since its quota is per app.

use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::access_token::{AccessTokens, TokenError};
use crate::config::App;
use crate::lease::{Claim, HeldLease, LeaseState, Leases, Work};
use crate::log_throttle::LogThrottle;
use crate::login::LOGIN_DEADLINE;
use crate::secret::Secret;

/// Least time between two checks of one user.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// How long a refusal waits for the verdict. The check itself keeps its usual deadline: a shorter
/// one would count as a WeChat timeout and open the breaker for logins.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(2);
/// Limit of users checked within `CHECK_INTERVAL`.
const MAX_USERS: usize = 4096;

/// The verdict for a key that WeChat rejects. `NOT_DEAD` also stands for unknown.
const DEAD: &[u8] = b"dead";
const NOT_DEAD: &[u8] = b"not dead";

/// Checks session_keys with WeChat and caches the verdicts.
pub(super) struct KeyChecks {
    tokens: Arc<AccessTokens>,
    tasks: TaskTracker,
    questions: Arc<Questions>,
    /// For errors that the operator can fix.
    warning: LogThrottle,
}

/// Recent checks and verdicts of this process.
struct Questions {
    /// A lease for each checked user; held for the whole interval.
    users: Leases,
    /// The verdict on each session_key.
    verdicts: Leases,
}

/// The next step for a session_key.
#[derive(Debug)]
enum Question {
    /// Ask WeChat and publish the verdict.
    Ask(HeldLease),
    /// The verdict is known, or another request is fetching it.
    Known,
    /// Another session_key of the user was checked, or the limit of users is reached.
    TooSoon,
}

impl KeyChecks {
    pub(super) fn new(tokens: &Arc<AccessTokens>, tasks: TaskTracker) -> Self {
        Self {
            tokens: Arc::clone(tokens),
            tasks,
            questions: Arc::new(Questions::new()),
            warning: LogThrottle::new(LogThrottle::MINUTE),
        }
    }

    /// Keeps the verdicts; further checks use these tokens.
    pub(super) fn reconfigured(&self, tokens: &Arc<AccessTokens>) -> Self {
        Self {
            tokens: Arc::clone(tokens),
            tasks: self.tasks.clone(),
            questions: Arc::clone(&self.questions),
            warning: LogThrottle::new(LogThrottle::MINUTE),
        }
    }

    /// Whether WeChat reports this session_key as dead; false when WeChat cannot be asked.
    pub(super) async fn is_dead(
        self: &Arc<Self>,
        app: &Arc<App>,
        openid: &str,
        session_key: &Secret,
    ) -> bool {
        let deadline = Instant::now() + VERDICT_TIMEOUT;
        let work = key_work(&app.appid, openid, session_key);
        match self.questions.next(&app.appid, openid, &work).await {
            Question::TooSoon => return false,
            Question::Known => {}
            Question::Ask(lease) => {
                let (checks, app) = (Arc::clone(self), Arc::clone(app));
                let (openid, session_key) = (openid.to_owned(), session_key.clone());
                // In a task: a client that disconnects must not make the next one ask again.
                self.tasks.spawn(async move {
                    let asked = Instant::now();
                    let verdict = checks.ask(&app, &openid, &session_key).await;
                    checks.questions.publish(lease, verdict, asked).await;
                });
            }
        }
        let mut waited = Duration::ZERO;
        let verdicts = &self.questions.verdicts;
        let verdict = verdicts.claim(&work, deadline, &mut waited).await;
        matches!(verdict, Ok(Claim::Result(verdict)) if verdict == DEAD)
    }

    async fn ask(&self, app: &Arc<App>, openid: &str, session_key: &Secret) -> &'static [u8] {
        let deadline = Instant::now() + LOGIN_DEADLINE;
        let asked = self
            .tokens
            .session_key_is_live(app, openid, session_key, deadline);
        match asked.await {
            Ok(true) => NOT_DEAD,
            Ok(false) => DEAD,
            Err(error) => {
                self.tell(app, &error);
                NOT_DEAD
            }
        }
    }

    /// Logs above `debug` only what an operator can fix, once a minute: any logged-in user can
    /// trigger it.
    fn tell(&self, app: &App, error: &TokenError) {
        if error.operator_must_act() && self.warning.is_due() {
            tracing::error!(appid = app.appid, %error, "no answer to checksession (`decrypt.checksession`)");
        } else {
            tracing::debug!(appid = app.appid, %error, "no answer to checksession");
        }
    }
}

impl Questions {
    fn new() -> Self {
        Self {
            users: Leases::memory_for(MAX_USERS),
            verdicts: Leases::memory(),
        }
    }

    /// The next step for the session_key of `work`.
    async fn next(&self, appid: &str, openid: &str, work: &Work) -> Question {
        let lease = match self.verdicts.look(work, Duration::ZERO).await {
            Ok(look) => match look.state {
                LeaseState::Granted(lease) => lease,
                LeaseState::Fresh | LeaseState::Busy => return Question::Known,
                LeaseState::Failed => return Question::TooSoon,
            },
            Err(_) => return Question::TooSoon,
        };
        let user = Work::about("user", appid, &[appid, openid], CHECK_INTERVAL);
        let state = self.users.look(&user, Duration::ZERO).await;
        if matches!(state.map(|look| look.state), Ok(LeaseState::Granted(_))) {
            return Question::Ask(lease);
        }
        let _ = self.verdicts.release(lease).await;
        Question::TooSoon
    }

    /// A verdict is valid from the start of its check, as the interval is.
    async fn publish(&self, lease: HeldLease, verdict: &[u8], asked: Instant) {
        let lasts = CHECK_INTERVAL.saturating_sub(asked.elapsed());
        let _ = self.verdicts.publish(lease, verdict, lasts).await;
    }
}

/// The lease for one session_key. The verdict on an older key does not apply to a newer one.
fn key_work(appid: &str, openid: &str, session_key: &Secret) -> Work {
    let hash = digest(&SHA256, session_key.expose().as_bytes());
    let hash: String = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Work::about(
        "checksession",
        appid,
        &[appid, openid, &hash],
        CHECK_INTERVAL,
    )
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    async fn next(questions: &Questions, appid: &str, openid: &str, key: &Secret) -> Question {
        let work = key_work(appid, openid, key);
        questions.next(appid, openid, &work).await
    }

    fn is_asked(question: &Question) -> bool {
        matches!(question, Question::Ask(_))
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_is_asked_about_once_in_ten_seconds_whatever_the_key() {
        let questions = Questions::new();
        let (old, new) = (Secret::new("old"), Secret::new("new"));
        let start = Instant::now();

        let first = next(&questions, "wx1", "ann", &old).await;
        let Question::Ask(lease) = first else {
            panic!("the first is asked about: {first:?}");
        };
        let meanwhile = next(&questions, "wx1", "ann", &old).await;
        assert!(matches!(meanwhile, Question::Known), "{meanwhile:?}");
        questions.publish(lease, DEAD, start).await;

        advance(Duration::from_secs(9)).await;
        let known = next(&questions, "wx1", "ann", &old).await;
        assert!(matches!(known, Question::Known), "{known:?}");
        let work = key_work("wx1", "ann", &old);
        let verdict = questions.verdicts.look(&work, Duration::ZERO).await;
        assert_eq!(verdict.unwrap().result.as_deref(), Some(DEAD));
        // The verdict on the old key does not apply to the new one.
        for _ in 0..2 {
            let other = next(&questions, "wx1", "ann", &new).await;
            assert!(matches!(other, Question::TooSoon), "{other:?}");
        }
        assert!(is_asked(&next(&questions, "wx1", "bob", &old).await));
        assert!(is_asked(&next(&questions, "wx2", "ann", &old).await));
        advance(Duration::from_secs(1)).await;
        assert!(is_asked(&next(&questions, "wx1", "ann", &new).await));
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_that_came_late_lasts_no_longer_than_the_pause() {
        let questions = Questions::new();
        let key = Secret::new("key");
        let asked = Instant::now();
        let Question::Ask(lease) = next(&questions, "wx1", "ann", &key).await else {
            panic!("the first is asked about");
        };
        advance(Duration::from_secs(4)).await;
        questions.publish(lease, NOT_DEAD, asked).await;
        advance(Duration::from_secs(6)).await;
        assert!(is_asked(&next(&questions, "wx1", "ann", &key).await));
    }

    #[tokio::test(start_paused = true)]
    async fn no_number_of_users_takes_more_memory_or_more_questions() {
        let questions = Questions::new();
        let key = Secret::new("key");
        for user in 0..MAX_USERS {
            let question = next(&questions, "wx1", &user.to_string(), &key).await;
            assert!(is_asked(&question), "{user}");
        }
        for _ in 0..2 {
            let refused = next(&questions, "wx1", "one more", &key).await;
            assert!(matches!(refused, Question::TooSoon), "{refused:?}");
        }
        assert_eq!(questions.users.len(), MAX_USERS);
        advance(CHECK_INTERVAL).await;
        // Expired entries are freed by later checks.
        for user in 0..200 {
            let question = next(&questions, "wx2", &user.to_string(), &key).await;
            assert!(is_asked(&question), "{user}");
        }
        assert_eq!(questions.users.len(), 200);
        assert_eq!(questions.verdicts.len(), 200);
    }
}
