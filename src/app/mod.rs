//! Assembles the process: opens resources that outlive a configuration, compiles the configuration,
//! binds sockets, runs, reloads. No other module does this wiring.

mod error;
pub mod offline;
mod reload;
mod resources;
mod stores;

use std::sync::{Arc, PoisonError};

use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

pub use self::error::StartError;
pub use self::reload::{Reloader, log_warnings};
pub use self::resources::Resources;
pub use self::stores::Stores;
use crate::admin::{Admin, ReloadRequest};
use crate::config::Config;
use crate::gateway::{Gateway, Services, Snapshot};
use crate::logging;
use crate::server::{BoundListeners, Ended, Server};

/// Requests for a reload that wait while one is under way.
const MAX_WAITING_RELOADS: usize = 16;

/// A gateway with everything it needs.
pub struct App {
    resources: Resources,
    gateway: Arc<Gateway>,
    admin: Arc<Admin>,
    server: Server,
    /// The services of the configuration in use.
    services: Mutex<Services>,
    reloads: std::sync::Mutex<Option<mpsc::Receiver<ReloadRequest>>>,
}

impl App {
    /// Assembles the process and binds every address without accepting. Redis and databases may be
    /// unavailable: their links keep trying. Drains when `shutdown` is cancelled.
    ///
    /// # Errors
    /// An address that cannot be had, or parts that cannot be made of the configuration.
    pub async fn start(
        config: Config,
        shutdown: CancellationToken,
    ) -> Result<(Arc<Self>, BoundListeners), StartError> {
        let resources = Resources::open(&config)?;
        let services = resources.services(&config, None)?;
        let (sender, reloads) = mpsc::channel(MAX_WAITING_RELOADS);
        let redis = resources.stores.redis.clone();
        let Services { wechat, tokens, .. } = &services;
        let admin = Arc::new(Admin::new(&config, redis, wechat, tokens, sender));
        let (listen, admin_listen) = (config.server.listen.clone(), config.admin.listen);
        let snapshot = Snapshot::new(config, &services, None).map_err(StartError::Routes)?;
        let gateway = Arc::new(Gateway::new(snapshot, resources.tasks.clone()));
        let server = Server::new(Arc::clone(&gateway), Arc::clone(&admin), shutdown);
        let bound = server.bind(&listen, admin_listen).await?;
        let app = Self {
            resources,
            gateway,
            admin,
            server,
            services: Mutex::new(services),
            reloads: std::sync::Mutex::new(Some(reloads)),
        };
        Ok((Arc::new(app), bound))
    }

    /// The stores of the process.
    #[must_use]
    pub fn stores(&self) -> &Stores {
        &self.resources.stores
    }

    /// Accepts connections on the bound addresses until shutdown; then lets requests in flight
    /// finish. Without a `Reloader`, requests for a reload are refused.
    pub async fn run(&self, bound: BoundListeners) -> Ended {
        drop(self.take_reload_requests());
        self.server.open(bound).await;
        self.server.run().await
    }

    fn take_reload_requests(&self) -> Option<mpsc::Receiver<ReloadRequest>> {
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        reloads.take()
    }

    /// Uses another configuration from the next request and connection on. Requests in flight
    /// finish by the one they began with; keys that need a restart keep their former values.
    ///
    /// # Errors
    /// An address that cannot be had, or parts that cannot be made: nothing has changed then.
    pub async fn apply(&self, config: Config) -> Result<(), StartError> {
        let mut current = self.services.lock().await;
        let services = self.resources.services(&config, Some(&current))?;
        let (listen, admin_listen) = (config.server.listen.clone(), config.admin.listen);
        let bound = self.server.bind(&listen, admin_listen).await?;
        let previous = self.gateway.snapshot();
        let snapshot = Snapshot::new(config.clone(), &services, Some(&previous))
            .map_err(StartError::Routes)?;
        // Nothing fails from here on.
        self.gateway.replace(snapshot);
        let Services { wechat, tokens, .. } = &services;
        wechat.retain_apps(&config.apps);
        if let Err(error) = logging::set_level(&config.log.level) {
            tracing::warn!(error, "log.level is as before");
        }
        self.admin.reconfigure(&config, wechat, tokens);
        self.server.reconfigure(&config.server);
        self.server.open(bound).await;
        *current = services;
        Ok(())
    }
}
