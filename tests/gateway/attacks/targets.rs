//! Targets and hosts (RFC 9112, 3.2; RFC 9110, 7.2): a selection; `paths` has the interpretations
//! of real backends.

use super::case::{Case, Clean};

/// The group.
pub(super) fn cases() -> Vec<Case> {
    [forms(), paths(), hosts(), several_hosts(), good()].concat()
}

fn asks(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: g\r\n\r\n")
}

/// Forms of a target that are no resource of the gateway.
fn forms() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        "open/a",
        "/open/a#x",
        "/open/a?x#y",
        "/open/#/../known/a",
        "http://g/open/a#x",
        "?x",
        "http:/open/a",
        "http:///open/a",
        "http://other/open/a",
        "http://g:81/open/a",
        "http://u@g/open/a",
        "http://u:p@g/open/a",
        "http://g:99999/open/a",
        "http://g:x/open/a",
        "http://[::1/open/a",
    ]
    .map(|target| Case::new(format!("target {target:?}"), asks(target)).bad())
    .to_vec();
    for line in ["GET *", "OPTIONS *", "GET g:80"] {
        let bytes = format!("{line} HTTP/1.1\r\nHost: g\r\n\r\n");
        cases.push(Case::new(line, bytes).bad());
    }
    // No tunnel, and no echo of forwarded headers.
    for line in [
        "CONNECT g:80",
        "CONNECT /open/a",
        "TRACE /open/a",
        "TRACK /open/a",
    ] {
        let bytes = format!("{line} HTTP/1.1\r\nHost: g\r\n\r\n");
        cases.push(Case::new(line, bytes).turned_down(405, "method_not_allowed"));
    }
    cases
}

/// Paths that two servers could read differently.
fn paths() -> Vec<Case> {
    [
        "/open/../known/a",
        "/open/./a",
        "/open/..",
        "/open/%2e%2e/known/a",
        "/open/%2E./known/a",
        "/open/..%2fknown/a",
        "/open/x%2fa",
        "/open/%5c..%5cknown/a",
        "/open\\..\\known/a",
        "/open/a;x=y",
        "/open/..;/known/a",
        "/open/a%00",
        "/open/a%0d%0aX-Openid:%20forged",
        "/open/a%23b",
        "/open/a%3fb",
        "/open/a%3bb",
        "/open/%zz",
        "/open/%2",
        "/open/%",
        "/open/%c0%af",
        "/open/%ff",
        "/open/%252e%252e/known/a",
    ]
    .map(|path| Case::new(format!("path {path:?}"), asks(path)).turned_down(400, "ambiguous_path"))
    .to_vec()
}

/// No host, or an ambiguous one.
fn hosts() -> Vec<Case> {
    [
        "", "g h", "g, g", "g/", "g/x", "g?x", "g#x", "g\\x", "u@g", "u:p@g", "g:", "g:x", "g:-1",
        "g:99999", "g:80:80", "g:8 0", ":80", "[::1", "::1", "[g]", "<g>", "\"g\"", "g%20h",
        "http://g", "g|h", "g^h", "{g}",
    ]
    .map(|host| {
        let bytes = format!("GET /open/a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        Case::new(format!("host {host:?}"), bytes).bad()
    })
    .to_vec()
}

fn several_hosts() -> Vec<Case> {
    [
        ("no host", "GET /open/a HTTP/1.1\r\n\r\n"),
        (
            "no host, but one in the target",
            "GET http://g/open/a HTTP/1.1\r\n\r\n",
        ),
        (
            "a host twice",
            "GET /open/a HTTP/1.1\r\nHost: g\r\nHost: g\r\n\r\n",
        ),
        (
            "two hosts",
            "GET /open/a HTTP/1.1\r\nHost: g\r\nHost: h\r\n\r\n",
        ),
        (
            "two hosts in other letters",
            "GET /open/a HTTP/1.1\r\nhost: g\r\nHOST: h\r\n\r\n",
        ),
        (
            "two hosts apart",
            "GET /open/a HTTP/1.1\r\nHost: g\r\nX-A: b\r\nHost: h\r\n\r\n",
        ),
        (
            "a host and an empty one",
            "GET /open/a HTTP/1.1\r\nHost: g\r\nHost:\r\n\r\n",
        ),
        (
            "a host in a fold",
            "GET /open/a HTTP/1.1\r\nHost: g\r\n Host: h\r\n\r\n",
        ),
        (
            "two hosts over HTTP/1.0",
            "GET /open/a HTTP/1.0\r\nHost: g\r\nHost: h\r\n\r\n",
        ),
        (
            "two hosts, and one in the target",
            "GET http://g/open/a HTTP/1.1\r\nHost: g\r\nHost: g\r\n\r\n",
        ),
    ]
    .map(|(name, bytes)| Case::new(name, bytes).bad())
    .to_vec()
}

/// Valid targets, so that a gateway that refuses everything fails: each is forwarded in one
/// spelling.
fn good() -> Vec<Case> {
    let clean = || Clean::get("/open/a");
    let host = |host: &str| format!("GET /open/a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    vec![
        Case::new("a target with its host", asks("http://g/open/a")).passed(clean()),
        Case::new(
            "a target with its host in other letters",
            asks("HTTP://G/open/a"),
        )
        .passed(clean()),
        Case::new("a path in another spelling", asks("/open//%61")).passed(clean()),
        Case::new(
            "a query with dot segments",
            asks("/open/a?../%2e%2e/%00;\\"),
        )
        .passed(Clean::get("/open/a?../%2e%2e/%00;\\")),
        Case::new(
            "a host that Connection names",
            "GET /open/a HTTP/1.1\r\nHost: g\r\nConnection: Host\r\n\r\n",
        )
        .passed(clean()),
        Case::new("a host with a port", host("g:8080")).passed(clean().host("g:8080")),
        Case::new("a host with a final dot", host("g.")).passed(clean().host("g.")),
        Case::new("a host of an IPv6 address", host("[::1]:80")).passed(clean().host("[::1]:80")),
        Case::new(
            "a host in a header that is not Host",
            "GET /open/a HTTP/1.1\r\nHost: g\r\nX-Forwarded-Host: h\r\nForwarded: host=h\r\n\r\n",
        )
        .passed(clean()),
    ]
}
