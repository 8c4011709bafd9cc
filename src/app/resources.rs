//! Resources that outlive a configuration: stores, links, counters, tokens, tasks. The services of
//! a new configuration continue with the same state.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::{StartError, Stores};
use crate::access_token::AccessTokens;
use crate::config::{Config, SessionStoreKind, UserStore};
use crate::gateway::Services;
use crate::lease::Leases;
use crate::limit::RateLimits;
use crate::login::{Logins, Merges};
use crate::users::{Profiles, UserDirectory, WebhookUsers};
use crate::wechat::Wechat;

/// Opened once per process.
pub struct Resources {
    /// Sessions, users, bans, and the link to Redis.
    pub stores: Stores,
    leases: Leases,
    limits: Arc<RateLimits>,
    /// Work that outlives its request or connection; waited for when the process drains.
    pub tasks: TaskTracker,
}

impl Resources {
    /// Opens the stores that the configuration names. Connects in the background.
    ///
    /// # Errors
    /// As `Stores::open`.
    pub fn open(config: &Config) -> Result<Self, StartError> {
        let stores = Stores::open(config)?;
        let prefix = config.redis.key_prefix.as_str();
        let counts = stores.redis.clone().filter(|_| config.rate_limit.shared);
        // Stored with the sessions: the result of a login is an skey.
        let shared = stores.redis.clone();
        let shared = shared.filter(|_| config.session.store == SessionStoreKind::Redis);
        Ok(Self {
            leases: Leases::new(shared, config),
            limits: Arc::new(RateLimits::new(counts.map(|link| (link, prefix)))),
            stores,
            tasks: TaskTracker::new(),
        })
    }

    /// The services of a configuration: new ones, or those of the one before with their state.
    ///
    /// # Errors
    /// `Wechat` and `Webhook`, for clients that cannot be made.
    pub fn services(
        &self,
        config: &Config,
        previous: Option<&Services>,
    ) -> Result<Services, StartError> {
        let Stores {
            redis,
            sessions,
            bans,
            users,
        } = &self.stores;
        let sessions = sessions.reconfigured(&config.session, &config.apps);
        let leases = self.leases.reconfigured(config);
        // Of the configuration in use: another kind of store needs a restart.
        let users = previous.map_or(users, |previous| &previous.users);
        let users = match (users, &config.users.store) {
            (UserDirectory::Webhook(_), UserStore::Webhook(webhook)) => {
                let users = WebhookUsers::new(webhook).map_err(StartError::Webhook)?;
                UserDirectory::Webhook(users)
            }
            (users, _) => users.clone(),
        };
        let wechat = match previous {
            None => Wechat::new(&config.wechat),
            Some(previous) => previous.wechat.reconfigured(&config.wechat),
        };
        let wechat = Arc::new(wechat.map_err(StartError::Wechat)?);
        let tokens = match previous {
            None => {
                let link = redis.clone();
                let link = link.filter(|_| config.session.store == SessionStoreKind::Redis);
                AccessTokens::new(Arc::clone(&wechat), link, config, self.tasks.clone())
            }
            Some(previous) => previous.tokens.reconfigured(Arc::clone(&wechat), config),
        };
        let logins = Logins::new(
            Arc::clone(&wechat),
            users.clone(),
            bans.clone(),
            sessions.clone(),
            leases,
            Merges {
                header_for: config.users.merged.header_for,
            },
            self.tasks.clone(),
        )
        .with_profiles(Profiles::new(users.clone(), &config.users.profile));
        let logins = match previous {
            None => logins,
            Some(previous) => logins.with_limits_of(&previous.logins),
        };
        Ok(Services {
            sessions,
            users,
            logins: Arc::new(logins),
            tokens: Arc::new(tokens),
            wechat,
            limits: Arc::clone(&self.limits),
            tasks: self.tasks.clone(),
        })
    }
}
