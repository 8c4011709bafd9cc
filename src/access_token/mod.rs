//! Keeps one access_token per app for all replicas, and makes the calls that carry it. A token is
//! renewed shortly before it expires, by a single caller; the others use the old one meanwhile.
//! Only the store counts its lifetime.
//!
//! Under `redis.key_prefix`:
//!
//! | key | value | lives |
//! |---|---|---|
//! | `t:{<appid>}` | the sealed access_token | until it expires |
//! | `t:{<appid>}:turn` | the holder's mark, or `F` after a failure | 8 s, then 1 s or 10 s |
//! | `t:{<appid>}:pause` | set by a forced renewal | 30 s |
//! | `t:{<appid>}:forced` | number of forced renewals | 1 d |
//!
//! The first two are those of a lease. All keys of an app are in one cluster slot.

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

/// Time before expiry at which a token is renewed. WeChat gives a new token from five minutes
/// before expiry; a moment earlier it would return the old one.
const RENEW_BEFORE: Duration = Duration::from_secs(290);
/// Time limit of one renewal with all its calls.
const RENEWAL_DEADLINE: Duration = Duration::from_secs(5);
/// Lease time of a renewal: longer than its deadline, so that no second one runs beside it.
const LEASE_TIMEOUT: Duration = Duration::from_secs(8);
/// Delay after a renewal that returned a token near its expiry.
const RETRY_DELAY: Duration = Duration::from_secs(10);
/// Delay after a renewal that failed.
const FAILURE_DELAY: Duration = Duration::from_secs(1);

const UNCHANGED: &str = "wechat refuses an access_token that it returns as valid, and \
                         forced renewals are limited; check that the app may use this call";
const FAILED_BEFORE: &str = "no access_token: a renewal failed less than a second ago";
const LATE: &str = "no access_token: the renewal did not finish in time";

/// The access tokens of all apps, and the calls that need one.
pub struct AccessTokens {
    wechat: Arc<Wechat>,
    leases: Leases,
    forced: Arc<ForcedRenewals>,
    tasks: TaskTracker,
    /// For failed renewals.
    warning: Arc<LogThrottle>,
}

/// Why there is no token, or why a call with one failed.
#[derive(Debug)]
pub enum TokenError {
    /// The store cannot answer.
    Store(StoreError),
    /// WeChat gave no token, or refused the call.
    Wechat(WechatError),
    /// WeChat refuses a token that it returns as valid.
    Unchanged,
    /// A renewal failed less than a second ago.
    FailedBefore,
    /// Another caller's renewal did not finish in time.
    Late,
}

impl AccessTokens {
    /// In Redis, sealed and shared by all replicas, if there is a link; else in memory. Opens no
    /// connection.
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

    /// The same tokens, with the client and the sealing keys of another configuration.
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

    /// The app's token. It is valid for some minutes, unless WeChat has not answered renewals for
    /// that long.
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
                    // Runs in the background; the log tells of a failure.
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

    /// A token instead of one that WeChat refused: one that another caller has fetched since, else
    /// a new one. A forced renewal is made only if WeChat returns the refused token again, and
    /// rarely.
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
            // Regardless of its expiry: the token is useless.
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

    /// The stored token, and whether the caller must renew it because it expires within `ahead`.
    async fn look(
        &self,
        app: &App,
        ahead: Duration,
    ) -> Result<(Option<Secret>, LeaseState), StoreError> {
        let work = Work::named(key(&app.appid, ""), &app.appid, LEASE_TIMEOUT).repeatable();
        let Look { result, state } = self.leases.look(&work, ahead).await?;
        let token = result.and_then(|bytes| String::from_utf8(bytes).ok());
        Ok((token.map(Secret::new), state))
    }

    /// Resolves a code of the phone button, if the number belongs to `openid`.
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
        // WeChat checks the token before the code, so a refused token does not consume the code.
        self.with_token(app, deadline, |token| async move {
            let wechat = &self.wechat;
            wechat
                .phone_number(app, &token, code, openid, deadline)
                .await
        })
        .await
    }

    /// Whether WeChat still accepts this session_key of the user.
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

    /// Makes a call with the app's token, and repeats it once with another if WeChat refuses that
    /// one.
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
            // It panicked; the panic has been logged.
            Ok(Err(_)) => Err(TokenError::FailedBefore),
            Err(_) => Err(TokenError::Late),
        }
    }

    /// Spawns the renewal: a caller that disconnects must not delay the others.
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
                    // Counted from before the request: the store must not keep the token longer
                    // than WeChat does.
                    let lasts = new.expires_in.saturating_sub(started.elapsed());
                    tracing::debug!(appid = app.appid, seconds = lasts.as_secs(), "access_token");
                    let hold = match lasts > RENEW_BEFORE {
                        true => Duration::ZERO,
                        // A renewal is due already, but would return the same token.
                        false => RETRY_DELAY,
                    };
                    let token = new.token.expose().as_bytes();
                    let kept = tokens.leases.publish_and_hold(lease, token, lasts, hold);
                    if let Err(error) = kept.await {
                        tracing::debug!(%error, "an access_token was not stored");
                    }
                    Ok(new.token)
                }
                Err(error) => {
                    tokens.log_failure(&app, &error);
                    let _ = tokens.leases.fail(lease, FAILURE_DELAY).await;
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

    /// Throttled: each use of the token tries again.
    fn log_failure(&self, app: &App, error: &TokenError) {
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

/// A Redis key of an app's token, without the prefix.
fn key(appid: &str, what: &str) -> String {
    format!("t:{{{}}}{what}", key_part(appid))
}

impl TokenError {
    /// Whether the error persists until the operator acts.
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
