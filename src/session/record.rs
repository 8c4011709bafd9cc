//! The stored form of a session, before sealing: JSON with one-letter names, because it is read on
//! every request.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Origin, Session};
use crate::identity::{Attributes, Identity, Merged};

#[derive(Serialize, Deserialize)]
struct StoredSession<'a> {
    #[serde(borrow, rename = "a")]
    appid: Cow<'a, str>,
    #[serde(borrow, rename = "o")]
    openid: Cow<'a, str>,
    #[serde(borrow, rename = "u", default, skip_serializing_if = "Option::is_none")]
    unionid: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "i", default, skip_serializing_if = "Option::is_none")]
    user_id: Option<Cow<'a, str>>,
    #[serde(rename = "c")]
    created: u64,
    #[serde(rename = "r")]
    renewed: u64,
    #[serde(borrow, rename = "d", default, skip_serializing_if = "str::is_empty")]
    device: Cow<'a, str>,
    #[serde(borrow, rename = "v", default, skip_serializing_if = "str::is_empty")]
    version: Cow<'a, str>,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(rename = "k", default, skip_serializing_if = "BTreeMap::is_empty")]
    claims: BTreeMap<String, String>,
    #[serde(borrow, rename = "n", default, skip_serializing_if = "Option::is_none")]
    nickname: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "b", default, skip_serializing_if = "Option::is_none")]
    avatar: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "t", default, skip_serializing_if = "Option::is_none")]
    phone: Option<Cow<'a, str>>,
    /// The id that was merged into this user, and until when upstreams are told.
    #[serde(borrow, rename = "m", default, skip_serializing_if = "Option::is_none")]
    merged_from: Option<(Cow<'a, str>, u64)>,
}

/// Serializes a session for sealing.
#[must_use]
pub fn write(session: &Session) -> Vec<u8> {
    let identity = &session.identity;
    let attributes = &identity.attributes;
    let merged_from = attributes.merged_from.as_ref();
    let record = StoredSession {
        appid: Cow::Borrowed(&identity.appid),
        openid: Cow::Borrowed(&identity.openid),
        unionid: identity.unionid.as_deref().map(Cow::Borrowed),
        user_id: identity.user_id.as_deref().map(Cow::Borrowed),
        created: session.created,
        renewed: session.renewed,
        device: Cow::Borrowed(&session.origin.device),
        version: Cow::Borrowed(&session.origin.version),
        address: session.origin.address,
        claims: attributes.claims.clone(),
        nickname: attributes.nickname.as_deref().map(Cow::Borrowed),
        avatar: attributes.avatar.as_deref().map(Cow::Borrowed),
        phone: attributes.phone.as_deref().map(Cow::Borrowed),
        merged_from: merged_from.map(|id| (Cow::Borrowed(id.user_id.as_str()), id.until)),
    };
    // Strings and numbers always serialize.
    serde_json::to_vec(&record).unwrap_or_default()
}

/// Parses a stored session. `None` when it is malformed or names no user.
#[must_use]
pub fn read(text: &[u8]) -> Option<Session> {
    let record: StoredSession<'_> = serde_json::from_slice(text).ok()?;
    if record.openid.is_empty() || record.appid.is_empty() {
        return None;
    }
    Some(Session {
        identity: Identity {
            appid: record.appid.into_owned(),
            openid: record.openid.into_owned(),
            unionid: record.unionid.map(Cow::into_owned),
            user_id: record.user_id.map(Cow::into_owned),
            attributes: Attributes {
                claims: record.claims,
                nickname: record.nickname.map(Cow::into_owned),
                avatar: record.avatar.map(Cow::into_owned),
                phone: record.phone.map(Cow::into_owned),
                merged_from: record.merged_from.map(|(user_id, until)| Merged {
                    user_id: user_id.into_owned(),
                    until,
                }),
            },
        },
        created: record.created,
        renewed: record.renewed,
        origin: Origin {
            device: record.device.into_owned(),
            version: record.version.into_owned(),
            address: record.address,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::identity;

    #[test]
    fn a_session_is_read_as_it_was_written() {
        let mut session = Session {
            identity: identity("o\"1"),
            created: 1,
            renewed: 2,
            origin: Origin {
                device: "iPhone \u{4e2d}".to_owned(),
                version: "12".to_owned(),
                address: Some([192, 0, 2, 7].into()),
            },
        };
        assert_eq!(read(&write(&session)), Some(session.clone()));
        session.identity.unionid = None;
        session.identity.user_id = None;
        session.origin = Origin::default();
        assert_eq!(
            String::from_utf8(write(&session)).unwrap(),
            r#"{"a":"wx1","o":"o\"1","c":1,"r":2}"#
        );
        assert_eq!(read(&write(&session)), Some(session));
    }

    #[test]
    fn the_optional_attributes_of_a_caller_are_kept() {
        let mut session = read(br#"{"a":"wx1","o":"o1","c":1,"r":2}"#).unwrap();
        session.identity.attributes = Attributes {
            claims: BTreeMap::from([("role".to_owned(), "ed\"itor".to_owned())]),
            nickname: Some("\u{1f468}\u{200d}\u{1f469}".to_owned()),
            avatar: Some("https://a.example/1.png".to_owned()),
            phone: Some("13800138000".to_owned()),
            merged_from: Some(Merged {
                user_id: "8".to_owned(),
                until: 9,
            }),
        };
        assert!(read(&write(&session)) == Some(session));
    }

    #[test]
    fn a_record_without_a_user_is_no_session() {
        assert_eq!(read(br#"{"a":"wx1","o":"","c":1,"r":2}"#), None);
        assert_eq!(read(b"[]"), None);
        assert_eq!(read(b""), None);
    }
}
