//! Login: exchanges a code for a user and a session. The same code twice, at the same time or
//! within ten seconds, is one login, on all replicas.

mod keyed_semaphore;
mod merges;
mod profile;
mod request;
mod result;
mod user;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use self::keyed_semaphore::KeyedSemaphore;
pub use self::merges::Merges;
pub use self::request::{LOGIN_BODY_LIMIT, choose_app, find_code, origin, reads_body};
pub use self::result::LoginResult;
use crate::clock;
use crate::config::App;
use crate::error::{Error, LoginRefusal};
use crate::identity::Identity;
use crate::lease::{Claim, ClaimError, HeldLease, Leases, Work};
use crate::session::{Origin, SessionStore};
use crate::store_error::StoreError;
use crate::users::{Bans, CreateUsers, Profiles, UserDirectory};
use crate::wechat::{LoginCode, Wechat};

/// Time limit of one login, from the request to the last answer of a store.
pub const LOGIN_DEADLINE: Duration = Duration::from_secs(5);

/// Lease time of one login: longer than its deadline, so that no second one runs beside it.
const LEASE_TIMEOUT: Duration = LOGIN_DEADLINE.saturating_add(Duration::from_secs(1));

/// How long requests with the same code get the same result.
const RESULT_TTL: Duration = Duration::from_secs(10);

/// Maximum concurrent logins; each holds a call to WeChat.
const MAX_LOGINS: usize = 1024;

/// Maximum concurrent profile changes; each visits all sessions of its user.
const MAX_PROFILE_CHANGES: usize = 64;

/// Performs logins and profile changes.
pub struct Logins {
    /// Exchanges codes.
    wechat: Arc<Wechat>,
    /// The user directory.
    users: UserDirectory,
    /// The ban list.
    bans: Bans,
    /// The session store.
    sessions: SessionStore,
    /// Deduplicates equal logins, and settlements of the same merge.
    leases: Leases,
    /// Settings for merges.
    merges: Merges,
    /// Stored profiles; `None` when none are kept.
    profiles: Option<Profiles>,
    login_permits: Arc<Semaphore>,
    change_permits: Arc<Semaphore>,
    changes_per_user: KeyedSemaphore,
    tasks: TaskTracker,
}

/// Waiting times of a login, for the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waited {
    /// Time in the session store and the user directory.
    pub store: Duration,
    /// Time spent waiting for another request with the same code.
    others: Duration,
    /// Time of the call to WeChat; `None` when there was none.
    pub wechat: Option<Duration>,
}

/// The parameters of one login.
#[derive(Debug, Clone)]
pub struct LoginAttempt {
    /// The mini program that issued the code.
    pub app: Arc<App>,
    /// The login code.
    pub code: LoginCode,
    /// The client.
    pub origin: Origin,
    /// Whether unknown users are created.
    pub create_users: CreateUsers,
    /// The request id, for a user directory that is called over the network.
    pub request_id: String,
}

/// The outcome that equal logins receive. A stored format; sealed, because it holds an skey.
#[derive(Serialize, Deserialize)]
enum SharedOutcome {
    Answer(LoginResult),
    CodeInvalid,
    CodeUsed,
    UserBlocked,
    UnknownUser,
    UserBanned,
    Denied,
}

impl Logins {
    /// Assembles the parts. Logins run as tasks of `tasks`, which the process awaits when it
    /// drains.
    #[must_use]
    pub fn new(
        wechat: Arc<Wechat>,
        users: UserDirectory,
        bans: Bans,
        sessions: SessionStore,
        leases: Leases,
        merges: Merges,
        tasks: TaskTracker,
    ) -> Self {
        let login_permits = Arc::new(Semaphore::new(MAX_LOGINS));
        Self {
            wechat,
            users,
            bans,
            sessions,
            leases,
            merges,
            profiles: None,
            login_permits,
            change_permits: Arc::new(Semaphore::new(MAX_PROFILE_CHANGES)),
            changes_per_user: KeyedSemaphore::default(),
            tasks,
        }
    }

    /// Logs in. Continues as one of `tasks` when the client disconnects: WeChat has consumed the
    /// code, and the result is kept for the client's next attempt.
    ///
    /// # Errors
    /// As WeChat, directory and store report. `WechatTimeout` after 5 s in all, or
    /// `DirectoryUnavailable` if WeChat had answered by then. `Overloaded` when 1024 logins are in
    /// progress.
    pub async fn log_in(
        self: &Arc<Self>,
        attempt: LoginAttempt,
    ) -> (Result<LoginResult, Error>, Waited) {
        let Ok(permit) = Arc::clone(&self.login_permits).try_acquire_owned() else {
            return (Err(Error::Overloaded), Waited::default());
        };
        let logins = Arc::clone(self);
        let running = self.tasks.spawn(async move {
            let _permit = permit;
            let mut waited = Waited::default();
            let started = Instant::now();
            let outcome = logins.log_in_once(attempt, &mut waited).await;
            let elsewhere = waited.wechat.unwrap_or_default() + waited.others;
            waited.store = started.elapsed().saturating_sub(elsewhere);
            (outcome, waited)
        });
        running.await.unwrap_or_else(|_| {
            (
                Err(Error::Internal("a login panicked".to_owned())),
                Waited::default(),
            )
        })
    }

