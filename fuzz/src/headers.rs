//! Stripping: no name is left that folds to an identity name, nothing else is gone, and the
//! identity that is set is the true one. Input: `drop` or `keep`, then headers, one a line.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use hyper::HeaderMap;
use hyper::header::HeaderName;
use skeygate::config::{Identity as IdentityConfig, Template, TemplatePart, UnderscoreHeaders};
use skeygate::http::forwarded;
use skeygate::http::headers;
use skeygate::identity::{Attributes, Identity};
use skeygate::identity_headers::{HeaderPolicy, clean_trailers};

use super::text::{self, assert_only_removed, folded};

/// Our own names, those of WeChat Cloud Run, and one an operator chose.
pub(crate) const IDENTITY: [&str; 13] = [
    "x-openid",
    "x-user-id",
    "x-unionid",
    "x-wx-appid",
    "x-wx-openid",
    "x-wx-unionid",
    "x-wx-from-openid",
    "x-wx-from-appid",
    "x-wx-from-unionid",
    "x-wx-source",
    "x-wx-env",
    "x-wx-id",
    "x-uid-legacy",
];

/// Fields about one connection, never forwarded.
pub(crate) const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "proxy",
];

static DROP: LazyLock<HeaderPolicy> = LazyLock::new(|| policy(UnderscoreHeaders::Drop));
static KEEP: LazyLock<HeaderPolicy> = LazyLock::new(|| policy(UnderscoreHeaders::Keep));

fn policy(underscore: UnderscoreHeaders) -> HeaderPolicy {
    let header = |name: &'static str, part| (HeaderName::from_static(name), Template(vec![part]));
    let identity = IdentityConfig {
        headers: vec![
            header("x-openid", TemplatePart::Openid),
            header("x-user-id", TemplatePart::UserId),
            header("x-unionid", TemplatePart::Unionid),
            header("x-uid.legacy", TemplatePart::UserId),
        ],
    };
    let credentials = vec![
        HeaderName::from_static("skey"),
        HeaderName::from_static("x-wx-skey"),
    ];
    HeaderPolicy::new(&identity, credentials, underscore)
}

/// See the module.
pub fn check(data: &[u8]) {
    let (mode, rest) = text::first_line(data);
    let keeps = mode == b"keep";
    let policy = if keeps { &*KEEP } else { &*DROP };
    let (came, after) = text::headers(rest);
    let is_identity = |name: &HeaderName| IDENTITY.contains(&folded(name.as_str()).as_str());
    let is_dropped = |name: &HeaderName| !keeps && name.as_str().contains('_');

    let mut stripped = came.clone();
    policy.strip(&mut stripped);
    assert_only_removed(&came, &stripped, |name| {
        !is_identity(name) && !is_dropped(name)
    });

    let mut hopless = came.clone();
    headers::remove_hop_by_hop(&mut hopless);
    let listed = connection_names(&came);
    let is_hop = |name: &HeaderName| {
        HOP_BY_HOP.contains(&name.as_str())
            || listed.contains(name.as_str()) && name != "host" && name != "content-length"
    };
    assert_only_removed(&came, &hopless, |name| !is_hop(name));

    let mut direct = came.clone();
    forwarded::remove_forwarded(&mut direct);
    assert_only_removed(&came, &direct, |name| !is_forwarded(name.as_str()));

    let mut trailers = came;
    clean_trailers(&mut trailers, policy);
    for name in trailers.keys() {
        let fine = !is_identity(name) && !is_hop(name) && !is_forwarded(name.as_str());
        assert!(fine, "the trailer `{name}` was to go");
        let framing = ["host", "content-length", "trailer", "skey", "x-wx-skey"];
        assert!(
            !framing.contains(&name.as_str()),
            "the trailer `{name}` was to go"
        );
    }
    inject(policy, stripped, after);
}

/// A header that is set replaces the one that was there, is visible ASCII, and decodes to the
/// identity's value.
fn inject(policy: &HeaderPolicy, mut headers: HeaderMap, data: &[u8]) {
    let openid = String::from_utf8_lossy(data).into_owned();
    let identity = Identity {
        appid: "wx0123456789abcdef".to_owned(),
        unionid: None,
        user_id: Some(openid.clone()),
        attributes: Attributes::default(),
        openid,
    };
    policy.inject(&mut headers, &identity);
    for name in ["x-openid", "x-user-id", "x-uid.legacy"] {
        let mut values = headers.get_all(name).iter();
        let value = values.next().map(|value| value.as_bytes());
        let value = value.unwrap_or_default();
        assert!(value.iter().all(|byte| (b'!'..=b'~').contains(byte)));
        let told: Vec<u8> = percent_encoding::percent_decode(value).collect();
        assert_eq!(
            told,
            identity.openid.as_bytes(),
            "`{name}` tells another identity"
        );
        assert!(values.next().is_none(), "`{name}` twice");
    }
    assert!(
        !headers.contains_key("x-unionid"),
        "there is no such unionid"
    );
}

fn connection_names(headers: &HeaderMap) -> BTreeSet<String> {
    let lines = headers.get_all("connection").iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(|entry| String::from_utf8_lossy(entry.trim_ascii()).to_ascii_lowercase())
        .collect()
}

/// Headers that a direct client may not send: the names as PHP and CGI read them.
pub(crate) fn is_forwarded(name: &str) -> bool {
    let name = folded(name);
    name.starts_with("x-forwarded-")
        || matches!(
            name.as_str(),
            "forwarded"
                | "x-real-ip"
                | "x-original-url"
                | "x-rewrite-url"
                | "x-original-uri"
                | "x-host"
                | "client-ip"
                | "x-client-ip"
                | "true-client-ip"
                | "x-cluster-client-ip"
                | "cf-connecting-ip"
        )
}
