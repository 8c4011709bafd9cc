//! Converts `[redis]` for the client library. Connects to nothing.

use std::fmt;

use deadpool_redis::redis::io::tcp::TcpSettings;
use deadpool_redis::redis::{AsyncConnectionConfig, ConnectionInfo, IntoConnectionInfo};
use deadpool_redis::{Manager, Pool, Runtime};

use crate::config;

/// Commands that may wait for the socket of one connection. The library's default of 50 would stall
/// a burst of look-ups.
const PIPELINE_BUFFER: usize = 4096;

/// `[redis]` is invalid. Holds no part of the URL, which may contain a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisConfigError {
    /// `redis.url` is not one of the forms below.
    Url,
    /// `redis.url` starts with `rediss://`.
    Tls,
}

impl fmt::Display for RedisConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => {
                "redis.url: not a Redis address; write `redis://host:6379/0` or `unix:/path`"
            }
            Self::Tls => "redis.url: `rediss://` is not available in this version",
        })
    }
}

impl std::error::Error for RedisConfigError {}

/// Address, credentials and socket options of one server.
pub(super) fn connection_info(config: &config::Redis) -> Result<ConnectionInfo, RedisConfigError> {
    let url = config.url.expose();
    if url.starts_with("rediss://") || url.starts_with("valkeys://") {
        return Err(RedisConfigError::Tls);
    }
    let info = url
        .into_connection_info()
        .map_err(|_| RedisConfigError::Url)?;
    let mut settings = info.redis_settings().clone();
    if settings.username().is_none()
        && let Some(username) = &config.username
    {
        settings = settings.set_username(username);
    }
    if settings.password().is_none()
        && let Some(password) = &config.password
    {
        settings = settings.set_password(password.expose());
    }
    // Requests are small and the connection is busy: Nagle's algorithm would delay every look-up.
    let tcp = TcpSettings::default().set_nodelay(true);
    Ok(info.set_redis_settings(settings).set_tcp_settings(tcp))
}

/// A pool of one connection per slot, which each slot takes and keeps.
pub(super) fn pool(config: &config::Redis, info: ConnectionInfo) -> Result<Pool, RedisConfigError> {
    let options = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.connect_timeout))
        // The timeout covers the wait for the connection's queue and for the reply, so commands
        // need no second one.
        .set_response_timeout(Some(config.timeout))
        .set_pipeline_buffer_size(PIPELINE_BUFFER);
    let manager = Manager::new_with_config(info, options).map_err(|_| RedisConfigError::Url)?;
    Pool::builder(manager)
        .max_size(config.connections.max(1))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|_| RedisConfigError::Url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::testing::redis_config;

    #[test]
    fn a_password_of_its_own_key_is_used_when_the_url_has_none() {
        let mut config = redis_config("redis://10.0.0.5:6380/3");
        config.username = Some("gate".to_owned());
        config.password = Some(Secret::new("p@ss/word"));
        let info = connection_info(&config).unwrap();
        assert_eq!(info.redis_settings().username(), Some("gate"));
        assert_eq!(info.redis_settings().password(), Some("p@ss/word"));
        assert_eq!(info.redis_settings().db(), 3);
        assert_eq!(info.addr().to_string(), "10.0.0.5:6380");
        assert!(info.tcp_settings().nodelay());
    }

    #[test]
    fn a_unix_socket_is_an_address() {
        let info = connection_info(&redis_config("unix:/run/redis.sock")).unwrap();
        assert_eq!(info.addr().to_string(), "/run/redis.sock");
    }

    #[test]
    fn an_address_that_does_not_parse_is_not_repeated_in_the_error() {
        let error = connection_info(&redis_config("http://:hunter2@h")).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
