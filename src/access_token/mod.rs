//! Keeps each app's access_token, one for all replicas, and makes the calls that carry it. A token
//! is renewed shortly before its end by its first user then, and by no other; the others use the
//! old one meanwhile. Only the store counts its time.
//!
//! Under `redis.key_prefix`:
//!
//! | key | value | lives |
//! |---|---|---|
//! | `t:{<appid>}` | the sealed access_token | until it ends |
//! | `t:{<appid>}:turn` | the mark of the holder that renews it, or `F` after a failure | 8 s, then 1 s or 10 s |
//! | `t:{<appid>}:pause` | set after a forced renewal: no other until it ends | 30 s |
//! | `t:{<appid>}:forced` | number of forced renewals | 1 d |
//!
//! The first two are those of a lease. One app's keys are in one slot of a cluster.

mod forced;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use self::forced::ForcedRenewals;
use crate::config::{App, Config};
use crate::error::{Error, LoginRefusal};
use crate::lease::{self, ClaimError, HeldLease, LeaseState, Leases, Look, Work};
use crate::log_throttle::LogThrottle;
use crate::redis::{RedisLink, key_part};
use crate::secret::Secret;
use crate::store_error::StoreError;
use crate::wechat::{LoginCode, NewToken, Phone, Renewal, Wechat, WechatError};

/// A token is renewed so long before its end. WeChat gives a new one from five minutes before it;
/// asked a moment too early, it would give the old one once more.
const RENEW_BEFORE: Duration = Duration::from_secs(290);
/// The time of one renewal, all its calls together.
const RENEWAL_DEADLINE: Duration = Duration::from_secs(5);
/// How long a replica may be renewing: longer than the deadline, so that no other begins before the
/// end of it.
const HOLD: Duration = Duration::from_secs(8);
/// Pause after a renewal that gave a token near its end.
const PAUSE: Duration = Duration::from_secs(10);
/// Pause after a renewal that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

const UNCHANGED: &str = "wechat refuses an access_token that it gives out as good, and may be made to end it only now and \
                         then; check that the app may use this call";
const FAILED_BEFORE: &str = "no access_token: fetching one failed less than a second ago";
const LATE: &str = "the access_token was not there in time";

/// Gives out tokens, and makes the calls that need one.
pub struct AccessTokens {
    wechat: Arc<Wechat>,
    leases: Leases,
    forced: Arc<ForcedRenewals>,
    tasks: TaskTracker,
    /// Of a renewal that failed.
    warning: Arc<LogThrottle>,
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
    /// Another request fetches it and was not done in time.
    Late,
}

impl AccessTokens {
    /// Tokens in Redis, sealed, shared by all replicas; or in this process. Connects to nothing.
    #[must_use]
    pub fn new(
        wechat: Arc<Wechat>,
        link: Option<RedisLink>,
        config: &Config,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            wechat,
            leases: Leases::new(link.clone(), config),
            forced: Arc::new(ForcedRenewals::new(link, &config.redis.key_prefix)),
            tasks,
            warning: Arc::new(LogThrottle::new(LogThrottle::MINUTE)),
        }
    }

    /// The same tokens, fetched by another client and sealed by the keys of another configuration.
    #[must_use]
    pub fn reconfigured(&self, wechat: Arc<Wechat>, config: &Config) -> Self {
        Self {
            wechat,
            leases: self.leases.reconfigured(config),
            forced: Arc::clone(&self.forced),
            tasks: self.tasks.clone(),
            warning: Arc::clone(&self.warning),
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
            let (token, state) = self.look(app, RENEW_BEFORE).await?;
            match (token, state) {
                (Some(token), LeaseState::Granted(lease)) => {
                    // The caller does not wait for it; its end is told in the log.
                    drop(self.begin_renewal(app, lease, None));
                    return Ok(token);
                }
                (Some(token), _) => return Ok(token),
                (None, LeaseState::Granted(lease)) => {
                    return self.renew(app, lease, None, deadline).await;
                }
                (None, LeaseState::Failed) => return Err(TokenError::FailedBefore),
                (None, LeaseState::Busy | LeaseState::Fresh) => lease::pause(deadline).await?,
            };
        }
    }

    /// A token in the place of one that WeChat refused: what another request has fetched since, else
    /// a new one. WeChat is made to end the old one only where it gives it out once more, and that
    /// seldom.
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
            // Whatever its end: it is of no use.
            let (token, state) = self.look(app, Duration::MAX).await?;
            match (token.filter(|token| token != refused), state) {
                (Some(token), LeaseState::Granted(lease)) => {
                    self.leases.release(lease).await?;
                    return Ok(token);
                }
                (Some(token), _) => return Ok(token),
                (None, LeaseState::Granted(lease)) => {
                    return self
                        .renew(app, lease, Some(refused.clone()), deadline)
                        .await;
                }
                (None, LeaseState::Failed) => return Err(TokenError::FailedBefore),
                (None, LeaseState::Busy | LeaseState::Fresh) => lease::pause(deadline).await?,
            };
        }
    }

    /// The token that is kept, and whether the caller has to renew it: where it lasts no longer
    /// than `ahead`.
    async fn look(
        &self,
        app: &App,
        ahead: Duration,
    ) -> Result<(Option<Secret>, LeaseState), StoreError> {
        let work = Work::named(key(&app.appid, ""), &app.appid, HOLD);
        let Look { result, state } = self.leases.look(&work, ahead).await?;
        let token = result.and_then(|bytes| String::from_utf8(bytes).ok());
        Ok((token.map(Secret::new), state))
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
        lease: HeldLease,
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

    /// A task of its own: a caller that leaves must not keep the others waiting for an answer that
    /// was lost.
    fn begin_renewal(
        self: &Arc<Self>,
        app: &Arc<App>,
        lease: HeldLease,
        refused: Option<Secret>,
    ) -> tokio::task::JoinHandle<Result<Secret, TokenError>> {
        let (tokens, app) = (Arc::clone(self), Arc::clone(app));
        self.tasks.spawn(async move {
            let started = Instant::now();
            match tokens.fetch(&app, refused.as_ref(), started).await {
                Ok(new) => {
                    // From before the question on: the store must not take it for good longer than
                    // WeChat does.
                    let lasts = new.expires_in.saturating_sub(started.elapsed());
                    tracing::debug!(appid = app.appid, seconds = lasts.as_secs(), "access_token");
                    let hold = match lasts > RENEW_BEFORE {
                        true => Duration::ZERO,
                        // It is due already, and the next one would be the same.
                        false => PAUSE,
                    };
                    let token = new.token.expose().as_bytes();
                    let kept = tokens.leases.publish_and_hold(lease, token, lasts, hold);
                    if let Err(error) = kept.await {
                        tracing::debug!(%error, "an access_token was not stored");
                    }
                    Ok(new.token)
                }
                Err(error) => {
                    tokens.tell(&app, &error);
                    let _ = tokens.leases.fail(lease, PAUSE_AFTER_FAILURE).await;
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
        if !self.forced.may_force(&app.appid).await? {
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

/// The name of what is kept about an app's token, without the prefix.
fn key(appid: &str, what: &str) -> String {
    format!("t:{{{}}}{what}", key_part(appid))
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

impl From<ClaimError> for TokenError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Store(error) => Self::Store(error),
            ClaimError::Late => Self::Late,
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
