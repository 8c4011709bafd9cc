//! The stores of the process, opened once from a configuration. The only place that chooses a
//! store.

use crate::app::StartError;
use crate::config::{Config, Redis, SessionStoreKind, UserStore};
use crate::redis::RedisLink;
use crate::session::SessionStore;
use crate::users::{Bans, UserDirectory, WebhookUsers};

/// The stores of one process.
#[derive(Clone)]
pub struct Stores {
    /// `None` when nothing is kept in Redis.
    pub redis: Option<RedisLink>,
    /// The session store.
    pub sessions: SessionStore,
    /// Bans, kept where sessions are.
    pub bans: Bans,
    /// The user directory.
    pub users: UserDirectory,
}

/// The link to Redis, made for the first store that is kept there.
struct Link<'a> {
    config: &'a Redis,
    made: Option<RedisLink>,
}

impl Link<'_> {
    fn get(&mut self) -> Result<RedisLink, StartError> {
        let link = match self.made.take() {
            Some(link) => link,
            None => RedisLink::connect(self.config).map_err(StartError::Redis)?,
        };
        self.made = Some(link.clone());
        Ok(link)
    }
}

impl Stores {
    /// Opens the stores. They may be unavailable: a link keeps trying.
    ///
    /// # Errors
    /// `Redis` and `Webhook`, for addresses that cannot be used.
    pub fn open(config: &Config) -> Result<Self, StartError> {
        let prefix = config.redis.key_prefix.as_str();
        let mut link = Link {
            config: &config.redis,
            made: None,
        };
        let (sessions, bans) = match config.session.store {
            SessionStoreKind::Redis => (
                SessionStore::redis(link.get()?, prefix, &config.session, &config.apps),
                Bans::redis(link.get()?, prefix),
            ),
            SessionStoreKind::Memory => (SessionStore::memory(&config.session), Bans::memory()),
        };
        let users = match &config.users.store {
            UserStore::Redis => UserDirectory::redis(link.get()?, prefix),
            UserStore::Sql(sql) => UserDirectory::sql(sql, bans.clone()),
            UserStore::Webhook(webhook) => {
                let users = WebhookUsers::new(webhook).map_err(StartError::Webhook)?;
                UserDirectory::Webhook(users)
            }
            UserStore::Memory => UserDirectory::memory(bans.clone()),
            UserStore::Off => UserDirectory::Off,
        };
        if config.rate_limit.shared {
            link.get()?;
        }
        Ok(Self {
            redis: link.made,
            sessions,
            bans,
            users,
        })
    }
}
