//! The client address of a request behind proxies: `X-Forwarded-For` from the right, past trusted
//! networks only.

use std::net::{IpAddr, Ipv6Addr};

use hyper::HeaderMap;
use hyper::header::HeaderValue;
use ipnet::IpNet;

/// The address that a subscriber is counted under: an IPv4 address, or the /64 network of an IPv6
/// address, since a subscriber has all of its addresses.
#[must_use]
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

/// The peer of a connection. Made once per connection, because its address goes into every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The address; `None` over a Unix socket, which is never trusted.
    address: Option<IpAddr>,
    text: Option<HeaderValue>,
}

impl Peer {
    /// A TCP peer.
    #[must_use]
    pub fn ip(address: IpAddr) -> Self {
        Self {
            address: Some(address),
            text: HeaderValue::try_from(address.to_string()).ok(),
        }
    }

    /// A peer over a Unix socket.
    #[must_use]
    pub fn unix() -> Self {
        Self {
            address: None,
            text: None,
        }
    }

    /// The address as `X-Forwarded-For` holds it; `None` over a Unix socket.
    #[must_use]
    pub fn text(&self) -> Option<&HeaderValue> {
        self.text.as_ref()
    }

    /// The address; `None` over a Unix socket.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Whether the peer is a proxy whose `X-Forwarded-*` headers are trusted.
    #[must_use]
    pub fn is_trusted(&self, trusted: &[IpNet]) -> bool {
        self.address
            .is_some_and(|address| trusted.iter().any(|network| network.contains(&address)))
    }
}

/// The client's address: the last address in `X-Forwarded-For` that is not a trusted proxy's.
/// `None` for a Unix socket. A malformed entry ends the search, because the client may have written
/// the entries to its left.
#[must_use]
pub fn client_address(peer: &Peer, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let mut client = peer.address?;
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    if !is_trusted(client) {
        return Some(client);
    }
    let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    for line in lines.into_iter().rev() {
        let Ok(text) = line.to_str() else { break };
        for entry in text.rsplit(',') {
            let Some(address) = parse(entry.trim()) else {
                return Some(client);
            };
            client = address;
            if !is_trusted(address) {
                return Some(client);
            }
        }
    }
    Some(client)
}

/// Parses an address with or without a port, as common proxies write it.
fn parse(entry: &str) -> Option<IpAddr> {
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Ok(address) = entry.parse::<std::net::SocketAddr>() {
        return Some(address.ip().to_canonical());
    }
    entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        client_address(&Peer::ip(peer.parse().unwrap()), &headers, &trusted)
            .unwrap()
            .to_string()
    }

    #[test]
    fn an_untrusted_peer_is_the_client_despite_its_claims() {
        assert_eq!(
            client("203.0.113.9", &["1.1.1.1"], &["10.0.0.0/8"]),
            "203.0.113.9"
        );
        assert_eq!(client("10.0.0.1", &["1.1.1.1"], &[]), "10.0.0.1");
    }

    #[test]
    fn the_list_is_read_from_the_right_over_all_lines() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6, 1.2.3.4"], &trusted),
            "1.2.3.4"
        );
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6", "1.2.3.4, 10.0.0.7"], &trusted),
            "1.2.3.4"
        );
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6, nonsense, 10.0.0.7"], &trusted),
            "10.0.0.7"
        );
        assert_eq!(
            client("10.0.0.1", &["[2001:db8::1]:443"], &trusted),
            "2001:db8::1"
        );
        assert_eq!(client("10.0.0.1", &[], &trusted), "10.0.0.1");
    }
}
