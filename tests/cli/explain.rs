//! `skeygate explain`.

use crate::support::{APP, Folder, SKEY};

const ROUTES: &str = r#"
[upstreams.api]
servers = ["http://127.0.0.1:8000"]

[[routes]]
path = "/api/*"
methods = ["GET", "PUT"]
upstream = "api"
strip_prefix = "/api"
token_from = ["header:skey", "bearer", "query:skey", "cookie:skey"]
request_headers = { set = { "X-Api-Key" = "the-key-of-the-service" }, remove = ["X-Debug"] }

[[routes]]
path = "/open/*"
upstream = "api"
auth = "optional"

[[routes]]
path = "/off/*"
upstream = "api"
auth = "off"

[[routes]]
path = "/limited/*"
upstream = "api"
rate_limit = { per_user = "5/s", per_address = "50/s", burst = 100 }

[[routes]]
path = "/ping"
auth = "off"
respond = { status = 204, body = "" }
"#;

/// The lines of an explanation, as name and text.
fn explain(arguments: &[&str]) -> Vec<(String, String)> {
    let folder = Folder::with(&format!("{APP}{ROUTES}"));
    let said = folder.skeygate(&[&["explain"], arguments].concat());
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (Some(0), ""),
        "{arguments:?}"
    );
    assert!(!said.stdout.contains(SKEY), "{}", said.stdout);
    let line = |line: &str| {
        let (name, text) = line.split_once(' ').expect("a name and a text");
        (name.to_owned(), text.trim().to_owned())
    };
    said.stdout.lines().map(line).collect()
}

/// The texts under a name.
fn all<'a>(lines: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    let same = |line: &&(String, String)| line.0 == name;
    lines
        .iter()
        .filter(same)
        .map(|line| line.1.as_str())
        .collect()
}

#[test]
fn the_limits_that_count_a_request_are_shown() {
    let limits = |method: &str, target: &str| -> Vec<String> {
        let lines = explain(&[method, target]);
        let limits = all(&lines, "limit").into_iter();
        limits.map(str::to_owned).collect()
    };

    assert_eq!(
        limits("GET", "/limited/a"),
        [
            "50/s, 100 at once, for each address",
            "5/s, 100 at once, for each user"
        ]
    );
    let login = ["600/m, 200 at once, for each address"];
    assert_eq!(limits("POST", "/login"), login);
    assert_eq!(limits("GET", "/_gateway/me"), login);
    assert_eq!(limits("GET", "/off/a"), [] as [&str; 0]);
}

#[test]
fn a_request_that_is_forwarded_is_shown_with_route_skey_target_and_headers() {
    let skey = format!("skey: {SKEY}");
    let lines = explain(&[
        "GET",
        "/api/orders/7?page=2",
        "-H",
        &skey,
        "-H",
        "X-Openid: forged",
        "-H",
        "X_User_Id: forged",
        "-H",
        "X-Debug: 1",
        "-H",
        "Connection: keep-alive, X-Hop",
        "-H",
        "X-Hop: 1",
    ]);

    assert_eq!(all(&lines, "path"), ["/api/orders/7"]);
    assert_eq!(all(&lines, "route"), ["/api/* (auth required)"]);
    assert_eq!(all(&lines, "skey"), ["found in header; assumed valid"]);
    assert_eq!(all(&lines, "upstream"), ["api at 127.0.0.1:8000"]);
    assert_eq!(all(&lines, "target"), ["/orders/7?page=2"]);
    let mut removed = all(&lines, "removed");
    removed.sort_unstable();
    assert_eq!(
        removed,
        ["connection", "skey", "x-debug", "x-hop", "x_user_id"]
    );
    let set = all(&lines, "set");
    for header in [
        "x-openid: (openid)",
        "x-user-id: (user_id)",
        "x-unionid: (unionid)",
        "x-wx-appid: (appid)",
        "x-forwarded-for: 192.0.2.1",
        "x-forwarded-host: localhost",
        "x-forwarded-proto: http",
    ] {
        assert!(set.contains(&header), "no {header:?} in {set:?}");
    }
    assert_eq!(all(&lines, "refused"), [""; 0]);
}

#[test]
fn credentials_are_named_and_not_shown() {
    let cookie = format!("Cookie: PHPSESSID=the-session-of-php; skey={SKEY}");
    let lines = explain(&["GET", "/api/x", "-H", &cookie]);

    assert_eq!(all(&lines, "skey"), ["found in cookie; assumed valid"]);
    let set = all(&lines, "set");
    assert!(set.contains(&"cookie: (value not shown)"), "{set:?}");
    assert!(set.contains(&"x-api-key: (value not shown)"), "{set:?}");
    assert!(!set.concat().contains("the-"), "{set:?}");
}

#[test]
fn an_skey_is_found_in_every_place_that_the_route_names() {
    let query = format!("/api/x?a=1&skey={SKEY}&b=2");
    let lines = explain(&["GET", &query]);
    assert_eq!(all(&lines, "skey"), ["found in query; assumed valid"]);
    assert_eq!(all(&lines, "target"), ["/x?a=1&b=2"]);

    let bearer = format!("Authorization: Bearer {SKEY}");
    let lines = explain(&["GET", "/api/x", "-H", &bearer]);
    assert_eq!(all(&lines, "skey"), ["found in bearer; assumed valid"]);
    assert_eq!(all(&lines, "removed"), ["authorization"]);
}

#[test]
fn a_request_without_an_skey_is_refused_where_one_is_required() {
    let lines = explain(&["GET", "/api/x"]);

    assert_eq!(all(&lines, "skey"), ["none found"]);
    assert_eq!(all(&lines, "refused"), ["401 not_logged_in: no skey"]);
    assert_eq!(all(&lines, "upstream"), [""; 0]);
}

