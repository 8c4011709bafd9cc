//! One server of an upstream: its address, connections, permits and health.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{HOST, HeaderValue};
use tokio::sync::OwnedSemaphorePermit;

use super::permits::Permits;
use super::pool::Pool;
use super::transport;
use super::transport::http1::Connection;
use crate::config::{HostHeader, ServerAddress, Upstream as UpstreamConfig};
use crate::error::{Error, UpstreamWait};

/// An endpoint, shared by all requests.
#[derive(Debug)]
pub(super) struct Endpoint {
    server: ServerAddress,
    settings: Settings,
    label: Arc<str>,
    host: Host,
    permits: Permits,
    pool: Arc<Pool>,
    connect_failed: AtomicBool,
}

/// The part of the upstream's table that an endpoint cannot change later.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    host: HostHeader,
    connect_timeout: Duration,
    idle_timeout: Duration,
    max_in_flight: usize,
}

/// What the choice of an endpoint depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EndpointState {
    /// Tries of this request that failed there.
    pub(super) failures: usize,
    /// Its health, by the connections of all requests.
    pub(super) health: Health,
}

/// The health of an endpoint, the better value first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    /// The last new connection was established, or there was none so far.
    Up,
    /// The last attempt to connect failed.
    ConnectFailed,
}

/// The `Host` that the endpoint gets.
#[derive(Debug)]
struct Host {
    value: Option<HeaderValue>,
    /// Also when the client named one.
    always: bool,
}

impl Settings {
    fn new(config: &UpstreamConfig) -> Self {
        Self {
            host: config.host.clone(),
            connect_timeout: config.connect_timeout,
            idle_timeout: config.idle_timeout,
            max_in_flight: config.max_in_flight,
        }
    }
}

impl Endpoint {
    /// An endpoint without connections.
    pub(super) fn new(server: &ServerAddress, config: &UpstreamConfig) -> Self {
        let label = label(server);
        Self {
            host: Host::new(server, &label, &config.host),
            server: server.clone(),
            settings: Settings::new(config),
            label: Arc::from(label),
            permits: Permits::new(config.max_in_flight),
            pool: Pool::new(config.idle_timeout),
            connect_failed: AtomicBool::new(false),
        }
    }

    /// Whether this is the endpoint of that server under that configuration, too.
    pub(super) fn fits(&self, server: &ServerAddress, config: &UpstreamConfig) -> bool {
        self.server == *server && self.settings == Settings::new(config)
    }

    /// The address for the log: host and port, or `unix:` and the socket.
    pub(super) fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// The state for a request that failed here `failures` times.
    pub(super) fn state(&self, failures: usize) -> EndpointState {
        // By the last attempt to connect.
        let health = match self.connect_failed.load(Ordering::Relaxed) {
            true => Health::ConnectFailed,
            false => Health::Up,
        };
        EndpointState { failures, health }
    }

    /// Sets the `Host` of a request that is sent here; `is_named`: the client's own is in
    /// `headers`.
    pub(super) fn set_host(&self, headers: &mut HeaderMap, is_named: bool) {
        self.host.set(headers, is_named);
    }

    /// Takes one of the `max_in_flight` permits.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full or no permit gets free within `timeout`.
    pub(super) async fn permit(&self, timeout: Duration) -> Result<OwnedSemaphorePermit, Error> {
        self.permits.acquire(timeout).await
    }

    /// The idle connections.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Opens a connection: name look-up and handshake within `connect_timeout`.
    ///
    /// # Errors
    /// `UpstreamRefused` or `UpstreamTimeout`.
    pub(super) async fn connect(&self) -> Result<Connection, Error> {
        let opening = transport::open(&self.server);
        let opened = tokio::time::timeout(self.settings.connect_timeout, opening).await;
        let failed = !matches!(opened, Ok(Ok(_)));
        self.connect_failed.store(failed, Ordering::Relaxed);
        match opened {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(Error::UpstreamRefused(format!(
                "connecting to {}: {error}",
                self.label
            ))),
            Err(_) => Err(Error::UpstreamTimeout(UpstreamWait::Connect(
                self.settings.connect_timeout,
            ))),
        }
    }
}

impl Host {
    fn new(server: &ServerAddress, label: &str, rule: &HostHeader) -> Self {
        let own = match server {
            ServerAddress::Http { port: 80, .. } => label.trim_end_matches(":80"),
            ServerAddress::Http { .. } => label,
            ServerAddress::Unix(_) => "localhost",
        };
        let (text, always) = match rule {
            HostHeader::Preserve => (own, false),
            HostHeader::Upstream => (own, true),
            HostHeader::Fixed(text) => (text.as_str(), true),
        };
        Self {
            value: HeaderValue::from_str(text).ok(),
            always,
        }
    }

    fn set(&self, headers: &mut HeaderMap, is_named: bool) {
        if let (true, Some(value)) = (self.always || !is_named, &self.value) {
            headers.insert(HOST, value.clone());
        }
    }
}

fn label(server: &ServerAddress) -> String {
    match server {
        ServerAddress::Http { host, port } if host.contains(':') => format!("[{host}]:{port}"),
        ServerAddress::Http { host, port } => format!("{host}:{port}"),
        ServerAddress::Unix(path) => format!("unix:{}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn http(host: &str, port: u16) -> ServerAddress {
        let host = host.to_owned();
        ServerAddress::Http { host, port }
    }

    /// The `Host` that goes to the server when the client sent `named`.
    fn sent(server: &ServerAddress, rule: &HostHeader, named: Option<&str>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(named) = named {
            headers.insert(HOST, HeaderValue::from_str(named).unwrap());
        }
        Host::new(server, &label(server), rule).set(&mut headers, named.is_some());
        headers[HOST].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_host_follows_the_rule_and_is_never_missing() {
        let fixed = HostHeader::Fixed("api.internal".to_owned());
        let server = http("web", 8000);
        for (rule, named, expected) in [
            (&HostHeader::Preserve, Some("a.com"), "a.com"),
            (&HostHeader::Preserve, None, "web:8000"),
            (&HostHeader::Upstream, Some("a.com"), "web:8000"),
            (&HostHeader::Upstream, None, "web:8000"),
            (&fixed, Some("a.com"), "api.internal"),
            (&fixed, None, "api.internal"),
        ] {
            assert_eq!(sent(&server, rule, named), expected, "{rule:?} {named:?}");
        }
    }

    #[test]
    fn the_own_name_has_brackets_where_needed_and_no_default_port() {
        let socket = ServerAddress::Unix(PathBuf::from("/run/app.sock"));
        for (server, named, labelled) in [
            (http("web", 80), "web", "web:80"),
            (http("::1", 81), "[::1]:81", "[::1]:81"),
            (http("::1", 80), "[::1]", "[::1]:80"),
            (socket, "localhost", "unix:/run/app.sock"),
        ] {
            assert_eq!(sent(&server, &HostHeader::Upstream, None), named);
            assert_eq!(label(&server), labelled);
        }
    }
}
