//! Identity headers in every spelling that a server may fold to a name the gateway sets: no forged
//! one arrives, and the true ones do.

use super::case::{Case, Clean};

/// Characters of a token other than the hyphen (RFC 9110, 5.6.2).
const SEPARATORS: &str = "-!#$%&'*+.^_`|~";

/// The names by default, and those that other gateways of this platform set.
const NAMES: [&str; 12] = [
    "X-Openid",
    "X-User-Id",
    "X-Unionid",
    "X-Wx-Appid",
    "X-WX-OPENID",
    "X-WX-UNIONID",
    "X-WX-FROM-OPENID",
    "X-WX-FROM-APPID",
    "X-WX-FROM-UNIONID",
    "X-WX-SOURCE",
    "X-WX-ENV",
    "X-WX-Id",
];

/// The group.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for separator in SEPARATORS.chars() {
        let lines: String = NAMES
            .map(|name| format!("{}: forged\r\n", name.replace('-', &separator.to_string())))
            .concat();
        cases.extend(on_both_routes(&format!("names with {separator:?}"), &lines));
    }
    for name in NAMES {
        let lines = format!(
            "{name}: forged\r\n{}: forged\r\n{}: forged\r\n{name}:\r\n",
            name.to_ascii_lowercase(),
            name.to_ascii_uppercase()
        );
        cases.extend(on_both_routes(&format!("{name} again and again"), &lines));
    }
    for (what, lines) in [
        (
            "two separators in one name",
            "X_User-Id: forged\r\nX-User_Id: forged\r\nX.Wx~Appid: forged\r\n",
        ),
        ("an empty value", "X-Openid:\r\nX-User-Id: \t\r\n"),
        ("values above ASCII", "X-Openid: \u{540d}\r\n"),
        ("a list", "X-Openid: a, b\r\nX-Openid: c\r\n"),
        (
            "the last header",
            "X-A: b\r\nX-Openid: forged\r\nConnection: X-A\r\n",
        ),
    ] {
        cases.extend(on_both_routes(what, lines));
    }
    cases.extend(places());
    cases
}

/// With an skey the identity is that of the session; without one there is none.
fn on_both_routes(what: &str, lines: &str) -> [Case; 2] {
    let ask =
        |target: &str, more: &str| format!("GET {target} HTTP/1.1\r\nHost: g\r\n{lines}{more}\r\n");
    [
        Case::new(
            format!("identity of a user: {what}"),
            ask("/known/a", "skey: {skey}\r\n"),
        )
        .passed(Clean::get("/known/a").known()),
        Case::new(
            format!("identity without an skey: {what}"),
            ask("/open/a", ""),
        )
        .passed(Clean::get("/open/a")),
    ]
}

/// In other places of a message.
fn places() -> Vec<Case> {
    let skey = "skey: {skey}\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let body = "5\r\nhello\r\n0\r\nX-Openid: forged\r\nX_User_Id: forged\r\nskey: {skey}\r\n\r\n";
    let post = |lines: &str| {
        format!("POST /known/a HTTP/1.1\r\nHost: g\r\n{skey}{chunked}{lines}\r\n{body}")
    };
    let clean = || Clean::post("/known/a", "hello").chunked().known();
    vec![
        Case::new("identity in trailers", post("")).passed(clean()),
        Case::new("identity in trailers that were declared", post("Trailer: X-Openid, skey\r\n"))
            .passed(clean().header("trailer", "X-Openid, skey")),
        Case::new("an skey in a trailer alone", format!("POST /known/a HTTP/1.1\r\nHost: g\r\n{chunked}\r\n{body}"))
            .unread(401, "not_logged_in"),
        Case::new("an skey in the next request", format!("GET /known/a HTTP/1.1\r\nHost: g\r\n\r\nGET /known/b HTTP/1.1\r\nHost: g\r\n{skey}\r\n"))
            .turned_down(401, "not_logged_in")
            .passed(Clean::get("/known/b").known()),
        Case::new("an skey in the request before", format!("GET /known/b HTTP/1.1\r\nHost: g\r\n{skey}\r\nGET /known/a HTTP/1.1\r\nHost: g\r\n\r\n"))
            .passed(Clean::get("/known/b").known())
            .turned_down(401, "not_logged_in"),
        Case::new("an skey in a path", "GET /known/{skey} HTTP/1.1\r\nHost: g\r\n\r\n")
            .turned_down(401, "not_logged_in"),
        Case::new("an skey in a query that is no place for it", "GET /known/a?skey={skey} HTTP/1.1\r\nHost: g\r\n\r\n")
            .turned_down(401, "not_logged_in"),
        Case::new("a user's skey and another", format!("GET /known/a HTTP/1.1\r\nHost: g\r\n{skey}x-wx-skey: {}\r\n\r\n", "a".repeat(43)))
            .turned_down(400, "conflicting_skeys"),
        Case::new("a user's skey twice", format!("GET /known/a HTTP/1.1\r\nHost: g\r\n{skey}X-WX-SKEY: {{skey}}\r\nAuthorization: Bearer {{skey}}\r\n\r\n"))
            .passed(Clean::get("/known/a").known()),
    ]
}
