//! A word to the operator who put the gateway behind a proxy and has not said so: every client then has the proxy's address, and
//! limits by address count them as one.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Logins in a row from one private address before anything is said: more than a developer tries by hand.
const LOGINS: u32 = 100;
const SAID_EVERY: Duration = Duration::from_secs(3600);

/// Watches where logins come from.
pub(super) struct OneAddress {
    /// Without it, somebody has thought of proxies.
    no_proxy_trusted: bool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    address: Option<IpAddr>,
    in_a_row: u32,
    said: Option<Instant>,
}

impl OneAddress {
    pub(super) fn new(no_proxy_trusted: bool) -> Self {
        Self {
            no_proxy_trusted,
            seen: Mutex::default(),
        }
    }

    /// Notes a login.
    pub(super) fn note(&self, client: Option<IpAddr>) {
        if let Some(client) = client
            && self.is_told_now(client)
        {
            tracing::warn!(
                client.address = %client,
                logins = LOGINS,
                help = "if a proxy stands in front, name its network in server.trusted_proxies; if not, this is nothing",
                "all logins come from one private address, so limits by address count every client as one"
            );
        }
    }

    fn is_told_now(&self, client: IpAddr) -> bool {
        if !self.no_proxy_trusted {
            return false;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.address != Some(client) {
            seen.address = Some(client);
            seen.in_a_row = 0;
        }
        seen.in_a_row = seen.in_a_row.saturating_add(1);
        if seen.in_a_row < LOGINS || !is_private(client) {
            return false;
        }
        let now = Instant::now();
        if seen.said.is_some_and(|said| now - said < SAID_EVERY) {
            return false;
        }
        seen.said = Some(now);
        true
    }
}

/// Whether a proxy of one's own, rather than a client out there, has such an address.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            // 100.64.0.0/10 is what clouds and carriers use inside.
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

    /// How often something is said of so many logins.
    fn said(watch: &OneAddress, address: &str, logins: u32) -> usize {
        let address = address.parse().unwrap();
        let told = (0..logins).filter(|_| watch.is_told_now(address));
        told.count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_logins_from_one_private_address_draw_one_warning_an_hour() {
        let watch = OneAddress::new(true);
        assert_eq!(said(&watch, "10.0.0.1", 99), 0);
        assert_eq!(said(&watch, "10.0.0.1", 1000), 1);
        tokio::time::advance(SAID_EVERY).await;
        assert_eq!(said(&watch, "10.0.0.1", 1000), 1);
        // Another address, and it starts anew.
        assert_eq!(said(&watch, "203.0.113.9", 1), 0);
        tokio::time::advance(SAID_EVERY).await;
        assert_eq!(said(&watch, "10.0.0.1", 99), 0);
    }

    #[tokio::test]
    async fn public_addresses_and_trusted_proxies_draw_no_warning() {
        for address in ["203.0.113.9", "2001:db8::1", "8.8.8.8", "100.128.0.1"] {
            assert_eq!(said(&OneAddress::new(true), address, 200), 0, "{address}");
        }
        for address in ["127.0.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "::1"] {
            assert_eq!(said(&OneAddress::new(true), address, 200), 1, "{address}");
            assert_eq!(said(&OneAddress::new(false), address, 200), 0, "{address}");
        }
    }
}
