//! A request's head through all steps: the forwarded head carries the true identity or none, no
//! skey, one canonical path, and the same head in another spelling is treated the same. Input:
//! method and target, then headers, one a line.

use std::sync::LazyLock;

use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Method, Request, Uri};
use skeygate::app::offline;
use skeygate::config::{Auth, Config};
use skeygate::gateway::{Explanation, Forwarding, Gateway};
use skeygate::http::path::CanonicalPath;
use tokio::runtime::{Builder, Runtime};

use super::headers::{HOP_BY_HOP, IDENTITY, is_forwarded};
use super::path::respelled;
use super::text::{self, folded, is_own_skey};
use super::token_head::{source, values};

const CONFIG: &str = r#"
[session]
store = "memory"
token_from = ["header:skey", "header:x-wx-skey", "bearer", "cookie:sid"]
[identity]
preset = "wxcloudrun"
[[apps]]
appid = "wx0123456789abcdef"
secret = "0123456789abcdef0123456789abcdef"
[upstreams.api]
servers = ["http://127.0.0.1:8000"]
[upstreams.other]
servers = ["http://127.0.0.1:8001"]
host = "upstream"
[[routes]]
path = "/api/*"
upstream = "api"
strip_prefix = "/api"
[[routes]]
path = "/admin/*"
upstream = "other"
add_prefix = "/v2"
[[routes]]
path = "/open/*"
upstream = "api"
auth = "off"
strip_prefix = "/open"
add_prefix = "/pub"
[[routes]]
path = "/opt/*"
upstream = "api"
auth = "optional"
token_from = ["query:skey", "cookie:sid"]
[[routes]]
path = "/files/*"
upstream = "api"
auth = "optional"
on_bad_token = "reject"
allow_encoded = ["/", "%"]
request_headers = { set = { "X-Route" = "files" }, remove = ["X-Debug"] }
[[routes]]
path = "/only"
methods = ["GET"]
upstream = "api"
[[routes]]
path = "/ping"
auth = "off"
respond = { body = "pong" }
[[routes]]
path = "/*"
hosts = ["a.example", "*.b.example"]
upstream = "other"
"#;

/// Routes whose path goes on as it is.
const PLAIN: [&str; 4] = ["/opt/*", "/files/*", "/only", "/*"];

/// Upstreams have a task that closes idle connections; it never runs here.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.unwrap_or_else(|error| panic!("starting a runtime: {error}"))
});

static GATEWAY: LazyLock<Gateway> = LazyLock::new(|| {
    let _inside = RUNTIME.enter();
    let loaded = Config::parse("fuzz", CONFIG, &|_| None);
    let config = loaded.unwrap_or_else(|error| panic!("{error}")).config;
    let gateway = offline::gateway(config);
    gateway.unwrap_or_else(|error| panic!("{error}"))
});

/// See the module.
pub fn check(data: &[u8]) {
    let (line, rest) = text::first_line(data);
    let blank = line.iter().position(|byte| *byte == b' ');
    let Some((method, target)) = blank.map(|at| (&line[..at], &line[at + 1..])) else {
        return;
    };
    let (Ok(method), Ok(uri)) = (Method::from_bytes(method), Uri::try_from(target)) else {
        return;
    };
    let (mut headers, _) = text::headers(rest);
    if !headers.contains_key("host") {
        headers.insert("host", HeaderValue::from_static("g"));
    }
    let explained = GATEWAY.explain(parts(&method, uri.clone(), &headers));
    let ends = [
        explained.endpoint.is_some(),
        explained.responds.is_some(),
        explained.forwarding.is_some(),
        explained.refusal.is_some() && explained.endpoint.is_none(),
    ];
    assert_eq!(ends.iter().filter(|end| **end).count(), 1, "{explained:?}");
    if let Some((answer, said)) = &explained.refusal {
        assert!((400..500).contains(&answer.status.as_u16()));
        assert!(said.is_ascii());
    }
    if let (Some(forwarding), Some((route, auth))) = (&explained.forwarding, &explained.route) {
        assert!(
            *auth != Auth::Required || explained.skey.is_some(),
            "let in without an skey"
        );
        forwarded(forwarding, &explained, *auth);
        if PLAIN.contains(&route.as_str()) {
            let path = forwarding.target.split('?').next();
            assert_eq!(
                path,
                explained.path.as_deref(),
                "not the path that was checked"
            );
        }
    }
    same_in_another_spelling(&explained, &method, &uri, &headers);
}

