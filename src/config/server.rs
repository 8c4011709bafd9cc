//! `[server]`, `[admin]` and `[log]`.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use super::address;
use super::keys;
use super::paths::exact_path;
use super::reader::{
    Fault, Reader, Value, body_limit, choice, duration, filled_list, integer, list, nearest, share,
    size, text, text_or_none,
};
use super::values::{ListenAddress, TIMEOUT};
use crate::secret::Secret;

/// `[server]`.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where requests are taken. Default `["0.0.0.0:8080"]`; also `unix:/path`. At least one.
    pub listen: Vec<ListenAddress>,
    /// Worker threads. Default `"auto"`: the CPU quota of the control group, at least 1.
    pub workers: Workers,
    /// Connections open at once, those of tunnels included. For a further one the connection that
    /// has idled longest is closed; when none idles, it is refused. Default 10000.
    pub max_connections: usize,
    /// Connections of one IPv4 address or IPv6 /64 at once. Default `"auto"`.
    pub max_connections_per_address: PerAddress,
    /// Networks whose `X-Forwarded-*`, and what else only a proxy may say, are believed. Default
    /// none.
    pub trusted_proxies: Vec<IpNet>,
    /// Request line and headers together, in bytes. Default `"32KiB"`; 8KiB to 1MiB.
    pub max_header_bytes: usize,
    /// Request body, in bytes; `None` is `"none"`. Default `"20MiB"`.
    pub max_body: Option<u64>,
    /// Time to a connection's first bytes and, over HTTP/1, for the whole head of a request.
    /// Default `"10s"`.
    pub header_timeout: Duration,
    /// Time a connection may stay without a request. Default `"75s"`.
    pub idle_timeout: Duration,
    /// Time a body may stay without progress, in both directions; once a client was waited for
    /// longer than this in all, its body must come at 1 KiB/s on average. Bodies that are read
    /// whole must be there within it. Default `"30s"`.
    pub body_timeout: Duration,
    /// How the request path is made canonical. Default `"strict"`.
    pub path_policy: PathPolicy,
    /// What happens to request headers with `_` in the name. Default `"drop"`.
    pub underscore_headers: UnderscoreHeaders,
    /// How often the files are read for changes; `None` is `"off"`. Default `"2s"`.
    pub reload: Option<Duration>,
    /// `[server.shutdown]`.
    pub shutdown: Shutdown,
}

/// `[server.shutdown]`.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Time that running requests and tunnels get to finish after SIGTERM; then they are cut.
    /// Default `"20s"`; at most an hour.
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

/// `server.max_connections_per_address`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerAddress {
    /// Half of `max_connections`.
    Auto,
    /// This many.
    Count(usize),
}

/// `server.path_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathPolicy {
    /// One canonical path is routed on and forwarded; a path without one is refused.
    Strict,
    /// Routed on and forwarded as it came; allowed only where every route has the same `auth`.
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
    /// The address of `/livez` and `/readyz`. Default `"127.0.0.1:9091"`; `""` is `None`: no admin
    /// listener.
    pub listen: Option<SocketAddr>,
    /// The bearer token for all but the probes: `[relay]`. At least 32 characters.
    pub token: Option<Secret>,
}

/// `[log]`.
#[derive(Debug, Clone)]
pub struct Log {
    /// Default `"auto"`: text on a terminal, else JSON.
    pub format: LogFormat,
    /// A tracing-subscriber filter over the targets `request` and `skeygate`; others never appear.
    /// Default `"info"`.
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
    /// The share of successful requests that get a line, 0.0 to 1.0. Default 1.0; refusals and
    /// failures always get one.
    pub sample: f64,
    /// Exact paths that get a line only when they fail. Default none.
    pub skip: Vec<String>,
}

/// Bounds of `server.reload`.
const RELOAD: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);

impl Server {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let tls = table.table("tls");
        for name in ["cert_file", "key_file", "client_ca_file"] {
            tls.later(name, r#""""#);
        }
        tls.finish();
        let shutdown = Shutdown::read(&table.table("shutdown"));
        let server = Self {
            listen: table.key(&keys::server::LISTEN, filled_list(text(address::listen)))?,
            workers: table.key(&keys::server::WORKERS, workers)?,
            max_connections: table
                .key(&keys::server::MAX_CONNECTIONS, integer(1..=1_000_000_usize))?,
            max_connections_per_address: table
                .key(&keys::server::MAX_CONNECTIONS_PER_ADDRESS, per_address)?,
            trusted_proxies: table
                .key(&keys::server::TRUSTED_PROXIES, list(text(address::network)))?,
            max_header_bytes: table.key(&keys::server::MAX_HEADER_BYTES, header_bytes)?,
            max_body: table.key(&keys::server::MAX_BODY, body_limit)?,
            header_timeout: table.key(&keys::server::HEADER_TIMEOUT, duration(TIMEOUT))?,
            idle_timeout: table.key(&keys::server::IDLE_TIMEOUT, duration(TIMEOUT))?,
            body_timeout: table.key(&keys::server::BODY_TIMEOUT, duration(TIMEOUT))?,
            path_policy: table.key(&keys::server::PATH_POLICY, choice(&PATH_POLICIES))?,
            underscore_headers: table
                .key(&keys::server::UNDERSCORE_HEADERS, choice(&UNDERSCORES))?,
            reload: table.key(&keys::server::RELOAD, reload)?,
            shutdown: shutdown?,
        };
        table.finish();
        Some(server)
    }

