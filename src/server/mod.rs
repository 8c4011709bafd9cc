//! Sockets and the life of the process's work: bind, accept, serve, drain.

mod accept_queue;
mod accepted;
mod admin;
mod admission;
mod connection;
mod connection_state;
mod deadline;
mod detect;
mod http1;
mod http2;
mod listener;
mod min_rate;
mod refusal;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::admission::Admission;
use self::listener::{Acceptor, Listener};
use self::refusal::Refusals;
use crate::access_token::AccessTokens;
use crate::admin::Admin;
use crate::config::{Config, ListenAddress, SessionStoreKind, UserStoreKind};
use crate::gateway::{Gateway, Services, Snapshot, UnknownUpstream};
use crate::lease::Leases;
use crate::limit::Limits;
use crate::login::{Logins, Merges};
use crate::redis::{RedisConfigError, RedisLink};
use crate::session::SessionStore;
use crate::users::{Bans, Profiles, UserDirectory, WebhookUsers};
use crate::webhook::WebhookSetupError;
use crate::wechat::{Wechat, WechatSetupError};

/// A gateway whose ports are bound and which answers nobody yet.
pub struct Server {
    listeners: Vec<Listener>,
    admin: Option<(Listener, Admin)>,
    addresses: Vec<ListenAddress>,
    gateway: Arc<Gateway>,
    redis: Option<RedisLink>,
    users: UserDirectory,
    drain: Duration,
}

/// Why a server could not be made.
#[derive(Debug)]
pub enum StartError {
    /// A port or socket cannot be had.
    Bind {
        /// Which.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// What `[redis]` says cannot be an address.
    Redis(RedisConfigError),
    /// A route leads nowhere.
    Routes(UnknownUpstream),
    /// The client for WeChat cannot be made.
    Wechat(WechatSetupError),
    /// The client for a service of the operator's cannot be made.
    Webhook {
        /// Its table in the configuration.
        table: &'static str,
        /// Why.
        source: WebhookSetupError,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { address, source } => write!(f, "listening on {address}: {source}"),
            Self::Redis(error) => error.fmt(f),
            Self::Routes(error) => error.fmt(f),
            Self::Wechat(error) => error.fmt(f),
            Self::Webhook { table, source } => write!(f, "{table}: {source}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } => Some(source),
            Self::Redis(error) => Some(error),
            Self::Routes(error) => Some(error),
            Self::Wechat(error) => Some(error),
            Self::Webhook { source, .. } => Some(source),
        }
    }
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything under way was finished.
    Drained,
    /// So many connections, tunnels and logins were still open at `shutdown.drain` and were cut.
    CutOff(usize),
}

impl Server {
    /// Binds every port. Redis may be away: its link keeps trying.
    ///
    /// # Errors
    /// A port that cannot be had, or parts that cannot be made of what the configuration says.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let mut listeners = Vec::new();
        for address in &config.server.listen {
            listeners.push(Listener::bind(address).await?);
        }
        let admin = match config.admin.listen {
            Some(address) => Some(Listener::bind(&ListenAddress::Tcp(address)).await?),
            None => None,
        };
        let needs_redis = config.session.store == SessionStoreKind::Redis
            || config.users.store == UserStoreKind::Redis
            || config.rate_limit.shared;
        let redis = match needs_redis {
            true => Some(RedisLink::connect(&config.redis).map_err(StartError::Redis)?),
            false => None,
        };
        let sessions = match (config.session.store, &redis) {
            (SessionStoreKind::Redis, Some(link)) => SessionStore::redis(
                link.clone(),
                &config.redis.key_prefix,
                &config.session,
                &config.apps,
            ),
            _ => SessionStore::memory(&config.session),
        };
        let bans = match (config.session.store, &redis) {
            (SessionStoreKind::Redis, Some(link)) => {
                Bans::redis(link.clone(), &config.redis.key_prefix)
            }
            _ => Bans::memory(),
        };
        let users = match (config.users.store, &redis, &config.users.sql) {
            (UserStoreKind::Redis, Some(link), _) => {
                UserDirectory::redis(link.clone(), &config.redis.key_prefix)
            }
            (UserStoreKind::Sql, _, Some(sql)) => UserDirectory::sql(sql, bans.clone()),
            (UserStoreKind::Webhook, ..) => webhook_users(&config)?,
            (UserStoreKind::Off, ..) => UserDirectory::Off,
            _ => UserDirectory::memory(bans.clone()),
        };
        let wechat = Arc::new(Wechat::new(&config.wechat).map_err(StartError::Wechat)?);
        let counted_in = redis.clone().filter(|_| config.rate_limit.shared);
        let key_prefix = config.redis.key_prefix.as_str();
        let limits = Limits::new(counted_in.map(|link| (link, key_prefix)));
        let tasks = TaskTracker::new();
        let shared = redis
            .clone()
            .filter(|_| config.session.store == SessionStoreKind::Redis);
        let merges = Merges {
            header_for: config.users.merged.header_for,
        };
        let tokens = AccessTokens::new(Arc::clone(&wechat), shared.clone(), &config, tasks.clone());
        let tokens = Arc::new(tokens);
        let admin = admin.map(|listener| {
            let admin = Admin::new(&config, redis.clone(), &wechat, &tokens);
            (listener, admin)
        });
        let logins = Logins::new(
            wechat,
            users.clone(),
            bans,
            sessions.clone(),
            Leases::new(shared, &config),
            merges,
            tasks.clone(),
        )
        .with_profiles(Profiles::new(users.clone(), &config.users.profile));
        Ok(Self {
            addresses: listeners
                .iter()
                .map(|listener| listener.address().clone())
                .collect(),
            listeners,
            admin,
            drain: config.server.shutdown.drain,
            gateway: Arc::new(gateway(config, sessions, logins, tokens, limits, tasks)?),
            redis,
            users,
        })
    }

