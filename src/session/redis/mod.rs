//! Sessions in Redis. The only place that knows their key names; under `redis.key_prefix`:
//!
//! | key | value | lives |
//! |---|---|---|
//! | `s:<hash of the skey>` | mark, then the sealed session | `session.ttl`, within `session.max_age` |
//! | `u:{<user>}:sessions` | sorted set of those hashes by time of login | `session.max_age` after the last login |
//! | `k:{<appid>:<openid>}` | list: fingerprint, then the sealed session_key; newest first, two at most | 30 d |
//! | `m:<user>` | sealed: ids that were merged into his, by commas, the last first | `users.merged.header_for` |
//! | `m:<user>:into` | sealed: the older id that this one turned out to be | 60 s |
//! | `m:<user>:told` | sealed: the older id, once all sessions are its | `session.max_age` after the last login that led to this one |
//!
//! Steps that touch several keys are ordered so that a crash in between leaves at most an entry that expires.

mod control;
mod merges;
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

/// Mark and head of a sealed session: differ from value to value, so they stand for the whole of it.
const VALUE_HEAD_LEN: usize = 1 + HEAD_LEN;
/// A user's list is looked through for ended sessions when it is longer than this and no limit asks for it anyway.
const TIDY_THRESHOLD: usize = 64;
/// Microseconds after which a listed session that is not there has ended. Before, its login may still be storing it.
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
    /// Of a value that does not open.
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
                    tracing::debug!(error = %error, "a session was not prolonged");
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
        // Listed first: a session that is listed and not there is dropped later, one that is there and not listed could
        // not be ended by user.
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
            // The login is good whatever comes of this; the next one tidies up again.
            if let Err(error) = inner.tidy(&list, &hash).await {
                tracing::warn!(error = %error, "a user's older sessions were not looked through");
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
            tracing::debug!(error = %error, "an ended session stays listed");
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

    /// Puts a session on a user's list; how many are there then.
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
        // The first byte is the mark; without one there is nothing sealed either.
        let text = self.open(name, value.get_mut(1..).unwrap_or_default())?;
        let session = record::read(text);
        if session.is_none() {
            self.warn(&"not a session");
        }
        session
    }

    /// `None`, and a word in the log, for what does not open.
    fn open<'a>(&self, name: &str, sealed: &'a mut [u8]) -> Option<&'a [u8]> {
        let opened = self.sealer.open(name, sealed);
        opened.inspect_err(|error| self.warn(error)).ok()
    }

    /// Once a minute: after a rotation every request with an old skey comes here.
    fn warn(&self, error: &dyn fmt::Display) {
        if self.warning.is_due() {
            tracing::warn!(error = %error, "a stored value does not open and counts as absent");
        }
    }

    /// Prolongs a session that is still what was read; `head` is the head of that.
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

    /// Drops ended sessions from a user's list and ends the oldest beyond the limit, with grace. Looks only after the new
    /// session is stored: of two logins at once the later to look sees both.
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
        // Those in their grace are still among the oldest: they are counted, and ended once more to no effect.
        for ((hash, _), _) in live.iter().take(live.len().saturating_sub(limit)) {
            let end = eval(scripts::END, &self.session_name(hash))
                .arg(whole_seconds(GRACE_PERIOD))
                .to_owned();
            self.link.query::<()>(&end).await?;
        }
        Ok(())
    }
}

/// Redis refuses an expiry of 0.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().max(1)
}
