//! Look-ups in tables as written by operators.

use std::sync::Arc;

use hyper::Method;

use super::{RouteMatch, RouteTable};
use crate::config::{Action, Config, Route};

/// Each route answers by itself with its own name, so that a look-up can be read off.
fn table(routes: &[(&str, &str)]) -> RouteTable<Route> {
    let mut text =
        "[[apps]]\nappid = \"wx0123456789abcdef\"\nsecret = \"s3cret-of-the-test\"\n".to_owned();
    for (name, keys) in routes {
        text += &format!("[[routes]]\n{keys}\nrespond = {{ body = \"{name}\" }}\n");
    }
    let config = Config::parse("test", &text, &|_| None).unwrap().config;
    let routes: Vec<Arc<Route>> = config.routes.into_iter().map(Arc::new).collect();
    RouteTable::new(&routes)
}

fn denying_table() -> RouteTable<Route> {
    let text = r#"
        [[apps]]
        appid = "wx0123456789abcdef"
        secret = "s3cret-of-the-test"
        [[routes]]
        path = "/*"
        respond = { body = "all" }
        [[routes]]
        path = "/internal/*"
        auth = "off"
        respond = { status = 403 }
    "#;
    let config = Config::parse("test", text, &|_| None).unwrap().config;
    let routes: Vec<Arc<Route>> = config.routes.into_iter().map(Arc::new).collect();
    RouteTable::new(&routes)
}

fn find(table: &RouteTable<Route>, host: Option<&str>, path: &str, method: &Method) -> String {
    match table.find(host, path, method) {
        RouteMatch::Route(route) => match &route.action {
            Action::Respond(respond) => respond.body.clone(),
            Action::Forward(name) => name.clone(),
        },
        RouteMatch::Resembles(stricter) => format!("like {}", stricter.path),
        RouteMatch::OtherMethods(allow) => format!("405 {allow}"),
        RouteMatch::Nothing => "404".to_owned(),
    }
}

#[test]
fn the_longest_path_wins_at_segment_borders_only() {
    let table = table(&[
        ("all", "path = \"/*\""),
        ("api", "path = \"/api/*\""),
        ("admin", "path = \"/api/admin/*\""),
        ("exact", "path = \"/api/admin/ping\""),
    ]);
    for (path, expected) in [
        ("/", "all"),
        ("/apiary", "all"),
        ("/api", "api"),
        ("/api/", "api"),
        ("/api/administrator", "api"),
        ("/api/admin", "admin"),
        ("/api/admin/x/y", "admin"),
        ("/api/admin/ping", "exact"),
        ("/api/admin/ping/", "exact"),
    ] {
        assert_eq!(find(&table, None, path, &Method::GET), expected, "{path}");
    }
}

#[test]
fn a_named_host_goes_before_wildcards_and_those_before_every_host() {
    let table = table(&[
        ("every", "path = \"/*\""),
        ("wide", "path = \"/*\"\nhosts = [\"*.example.com\"]"),
        ("narrow", "path = \"/*\"\nhosts = [\"*.eu.example.com\"]"),
        ("named", "path = \"/a/*\"\nhosts = [\"api.example.com\"]"),
    ]);
    for (host, path, expected) in [
        (None, "/a", "every"),
        (Some("other.org"), "/a", "every"),
        (Some("example.com"), "/a", "every"),
        (Some("evilexample.com"), "/a", "every"),
        (Some("x.example.com"), "/a", "wide"),
        (Some("x.eu.example.com"), "/a", "narrow"),
        (Some("api.example.com"), "/a/b", "named"),
        (Some("api.example.com"), "/b", "wide"),
    ] {
        assert_eq!(
            find(&table, host, path, &Method::GET),
            expected,
            "{host:?} {path}"
        );
    }
}

#[test]
fn a_method_that_the_longest_path_does_not_take_is_not_caught_by_a_shorter_one() {
    let table = table(&[
        ("all", "path = \"/*\"\nauth = \"off\""),
        ("read", "path = \"/api/*\"\nmethods = [\"GET\"]"),
        ("write", "path = \"/api/*\"\nmethods = [\"POST\", \"PUT\"]"),
    ]);
    assert_eq!(find(&table, None, "/api/x", &Method::GET), "read");
    assert_eq!(find(&table, None, "/api/x", &Method::PUT), "write");
    assert_eq!(
        find(&table, None, "/api/x", &Method::DELETE),
        "405 GET, POST, PUT"
    );
}

