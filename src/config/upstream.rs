//! `[upstreams.NAME]`.

use std::time::Duration;

use toml::de::DeValue;

use super::address;
use super::keys;
use super::reader::{Fault, Reader, Value, duration, integer, text};
use super::values::{ServerAddress, TIMEOUT};

/// One upstream service; `config/keys/upstreams.rs` describes each field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// `servers`: at least one; more than one is not available in this version.
    pub servers: Vec<ServerAddress>,
    /// `idle_timeout`.
    pub idle_timeout: Duration,
    /// `connect_timeout`, for each try.
    pub connect_timeout: Duration,
    /// `response_timeout`.
    pub response_timeout: Duration,
    /// `host`.
    pub host: HostHeader,
    /// `retries`: further tries.
    pub retries: u32,
    /// `max_in_flight`.
    pub max_in_flight: usize,
}

/// `host` of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostHeader {
    /// `"preserve"`: the client's `Host`.
    Preserve,
    /// `"upstream"`: the server's own name and port.
    Upstream,
    /// Any other text: this.
    Fixed(String),
}

impl Upstream {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let servers = table.required(&keys::upstreams::SERVERS, servers);
        table.later("balance", r#""least_request""#);
        for name in ["health", "passive", "tls"] {
            table.later(name, "{}");
        }
        let idle_timeout = table.key(&keys::upstreams::IDLE_TIMEOUT, duration(TIMEOUT));
        let connect_timeout = table.key(&keys::upstreams::CONNECT_TIMEOUT, duration(TIMEOUT));
        let response_timeout = table.key(&keys::upstreams::RESPONSE_TIMEOUT, duration(TIMEOUT));
        let host = table.key(&keys::upstreams::HOST, text(host_header));
        let retries = table.key(&keys::upstreams::RETRIES, integer(0..=3_u32));
        let max_in_flight = table.key(
            &keys::upstreams::MAX_IN_FLIGHT,
            integer(1..=1_000_000_usize),
        );
        table.finish();
        Some(Self {
            servers: servers?,
            idle_timeout: idle_timeout?,
            connect_timeout: connect_timeout?,
            response_timeout: response_timeout?,
            host: host?,
            retries: retries?,
            max_in_flight: max_in_flight?,
        })
    }
}

/// The list; more than one server is not available in this version.
fn servers(value: &Value<'_>) -> Option<Vec<ServerAddress>> {
    let DeValue::Array(items) = value.item else {
        return value.wrong("a list in [ ]");
    };
    let mut servers = items.iter().map(|item| value.inside(item));
    let Some(first) = servers.next() else {
        return value.problem("is an empty list; one server is needed", None);
    };
    if let Some(second) = servers.next() {
        let help = "name one server, or a Kubernetes service or DNS name that stands for several";
        return second.problem(
            "more than one server is not available in this version",
            Some(help.to_owned()),
        );
    }
    if first.item.is_table() {
        let help = "write the address alone, as in \"http://127.0.0.1:8000\"";
        return first.problem(
            "a server with a weight is not available in this version",
            Some(help.to_owned()),
        );
    }
    text(address::server)(&first).map(|server| vec![server])
}

fn host_header(text: &str) -> Result<HostHeader, Fault> {
    Ok(match text {
        "preserve" => HostHeader::Preserve,
        "upstream" => HostHeader::Upstream,
        _ => HostHeader::Fixed(address::host_header(text)?),
    })
}
