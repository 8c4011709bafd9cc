//! The keeper of each app's access_token, one for all replicas, and the calls that carry it. A token is renewed shortly before its
//! end by the first who uses it then, and by nobody else; who uses it meanwhile does not wait. Nobody counts its time but the store.

mod memory;
mod redis;
mod store;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use self::memory::MemoryTokens;
use self::redis::RedisTokens;
use self::store::{Due, Lease, Look, Store, Turn};
use crate::config::{self, App};
use crate::error::{Error, LoginRefusal};
use crate::log_throttle::LogThrottle;
use crate::redis::RedisLink;
use crate::secret::Secret;
use crate::store_error::StoreError;
use crate::wechat::{LoginCode, NewToken, Phone, Renewal, Wechat, WechatError};

/// A token is renewed so long before its end. WeChat gives a new one from five minutes before it; asked a moment too early, it
/// would give the old one once more.
const RENEW_BEFORE: Duration = Duration::from_secs(290);
/// The time of one renewal, all its calls together.
const RENEWAL_DEADLINE: Duration = Duration::from_secs(5);
/// How long one may be renewing: longer than the deadline, so that nobody else begins before the end of it.
const TURN: Duration = Duration::from_secs(8);
/// Pause after a renewal that gave a token near its end.
const PAUSE: Duration = Duration::from_secs(10);
/// Pause after a renewal that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Pause between two looks at a token that another is fetching.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// WeChat's rule for ending a good token.
const FORCE_PAUSE: Duration = Duration::from_secs(30);
/// WeChat allows twenty a day. Its day begins when it likes: two of ours may reach into one.
const MOST_FORCED: u32 = 10;
const DAY: Duration = Duration::from_secs(86_400);

const UNCHANGED: &str = "wechat refuses an access_token that it gives out as good, and may be made to end it only now and \
                         then; check that the app may use this call";
const FAILED_BEFORE: &str = "no access_token: fetching one failed less than a second ago";
const LATE: &str = "the access_token was not there in time";

/// Gives out tokens, and makes the calls that need one.
pub struct AccessTokens {
    wechat: Arc<Wechat>,
    store: Store,
    tasks: TaskTracker,
    /// Of a renewal that failed.
    warning: LogThrottle,
}

/// Why there is no token, or why a call with one failed.
#[derive(Debug)]
pub enum TokenError {
    /// The store cannot answer.
    Store(StoreError),
    /// WeChat gave none, or refused the call.
    Wechat(WechatError),
    /// WeChat refuses a token that it gives out as good.
    Unchanged,
    /// Fetching one failed less than a second ago.
    FailedBefore,
    /// Somebody else fetches it and was not done in time.
    Late,
}

impl AccessTokens {
    /// Tokens in Redis, sealed, shared by all replicas; or in this process. Connects to nothing.
    #[must_use]
    pub fn new(
        wechat: Arc<Wechat>,
        link: Option<RedisLink>,
        config: &config::Config,
        tasks: TaskTracker,
    ) -> Self {
        let store = match link {
            Some(link) => Store::Redis(RedisTokens::new(link, config)),
            None => Store::Memory(MemoryTokens::default()),
        };
        Self {
            wechat,
            store,
            tasks,
            warning: LogThrottle::new(LogThrottle::MINUTE),
        }
    }

    /// The app's token: good for some minutes at least, unless WeChat does not answer for so long.
    ///
    /// # Errors
    /// By cause, before `deadline`.
    pub async fn get(
        self: &Arc<Self>,
        app: &Arc<App>,
        deadline: Instant,
    ) -> Result<Secret, TokenError> {
        loop {
            let Look { token, turn } = self.store.look(&app.appid, Due::Soon).await?;
            match (token, turn) {
                (Some(token), Turn::Ours(lease)) => {
                    // Behind the caller's back; its end is told in the log.
                    drop(self.begin_renewal(app, lease, None));
                    return Ok(token);
                }
                (Some(token), Turn::Nobodys | Turn::Others | Turn::Failed) => return Ok(token),
                (None, Turn::Ours(lease)) => return self.renew(app, lease, None, deadline).await,
                (None, Turn::Failed) => return Err(TokenError::FailedBefore),
                (None, Turn::Others | Turn::Nobodys) => wait(deadline).await?,
            }
        }
    }

    /// A token in the place of one that WeChat refused: what somebody else has fetched since, else a new one. WeChat is made to end
    /// the old one only where it gives it out once more, and that seldom.
    ///
    /// # Errors
    /// By cause, before `deadline`.
    pub async fn replace(
        self: &Arc<Self>,
        app: &Arc<App>,
        refused: &Secret,
        deadline: Instant,
    ) -> Result<Secret, TokenError> {
        loop {
            let Look { token, turn } = self.store.look(&app.appid, Due::Now).await?;
            match (token.filter(|token| token != refused), turn) {
                (Some(token), Turn::Ours(lease)) => {
                    self.store.release(&lease).await?;
                    return Ok(token);
                }
                (Some(token), Turn::Nobodys | Turn::Others | Turn::Failed) => return Ok(token),
                (None, Turn::Ours(lease)) => {
                    return self
                        .renew(app, lease, Some(refused.clone()), deadline)
                        .await;
                }
                (None, Turn::Failed) => return Err(TokenError::FailedBefore),
                (None, Turn::Others | Turn::Nobodys) => wait(deadline).await?,
            }
        }
    }

