//! Addresses as they are written in the file: listeners, networks, upstreams, Redis, WeChat.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net};

use super::reader::Fault;
use super::values::{ListenAddress, ServerAddress};
use crate::http::host::HostPort;

/// `address:port` or `unix:/path`.
pub(super) fn listen(text: &str) -> Result<ListenAddress, Fault> {
    match unix_path(text)? {
        Some(path) => Ok(ListenAddress::Unix(path)),
        None => socket(text).map(ListenAddress::Tcp),
    }
}

/// `address:port`.
pub(super) fn socket(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| {
        let fault = Fault::new("is not an address and port");
        match text
            .strip_prefix("localhost:")
            .or_else(|| text.strip_prefix(':'))
        {
            Some(port) if text.starts_with("localhost") => {
                fault.respelled(format!("write \"127.0.0.1:{port}\""))
            }
            Some(port) => fault.respelled(format!("write \"0.0.0.0:{port}\"")),
            None => fault.help("write \"0.0.0.0:8080\", \"[::]:8080\" or \"127.0.0.1:8080\""),
        }
    })
}

/// A network, `10.0.0.0/8`.
pub(super) fn network(text: &str) -> Result<IpNet, Fault> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Err(Fault::new("is one address, not a network")
            .respelled(format!("write \"{}\"", IpNet::from(address))));
    }
    let network: IpNet = text
        .parse()
        .map_err(|_| Fault::new("is not a network").help("write it as in \"10.0.0.0/8\""))?;
    // Addresses of IPv4 are compared as such, however the socket or a proxy writes them.
    if let IpNet::V6(mapped) = network
        && let Some(address) = mapped.addr().to_ipv4_mapped()
        && let Some(length) = mapped.prefix_len().checked_sub(96)
        && let Ok(plain) = Ipv4Net::new(address, length)
    {
        return Err(Fault::new("is a network of IPv4 addresses")
            .respelled(format!("write \"{}\"", plain.trunc())));
    }
    if network.trunc() != network {
        return Err(Fault::new("has bits set beyond its prefix")
            .respelled(format!("write \"{}\"", network.trunc())));
    }
    Ok(network)
}

/// The one server of an upstream.
pub(super) fn server(text: &str) -> Result<ServerAddress, Fault> {
    if let Some(path) = unix_path(text)? {
        return Ok(ServerAddress::Unix(path));
    }
    match text.split_once("://") {
        Some(("http", rest)) => {
            let (host, port) =
                bare_authority(rest, "use add_prefix in the route to put a path in front")?;
            Ok(ServerAddress::Http {
                host,
                port: port.unwrap_or(80),
            })
        }
        Some((scheme @ ("https" | "h2c"), _)) => Err(Fault::new(format!(
            "uses {scheme}, which is not available in this version"
        ))
        .help("write http://host:port")),
        Some(_) => {
            Err(Fault::new("has an unknown scheme").help("write http://host:port or unix:/path"))
        }
        None => Err(Fault::new("has no scheme").respelled(format!("write `http://{text}`"))),
    }
}

/// The scheme, host and port of WeChat's API: https, but to this machine itself.
pub(super) fn api_base(text: &str) -> Result<String, Fault> {
    let no_path = "write scheme, host and port alone";
    match text.split_once("://") {
        Some(("https", rest)) => {
            bare_authority(rest, no_path)?;
        }
        Some(("http", rest)) => {
            let (host, _) = bare_authority(rest, no_path)?;
            let loopback = host == "localhost"
                || host
                    .parse::<IpAddr>()
                    .is_ok_and(|address| address.is_loopback());
            if !loopback {
                return Err(Fault::new("would send the AppSecret in clear").help(
                    "write https://; http is allowed to 127.0.0.1, [::1] and localhost only",
                ));
            }
        }
        _ => return Err(Fault::new("has no scheme").help("write \"https://api.weixin.qq.com\"")),
    }
    Ok(text.to_owned())
}

/// A forward proxy.
pub(super) fn proxy(text: &str) -> Result<String, Fault> {
    let help = "write \"http://host:port\"";
    let Some(("http", rest)) = text.split_once("://") else {
        return Err(Fault::new("is not the address of a proxy").help(help));
    };
    match bare_authority(rest, help)? {
        (_, Some(_)) => Ok(text.to_owned()),
        (_, None) => Err(Fault::new("has no port").help(help)),
    }
}

/// The Host header that an upstream is sent.
pub(super) fn host_header(text: &str) -> Result<String, Fault> {
    let help = "write \"preserve\", \"upstream\" or a name like \"api.internal\"";
    bare_authority(text, help)?;
    Ok(text.to_owned())
}

/// Whether a Redis URL holds a user name and a password.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RedisLogin {
    pub(super) username: bool,
    pub(super) password: bool,
}

/// Checks a Redis URL. No message quotes it: it may hold a password.
pub(super) fn redis_url(text: &str) -> Result<RedisLogin, Fault> {
    let shape = "write redis://host:port/db or unix:/path";
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') || path.len() < 2 {
            return Err(Fault::about("the socket's path does not start with `/`").help(shape));
        }
        return Ok(RedisLogin::default());
    }
    if text.starts_with("rediss://") {
        return Err(Fault::about("rediss:// is not available in this version").help(shape));
    }
    let Some(rest) = text.strip_prefix("redis://") else {
        return Err(Fault::about("is not a Redis URL").help(shape));
    };
    let (login, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    if login.contains(['/', '?', '#', '@', ' ']) {
        return Err(
            Fault::about("the password has a character that a URL cannot hold").help(
                "encode it (`@` is %40, `/` is %2F), or write it as `password` in its own key",
            ),
        );
    }
    let (place, database) = place.split_once('/').unwrap_or((place, ""));
    if place.is_empty() || place.starts_with(':') {
        return Err(Fault::about("has no host").help(shape));
    }
    if authority(place).is_none() {
        return Err(Fault::about("has no valid host and port").help(shape));
    }
    if !database.is_empty() && database.parse::<u16>().is_err() {
        return Err(Fault::about("the database after the last `/` is not a number").help(shape));
    }
    let (username, password) = login.split_once(':').unwrap_or((login, ""));
    Ok(RedisLogin {
        username: !username.is_empty(),
        password: !password.is_empty(),
    })
}

fn unix_path(text: &str) -> Result<Option<PathBuf>, Fault> {
    let Some(path) = text.strip_prefix("unix:") else {
        return Ok(None);
    };
    let path = path.strip_prefix("//").unwrap_or(path);
    // The kernel's limit on the path of a socket.
    if path.starts_with('/') && path.len() > 1 && path.len() < 108 {
        return Ok(Some(PathBuf::from(path)));
    }
    Err(Fault::new("is not the path of a socket")
        .help("write \"unix:/run/app.sock\", at most 107 bytes"))
}

/// Host and port and nothing else; the host without brackets.
fn bare_authority(text: &str, no_path: &str) -> Result<(String, Option<u16>), Fault> {
    if text.contains('@') {
        return Err(Fault::new("has a user name, which is not sent")
            .help("leave out what stands before the `@`"));
    }
    if text.contains(['/', '?', '#']) {
        return Err(Fault::new("has a path").help(no_path));
    }
    authority(text).ok_or_else(|| Fault::new("has no valid host and port"))
}

/// Host, without the brackets of an IPv6 address, and port.
pub(super) fn authority(text: &str) -> Option<(String, Option<u16>)> {
    let parsed = HostPort::parse(text)?;
    Some((parsed.bare_host().to_owned(), parsed.port))
}
