//! `[server]`, `[admin]` and `[log]`.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::values::ListenAddress;

/// `[server]`.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where requests are taken. Default `["0.0.0.0:8080"]`; also `unix:/path`. At least one.
    pub listen: Vec<ListenAddress>,
    /// Worker threads. Default `"auto"`: the CPU quota of the control group, at least 1.
    pub workers: Workers,
    /// Connections open at once; further ones wait in the kernel's queue. Default 10000.
    pub max_connections: usize,
    /// Networks whose `X-Forwarded-*` are believed. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// Request line and headers together, in bytes. Default `"32KiB"`; 8KiB to 1MiB.
    pub max_header_bytes: usize,
    /// Request body, in bytes; `None` is `"none"`. Default `"20MiB"`.
    pub max_body: Option<u64>,
    /// Time for the whole head of a request. Default `"10s"`.
    pub header_timeout: Duration,
    /// Time a connection may stay without a request. Default `"75s"`.
    pub idle_timeout: Duration,
    /// Time a body may stay without progress, in both directions. Default `"30s"`.
    pub body_timeout: Duration,
    /// How the request path is made canonical. Default `"strict"`.
    pub path_policy: PathPolicy,
    /// What happens to request headers with `_` in the name. Default `"drop"`.
    pub underscore_headers: UnderscoreHeaders,
    /// `[server.shutdown]`.
    pub shutdown: Shutdown,
}

/// `[server.shutdown]`.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Time that running requests get to finish after SIGTERM. Default `"20s"`.
    pub drain: Duration,
}

/// `server.workers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// As many as the control group's CPU quota allows, at least one.
    Auto,
    /// This many.
    Count(usize),
}

/// `server.path_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathPolicy {
    /// One canonical path is routed on and forwarded; what cannot be canonical is refused.
    Strict,
    /// Forwarded as it came; allowed only where every route has the same `auth`.
    Raw,
}

/// `server.underscore_headers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnderscoreHeaders {
    /// Removed, as nginx does: PHP reads `X_Openid` and `X-Openid` as one variable.
    Drop,
    /// Forwarded, but for those that look like an identity header.
    Keep,
}

/// `[admin]`.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where `/livez` and `/readyz` are answered. Default `"127.0.0.1:9091"`; `""` is `None`, no admin listener.
    pub listen: Option<SocketAddr>,
}

/// `[log]`.
#[derive(Debug, Clone)]
pub struct Log {
    /// Default `"auto"`: text on a terminal, else JSON.
    pub format: LogFormat,
    /// A tracing-subscriber filter. Default `"info"`.
    pub level: String,
    /// `log.access`: the line per request.
    pub access: AccessLog,
}

/// `log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// For reading.
    Text,
}

/// `log.access`.
#[derive(Debug, Clone)]
pub struct AccessLog {
    /// The share of successful requests that get a line, 0.0 to 1.0. Default 1.0; refusals and failures always get one.
    pub sample: f64,
    /// Exact paths that get a line only when they fail. Default none.
    pub skip: Vec<String>,
}
