//! Properties of ambiguous paths: canonical path, route and forwarded target agree.

use std::sync::{Arc, LazyLock};

use hyper::Method;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;
use proptest::{prop_assert, prop_assert_eq};

use super::upstream_request;
use crate::config::{Auth, Config, Route};
use crate::error::Error;
use crate::http::path::CanonicalPath;
use crate::route::{RouteMatch, RouteTable};

/// Open and protected routes side by side, with every rewrite, all to one upstream.
const ROUTES: &str = r#"
    [[apps]]
    appid = "wx0123456789abcdef"
    secret = "s3cret-of-the-test"
    [upstreams.api]
    servers = ["http://127.0.0.1:1"]
    [[routes]]
    path = "/*"
    upstream = "api"
    auth = "off"
    allow_encoded = ["/", "%"]
    [[routes]]
    path = "/admin/*"
    upstream = "api"
    allow_encoded = ["/", "%"]
    [[routes]]
    path = "/admin/open"
    upstream = "api"
    auth = "off"
    [[routes]]
    path = "/me"
    upstream = "api"
    auth = "optional"
    [[routes]]
    path = "/api/*"
    upstream = "api"
    strip_prefix = "/api"
    allow_encoded = ["/", "%"]
    [[routes]]
    path = "/old/x/*"
    upstream = "api"
    auth = "off"
    strip_prefix = "/old/x"
    add_prefix = "/new"
    allow_encoded = ["/", "%"]
"#;

/// Path fragments that servers interpret differently, and fragments of the routes above.
const PIECES: [&str; 63] = [
    "/",
    "/",
    "/",
    "//",
    ".",
    "..",
    "/../",
    "/./",
    "..;",
    ";",
    ";x=1",
    "%2e",
    "%2E",
    ".%2e",
    "%252e",
    "%252E%252e",
    "%25252e",
    "%2f",
    "%2F",
    "%252f",
    "%252F",
    "%5c",
    "%5C",
    "%255c",
    "\\",
    "%25",
    "%2525",
    "%00",
    "%2500",
    "%0a",
    "%0D",
    "%7f",
    "%c0%ae",
    "%c0%af",
    "%e0%80%ae",
    "%ff",
    "%FF",
    "%u002e",
    "%",
    "%4",
    "%zz",
    "%3b",
    "%3F",
    "%23",
    "?",
    "#",
    " ",
    "%20",
    "%09",
    "%61dmin",
    "%41DMIN",
    "admin",
    "Admin",
    "open",
    "me",
    "ME",
    "api",
    "old",
    "x",
    "new",
    "\u{e9}",
    "%C3%89",
    "%e2%84%aa",
];

static TABLE: LazyLock<RouteTable<Route>> = LazyLock::new(|| {
    let config = Config::parse("test", ROUTES, &|_| None).unwrap().config;
    let routes: Vec<Arc<Route>> = config.routes.into_iter().map(Arc::new).collect();
    RouteTable::new(&routes)
});

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        20 => select(PIECES.as_slice()).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => Just("~!$&'()*+,=:@".to_owned()),
    ];
    vec(piece, 0..10).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// The route of a path, as the steps find it.
fn routed(raw: &str) -> Option<(String, Arc<Route>)> {
    let path = CanonicalPath::parse(raw).ok()?;
    let RouteMatch::Route(route) = TABLE.find(None, path.as_str(), &Method::GET) else {
        return None;
    };
    path.check_encoded(&route.allow_encoded).ok()?;
    Some((path.as_str().to_owned(), Arc::clone(route)))
}

fn target(route: &Route, path: &str, query: Option<&str>) -> Result<String, Error> {
    upstream_request::target(route, path, query).map(|target| target.to_string())
}

