//! One grammar for the file and for requests: a value that `check` accepts can match or be sent.

use http::{HeaderMap, HeaderValue, Method, Request};
use proptest::prelude::{ProptestConfig, proptest};
use proptest::{prop_assert, prop_assert_eq};

use super::{GOOD, assert_reports, parse, reports};
use crate::config::Config;
use crate::http::host::{authority, routing_name};
use crate::http::method;
use crate::http::path::CanonicalPath;

/// As in messages: what follows the key.
const NOT_A_HOST: &str = "is not a host name | parts of 1 to 63 letters, digits, `-` and `_` with dots between them, 253 characters in all";

fn route_with(key: &str, value: &str) -> Option<Config> {
    let value = serde_json::to_string(value).unwrap();
    let text = GOOD.replace("path = \"/*\"\n", "");
    let text = match key {
        "path" => format!("{text}path = {value}\n"),
        key => format!("{text}path = \"/*\"\n{key} = [{value}]\n"),
    };
    parse(&text).ok().map(|loaded| loaded.config)
}

#[test]
fn hosts_that_no_request_can_name_are_refused() {
    let label = "a".repeat(64);
    let long = format!("{}ab", "a.".repeat(125));
    let longer = format!("{long}.a");
    for (host, message) in [
        (label.as_str(), NOT_A_HOST),
        (&format!("x.{label}.y"), NOT_A_HOST),
        (&format!("*.{label}"), NOT_A_HOST),
        (&longer, NOT_A_HOST),
        // A name below it would have 254 characters.
        (&format!("*.{long}"), NOT_A_HOST),
        (
            "*.[::1]",
            "is not a host name | an address has no names below it",
        ),
        (
            "[fe80::1%25eth0]",
            r#"is not an IPv6 address | write it without a zone, as in "[2001:db8::1]""#,
        ),
        (
            "*.a.example.",
            r#"ends with a dot; hosts are compared without | write "*.a.example""#,
        ),
        (
            "*.a.example:80",
            r#"has a port; hosts are compared without | write "*.a.example""#,
        ),
        (":80", NOT_A_HOST),
    ] {
        let found = reports(&format!("{GOOD}hosts = [\"{host}\"]\n"));
        assert_eq!(
            found,
            [format!("9:10 route `/*`: hosts: `{host}` {message}")]
        );
    }
}

#[test]
fn header_names_that_never_arrive_are_refused() {
    let stripped = "is an identity header | identity headers are taken out of every request; take another name";
    let meaning = "names a header with a meaning of its own";
    for (name, column, message) in [
        ("x-wx-id", 14, format!("`x-wx-id` {stripped}")),
        (
            "X-Wx-From-Openid",
            14,
            format!("`x-wx-from-openid` {stripped}"),
        ),
        (
            "x-http-method-override",
            15,
            format!("`header:x-http-method-override` {meaning}"),
        ),
        (
            "content.length",
            15,
            format!("`header:content.length` {meaning}"),
        ),
        ("proxy", 15, format!("`header:proxy` {meaning}")),
    ] {
        let found = reports(&format!("{GOOD}token_from = [\"header:{name}\"]\n"));
        assert_eq!(
            found,
            [format!("9:{column} route `/*`: token_from: {message}")]
        );
    }
}

#[test]
fn other_names_that_requests_or_upstreams_read_otherwise_are_refused() {
    assert_reports(&[
        (
            "[identity]\nheaders = { Proxy = \"{openid}\" }",
            &[
                "10:13 identity.headers: `Proxy` has a meaning of its own and cannot carry an identity | take a name like `X-Openid`",
            ],
        ),
        (
            "request_headers = { set = { Proxy = \"http://127.0.0.1\" } }",
            &[
                "9:29 route `/*`: request_headers.set: `Proxy` is not a route's to change | the gateway takes care of it",
            ],
        ),
        (
            "[server]\ntrusted_proxies = [\"::ffff:10.0.0.0/104\"]",
            &[
                r#"10:20 server.trusted_proxies: `::ffff:10.0.0.0/104` is a network of IPv4 addresses | write "10.0.0.0/8""#,
            ],
        ),
        (
            "[upstreams.b]\nservers = [\"http://a..b:80\"]",
            &["10:12 upstream `b`: servers: `http://a..b:80` has no valid host and port"],
        ),
        (
            "[upstreams.b]\nservers = [\"http://a:080\"]",
            &["10:12 upstream `b`: servers: `http://a:080` has no valid host and port"],
        ),
        (
            "[upstreams.b]\nservers = [\"http://b\"]\nhost = \".a\"",
            &[
                "11:8 upstream `b`: host: `.a` has no valid host and port",
                "9:1 warning upstream `b`: no route uses it | remove it, or name it in a route",
            ][..1],
        ),
    ]);
}

#[test]
fn paths_that_no_request_can_have_are_refused_with_a_cure() {
    for (path, message) in [
        (r"/a\tb", "`/a…b` has a control character | remove it"),
        (
            "/a b",
            "`/a b` is not in its canonical spelling | write `/a%20b`",
        ),
        (
            "/a/%2e%2e/b",
            "`/a/%2e%2e/b` has the segment `..`, encoded | write the path that it leads to",
        ),
        (
            "/a/./b",
            "`/a/./b` has the segment `.` | write the path that it leads to",
        ),
    ] {
        let text = GOOD.replace("/*", path);
        let found = reports(&text).concat();
        assert!(found.ends_with(&format!("path: {message}")), "{found}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_host_that_is_accepted_is_compared_as_requests_name_it(host in "[a-zA-Z0-9._:*\\[\\]-]{1,12}") {
        if let Some(config) = route_with("hosts", &host) {
            let [accepted] = config.routes[0].hosts.as_slice() else { panic!("one host") };
            let named = accepted.replacen('*', "a", 1);
            let request = Request::builder().uri("/").header("host", &named).body(()).unwrap();
            let found = authority(&request.into_parts().0);
            prop_assert_eq!(found.ok().flatten().map(|found| routing_name(&found)), Some(named));
        }
    }

    #[test]
    fn a_path_that_is_accepted_is_the_canonical_one(path in "(/|\\.|%2[0-9a-fA-F]|%[0-9a-f]{2}|[a-zA-Z~; \"?]|\u{e9}){1,10}") {
        let path = format!("/{path}");
        let accepted = route_with("path", &path).is_some();
        let canonical = CanonicalPath::parse(&path).is_ok_and(|found| {
            found.as_str() == path && found.check_encoded(&[]).is_ok()
        });
        prop_assert_eq!(accepted, canonical && !path.starts_with("/_gateway"), "{}", path);
    }

    #[test]
    fn a_method_that_is_accepted_is_one_of_requests(name in "[A-Za-z0-9_!-]{1,40}|TRACE|TRACK|PRI|CONNECT") {
        let taken = Method::from_bytes(name.as_bytes()).is_ok_and(|name| method::check(&name).is_ok());
        prop_assert_eq!(route_with("methods", &name).is_some(), taken);
    }

    #[test]
    fn a_header_that_is_accepted_for_tokens_is_no_override(name in "x[-_.]http[-_.]method([-_.]override)?|[a-z-]{1,10}") {
        if route_with("token_from", &format!("header:{name}")).is_some() {
            let mut headers = HeaderMap::new();
            headers.insert(http::HeaderName::try_from(&name).unwrap(), HeaderValue::from_static("k"));
            prop_assert!(method::overrides(&headers).is_ok_and(|found| found.is_empty()));
        }
    }
}
