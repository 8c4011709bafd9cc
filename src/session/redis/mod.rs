//! Sessions in Redis. The only place that knows their key names; under `redis.key_prefix`:
//!
//! | key | value | lives |
//! |---|---|---|
//! | `s:<hash of the skey>` | mark, sealed session | `session.ttl`, within `session.max_age` |
//! | `u:{<user>}:sessions` | those hashes by login time | `session.max_age` after the last login |
//! | `k:{<appid>:<openid>}` | list of 2, newest first: fingerprint, sealed session_key | 30 d |
//! | `m:<user>` | sealed: ids merged into this user, newest first | `users.merged.header_for` |
//! | `m:<user>:into` | sealed: the older id that this one was merged into | 60 s |
//! | `m:<user>:told` | sealed: older id, once settled | `session.max_age` after the last login |
//!
//! Steps that touch several keys are ordered so that a crash in between leaves at most an entry
//! that expires.

mod merges;
mod operations;
mod session_key_history;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::{cmd, pipe};

use super::lifetime::{GRACE_PERIOD, Lifetime};
use super::{NewSession, Origin, Session, Skey, record, scripts};
use crate::clock;
use crate::config;
use crate::identity::{Holder, Identity};
use crate::log_throttle::LogThrottle;
use crate::redis::{RedisLink, eval, get, key_part};
use crate::seal::{HEAD_LEN, Sealer};
use crate::store_error::StoreError;

/// Mark and head of a sealed session: unique per value, so they are compared instead of the whole.
const VALUE_HEAD_LEN: usize = 1 + HEAD_LEN;
/// Without `max_per_user`, a user's list is searched for ended sessions when it is longer than
/// this.
const TIDY_THRESHOLD: usize = 64;
/// Microseconds after which a listed session that does not exist has ended. Before that, its login
/// may still be storing it.
const STORE_TIMEOUT_MICROS: f64 = 60e6;

/// Sessions shared by all replicas.
#[derive(Clone)]
pub struct RedisSessions {
    inner: Arc<Inner>,
}

struct Inner {
    link: RedisLink,
    prefix: String,
    sealer: Sealer,
    lifetime: Lifetime,
    /// For values that do not open.
    warning: LogThrottle,
}

impl RedisSessions {
    pub(super) fn new(
        link: RedisLink,
        key_prefix: &str,
        config: &config::Session,
        apps: &[config::App],
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                link,
                prefix: key_prefix.to_owned(),
                sealer: Sealer::new(&config.seal_keys, apps),
                lifetime: Lifetime::new(config),
                warning: LogThrottle::new(LogThrottle::MINUTE),
            }),
        }
    }

    pub(super) fn reconfigured(&self, config: &config::Session, apps: &[config::App]) -> Self {
        let Inner { link, prefix, .. } = &*self.inner;
        Self::new(link.clone(), prefix, config, apps)
    }

    pub(super) async fn find(&self, skey: &Skey) -> Result<Option<Session>, StoreError> {
        self.find_at(skey, clock::unix_seconds()).await
    }

    /// `find` at a given time; seconds since 1970.
    pub(super) async fn find_at(
        &self,
        skey: &Skey,
        now: u64,
    ) -> Result<Option<Session>, StoreError> {
        let inner = &self.inner;
        let name = inner.session_name(&skey.hash());
        let found: Option<Vec<u8>> = inner.link.read(&get(&name)).await?;
        let Some(mut value) = found else {
            return Ok(None);
        };
        let Some(session) = inner.open_session(&name, &mut value) else {
            return Ok(None);
        };
        if inner.lifetime.is_over(&session, now) {
            return Ok(None);
        }
        if value.first() == Some(&scripts::LIVE) && inner.lifetime.renewal_is_due(&session, now) {
            value.truncate(VALUE_HEAD_LEN);
            let (inner, session) = (Arc::clone(inner), session.clone());
            tokio::spawn(async move {
                if let Err(error) = inner.renew(&name, &value, session, now).await {
                    tracing::debug!(error = %error, "a session was not renewed");
                }
            });
        }
        Ok(Some(session))
    }

    pub(super) async fn create(
        &self,
        identity: &Identity,
        origin: &Origin,
    ) -> Result<NewSession, StoreError> {
        self.create_at(identity, origin, clock::unix_seconds())
            .await
    }

    /// `create` at a given time; seconds since 1970.
    pub(super) async fn create_at(
        &self,
        identity: &Identity,
        origin: &Origin,
        now: u64,
    ) -> Result<NewSession, StoreError> {
        let inner = &self.inner;
        let skey = Skey::random()?;
        let hash = skey.hash();
        let session = Session {
            identity: identity.clone(),
            created: now,
            renewed: now,
            origin: origin.cut(),
        };
        let expires_in = inner.lifetime.at_first();
        let list = inner.list_name(&identity.holder());
        // Listed first: a listed session that does not exist is dropped later, but a session that
        // is not listed could not be ended by user.
        let listed = inner.list(&list, &hash).await?;
        let name = inner.session_name(&hash);
        let value = inner.seal_session(&name, &session)?;
        let set = cmd("SET")
            .arg(&name)
            .arg(value)
            .arg("EX")
            .arg(whole_seconds(expires_in))
            .to_owned();
        inner.link.query::<()>(&set).await?;
        if inner.lifetime.max_per_user.is_some() || listed > TIDY_THRESHOLD {
            // The login succeeds whether or not this does; the next login tidies again.
            if let Err(error) = inner.tidy(&list, &hash).await {
                tracing::warn!(error = %error, "a user's ended sessions were not removed from the list");
            }
        }
        Ok(NewSession {
            skey,
            session,
            expires_in,
        })
    }

    pub(super) async fn revoke(&self, skey: &Skey) -> Result<Option<Session>, StoreError> {
        self.revoke_hash(&skey.hash()).await
    }

    async fn revoke_hash(&self, hash: &str) -> Result<Option<Session>, StoreError> {
        let inner = &self.inner;
        let name = inner.session_name(hash);
        let mut commands = pipe();
        commands
            .atomic()
            .cmd("GET")
            .arg(&name)
            .cmd("DEL")
            .arg(&name);
        let (found, _): (Option<Vec<u8>>, i64) = inner.link.pipeline(&commands).await?;
        let Some(session) = found.and_then(|mut value| inner.open_session(&name, &mut value))
        else {
            return Ok(None);
        };
        let list = inner.list_name(&session.identity.holder());
        let unlist = cmd("ZREM").arg(list).arg(hash).to_owned();
        if let Err(error) = inner.link.query::<()>(&unlist).await {
            tracing::debug!(error = %error, "an ended session was not removed from its user's list");
        }
        Ok(Some(session))
    }
}

