//! The user directory: maps openids and unionids to user ids. A person keeps one id across all apps
//! with one unionid, also when the unionid becomes known later: the older id stays, the newer
//! becomes its alias.

mod ban;
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

pub use self::ban::Ban;
pub use self::bans::{Bans, MemoryBans};
pub use self::entries::{Entries, Entry, EntryKind};
pub use self::memory::MemoryUsers;
pub use self::profile::{Change, Profile, ProfileError, Profiles};
pub use self::redis::{RedisBans, RedisUsers};
pub use self::sql::{Diagnosis, SqlUsers};
pub use self::webhook::{LookupRequest, LookupResponse, WebhookUsers};

use std::fmt::Display;

use crate::config::Sql;
use crate::redis::RedisLink;
use crate::store_error::StoreError;

/// Maximum length of a user id from outside: it goes into a header and into Redis.
const MAX_ID_LENGTH: usize = 64;

/// The source of user ids: `users.store`. A clone shares the same users.
#[derive(Clone)]
pub enum UserDirectory {
    /// Shared by all replicas.
    Redis(RedisUsers),
    /// Shared by all replicas and by other readers of the database.
    Sql(SqlUsers),
    /// A service of the operator, which is called by `WebhookUsers::ask` at each login and at no
    /// other time.
    Webhook(WebhookUsers),
    /// In this process.
    Memory(MemoryUsers),
    /// No user ids.
    Off,
}

/// Whether an unknown user gets an id: `create_users` of the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateUsers {
    /// The user is created.
    Yes,
    /// The user stays unknown.
    No,
}

/// The result of a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserLookup {
    /// A known or new user.
    User {
        /// Decimal, at most 16 digits; from an existing table, at most 64 visible characters.
        user_id: String,
        /// Whether this call created the user.
        is_new: bool,
        /// The newer ids that were merged into this user, as far as openid and unionid led to them.
        /// Reported again at each login; the session store remembers which of them are new.
        merged: Vec<String>,
    },
    /// The user is unknown and was not created.
    Unknown,
    /// There is no directory.
    NoDirectory,
}

impl UserDirectory {
    /// Users kept permanently in Redis.
    #[must_use]
    pub fn redis(link: RedisLink, key_prefix: &str) -> Self {
        Self::Redis(RedisUsers::new(link, key_prefix))
    }

    /// Users kept in a database, with lazy connections. When two users merge, a ban of one applies
    /// to both.
    #[must_use]
    pub fn sql(config: &Sql, bans: Bans) -> Self {
        Self::Sql(SqlUsers::new(config, bans))
    }

    /// Users that end with the process. When two users merge, a ban of one applies to both.
    #[must_use]
    pub fn memory(bans: Bans) -> Self {
        Self::Memory(MemoryUsers::new(bans))
    }

    /// Prepares the directory for use; done at the first login if not earlier.
    ///
    /// # Errors
    /// The directory is unavailable or cannot store users.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        match self {
            Self::Sql(users) => users.prepare().await,
            Self::Redis(_) | Self::Webhook(_) | Self::Memory(_) | Self::Off => Ok(()),
        }
    }

    /// Whether two users of the directory may merge.
    #[must_use]
    pub fn merges(&self) -> bool {
        match self {
            Self::Redis(_) | Self::Sql(_) | Self::Memory(_) => true,
            Self::Webhook(_) | Self::Off => false,
        }
    }

    /// The user of an openid, found by openid or unionid; new facts are stored. Concurrent calls
    /// for one person, on any replica, return one id.
    ///
    /// # Errors
    /// The directory cannot answer, or holds something that is not a user id.
    pub async fn find_or_create(
        &self,
        appid: &str,
        openid: &str,
        unionid: Option<&str>,
        create: CreateUsers,
    ) -> Result<UserLookup, StoreError> {
        // An empty unionid would join strangers.
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
            Self::Off => Ok(UserLookup::NoDirectory),
        }
    }

    /// Moves a ban of the newer id to the one that stays, in directories that report a merge only
    /// at a login. In the others the ban operation finds the merge.
    ///
    /// # Errors
    /// As `find_or_create`.
    pub async fn bring_ban(&self, newer: &str, older: &str) -> Result<(), StoreError> {
        match self {
            Self::Sql(users) => users.bring_ban(newer, older).await,
            Self::Redis(_) | Self::Webhook(_) | Self::Memory(_) | Self::Off => Ok(()),
        }
    }

    /// Lets the unionid lead to the id that stays, instead of the newer one. Called after the merge
    /// was recorded everywhere: until then each login of either id reports `merged`, so that no
    /// merge is lost with a process or a connection. An openid keeps leading to its first id, and
    /// from there to the one that stays.
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

/// Writes the audit line of a merge.
fn log_merge(older: &dyn Display, newer: &dyn Display) {
    tracing::info!(
        event = "user.merged",
        user.id = %older,
        user.alias = %newer,
        "two user ids are one person; the older stays"
    );
}
