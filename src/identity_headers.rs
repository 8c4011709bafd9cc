//! Identity headers: the only place that removes and writes them.

use hyper::HeaderMap;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRAILER};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::clock;
use crate::config::{Identity as IdentityConfig, Template, TemplatePart, UnderscoreHeaders};
use crate::http::forwarded::remove_forwarded;
use crate::http::headers::remove_hop_by_hop;
use crate::http::names::{folded, remove_where, same_folded};
use crate::identity::{ALWAYS_STRIPPED, Identity, MERGED_FROM_HEADER};

const X_USER_ID_MERGED_FROM: HeaderName = HeaderName::from_static(MERGED_FROM_HEADER);

/// Characters that are percent-encoded in an identity header: all but visible ASCII, and `%`
/// itself.
const NOT_VISIBLE: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// The rules for identity headers, compiled once from the configuration.
#[derive(Debug)]
pub struct HeaderPolicy {
    stripped: Vec<String>,
    injected: Vec<(HeaderName, Template)>,
    credentials: Vec<HeaderName>,
    underscore: UnderscoreHeaders,
}

impl HeaderPolicy {
    /// Compiles the names and templates, and the headers that may carry an skey on any route.
    #[must_use]
    pub fn new(
        identity: &IdentityConfig,
        credentials: Vec<HeaderName>,
        underscore: UnderscoreHeaders,
    ) -> Self {
        let mut stripped: Vec<String> = ALWAYS_STRIPPED
            .iter()
            .map(|&name| name.to_owned())
            .collect();
        for (name, _) in &identity.headers {
            let folded = folded(name.as_str());
            if !stripped.contains(&folded) {
                stripped.push(folded);
            }
        }
        Self {
            stripped,
            injected: identity.headers.clone(),
            credentials,
            underscore,
        }
    }

    /// Whether some server may read the name as an identity header: equal after folding case and
    /// everything but letters and digits to `-`, as PHP, WSGI and CGI do.
    #[must_use]
    pub fn is_identity(&self, name: &HeaderName) -> bool {
        self.stripped
            .iter()
            .any(|stripped| same_folded(name.as_str(), stripped))
    }

    /// Removes headers that clients may not send: identity headers in every spelling and, by
    /// configuration, names with `_`.
    pub fn strip(&self, headers: &mut HeaderMap) {
        remove_where(headers, |name| {
            self.is_identity(name)
                || (self.underscore == UnderscoreHeaders::Drop && name.as_str().contains('_'))
        });
    }

    /// Removes headers that may carry an skey on any route: a client that sends its skey everywhere
    /// must not pass it to an upstream.
    pub fn strip_credentials(&self, headers: &mut HeaderMap) {
        for name in &self.credentials {
            headers.remove(name);
        }
    }

    /// Writes the user's identity. A header is omitted when its template needs an attribute that
    /// the identity does not have.
    pub fn inject(&self, headers: &mut HeaderMap, identity: &Identity) {
        for (name, template) in &self.injected {
            if let Some(value) = fill(template, identity) {
                headers.insert(name.clone(), value);
            }
        }
        if let Some(merged) = &identity.attributes.merged_from
            && clock::unix_seconds() < merged.until
            && let Ok(value) = HeaderValue::try_from(encoded(&merged.user_id))
        {
            headers.insert(X_USER_ID_MERGED_FROM, value);
        }
    }
}

/// The value, percent-encoded where it is not visible ASCII.
fn fill(template: &Template, identity: &Identity) -> Option<HeaderValue> {
    let attributes = &identity.attributes;
    let part = |part: &TemplatePart| -> Option<String> {
        let value = match part {
            TemplatePart::Text(text) => return Some(text.clone()),
            TemplatePart::Openid => &identity.openid,
            TemplatePart::Appid => &identity.appid,
            TemplatePart::UserId => identity.user_id.as_ref()?,
            TemplatePart::Unionid => identity.unionid.as_ref()?,
            TemplatePart::Claim(name) => attributes.claims.get(name)?,
            TemplatePart::Nickname => attributes.nickname.as_ref()?,
            TemplatePart::Avatar => attributes.avatar.as_ref()?,
            TemplatePart::Phone => attributes.phone.as_ref()?,
        };
        Some(encoded(value))
    };
    let text = match template.0.as_slice() {
        [only] => part(only)?,
        parts => parts.iter().map(part).collect::<Option<String>>()?,
    };
    HeaderValue::try_from(text).ok()
}

fn encoded(value: &str) -> String {
    utf8_percent_encode(value, NOT_VISIBLE).to_string()
}

