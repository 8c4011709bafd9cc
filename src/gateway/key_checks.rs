//! `decrypt.checksession`: when what a client sent does not open, whether it is the data that is old, or the session_key that is
//! dead. WeChat is asked once for each user in a while, whatever he sends: its quota is the app's, and everybody's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::access_token::{AccessTokens, TokenError};
use crate::config::App;
use crate::log_throttle::LogThrottle;
use crate::login::LOGIN_DEADLINE;
use crate::secret::Secret;

/// Time between two questions about one user.
const PAUSE: Duration = Duration::from_secs(10);
/// For so long a refusal waits for the answer. The question has the time of every other: were it cut short, WeChat would seem not to
/// answer, and logins be refused for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Users who were asked about in the last `PAUSE`; for more nobody is asked.
const MOST_USERS: usize = 4096;

/// Asks, and remembers for a while what was said.
pub(super) struct KeyChecks {
    tokens: Arc<AccessTokens>,
    tasks: TaskTracker,
    recent: Mutex<Recent>,
    /// Of what the operator can change.
    warning: LogThrottle,
}

/// What is known of a session_key. `None`: it is being asked.
type Verdict = watch::Receiver<Option<KeyState>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyState {
    /// WeChat says so, or nobody knows better.
    NotDead,
    Dead,
}

/// The questions of the last while, by appid and openid.
#[derive(Default)]
struct Recent(HashMap<(String, String), Question>);

struct Question {
    asked: Instant,
    session_key: Secret,
    verdict: Verdict,
}

/// What is to be done about a user's session_key.
enum Turn {
    /// To ask, and to tell.
    Ask(watch::Sender<Option<KeyState>>, Verdict),
    /// It was asked about that very key.
    Known(Verdict),
    /// It was asked about an older key of the user, or about too many users.
    TooSoon,
}

impl KeyChecks {
    pub(super) fn new(tokens: &Arc<AccessTokens>, tasks: TaskTracker) -> Self {
        Self {
            tokens: Arc::clone(tokens),
            tasks,
            recent: Mutex::default(),
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
        let turn = {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.turn(&app.appid, openid, session_key, Instant::now())
        };
        let mut verdict = match turn {
            Turn::TooSoon => return false,
            Turn::Known(verdict) => verdict,
            Turn::Ask(tell, verdict) => {
                let (checks, app) = (Arc::clone(self), Arc::clone(app));
                let (openid, session_key) = (openid.to_owned(), session_key.clone());
                // A task of its own: a client that leaves must not make the next one ask again.
                self.tasks.spawn(async move {
                    let state = checks.ask(&app, &openid, &session_key).await;
                    tell.send_replace(Some(state));
                });
                verdict
            }
        };
        let said = timeout(PATIENCE, verdict.wait_for(Option::is_some)).await;
        said.is_ok_and(|said| said.is_ok_and(|state| *state == Some(KeyState::Dead)))
    }

    async fn ask(&self, app: &Arc<App>, openid: &str, session_key: &Secret) -> KeyState {
        let deadline = Instant::now() + LOGIN_DEADLINE;
        let asked = self
            .tokens
            .session_key_is_live(app, openid, session_key, deadline);
        match asked.await {
            Ok(true) => KeyState::NotDead,
            Ok(false) => KeyState::Dead,
            Err(error) => {
                self.tell(app, &error);
                KeyState::NotDead
            }
        }
    }

    /// Above `debug` only what an operator can change, and once a minute: any user who is logged in can bring it about.
    fn tell(&self, app: &App, error: &TokenError) {
        if error.operator_must_act() && self.warning.is_due() {
            tracing::error!(appid = app.appid, %error, "no answer to checksession (`decrypt.checksession`)");
        } else {
            tracing::debug!(appid = app.appid, %error, "no answer to checksession");
        }
    }
}

impl Recent {
    fn turn(&mut self, appid: &str, openid: &str, session_key: &Secret, now: Instant) -> Turn {
        let user = (appid.to_owned(), openid.to_owned());
        let is_recent = |question: &Question| now.saturating_duration_since(question.asked) < PAUSE;
        match self.0.get(&user).filter(|question| is_recent(question)) {
            Some(question) if question.session_key == *session_key => {
                return Turn::Known(question.verdict.clone());
            }
            Some(_) => return Turn::TooSoon,
            None => {}
        }
        if self.0.len() >= MOST_USERS {
            self.0.retain(|_, question| is_recent(question));
            if self.0.len() >= MOST_USERS {
                return Turn::TooSoon;
            }
        }
        let (tell, verdict) = watch::channel(None);
        let question = Question {
            asked: now,
            session_key: session_key.clone(),
            verdict: verdict.clone(),
        };
        self.0.insert(user, question);
        Turn::Ask(tell, verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_asked(turn: &Turn) -> bool {
        matches!(turn, Turn::Ask(..))
    }

    #[test]
    fn a_user_is_checked_once_in_ten_seconds_with_any_key() {
        let mut recent = Recent::default();
        let (old, new) = (Secret::new("old"), Secret::new("new"));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);

        let first = recent.turn("wx1", "ann", &old, at(0));
        let Turn::Ask(tell, _) = first else {
            panic!("the first is asked about");
        };
        tell.send_replace(Some(KeyState::Dead));

        let Turn::Known(verdict) = recent.turn("wx1", "ann", &old, at(9)) else {
            panic!("what was said of this key is known");
        };
        assert_eq!(*verdict.borrow(), Some(KeyState::Dead));
        // What was said of the old key says nothing of the new one.
        assert!(matches!(
            recent.turn("wx1", "ann", &new, at(9)),
            Turn::TooSoon
        ));
        assert!(is_asked(&recent.turn("wx1", "bob", &old, at(9))));
        assert!(is_asked(&recent.turn("wx2", "ann", &old, at(9))));
        assert!(is_asked(&recent.turn("wx1", "ann", &new, at(10))));
    }

    #[test]
    fn no_number_of_users_takes_more_memory_or_more_questions() {
        let mut recent = Recent::default();
        let key = Secret::new("key");
        let start = Instant::now();
        for user in 0..MOST_USERS {
            assert!(is_asked(&recent.turn(
                "wx1",
                &user.to_string(),
                &key,
                start
            )));
        }
        assert!(matches!(
            recent.turn("wx1", "one more", &key, start),
            Turn::TooSoon
        ));
        assert!(is_asked(&recent.turn(
            "wx1",
            "one more",
            &key,
            start + PAUSE
        )));
        assert_eq!(recent.0.len(), 1);
    }
}
