//! `[upstreams.NAME]`.

use std::path::PathBuf;
use std::time::Duration;

/// One upstream service.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its server; more than one is not available in this version.
    pub server: ServerAddress,
    /// Time an idle connection is kept; below the upstream's own (Node closes after 5 s). Default `"4s"`.
    pub idle_timeout: Duration,
    /// Time to connect. Default `"1s"`.
    pub connect_timeout: Duration,
    /// Time to the first byte of the answer. Default `"30s"`.
    pub response_timeout: Duration,
    /// The `Host` sent. Default `"preserve"`.
    pub host: HostHeader,
    /// Further tries after a failure that cannot have reached the service. Default 1; 0 to 3.
    pub retries: u32,
    /// Requests under way at once. Default 1024.
    pub max_in_flight: usize,
    /// Requests that wait for a place; more are refused with 503. Default 1024.
    pub max_pending: usize,
}

/// Where an upstream listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// `http://host:port`; the name is resolved when a connection is made, never for good.
    Http {
        /// Name or address, without brackets.
        host: String,
        /// Default 80.
        port: u16,
    },
    /// `unix:/path`.
    Unix(PathBuf),
}

/// `host` of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostHeader {
    /// `"preserve"`: what the client sent.
    Preserve,
    /// `"upstream"`: the server's own name and port.
    Upstream,
    /// Any other text: this.
    Fixed(String),
}