/// Removes trailers that must not be forwarded: identity names, skeys, framing, and any name that a
/// `Connection` header could list.
pub fn clean_trailers(trailers: &mut HeaderMap, policy: &HeaderPolicy) {
    policy.strip(trailers);
    policy.strip_credentials(trailers);
    remove_hop_by_hop(trailers);
    remove_forwarded(trailers);
    for name in [HOST, CONTENT_LENGTH, TRAILER] {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Attributes, Merged};

    fn policy(underscore: UnderscoreHeaders) -> HeaderPolicy {
        let header = |name: &str, part| (HeaderName::try_from(name).unwrap(), Template(vec![part]));
        let identity = IdentityConfig {
            headers: vec![
                header("x-openid", TemplatePart::Openid),
                header("x-user-id", TemplatePart::UserId),
                header("x-uid.legacy", TemplatePart::UserId),
            ],
        };
        HeaderPolicy::new(&identity, Vec::new(), underscore)
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        map
    }

    fn names(map: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn every_spelling_of_an_identity_header_is_stripped() {
        let policy = policy(UnderscoreHeaders::Keep);
        for separator in "-_.!#$%&'*+^`|~".chars() {
            let mut map = headers(&[(&format!("X{separator}Openid"), "forged"), ("x-other", "1")]);
            policy.strip(&mut map);
            assert_eq!(names(&map), ["x-other"], "{separator}");
        }
        let mut map = headers(&[
            ("x-openid", "1"),
            ("x-openid", "2"),
            ("X_USER.ID", "3"),
            ("X-WX-OPENID", "4"),
            ("x-uid-legacy", "5"),
            ("x-openid-2", "stays"),
            ("x_kept", "stays"),
        ]);
        policy.strip(&mut map);
        assert_eq!(names(&map), ["x-openid-2", "x_kept"]);
    }

    #[test]
    fn names_with_an_underscore_are_dropped_by_default() {
        let mut map = headers(&[("x_any", "1"), ("x-any", "2")]);
        policy(UnderscoreHeaders::Drop).strip(&mut map);
        assert_eq!(names(&map), ["x-any"]);
    }

    #[test]
    fn an_identity_is_written_as_visible_ascii() {
        let identity = Identity {
            appid: "wx1".to_owned(),
            openid: "o\u{540d} %\r\nX: y".to_owned(),
            unionid: None,
            user_id: Some("42".to_owned()),
            attributes: Attributes::default(),
        };
        let mut map = HeaderMap::new();
        policy(UnderscoreHeaders::Drop).inject(&mut map, &identity);
        assert_eq!(map.get("x-openid").unwrap(), "o%E5%90%8D%20%25%0D%0AX:%20y");
        assert_eq!(map.get("x-user-id").unwrap(), "42");
    }

    #[test]
    fn attributes_are_written_where_they_are_known_and_a_merge_while_it_is_news() {
        let header = |name: &str, part| (HeaderName::try_from(name).unwrap(), Template(vec![part]));
        let config = IdentityConfig {
            headers: vec![
                header("x-role", TemplatePart::Claim("role".to_owned())),
                header("x-level", TemplatePart::Claim("level".to_owned())),
                header("x-nickname", TemplatePart::Nickname),
                header("x-phone", TemplatePart::Phone),
            ],
        };
        let policy = HeaderPolicy::new(&config, Vec::new(), UnderscoreHeaders::Drop);
        let mut identity = Identity {
            appid: "wx1".to_owned(),
            openid: "o1".to_owned(),
            unionid: None,
            user_id: Some("42".to_owned()),
            attributes: Attributes::default(),
        };
        identity.attributes.claims = [("role".to_owned(), "a\r\nb".to_owned())].into();
        identity.attributes.nickname = Some("\u{1f600}".to_owned());
        let merged = |until| Merged {
            user_id: "43".to_owned(),
            until,
        };
        identity.attributes.merged_from = Some(merged(clock::unix_seconds() + 60));
        let mut map = HeaderMap::new();
        policy.inject(&mut map, &identity);
        assert_eq!(
            names(&map),
            ["x-nickname", "x-role", "x-user-id-merged-from"]
        );
        assert_eq!(map.get("x-role").unwrap(), "a%0D%0Ab");
        assert_eq!(map.get("x-nickname").unwrap(), "%F0%9F%98%80");
        assert_eq!(map.get("x-user-id-merged-from").unwrap(), "43");

        identity.attributes.merged_from = Some(merged(clock::unix_seconds()));
        let mut map = HeaderMap::new();
        policy.inject(&mut map, &identity);
        assert!(!map.contains_key("x-user-id-merged-from"));
        let mut forged = headers(&[("X_User-Id.Merged-From", "1")]);
        policy.strip(&mut forged);
        assert!(forged.is_empty());
    }
}