#[test]
fn without_a_route_there_is_nothing() {
    let table = table(&[("api", "path = \"/api/*\"\nhosts = [\"a.example\"]")]);
    assert_eq!(
        find(&table, Some("a.example"), "/other", &Method::GET),
        "404"
    );
    assert_eq!(find(&table, Some("b.example"), "/api", &Method::GET), "404");
    assert_eq!(find(&table, None, "/api", &Method::GET), "404");
}

#[test]
fn an_exact_path_covers_a_slash_more_or_less_at_its_end() {
    let table = table(&[
        ("all", "path = \"/*\"\nauth = \"off\""),
        ("bare", "path = \"/bare\""),
        ("slashed", "path = \"/slashed/\""),
        ("read", "path = \"/read\"\nmethods = [\"GET\"]"),
        ("one", "path = \"/both\""),
        ("two", "path = \"/both/\"\nauth = \"off\""),
        ("list", "path = \"/list\""),
        ("items", "path = \"/list/*\"\nauth = \"off\""),
    ]);
    for (path, expected) in [
        ("/bare/", "bare"),
        ("/slashed", "slashed"),
        ("/read/", "read"),
        ("/both", "one"),
        ("/both/", "two"),
        ("/list/", "list"),
        ("/list/7", "items"),
        ("/list/7/", "items"),
        ("/", "all"),
    ] {
        assert_eq!(find(&table, None, path, &Method::GET), expected, "{path}");
    }
    assert_eq!(find(&table, None, "/read/", &Method::POST), "405 GET");
}

#[test]
fn a_slash_at_the_end_opens_nothing() {
    let table = table(&[
        ("all", "path = \"/*\""),
        ("open", "path = \"/open\"\nauth = \"off\""),
        ("docs", "path = \"/docs\"\nauth = \"off\""),
        ("pages", "path = \"/docs/*\"\nauth = \"off\""),
        (
            "named",
            "path = \"/x\"\nauth = \"off\"\nhosts = [\"a.example\"]",
        ),
    ]);
    for (path, expected) in [
        ("/open", "open"),
        ("/open/", "all"),
        ("/docs", "docs"),
        ("/docs/", "pages"),
        ("/x", "named"),
        ("/x/", "all"),
    ] {
        let found = find(&table, Some("a.example"), path, &Method::GET);
        assert_eq!(found, expected, "{path}");
    }
}

#[test]
fn a_path_a_lenient_service_reads_as_a_stricter_route_is_not_routed() {
    let table = table(&[
        ("all", "path = \"/*\"\nauth = \"off\""),
        ("admin", "path = \"/admin/*\""),
        ("me", "path = \"/me\"\nauth = \"optional\""),
        (
            "write",
            "path = \"/items/*\"\nmethods = [\"POST\"]\nauth = \"off\"",
        ),
        ("ping", "path = \"/admin/ping\"\nauth = \"off\""),
        ("call", "path = \"/call.php\""),
        ("named", "path = \"/n/*\"\nhosts = [\"a.example\"]"),
    ]);
    for (path, expected) in [
        ("/Admin/x", "like /admin/*"),
        ("/ADMIN", "like /admin/*"),
        ("/ADMIN/", "like /admin/*"),
        ("/admin%2Fx", "like /admin/*"),
        ("/%2561dmin/x", "like /admin/*"),
        ("/admin./x", "like /admin/*"),
        ("/index.php/admin/x", "like /admin/*"),
        ("/index.php/x", "all"),
        ("/call.php/x", "like /call.php"),
        ("/Me", "like /me"),
        ("/ME/", "like /me"),
        ("/Items/7", "like /items/*"),
        ("/N/x", "like /n/*"),
        ("/adm", "all"),
        ("/Other", "all"),
        ("/admin/X", "admin"),
        ("/admin/Ping", "admin"),
        // A request that an open route allows is not refused because of other open routes.
        ("/Admin/ping", "all"),
    ] {
        let found = find(&table, Some("a.example"), path, &Method::GET);
        assert_eq!(found, expected, "{path}");
    }
    assert_eq!(find(&table, None, "/Items/7", &Method::POST), "all");
    assert_eq!(find(&table, None, "/N/x", &Method::GET), "all");
}

#[test]
fn a_route_in_the_letters_that_are_asked_for_stands() {
    let table = table(&[
        ("all", "path = \"/*\"\nauth = \"off\""),
        ("small", "path = \"/a/*\""),
        ("large", "path = \"/A/*\"\nauth = \"off\""),
    ]);
    assert_eq!(find(&table, None, "/A/x", &Method::GET), "large");
    assert_eq!(find(&table, None, "/a/x", &Method::GET), "small");
}

#[test]
fn a_refusal_written_as_a_route_is_the_strictest() {
    assert_eq!(
        find(&denying_table(), None, "/Internal/x", &Method::GET),
        "like /internal/*"
    );
}