    /// Where requests are taken, with the ports that were given for port 0.
    #[must_use]
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// Where `/livez`, `/readyz` and `/wechat/` are answered.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        match self.admin.as_ref()?.0.address() {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        }
    }

    /// The link to Redis; `None` when nothing is kept there.
    #[must_use]
    pub fn redis(&self) -> Option<&RedisLink> {
        self.redis.as_ref()
    }

    /// The user directory.
    #[must_use]
    pub fn users(&self) -> &UserDirectory {
        &self.users
    }

    /// Serves until told to stop; then stops accepting, lets requests finish within `shutdown.drain`, and returns.
    pub async fn run(self, shutdown: CancellationToken) -> Ended {
        let connections = TaskTracker::new();
        let acceptor = Arc::new(Acceptor {
            admission: Admission::new(&self.gateway.server()),
            refusals: Refusals::new(),
            connections: connections.clone(),
        });
        // The operator's listener answers to the end, so that the drain can be watched.
        let stopped = CancellationToken::new();
        if let Some((listener, admin)) = self.admin {
            tokio::spawn(admin::serve(
                listener,
                admin,
                shutdown.clone(),
                stopped.clone(),
            ));
        }
        let accepting = TaskTracker::new();
        for listener in self.listeners {
            let gateway = Arc::clone(&self.gateway);
            accepting.spawn(listener.accept(gateway, Arc::clone(&acceptor), shutdown.clone()));
        }
        shutdown.cancelled().await;
        accepting.close();
        accepting.wait().await;
        connections.close();
        let tasks = self.gateway.tasks();
        tasks.close();
        let finished = async {
            connections.wait().await;
            tasks.wait().await;
        };
        let ended = match tokio::time::timeout(self.drain, finished).await {
            Ok(()) => Ended::Drained,
            Err(_) => Ended::CutOff(connections.len().saturating_add(tasks.len())),
        };
        stopped.cancel();
        ended
    }
}

fn gateway(
    config: Config,
    sessions: SessionStore,
    logins: Logins,
    tokens: Arc<AccessTokens>,
    limits: Limits,
    tasks: TaskTracker,
) -> Result<Gateway, StartError> {
    let services = Services {
        sessions,
        logins,
        tokens,
        limits: Arc::new(limits),
        tasks: tasks.clone(),
    };
    let snapshot = Snapshot::new(config, services, None).map_err(StartError::Routes)?;
    Ok(Gateway::new(snapshot, tasks))
}

fn webhook_users(config: &Config) -> Result<UserDirectory, StartError> {
    let webhook = config.users.webhook.as_ref();
    let users = webhook.map_or(Err(WebhookSetupError::Url), WebhookUsers::new);
    users
        .map(UserDirectory::Webhook)
        .map_err(|source| StartError::Webhook {
            table: "users.webhook",
            source,
        })
}
