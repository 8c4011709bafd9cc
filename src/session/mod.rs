//! The skey → session store, and what else a login leaves behind: the user's session_keys, and notes of merges. A
//! session that is not found, has ended or does not open is `None`; only a store that cannot answer is an error.

mod control;
mod lifetime;
mod memory;
mod merges;
pub mod record;
mod redis;
mod scripts;
mod skey;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

pub use self::control::{Handle, Listed, Page, Revoked};
pub use self::memory::MemorySessions;
pub use self::redis::RedisSessions;
pub use self::skey::Skey;

use crate::config;
use crate::identity::Identity;
use crate::redis::RedisLink;
use crate::secret::Secret;
use crate::store_error::StoreError;

/// What an skey opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub identity: Identity,
    /// When he logged in; seconds since 1970.
    pub created: u64,
    /// When it was last prolonged; seconds since 1970.
    pub renewed: u64,
    /// Where its login came from.
    pub origin: Origin,
}

/// Where a login came from. All but the address is what the client says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Its `User-Agent`, cut to 128 bytes; may be empty.
    pub device: String,
    /// The version of the mini program, as WeChat writes it into `Referer`: a number, `0` for trial and review, `devtools`.
    /// Cut to 32 bytes; empty when it was not said.
    pub version: String,
    /// The client's address; `None` over a Unix socket.
    pub address: Option<IpAddr>,
}

/// A session just stored.
#[derive(Debug)]
pub struct NewSession {
    /// For the caller alone, once.
    pub skey: Skey,
    /// What it opens.
    pub session: Session,
    /// Until it ends unless it is used.
    pub expires_in: Duration,
}

/// Where sessions are kept: `session.store`. A clone shares the same sessions.
#[derive(Clone)]
pub enum SessionStore {
    /// Shared by all replicas.
    Redis(RedisSessions),
    /// In this process.
    Memory(MemorySessions),
}

impl SessionStore {
    /// Sessions in Redis, sealed.
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

    /// The same sessions, under the `[session]` table and the apps of another configuration.
    #[must_use]
    pub fn reconfigured(&self, config: &config::Session, apps: &[config::App]) -> Self {
        match self {
            Self::Redis(store) => Self::Redis(store.reconfigured(config, apps)),
            Self::Memory(store) => Self::Memory(store.reconfigured(config)),
        }
    }

    /// The session an skey opens. One round trip; prolongs it, where that is due, behind the caller's back.
    ///
    /// # Errors
    /// The store cannot answer: not to be taken for "not logged in".
    pub async fn find(&self, skey: &Skey) -> Result<Option<Session>, StoreError> {
        match self {
            Self::Redis(store) => store.find(skey).await,
            Self::Memory(store) => Ok(store.find(skey)),
        }
    }

    /// A new session, in the store before this returns. Ends the user's oldest ones, after 30 s of grace, where there are
    /// more than `session.max_per_user`.
    ///
    /// # Errors
    /// It may not be stored; no skey is given out then.
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

    /// Ends a session at once. `None` when there was none.
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
    /// Its texts cut at a character's border: every request reads them.
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