fn forwarded(forwarding: &Forwarding, explained: &Explanation, auth: Auth) {
    let headers = &forwarding.headers;
    let known = explained.skey.is_some() && auth != Auth::Off;
    let set = [
        "x-openid",
        "x-user-id",
        "x-unionid",
        "x-wx-appid",
        "x-wx-openid",
        "x-wx-unionid",
        "x-wx-source",
    ];
    for name in headers.keys().map(HeaderName::as_str) {
        assert!(!name.contains('_'), "`{name}` with an underscore");
        let is_identity = IDENTITY[..11].contains(&folded(name).as_str());
        assert!(
            !is_identity || known && set.contains(&name),
            "`{name}` says who is calling"
        );
        let family = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
        let says_so = is_forwarded(name);
        assert!(
            !says_so || family.contains(&name),
            "`{name}` is a proxy's to say"
        );
    }
    for name in set.into_iter().filter(|_| known) {
        let told: Vec<&[u8]> = headers
            .get_all(name)
            .iter()
            .map(|value| value.as_bytes())
            .collect();
        let expected: &[u8] = match name {
            "x-openid" | "x-wx-openid" => b"(openid)",
            "x-user-id" => b"(user_id)",
            "x-unionid" | "x-wx-unionid" => b"(unionid)",
            "x-wx-appid" => b"(appid)",
            _ => b"wx_client",
        };
        assert_eq!(told, [expected], "`{name}`");
    }
    for name in [
        "host",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-request-id",
        "traceparent",
    ] {
        assert_eq!(headers.get_all(name).iter().count(), 1, "`{name}`");
    }
    let upgrades = headers.get("upgrade").is_some();
    for name in HOP_BY_HOP {
        let fine =
            !headers.contains_key(name) || upgrades && matches!(name, "upgrade" | "connection");
        assert!(fine, "`{name}` is about the client's connection");
    }
    let target = PathAndQuery::try_from(forwarding.target.as_str());
    let target = target.unwrap_or_else(|error| panic!("{}: {error}", forwarding.target));
    let path = CanonicalPath::parse(target.path());
    assert!(
        path.is_ok_and(|path| path.as_str() == target.path()),
        "{target}"
    );
    for letter in *b"hxbcq" {
        let left = values(headers, target.query(), &source(letter));
        assert!(
            !left.iter().any(|value| is_own_skey(value)),
            "an skey is left"
        );
    }
}

/// Slashes doubled and letters escaped: the same path, so the same route, the same question, the
/// same target.
fn same_in_another_spelling(
    explained: &Explanation,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) {
    let Some(path) = &explained.path else {
        return;
    };
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let Ok(target) = PathAndQuery::try_from(format!("{}{query}", respelled(path))) else {
        return;
    };
    let mut pieces = uri.clone().into_parts();
    pieces.path_and_query = Some(target);
    let Ok(other) = Uri::from_parts(pieces) else {
        return;
    };
    let other = GATEWAY.explain(parts(method, other, headers));
    let told = |explained: &Explanation| {
        let target = explained
            .forwarding
            .as_ref()
            .map(|forwarding| forwarding.target.clone());
        let name = explained.refusal.as_ref().map(|(answer, _)| answer.name);
        (
            explained.path.clone(),
            explained.route.clone(),
            explained.endpoint,
            explained.skey,
            target,
            explained.responds,
            name,
        )
    };
    assert_eq!(told(&other), told(explained));
}

fn parts(method: &Method, uri: Uri, headers: &HeaderMap) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = method.clone();
    parts.uri = uri;
    parts.headers = headers.clone();
    parts
}
