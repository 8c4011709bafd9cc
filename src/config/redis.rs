//! `[redis]`.

use std::time::Duration;

use super::values::Secret;

/// `[redis]`.
#[derive(Debug, Clone)]
pub struct Redis {
    /// `redis://host:port/db` or `unix:/path`; may hold a password, so it is a secret. Default `"redis://127.0.0.1:6379/0"`.
    pub url: Secret,
    /// ACL user; `None` for the default user.
    pub username: Option<String>,
    /// Password, when the URL has none.
    pub password: Option<Secret>,
    /// Put before every key. Default `"skeygate:"`.
    pub key_prefix: String,
    /// Shared, pipelined connections. Default 2; 1 to 64.
    pub connections: usize,
    /// Time to connect and authenticate. Default `"500ms"`.
    pub connect_timeout: Duration,
    /// Time for one command. Default `"300ms"`.
    pub timeout: Duration,
}
