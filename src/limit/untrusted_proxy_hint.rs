//! A warning for a gateway behind a proxy that `server.trusted_proxies` does not name: every client
//! then has the proxy's address, and limits by address count all of them as one.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;

use crate::log_throttle::LogThrottle;

/// Consecutive logins from one private address before the warning; more than a developer makes by
/// hand.
const MIN_LOGINS: u32 = 100;
const WARNING_INTERVAL: Duration = Duration::from_secs(3600);

/// Tracks the client addresses of logins.
pub(super) struct UntrustedProxyHint {
    seen: Mutex<Seen>,
    warning: LogThrottle,
}

#[derive(Default)]
struct Seen {
    address: Option<IpAddr>,
    in_a_row: u32,
}

impl Default for UntrustedProxyHint {
    fn default() -> Self {
        Self {
            seen: Mutex::default(),
            warning: LogThrottle::new(WARNING_INTERVAL),
        }
    }
}

impl UntrustedProxyHint {
    /// Records a login; warns when it is the last of many from one private address. With trusted
    /// proxies the operator has configured proxies, and nothing is recorded.
    pub(super) fn note(&self, client: Option<IpAddr>, trusted_proxies: &[IpNet]) {
        if let Some(client) = client
            && trusted_proxies.is_empty()
            && self.is_due(client)
        {
            tracing::warn!(
                client.address = %client,
                logins = MIN_LOGINS,
                help = "if a proxy stands in front, add its network to server.trusted_proxies; if not, ignore this",
                "all logins come from one private address, so limits by address count every client as one"
            );
        }
    }

    fn is_due(&self, client: IpAddr) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.address != Some(client) {
            seen.address = Some(client);
            seen.in_a_row = 0;
        }
        seen.in_a_row = seen.in_a_row.saturating_add(1);
        seen.in_a_row >= MIN_LOGINS && is_private(client) && self.warning.is_due()
    }
}

/// Whether the address is of a private network, so of a proxy rather than of a client.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            // 100.64.0.0/10 is used inside clouds and carrier networks.
            let shared = first == 100 && second & 0xc0 == 64;
            address.is_private() || address.is_loopback() || address.is_link_local() || shared
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of warnings for `logins` logins.
    fn warnings(watch: &UntrustedProxyHint, address: &str, logins: u32) -> usize {
        let address = address.parse().unwrap();
        let warned = (0..logins).filter(|_| watch.is_due(address));
        warned.count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_logins_from_one_private_address_are_warned_about_once_an_hour() {
        let watch = UntrustedProxyHint::default();
        assert_eq!(warnings(&watch, "10.0.0.1", 99), 0);
        assert_eq!(warnings(&watch, "10.0.0.1", 1000), 1);
        tokio::time::advance(WARNING_INTERVAL).await;
        assert_eq!(warnings(&watch, "10.0.0.1", 1000), 1);
        // Another address restarts the count.
        assert_eq!(warnings(&watch, "203.0.113.9", 1), 0);
        tokio::time::advance(WARNING_INTERVAL).await;
        assert_eq!(warnings(&watch, "10.0.0.1", 99), 0);
    }

    #[tokio::test]
    async fn public_addresses_and_trusted_proxies_cause_no_warning() {
        for address in ["203.0.113.9", "2001:db8::1", "8.8.8.8", "100.128.0.1"] {
            assert_eq!(
                warnings(&UntrustedProxyHint::default(), address, 200),
                0,
                "{address}"
            );
        }
        for address in ["127.0.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "::1"] {
            assert_eq!(
                warnings(&UntrustedProxyHint::default(), address, 200),
                1,
                "{address}"
            );
            let watch = UntrustedProxyHint::default();
            for _ in 0..200 {
                let trusted_proxies = ["10.0.0.0/8".parse().unwrap()];
                watch.note(Some(address.parse().unwrap()), &trusted_proxies);
            }
            // None of them was recorded, so 99 more are not enough either.
            assert_eq!(warnings(&watch, address, 99), 0, "{address}");
        }
    }
}