/// The same bytes with other escapes and doubled slashes, by `choices`.
fn respelled(path: &str, choices: &[u8]) -> String {
    let mut out = String::new();
    for (byte, choice) in path.bytes().zip(choices.iter().cycle()) {
        match (byte, choice % 4) {
            (b'/', 0) => out.push_str("//"),
            (b'/', _) => out.push('/'),
            // An escape is kept: its digits are not bytes of the path.
            (b'%', _) | (_, 0 | 1) => out.push(char::from(byte)),
            (_, 2) => out += &format!("%{byte:02x}"),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

/// A spelling that a lenient service treats as the same path.
fn loosened(path: &str, choices: &[u8]) -> String {
    let mut out = String::new();
    let (first, rest) = path.split_at(1);
    out.push_str(first);
    for (byte, choice) in rest.bytes().zip(choices.iter().cycle()) {
        match (byte, choice % 6) {
            (b'/', 0) => out.push_str("%2f"),
            (b'/', 1) => out.push_str("%252F"),
            (b'/', 2) => out.push_str("./"),
            (b'/', 3) => out.push_str("%20//"),
            (b'/', _) => out.push('/'),
            (_, 0) => out.push(char::from(byte)),
            (_, 1) => out += &format!("%25{byte:02x}"),
            (_, 2) => out += &format!("%{:02x}", byte.to_ascii_uppercase()),
            _ => out.push(char::from(byte.to_ascii_uppercase())),
        }
    }
    let end = choices.first().map_or(0, |choice| choice % 5);
    out + ["", "/", "//", ".", "%2F"][usize::from(end)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_forwarded_path_takes_the_same_route_again_unchanged(raw in hostile()) {
        if let Some((path, route)) = routed(&raw) {
            let Ok(forwarded) = target(&route, &path, None) else {
                prop_assert!(route.strip_prefix.is_some() || route.add_prefix.is_some());
                return Ok(());
            };
            let again = CanonicalPath::parse(&forwarded);
            prop_assert_eq!(again.as_ref().map(CanonicalPath::as_str), Ok(forwarded.as_str()));
            if route.strip_prefix.is_none() && route.add_prefix.is_none() {
                prop_assert_eq!(&forwarded, &path);
                let (_, same) = routed(&forwarded).unwrap();
                prop_assert!(Arc::ptr_eq(&same, &route));
            }
        }
    }

    #[test]
    fn all_spellings_of_a_path_take_one_route(raw in hostile(), choices in vec(any::<u8>(), 1..24)) {
        if let Ok(path) = CanonicalPath::parse(&raw) && !path.as_str().contains('%') {
            let other = respelled(path.as_str(), &choices);
            let again = CanonicalPath::parse(&other);
            // Escaped delimiters are refused, or are different bytes.
            if let Ok(again) = again && !again.as_str().contains('%') {
                prop_assert_eq!(again.as_str(), path.as_str());
                let routes = [routed(&raw), routed(&other)].map(|found| found.map(|(_, route)| route.path.clone()));
                prop_assert_eq!(&routes[0], &routes[1]);
            }
        }
    }

    #[test]
    fn no_reading_of_a_closed_path_is_open(
        path in "/(admin(/[a-z0-9]{1,6}){0,3}|api/[a-z]{1,6}|me)",
        choices in vec(any::<u8>(), 1..24),
    ) {
        let (_, closed) = routed(&path).unwrap();
        if closed.auth != Auth::Off && let Some((_, route)) = routed(&loosened(&path, &choices)) {
            prop_assert!(route.auth != Auth::Off, "{} takes {}", loosened(&path, &choices), route.path);
        }
    }

    #[test]
    fn a_query_is_forwarded_as_it_came(raw in hostile(), query in "[!$-;=@-~]{0,40}") {
        if let Some((path, route)) = routed(&raw)
            && let Ok(alone) = target(&route, &path, None)
        {
            prop_assert_eq!(target(&route, &path, Some(&query)).unwrap(), format!("{alone}?{query}"));
        }
    }
}

proptest! {
    // Each case parses a whole configuration.
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_path_that_a_route_may_have_is_one_that_requests_have(raw in hostile()) {
        // A route with a non-canonical path would protect nothing.
        let text = ROUTES.replace("\"/admin/*\"", &format!("{raw:?}"));
        if let Ok(config) = Config::parse("test", &text, &|_| None) {
            let written = config.config.routes.iter().map(|route| route.path.to_string());
            prop_assert!(written.into_iter().any(|path| path == raw));
            let path = CanonicalPath::parse(&raw);
            prop_assert_eq!(path.as_ref().map(CanonicalPath::as_str), Ok(raw.as_str()));
            prop_assert!(path.unwrap().check_encoded(&[]).is_ok());
        }
    }
}
