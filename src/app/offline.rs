//! A gateway without I/O, for `explain`, fuzz targets and tests: decides about requests without
//! connecting.

use super::{Resources, StartError};
use crate::config::{Config, SessionStoreKind, UserStore};
use crate::gateway::{Gateway, Snapshot};

/// Builds the gateway of a configuration, with empty stores in memory. Must be called within a
/// tokio runtime, which need not run.
///
/// # Errors
/// As at start.
pub fn gateway(mut config: Config) -> Result<Gateway, StartError> {
    config.session.store = SessionStoreKind::Memory;
    config.users.store = UserStore::Off;
    config.rate_limit.shared = false;
    let resources = Resources::open(&config)?;
    let services = resources.services(&config, None)?;
    let snapshot = Snapshot::new(config, &services, None).map_err(StartError::Routes)?;
    Ok(Gateway::new(snapshot, resources.tasks))
}