    /// The value of `max_connections_per_address`. Half by default: a single address cannot take all
    /// connections, and a proxy missing in `trusted_proxies` still gets far more than it keeps open.
    #[must_use]
    pub fn connections_of_one_address(&self) -> usize {
        match self.max_connections_per_address {
            PerAddress::Auto => self.max_connections.div_ceil(2),
            PerAddress::Count(count) => count,
        }
    }
}

const PATH_POLICIES: [(&str, PathPolicy); 2] =
    [("strict", PathPolicy::Strict), ("raw", PathPolicy::Raw)];
const UNDERSCORES: [(&str, UnderscoreHeaders); 2] = [
    ("drop", UnderscoreHeaders::Drop),
    ("keep", UnderscoreHeaders::Keep),
];

impl Shutdown {
    fn read(table: &Reader<'_>) -> Option<Self> {
        table.later("not_ready_for", r#""0s""#);
        let hour = Duration::from_secs(3600);
        let drain = table.key(
            &keys::server::SHUTDOWN_DRAIN,
            duration(Duration::ZERO..=hour),
        );
        table.finish();
        Some(Self { drain: drain? })
    }
}

impl Admin {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let token = table.secret(&keys::admin::TOKEN, &keys::admin::TOKEN_FILE);
        let listen = table.key(&keys::admin::LISTEN, text_or_none(address::socket));
        table.finish();
        let short = |token: &Secret| token.expose().chars().count() < TOKEN_LENGTH;
        if token.as_ref().is_some_and(short) {
            let what = format!("is shorter than {TOKEN_LENGTH} characters");
            let help = "make one with `openssl rand -base64 32`";
            let name = if table.has("token") {
                "token"
            } else {
                "token_file"
            };
            table.error(name, &what, Some(help.to_owned()));
        }
        Some(Self {
            listen: listen?,
            token,
        })
    }
}

impl Log {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let access = AccessLog::read(&table.table("access"));
        let format = table.key(&keys::log::FORMAT, choice(&LOG_FORMATS));
        let level = table.key(&keys::log::LEVEL, text(level));
        table.finish();
        Some(Self {
            format: format?,
            level: level?,
            access: access?,
        })
    }
}

/// Hard to guess, however often one may try.
const TOKEN_LENGTH: usize = 32;

const LOG_FORMATS: [(&str, LogFormat); 3] = [
    ("auto", LogFormat::Auto),
    ("json", LogFormat::Json),
    ("text", LogFormat::Text),
];

impl AccessLog {
    fn read(table: &Reader<'_>) -> Option<Self> {
        let sample = table.key(&keys::log::ACCESS_SAMPLE, share);
        let skip = table.key(&keys::log::ACCESS_SKIP, list(text(exact_path)));
        table.finish();
        Some(Self {
            sample: sample?,
            skip: skip?,
        })
    }
}

fn workers(value: &Value<'_>) -> Option<Workers> {
    if value.item.is_integer() {
        return integer(1..=1024_usize)(value).map(Workers::Count);
    }
    text(|text: &str| match text {
        "auto" => Ok(Workers::Auto),
        _ => Err(Fault::new("is not a number of threads")
            .help("write \"auto\", or a number without quotes")),
    })(value)
}

fn per_address(value: &Value<'_>) -> Option<PerAddress> {
    if value.item.is_integer() {
        return integer(1..=1_000_000_usize)(value).map(PerAddress::Count);
    }
    text(|text: &str| match text {
        "auto" => Ok(PerAddress::Auto),
        _ => Err(Fault::new("is not a number of connections")
            .help("write \"auto\" for half of max_connections, or a number without quotes")),
    })(value)
}

fn reload(value: &Value<'_>) -> Option<Option<Duration>> {
    if value.item.as_str() == Some("off") {
        return Some(None);
    }
    duration(RELOAD)(value).map(Some)
}

fn header_bytes(value: &Value<'_>) -> Option<usize> {
    size(8 << 10..=1 << 20)(value).and_then(|bytes| usize::try_from(bytes).ok())
}

/// A filter, checked. A word that is neither a level nor a module would be taken as a module, and
/// silence all others.
fn level(text: &str) -> Result<String, Fault> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let help = "write a level, or module=level pairs, as in \"info,skeygate=debug\"";
    for directive in text.split(',').map(str::trim) {
        let lower = directive.to_ascii_lowercase();
        let target = directive.split(['=', '[']).next().unwrap_or_default();
        if directive.contains('=') && !(target == "request" || target.starts_with("skeygate")) {
            return Err(
                Fault::new(format!("names `{target}`, which never writes a line"))
                    .help("only `skeygate` and `request` do: a library's lines may hold secrets")
                    .with_pieces(),
            );
        }
        if directive.contains(['=', ':', '['])
            || LEVELS.contains(&lower.as_str())
            || directive == "skeygate"
        {
            continue;
        }
        if let Some(level) = nearest(directive, LEVELS.into_iter()) {
            return Err(Fault::new("is not a log level").help(format!("did you mean `{level}`?")));
        }
        return Err(Fault::new("is not a log level").help(help));
    }
    match tracing_subscriber::EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Fault::new(format!("is not a log filter: {error}"))
            .help(help)
            .with_pieces()),
    }
}