    /// The phone number of a code from the phone button, if it is `openid`'s.
    ///
    /// # Errors
    /// By cause, before `deadline`.
    pub async fn phone_number(
        self: &Arc<Self>,
        app: &Arc<App>,
        code: &LoginCode,
        openid: &str,
        deadline: Instant,
    ) -> Result<Phone, TokenError> {
        // The token is looked at before the code: that is still good when the token is not.
        self.with_token(app, deadline, |token| async move {
            let wechat = &self.wechat;
            wechat
                .phone_number(app, &token, code, openid, deadline)
                .await
        })
        .await
    }

    /// Whether WeChat still encrypts and signs with this session_key of the user.
    ///
    /// # Errors
    /// By cause, before `deadline`.
    pub async fn session_key_is_live(
        self: &Arc<Self>,
        app: &Arc<App>,
        openid: &str,
        session_key: &Secret,
        deadline: Instant,
    ) -> Result<bool, TokenError> {
        self.with_token(app, deadline, |token| async move {
            let wechat = &self.wechat;
            wechat
                .session_key_is_live(app, &token, openid, session_key, deadline)
                .await
        })
        .await
    }

    /// Makes a call with the app's token, and once more with another where WeChat refuses that one.
    async fn with_token<T, F: Future<Output = Result<T, WechatError>>>(
        self: &Arc<Self>,
        app: &Arc<App>,
        deadline: Instant,
        call: impl Fn(Secret) -> F,
    ) -> Result<T, TokenError> {
        let token = self.get(app, deadline).await?;
        match call(token.clone()).await {
            Err(error) if error.token_is_refused() => {
                let token = self.replace(app, &token, deadline).await?;
                call(token).await.map_err(TokenError::Wechat)
            }
            done => done.map_err(TokenError::Wechat),
        }
    }

    async fn renew(
        self: &Arc<Self>,
        app: &Arc<App>,
        lease: Lease,
        refused: Option<Secret>,
        deadline: Instant,
    ) -> Result<Secret, TokenError> {
        let renewal = self.begin_renewal(app, lease, refused);
        match tokio::time::timeout_at(deadline, renewal).await {
            Ok(Ok(outcome)) => outcome,
            // It panicked, which has been told.
            Ok(Err(_)) => Err(TokenError::FailedBefore),
            Err(_) => Err(TokenError::Late),
        }
    }

    /// A task of its own: a caller who leaves must not keep the others waiting for an answer that was lost.
    fn begin_renewal(
        self: &Arc<Self>,
        app: &Arc<App>,
        lease: Lease,
        refused: Option<Secret>,
    ) -> tokio::task::JoinHandle<Result<Secret, TokenError>> {
        let (tokens, app) = (Arc::clone(self), Arc::clone(app));
        self.tasks.spawn(async move {
            let started = Instant::now();
            match tokens.fetch(&app, refused.as_ref(), started).await {
                Ok(new) => {
                    // From before the question on: the store must not take it for good longer than WeChat does.
                    let lasts = new.expires_in.saturating_sub(started.elapsed());
                    tracing::debug!(appid = app.appid, seconds = lasts.as_secs(), "access_token");
                    if let Err(error) = tokens.store.keep(&lease, &new.token, lasts).await {
                        tracing::debug!(%error, "an access_token was not stored");
                    }
                    Ok(new.token)
                }
                Err(error) => {
                    tokens.tell(&app, &error);
                    let _ = tokens.store.fail(&lease).await;
                    Err(error)
                }
            }
        })
    }

    async fn fetch(
        &self,
        app: &App,
        refused: Option<&Secret>,
        started: Instant,
    ) -> Result<NewToken, TokenError> {
        let deadline = started + RENEWAL_DEADLINE;
        let ask = |renewal| self.wechat.stable_token(app, renewal, deadline);
        let new = ask(Renewal::Usual).await.map_err(TokenError::Wechat)?;
        if Some(&new.token) != refused {
            return Ok(new);
        }
        if !self.store.may_force(&app.appid).await? {
            return Err(TokenError::Unchanged);
        }
        ask(Renewal::Forced).await.map_err(TokenError::Wechat)
    }

    /// Once a minute: each use of the token tries again.
    fn tell(&self, app: &App, error: &TokenError) {
        if !self.warning.is_due() {
            return;
        }
        if error.operator_must_act() {
            tracing::error!(appid = app.appid, %error, "no new access_token");
        } else {
            tracing::warn!(appid = app.appid, %error, "no new access_token");
        }
    }
}

async fn wait(deadline: Instant) -> Result<(), TokenError> {
    if Instant::now() + LOOK_AGAIN >= deadline {
        return Err(TokenError::Late);
    }
    sleep(LOOK_AGAIN).await;
    Ok(())
}

impl TokenError {
    /// Whether it stays until the operator changes something.
    #[must_use]
    pub fn operator_must_act(&self) -> bool {
        match self {
            Self::Wechat(error) => error.operator_must_act(),
            Self::Unchanged => true,
            Self::Store(_) | Self::FailedBefore | Self::Late => false,
        }
    }
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        let not_asked = LoginRefusal::NotAsked;
        match error {
            TokenError::Store(error) => Self::StoreUnavailable(error),
            TokenError::Wechat(error) => error.into(),
            TokenError::Unchanged => Self::WechatMisconfigured(not_asked(UNCHANGED)),
            TokenError::FailedBefore => Self::WechatUnreachable(not_asked(FAILED_BEFORE)),
            TokenError::Late => Self::WechatTimeout(not_asked(LATE)),
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Wechat(error) => error.fmt(f),
            Self::Unchanged => f.write_str(UNCHANGED),
            Self::FailedBefore => f.write_str(FAILED_BEFORE),
            Self::Late => f.write_str(LATE),
        }
    }
}

impl std::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Wechat(error) => Some(error),
            Self::Unchanged | Self::FailedBefore | Self::Late => None,
        }
    }
}