#[test]
fn auth_off_skips_the_session_lookup_and_optional_admits_anonymous() {
    let skey = format!("skey: {SKEY}");
    let off = explain(&["GET", "/off/x", "-H", &skey]);
    assert_eq!(
        all(&off, "skey"),
        ["found in header; not checked on this route"]
    );
    assert_eq!(all(&off, "removed"), ["skey"]);
    assert!(!all(&off, "set").concat().contains("openid"), "{off:?}");

    let optional = explain(&["GET", "/open/x"]);
    assert_eq!(all(&optional, "route"), ["/open/* (auth optional)"]);
    assert_eq!(all(&optional, "upstream"), ["api at 127.0.0.1:8000"]);
    assert!(
        !all(&optional, "set").concat().contains("openid"),
        "{optional:?}"
    );
}

#[test]
fn responses_of_the_gateway_itself_are_told_apart() {
    let login = explain(&["POST", "/login"]);
    assert_eq!(all(&login, "endpoint"), ["login, served by the gateway"]);

    let me = explain(&["GET", "/_gateway/me"]);
    assert_eq!(all(&me, "endpoint"), ["me, served by the gateway"]);

    let ping = explain(&["GET", "/ping"]);
    assert_eq!(all(&ping, "responds"), ["204"]);
    assert_eq!(all(&ping, "upstream"), [""; 0]);
}

#[test]
fn refusals_say_why() {
    let other = format!("skey: {}", SKEY.to_lowercase());
    let query = format!("/api/x?skey={SKEY}");
    let cases = [
        (
            vec!["POST", "/api/x"],
            "405 method_not_allowed: only GET, PUT is taken here",
        ),
        (vec!["GET", "/nothing"], "404 no_route: no route matches"),
        (
            vec!["GET", "/off/%2e%2e/api/x"],
            "400 ambiguous_path: the path holds a dot segment",
        ),
        (
            vec!["GET", "/off/a%2Fb"],
            "400 ambiguous_path: the path holds an encoded %2F",
        ),
        (
            vec!["GET", &query, "-H", &other],
            "400 conflicting_skeys: the request holds several different skeys",
        ),
        (
            vec!["GET", "/off/x", "-H", "Host: a", "-H", "Host: b"],
            "400 bad_request: the request names more than one host",
        ),
    ];
    for (arguments, refusal) in cases {
        assert_eq!(
            all(&explain(&arguments), "refused"),
            [refusal],
            "{arguments:?}"
        );
    }
}

#[test]
fn an_impossible_request_is_explained_without_repeating_an_skey() {
    let folder = Folder::with(&format!("{APP}{ROUTES}"));
    for (arguments, reason) in [
        (["GET", "/x", "-H", SKEY], "write \"Name: value\""),
        (["G T", "/x", "-H", "A: b"], "the request: "),
    ] {
        let said = folder.skeygate(&[["explain"].as_slice(), &arguments].concat());

        assert_eq!(
            (said.code, said.stdout.as_str()),
            (Some(64), ""),
            "{said:?}"
        );
        assert!(!said.stderr.contains(SKEY), "{said:?}");
        assert!(said.stderr.contains(reason), "{said:?}");
    }
}

#[test]
fn a_request_that_a_service_could_take_for_another_routes_is_refused_by_that_routes_name() {
    let routes = r#"
[upstreams.api]
servers = ["http://127.0.0.1:8000"]

[[routes]]
path = "/*"
upstream = "api"
auth = "off"

[[routes]]
path = "/admin/*"
upstream = "api"

[[routes]]
path = "/items"
upstream = "api"
auth = "off"
methods = ["GET", "POST"]

[[routes]]
path = "/items"
upstream = "api"
methods = ["DELETE"]
"#;
    let folder = Folder::with(&format!("{APP}{routes}"));
    let resembles = "400 ambiguous_path: but for letter case, encoding or the end of a name it is a path of the stricter route `/admin/*`";
    for (arguments, expected) in [
        (vec!["GET", "/Admin/x"], resembles),
        (vec!["GET", "/index.php/admin"], resembles),
        (
            vec!["POST", "/items/", "-H", "X-HTTP-Method-Override: DELETE"],
            "400 bad_request: the headers name another method, which is another route's",
        ),
        (
            vec!["get", "/items"],
            "400 bad_request: the method is malformed",
        ),
        (
            vec!["OPTIONS", "*", "-H", "Host: a"],
            "400 bad_request: the request target is not a path",
        ),
    ] {
        let said = folder.skeygate(&[&["explain"], arguments.as_slice()].concat());
        let refused = said
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix("refused"));
        assert_eq!(
            refused.map(str::trim),
            Some(expected),
            "{arguments:?}: {}",
            said.stdout
        );
    }
}

#[test]
fn a_stored_profile_can_be_changed_and_is_forwarded() {
    let tables = "[users]\nprofile = [\"nickname\"]\n[identity]\nheaders = { \"X-Name\" = \"n:{nickname}\" }\n";
    let folder = Folder::with(&format!("{tables}{APP}{ROUTES}"));
    let skey = format!("skey: {SKEY}");

    let told = folder.skeygate(&["explain", "GET", "/api/a", "-H", &skey]);
    let changed = folder.skeygate(&["explain", "PATCH", "/_gateway/me"]);
    let without = Folder::with(&format!("{APP}{ROUTES}"));
    let refused = without.skeygate(&["explain", "PATCH", "/_gateway/me"]);

    assert!(told.stdout.contains("\nset       x-name: "), "{told:?}");
    assert!(
        changed.stdout.contains("served by the gateway"),
        "{changed:?}"
    );
    assert!(!changed.stdout.contains("405"), "{changed:?}");
    assert!(refused.stdout.contains("405"), "{refused:?}");
}
