//! The user directory: who an openid or unionid belongs to. One person keeps one id over all apps that WeChat gives one
//! unionid for, also when the unionid turns up later: the older id stays, the newer becomes its alias.

mod bans;
mod entries;
mod id;
mod memory;
mod profile;
mod redis;
mod sql;
#[cfg(test)]
mod tests;
mod webhook;

pub use self::bans::{Ban, Bans, MemoryBans};
pub use self::entries::{Entries, Entry, EntryKind};
pub use self::memory::MemoryUsers;
pub use self::profile::{Change, Profile, ProfileError, Profiles};
pub use self::redis::{RedisBans, RedisUsers};
pub use self::sql::{Diagnosis, SqlUsers};
pub use self::webhook::{LookupRequest, LookupResponse, WebhookUsers};

use std::fmt::Display;

use crate::config::Sql;
use crate::redis::{RedisLink, StoreError};

/// Characters of a user id that we did not give out: it goes into a header and into Redis.
const LONGEST_ID: usize = 64;

/// Where user ids come from: `users.store`. A clone shares the same users.
#[derive(Clone)]
pub enum UserDirectory {
    /// Shared by all replicas.
    Redis(RedisUsers),
    /// Shared by all replicas, and by whoever else may read the database.
    Sql(SqlUsers),
    /// A service of the operator's, which is asked by `WebhookUsers::ask` at each login, and about nothing else.
    Webhook(WebhookUsers),
    /// In this process.
    Memory(MemoryUsers),
    /// Nobody has an id.
    Off,
}

/// Whether an unknown user gets an id: `create_users` of the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateUsers {
    /// He gets one.
    Yes,
    /// He stays unknown.
    No,
}

/// What the directory knows of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Him.
    User {
        /// Decimal, at most 16 digits; from a table of somebody else's, at most 64 visible characters.
        user_id: String,
        /// Whether this call made him.
        is_new: bool,
        /// The newer ids that turned out to be his, and that openid or unionid led to or passed on the way. Said again at each of
        /// their logins; what is news of it, the session store remembers.
        merged: Vec<String>,
    },
    /// Nothing, and none was to be made.
    Unknown,
    /// There is no directory.
    NoDirectory,
}

impl UserDirectory {
    /// Users kept in Redis for good.
    #[must_use]
    pub fn redis(link: RedisLink, key_prefix: &str) -> Self {
        Self::Redis(RedisUsers::new(link, key_prefix))
    }

    /// Users kept in a database, which is connected to when it is needed. Where two turn out to be one person, a ban of one is of
    /// both.
    #[must_use]
    pub fn sql(config: &Sql, bans: Bans) -> Self {
        Self::Sql(SqlUsers::new(config, bans))
    }

    /// Users that end with the process. Where two turn out to be one person, a ban of one is of both.
    #[must_use]
    pub fn memory(bans: Bans) -> Self {
        Self::Memory(MemoryUsers::new(bans))
    }

    /// Does what a directory needs to have done before its first user; done before the first login if not earlier.
    ///
    /// # Errors
    /// It is away, or is not fit to keep users.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        match self {
            Self::Sql(users) => users.prepare().await,
            Self::Redis(_) | Self::Webhook(_) | Self::Memory(_) | Self::Off => Ok(()),
        }
    }

    /// Whether two of its users may turn out to be one.
    #[must_use]
    pub fn merges(&self) -> bool {
        match self {
            Self::Redis(_) | Self::Sql(_) | Self::Memory(_) => true,
            Self::Webhook(_) | Self::Off => false,
        }
    }

    /// The user of an openid, found by it or by his unionid, and what is new about him noted down. Any number of calls at
    /// once for one person, on any replica, give one id.
    ///
    /// # Errors
    /// The directory cannot answer, or holds something that is not a user id.
    pub async fn find_or_create(
        &self,
        appid: &str,
        openid: &str,
        unionid: Option<&str>,
        create: CreateUsers,
    ) -> Result<Found, StoreError> {
        // An empty one would join strangers.
        let unionid = unionid.filter(|unionid| !unionid.is_empty());
        match self {
            Self::Redis(users) => users.find_or_create(appid, openid, unionid, create).await,
            Self::Sql(users) => users.find_or_create(appid, openid, unionid, create).await,
            Self::Webhook(users) => Err(StoreError::Unavailable {
                cause: format!(
                    "users.webhook at {}: is asked at logins alone",
                    users.address()
                ),
            }),
            Self::Memory(users) => users.find_or_create(appid, openid, unionid, create).await,
            Self::Off => Ok(Found::NoDirectory),
        }
    }

    /// Where the directory says nothing of a merge but at logins that come by it: brings a ban of the newer id to the one that stays.
    /// Elsewhere whoever bans finds the merge himself.
    ///
    /// # Errors
    /// As `find_or_create`.
    pub async fn bring_ban(&self, newer: &str, older: &str) -> Result<(), StoreError> {
        match self {
            Self::Sql(users) => users.bring_ban(newer, older).await,
            Self::Redis(_) | Self::Webhook(_) | Self::Memory(_) | Self::Off => Ok(()),
        }
    }

    /// Lets a unionid that led to the newer of two ids lead to the one that stays. Called when everybody who has to know of the merge
    /// does: until then each login of either says `merged`, so that none is lost with a process or a connection. An openid goes
    /// on to lead to the id that it had first, and from there to the one that stays.
    ///
    /// # Errors
    /// As `find_or_create`.
    pub async fn settle(
        &self,
        appid: &str,
        openid: &str,
        unionid: Option<&str>,
    ) -> Result<(), StoreError> {
        let Some(unionid) = unionid.filter(|unionid| !unionid.is_empty()) else {
            return Ok(());
        };
        match self {
            Self::Redis(users) => users.settle(unionid).await,
            Self::Sql(users) => users.settle(appid, openid, unionid).await,
            Self::Memory(users) => {
                users.settle(unionid);
                Ok(())
            }
            Self::Webhook(_) | Self::Off => Ok(()),
        }
    }
}

/// The audit line of a merge.
fn tell_of_merge(older: &dyn Display, newer: &dyn Display) {
    tracing::info!(
        event = "user.merged",
        user.id = %older,
        user.alias = %newer,
        "two user ids are one person; the older stays"
    );
}
