//! The session store: skey → session, each user's session_keys, and notes of merges. A session that
//! is not found, has expired or cannot be opened is `None`; only a store that cannot answer is an
//! error.

mod lifetime;
mod memory;
mod merges;
mod operations;
pub mod record;
mod redis;
mod scripts;
mod skey;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

pub use self::memory::MemorySessions;
pub use self::operations::{Handle, Listed, Page, Revoked};
pub use self::redis::RedisSessions;
pub use self::skey::Skey;

use crate::config;
use crate::identity::Identity;
use crate::redis::RedisLink;
use crate::secret::Secret;
use crate::store_error::StoreError;

/// The session that an skey opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The user.
    pub identity: Identity,
    /// Time of the login; seconds since 1970.
    pub created: u64,
    /// Time of the last renewal; seconds since 1970.
    pub renewed: u64,
    /// The client that logged in.
    pub origin: Origin,
}

/// The client of a login. All fields but the address are the client's own claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// `User-Agent`, cut to 128 bytes; may be empty.
    pub device: String,
    /// The version of the mini program, from the `Referer` that WeChat sets: a number, `0` for
    /// trial and review, or `devtools`. Cut to 32 bytes; empty when it is not known.
    pub version: String,
    /// The client's address; `None` over a Unix socket.
    pub address: Option<IpAddr>,
}

/// A session that was just created.
#[derive(Debug)]
pub struct NewSession {
    /// The skey, to be sent to the client once.
    pub skey: Skey,
    /// The stored session.
    pub session: Session,
    /// Lifetime if it is not used.
    pub expires_in: Duration,
}

/// The store that `session.store` selects. Clones share the sessions.
#[derive(Clone)]
pub enum SessionStore {
    /// Shared by all replicas.
    Redis(RedisSessions),
    /// In this process.
    Memory(MemorySessions),
}

impl SessionStore {
    /// Sealed sessions in Redis.
    #[must_use]
    pub fn redis(
        link: RedisLink,
        key_prefix: &str,
        config: &config::Session,
        apps: &[config::App],
    ) -> Self {
        Self::Redis(RedisSessions::new(link, key_prefix, config, apps))
    }

    /// Sessions that end with the process.
    #[must_use]
    pub fn memory(config: &config::Session) -> Self {
        Self::Memory(MemorySessions::new(config))
    }

    /// The same sessions, with the `[session]` table and the apps of another configuration.
    #[must_use]
    pub fn reconfigured(&self, config: &config::Session, apps: &[config::App]) -> Self {
        match self {
            Self::Redis(store) => Self::Redis(store.reconfigured(config, apps)),
            Self::Memory(store) => Self::Memory(store.reconfigured(config)),
        }
    }

    /// Looks up the session of an skey, in one round trip. A renewal that is due runs in the
    /// background.
    ///
    /// # Errors
    /// The store cannot answer. Callers must not treat this as "not logged in".
    pub async fn find(&self, skey: &Skey) -> Result<Option<Session>, StoreError> {
        match self {
            Self::Redis(store) => store.find(skey).await,
            Self::Memory(store) => Ok(store.find(skey)),
        }
    }

    /// Creates a session and stores it before returning. Sessions over `session.max_per_user`,
    /// oldest first, end after 30 s of grace.
    ///
    /// # Errors
    /// The session may not be stored; the skey must not be given out.
    pub async fn create(
        &self,
        identity: &Identity,
        origin: &Origin,
    ) -> Result<NewSession, StoreError> {
        match self {
            Self::Redis(store) => store.create(identity, origin).await,
            Self::Memory(store) => store.create(identity, origin),
        }
    }

    /// Ends a session at once. `None` when it did not exist.
    ///
    /// # Errors
    /// The store did not confirm it: the session may live on.
    pub async fn revoke(&self, skey: &Skey) -> Result<Option<Session>, StoreError> {
        match self {
            Self::Redis(store) => store.revoke(skey).await,
            Self::Memory(store) => Ok(store.revoke(skey)),
        }
    }

    /// Keeps a user's newest session_key and the one before it, for 30 days.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn remember_session_key(
        &self,
        appid: &str,
        openid: &str,
        session_key: &Secret,
    ) -> Result<(), StoreError> {
        match self {
            Self::Redis(store) => store.remember_session_key(appid, openid, session_key).await,
            Self::Memory(store) => {
                store.remember_session_key(appid, openid, session_key);
                Ok(())
            }
        }
    }

    /// The user's session_keys, newest first; at most two.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn session_keys(&self, appid: &str, openid: &str) -> Result<Vec<Secret>, StoreError> {
        match self {
            Self::Redis(store) => store.session_keys(appid, openid).await,
            Self::Memory(store) => Ok(store.session_keys(appid, openid)),
        }
    }
}

impl Origin {
    /// Cuts the texts at a character boundary: the record is read on every request.
    fn cut(&self) -> Self {
        let cut = |text: &str, longest| {
            let end = text.floor_char_boundary(longest);
            text.get(..end).unwrap_or_default().to_owned()
        };
        Self {
            device: cut(&self.device, 128),
            version: cut(&self.version, 32),
            address: self.address,
        }
    }
}
