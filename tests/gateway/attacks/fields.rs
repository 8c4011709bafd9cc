//! Fields about one connection (RFC 9110, 7.6.1), and fields reserved to a proxy in front.

use super::case::{Case, Clean};

/// The group.
pub(super) fn cases() -> Vec<Case> {
    [hop_by_hop(), listed(), forwarded()].concat()
}

fn known(lines: &str) -> String {
    format!("GET /known/a HTTP/1.1\r\nHost: g\r\nskey: {{skey}}\r\n{lines}\r\n")
}

fn clean() -> Clean {
    Clean::get("/known/a").known()
}

fn hop_by_hop() -> Vec<Case> {
    [
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Connection: X-Openid",
        "Proxy-Authorization: Basic eDp5",
        "Proxy-Authenticate: Basic",
        "TE: trailers",
        "TE: gzip;q=1",
        "Connection: X-A\r\nX-A: b",
        "Connection: x-a,X-B\r\nX-A: b\r\nX-B: c",
        "X-A: b\r\nConnection: keep-alive\r\nConnection: \t X-A \t",
    ]
    .map(|lines| {
        let name = format!("{lines:?} does not pass");
        Case::new(name, known(&format!("{lines}\r\n"))).passed(clean())
    })
    .to_vec()
}

/// A `Connection` list that names headers of the gateway removes none of them.
fn listed() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in [
        "X-Openid",
        "x-openid",
        "X-User-Id",
        "X-Unionid",
        "X-Wx-Appid",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Request-Id",
        "traceparent",
        "Host",
        "Connection",
        "Transfer-Encoding",
        "skey",
        "*",
    ] {
        let lines = format!("Connection: {name}\r\n");
        cases.push(Case::new(format!("Connection names {name}"), known(&lines)).passed(clean()));
    }
    for (name, lines) in [
        (
            "all of them",
            "Connection: X-Openid, X-User-Id, X-Unionid, X-Wx-Appid, X-Forwarded-For, X-Request-Id\r\n",
        ),
        (
            "them on a second line",
            "Connection: keep-alive\r\nConnection: X-Openid\r\nConnection: X-User-Id\r\n",
        ),
        (
            "them between commas",
            "Connection: ,,X-Openid,, ,X-User-Id,\r\n",
        ),
        ("them in quotes", "Connection: \"X-Openid\"\r\n"),
        ("them with a parameter", "Connection: X-Openid;q=1\r\n"),
        (
            "them behind tabs",
            "Connection:\tX-Openid\t,\tX-User-Id\r\n",
        ),
        (
            "one that was forged",
            "X-Openid: forged\r\nConnection: X-Openid\r\n",
        ),
        (
            "one with an underscore",
            "X_Openid: forged\r\nConnection: X_Openid\r\n",
        ),
    ] {
        cases.push(Case::new(format!("Connection names {name}"), known(lines)).passed(clean()));
    }
    let closes = known("Connection: close, X-Openid, X-User-Id\r\n");
    cases.push(
        Case::new("Connection names them and close", closes)
            .passed(clean())
            .closed(),
    );
    cases
}

/// Only a trusted proxy may state the origin of a request or its destination.
fn forwarded() -> Vec<Case> {
    [
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: h",
        "X-Forwarded-Prefix: /admin",
        "X-Forwarded-Uri: /open/a",
        "X-Forwarded-Method: GET",
        "X_Forwarded_For: 1.2.3.4",
        "X.Forwarded.For: 1.2.3.4",
        "Forwarded: for=1.2.3.4;host=h",
        "X-Real-Ip: 1.2.3.4",
        "X-Original-Url: /open/a",
        "X-Rewrite-Url: /open/a",
        "X-Request-Id: 00000000000000000000000000000000x",
    ]
    .map(|lines| {
        let name = format!("{lines:?} of a stranger");
        Case::new(name, known(&format!("{lines}\r\n"))).passed(clean())
    })
    .to_vec()
}