    async fn log_in_once(
        &self,
        attempt: LoginAttempt,
        waited: &mut Waited,
    ) -> Result<LoginResult, Error> {
        let deadline = Instant::now() + LOGIN_DEADLINE;
        let (appid, code) = (&attempt.app.appid, attempt.code.expose());
        let work = Work::about("login", appid, &[appid, code], LEASE_TIMEOUT);
        let claim = self.leases.claim(&work, deadline, &mut waited.others);
        let lease = match claim.await {
            Ok(Claim::Result(shared)) => return open_shared(&shared),
            Ok(Claim::Granted(lease)) => lease,
            Ok(Claim::Failed) | Err(ClaimError::Late) => {
                let why = "another request with the same code did not finish in time";
                return Err(Error::WechatTimeout(LoginRefusal::NotAsked(why)));
            }
            Err(ClaimError::Store(error)) => return Err(Error::StoreUnavailable(error)),
        };
        let exchange = self.exchange(&attempt, deadline, waited);
        let outcome = tokio::time::timeout_at(deadline, exchange).await;
        let outcome = outcome.unwrap_or_else(|_| Err(late(waited)));
        self.share(lease, &outcome).await;
        outcome
    }

    /// Shares the outcome with equal logins. A store that fails here does not change the outcome;
    /// an equal login then gets an error.
    async fn share(&self, lease: HeldLease, outcome: &Result<LoginResult, Error>) {
        let shared = match shareable(outcome) {
            Some(shared) => self.leases.publish(lease, &shared, RESULT_TTL).await,
            None => self.leases.release(lease).await,
        };
        if let Err(error) = shared {
            tracing::debug!(%error, "the outcome of a login was not shared with equal logins");
        }
    }

    async fn exchange(
        &self,
        attempt: &LoginAttempt,
        deadline: Instant,
        waited: &mut Waited,
    ) -> Result<LoginResult, Error> {
        let app = &attempt.app;
        let asked = Instant::now();
        let exchanged = self.wechat.exchange(app, &attempt.code, deadline).await;
        waited.wechat = Some(asked.elapsed());
        let exchanged = exchanged.map_err(Error::from)?;
        let (mut identity, is_new) = self.identify(attempt, &exchanged).await?;
        self.refuse_banned(&identity).await?;
        self.sessions
            .remember_session_key(&identity.appid, &identity.openid, &exchanged.session_key)
            .await
            .map_err(Error::StoreUnavailable)?;
        let new = self.open_session(&mut identity, &attempt.origin).await?;
        // Second check: an operator's ban first stores the ban, then ends the sessions. Either the
        // ban has ended this session, or this check sees the ban.
        if let Err(refused) = self.refuse_banned(&identity).await {
            // The skey was not given out, so a session that remains is harmless.
            let _ = self.sessions.revoke(&new.skey).await;
            return Err(refused);
        }
        self.settle(&identity).await;
        Ok(LoginResult {
            skey: new.skey.expose().to_owned(),
            expires_at: clock::unix_seconds().saturating_add(new.expires_in.as_secs()),
            user_id: identity.user_id,
            openid: identity.openid,
            appid: identity.appid,
            is_new,
        })
    }
}

impl Logins {
    /// # Errors
    /// `UserBanned`, or `StoreUnavailable` when that cannot be known.
    async fn refuse_banned(&self, identity: &Identity) -> Result<(), Error> {
        let ban = self.bans.find(&identity.holder()).await;
        match ban.map_err(Error::StoreUnavailable)? {
            Some(_) => Err(Error::UserBanned),
            None => Ok(()),
        }
    }
}

/// The error of a login that exceeded its deadline, by the part that took the time.
fn late(waited: &Waited) -> Error {
    if waited.wechat.is_none() {
        let why = "the login took longer than 5 s";
        return Error::WechatTimeout(LoginRefusal::NotAsked(why));
    }
    Error::DirectoryUnavailable(StoreError::Unavailable {
        cause: "the login took longer than 5 s; wechat had responded".to_owned(),
    })
}

/// The outcome for equal logins; `None` where a retry may succeed.
fn shareable(outcome: &Result<LoginResult, Error>) -> Option<Vec<u8>> {
    let shared = match outcome {
        Ok(answer) => SharedOutcome::Answer(answer.clone()),
        Err(Error::LoginCodeInvalid(_)) => SharedOutcome::CodeInvalid,
        Err(Error::LoginCodeUsed(_)) => SharedOutcome::CodeUsed,
        Err(Error::LoginUserBlocked(_)) => SharedOutcome::UserBlocked,
        Err(Error::UnknownUser) => SharedOutcome::UnknownUser,
        Err(Error::UserBanned) => SharedOutcome::UserBanned,
        Err(Error::LoginDenied) => SharedOutcome::Denied,
        Err(_) => return None,
    };
    serde_json::to_vec(&shared).ok()
}

fn open_shared(shared: &[u8]) -> Result<LoginResult, Error> {
    match serde_json::from_slice(shared) {
        Ok(SharedOutcome::Answer(answer)) => Ok(answer),
        Ok(SharedOutcome::CodeInvalid) => Err(Error::LoginCodeInvalid(LoginRefusal::Repeated)),
        Ok(SharedOutcome::CodeUsed) => Err(Error::LoginCodeUsed(LoginRefusal::Repeated)),
        Ok(SharedOutcome::UserBlocked) => Err(Error::LoginUserBlocked(LoginRefusal::Repeated)),
        Ok(SharedOutcome::UnknownUser) => Err(Error::UnknownUser),
        Ok(SharedOutcome::UserBanned) => Err(Error::UserBanned),
        Ok(SharedOutcome::Denied) => Err(Error::LoginDenied),
        Err(_) => Err(Error::Internal(
            "the stored outcome of an equal login is malformed".to_owned(),
        )),
    }
}
