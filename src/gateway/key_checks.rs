//! `decrypt.checksession`: when a client's data does not open, whether the data is old or the
//! session_key is dead. WeChat is asked once about a user in a while, whatever the user sends: its
//! quota is the app's.

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

/// Time between two questions about one user.
const PAUSE: Duration = Duration::from_secs(10);
/// How long a refusal waits for the verdict. The question has the time of every other: were it cut
/// short, WeChat would seem not to answer, and logins be refused for it.
const WAIT: Duration = Duration::from_secs(2);
/// Users that were asked about in the last `PAUSE`; no more are.
const MAX_USERS: usize = 4096;

/// The verdict that WeChat said so of. Any other is that a key is not known to be dead.
const DEAD: &[u8] = b"dead";
const NOT_DEAD: &[u8] = b"not dead";

/// Asks about session_keys, and remembers the verdicts for a while.
pub(super) struct KeyChecks {
    tokens: Arc<AccessTokens>,
    tasks: TaskTracker,
    questions: Arc<Questions>,
    /// Of what the operator can change.
    warning: LogThrottle,
}

/// The questions of the last while, in this process.
struct Questions {
    /// A lease for each user that was asked about; it is never ended early.
    users: Leases,
    /// The verdict on each session_key.
    verdicts: Leases,
}

/// What to do about a user's session_key.
#[derive(Debug)]
enum Question {
    /// Ask, and publish the verdict.
    Ask(HeldLease),
    /// The verdict was given, or another request is asking for it.
    Known,
    /// WeChat was asked about another session_key of the user, or about too many users.
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

    /// The same verdicts; further questions are asked with these tokens.
    pub(super) fn reconfigured(&self, tokens: &Arc<AccessTokens>) -> Self {
        Self {
            tokens: Arc::clone(tokens),
            tasks: self.tasks.clone(),
            questions: Arc::clone(&self.questions),
            warning: LogThrottle::new(LogThrottle::MINUTE),
        }
    }

    /// Whether WeChat says that this session_key is dead. Where it cannot be asked it does not.
    pub(super) async fn is_dead(
        self: &Arc<Self>,
        app: &Arc<App>,
        openid: &str,
        session_key: &Secret,
    ) -> bool {
        let deadline = Instant::now() + WAIT;
        let work = key_work(&app.appid, openid, session_key);
        match self.questions.next(&app.appid, openid, &work).await {
            Question::TooSoon => return false,
            Question::Known => {}
            Question::Ask(lease) => {
                let (checks, app) = (Arc::clone(self), Arc::clone(app));
                let (openid, session_key) = (openid.to_owned(), session_key.clone());
                // A task of its own: a client that leaves must not make the next one ask again.
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

    /// Above `debug` only what an operator can change, and once a minute: any user who is logged in
    /// can bring it about.
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

    /// What to do about the session_key whose `work` this is.
    async fn next(&self, appid: &str, openid: &str, work: &Work) -> Question {
        let lease = match self.verdicts.look(work, Duration::ZERO).await {
            Ok(look) => match look.state {
                LeaseState::Granted(lease) => lease,
                LeaseState::Fresh | LeaseState::Busy => return Question::Known,
                LeaseState::Failed => return Question::TooSoon,
            },
            Err(_) => return Question::TooSoon,
        };
        let user = Work::about("user", appid, &[appid, openid], PAUSE);
        let state = self.users.look(&user, Duration::ZERO).await;
        if matches!(state.map(|look| look.state), Ok(LeaseState::Granted(_))) {
            return Question::Ask(lease);
        }
        let _ = self.verdicts.release(lease).await;
        Question::TooSoon
    }

    /// A verdict lasts from the question on, as the pause after it does.
    async fn publish(&self, lease: HeldLease, verdict: &[u8], asked: Instant) {
        let lasts = PAUSE.saturating_sub(asked.elapsed());
        let _ = self.verdicts.publish(lease, verdict, lasts).await;
    }
}

/// The question about one session_key. A verdict on an older one says nothing of the next.
fn key_work(appid: &str, openid: &str, session_key: &Secret) -> Work {
    let hash = digest(&SHA256, session_key.expose().as_bytes());
    let hash: String = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Work::about("checksession", appid, &[appid, openid, &hash], PAUSE)
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
        // What was said of the old key says nothing of the new one.
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
        advance(PAUSE).await;
        // Memory is given back with the next questions.
        for user in 0..200 {
            let question = next(&questions, "wx2", &user.to_string(), &key).await;
            assert!(is_asked(&question), "{user}");
        }
        assert_eq!(questions.users.len(), 200);
        assert_eq!(questions.verdicts.len(), 200);
    }
}
