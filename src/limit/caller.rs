//! The key that a limit counts by: a client address or a user.

use std::net::IpAddr;

use crate::http::address::subscriber;
use crate::identity::Identity;
use crate::redis::key_part;

/// The caller that a request is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateLimitKey<'a> {
    /// A subscriber's address; for IPv6 the /64 network.
    Address(IpAddr),
    /// A user with a user id.
    User(&'a str),
    /// A user without a user id: appid and openid.
    Openid(&'a str, &'a str),
}

impl<'a> RateLimitKey<'a> {
    /// The key of a client address.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::Address(subscriber(address))
    }

    /// The key of a user.
    #[must_use]
    pub fn user(identity: &'a Identity) -> Self {
        match &identity.user_id {
            Some(user_id) => Self::User(user_id),
            None => Self::Openid(&identity.appid, &identity.openid),
        }
    }

    /// The last parts of the key's name in Redis.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Address(address) => key_part(&address.to_string()).into_owned(),
            Self::User(user_id) => key_part(user_id).into_owned(),
            Self::Openid(appid, openid) => [&*key_part(appid), &*key_part(openid)].join(":"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Attributes;

    fn address(text: &str) -> RateLimitKey<'static> {
        RateLimitKey::address(text.parse().unwrap())
    }

    #[test]
    fn ipv6_is_counted_by_its_64_bits_of_network_and_ipv4_by_itself() {
        let one = address("2001:db8:1:2::1");
        assert_eq!(one, address("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(one, address("2001:db8:1:3::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(one.key(), "2001%3Adb8%3A1%3A2%3A%3A");
        assert_eq!(address("192.0.2.1").key(), "192%2E0%2E2%2E1");
    }

    #[test]
    fn a_user_is_counted_by_id_or_else_by_app_and_openid() {
        let mut identity = Identity {
            appid: "wx:1".to_owned(),
            openid: "o1".to_owned(),
            unionid: None,
            user_id: Some("7".to_owned()),
            attributes: Attributes::default(),
        };
        assert_eq!(RateLimitKey::user(&identity).key(), "7");
        identity.user_id = None;
        assert_eq!(RateLimitKey::user(&identity).key(), "wx%3A1:o1");
    }
}