impl Inner {
    fn session_name(&self, hash: &str) -> String {
        [&self.prefix, "s:", hash].concat()
    }

    fn list_name(&self, holder: &Holder) -> String {
        let prefix = &self.prefix;
        match holder {
            Holder::User(user_id) => format!("{prefix}u:{{{}}}:sessions", key_part(user_id)),
            Holder::Openid { appid, openid } => {
                let (appid, openid) = (key_part(appid), key_part(openid));
                format!("{prefix}u:{{{appid}:{openid}}}:sessions")
            }
        }
    }

    /// Adds a session to a user's list; returns the length of the list.
    async fn list(&self, list: &str, hash: &str) -> Result<usize, StoreError> {
        let max_age = whole_seconds(self.lifetime.max_age);
        let add = eval(scripts::LIST, list).arg(hash).arg(max_age).to_owned();
        self.link.query(&add).await
    }

    fn history_name(&self, appid: &str, openid: &str) -> String {
        let (appid, openid) = (key_part(appid), key_part(openid));
        format!("{}k:{{{appid}:{openid}}}", self.prefix)
    }

    fn seal_session(&self, name: &str, session: &Session) -> Result<Vec<u8>, StoreError> {
        let text = record::write(session);
        let appid = &session.identity.appid;
        Ok(self.sealer.seal(appid, name, &[scripts::LIVE], &text)?)
    }

    fn open_session(&self, name: &str, value: &mut [u8]) -> Option<Session> {
        // The first byte is the mark; an empty value is not sealed either.
        let text = self.open(name, value.get_mut(1..).unwrap_or_default())?;
        let session = record::read(text);
        if session.is_none() {
            self.warn(&"not a session");
        }
        session
    }

    /// Opens a sealed value. One that does not open is `None`, with a warning in the log.
    fn open<'a>(&self, name: &str, sealed: &'a mut [u8]) -> Option<&'a [u8]> {
        let opened = self.sealer.open(name, sealed);
        opened.inspect_err(|error| self.warn(error)).ok()
    }

    /// Throttled: after a rotation of keys every request with an old skey ends here.
    fn warn(&self, error: &dyn fmt::Display) {
        if self.warning.is_due() {
            tracing::warn!(error = %error, "a stored value does not open; treated as absent");
        }
    }

    /// Renews a session whose stored value still begins with `head`.
    async fn renew(
        &self,
        name: &str,
        head: &[u8],
        mut session: Session,
        now: u64,
    ) -> Result<(), StoreError> {
        let lasts = self.lifetime.once_renewed(&session, now);
        session.renewed = now;
        let value = self.seal_session(name, &session)?;
        let renew = eval(scripts::RENEW, name)
            .arg(head)
            .arg(value)
            .arg(whole_seconds(lasts))
            .to_owned();
        self.link.query(&renew).await
    }

    /// Drops ended sessions from a user's list and ends the oldest over the limit, after the grace
    /// period. Reads the list after the new session is stored: of two concurrent logins, the later
    /// reader sees both.
    async fn tidy(&self, list: &str, own_hash: &str) -> Result<(), StoreError> {
        let range = cmd("ZRANGE")
            .arg(list)
            .arg(0)
            .arg(999)
            .arg("WITHSCORES")
            .to_owned();
        let listed: Vec<(String, f64)> = self.link.read(&range).await?;
        let now = listed
            .iter()
            .find(|(hash, _)| hash == own_hash)
            .map_or(0.0, |(_, time)| *time);
        let mut commands = pipe();
        for (hash, _) in &listed {
            commands.cmd("EXISTS").arg(self.session_name(hash));
        }
        if listed.is_empty() {
            return Ok(());
        }
        let live: Vec<bool> = self.link.pipeline(&commands).await?;
        let (live, gone): (Vec<_>, Vec<_>) = listed.into_iter().zip(live).partition(|x| x.1);
        let gone: Vec<String> = gone
            .into_iter()
            .filter(|((_, time), _)| now - time > STORE_TIMEOUT_MICROS)
            .map(|((hash, _), _)| hash)
            .collect();
        if !gone.is_empty() {
            self.link
                .query::<()>(cmd("ZREM").arg(list).arg(gone))
                .await?;
        }
        let limit = self.lifetime.max_per_user.unwrap_or(usize::MAX);
        // Sessions in their grace period are still among the oldest: they count, and ending them
        // again has no effect.
        for ((hash, _), _) in live.iter().take(live.len().saturating_sub(limit)) {
            let end = eval(scripts::END, &self.session_name(hash))
                .arg(whole_seconds(GRACE_PERIOD))
                .to_owned();
            self.link.query::<()>(&end).await?;
        }
        Ok(())
    }
}

/// Redis rejects an expiry of 0.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().max(1)
}
