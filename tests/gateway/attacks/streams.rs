//! Several requests on one connection: pipelining, HTTP/1.0, `Expect`, upgrades. No byte of one
//! becomes another.

use super::case::{Case, Clean};
use super::{SMUGGLED, get, post};

const SOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The group.
pub(super) fn cases() -> Vec<Case> {
    [
        pipelined(),
        ended(),
        old(),
        expecting(),
        sockets(),
        other_upgrades(),
    ]
    .concat()
}

fn clean() -> Clean {
    Clean::get("/open/a")
}

/// Requests get their responses in order; after a bad one nothing is processed.
fn pipelined() -> Vec<Case> {
    let good = get("");
    let second = "GET /open/b HTTP/1.1\r\nHost: g\r\n\r\n";
    let bad = "GET /open/c HTTP/1.1\r\nHost : g\r\n\r\n";
    let refused = "GET /known/a HTTP/1.1\r\nHost: g\r\n\r\n";
    vec![
        Case::new("two requests at once", format!("{good}{second}"))
            .passed(clean())
            .passed(Clean::get("/open/b")),
        Case::new(
            "a bad request behind a good one",
            format!("{good}{bad}{second}"),
        )
        .passed(clean())
        .bad(),
        Case::new(
            "a good request behind a bad one",
            format!("{bad}{SMUGGLED}"),
        )
        .bad(),
        Case::new(
            "a good request behind one that is refused",
            format!("{refused}{second}"),
        )
        .turned_down(401, "not_logged_in")
        .passed(Clean::get("/open/b")),
        Case::new(
            "half a request behind a good one",
            format!("{good}GET /open/b HTT"),
        )
        .then("P/1.1\r\nHost: g\r\n\r\n")
        .passed(clean())
        .passed(Clean::get("/open/b")),
        Case::new(
            "a bad body before a request",
            post("Content-Length: 3\r\nContent-Length: 0\r\n", SMUGGLED),
        )
        .bad(),
        Case::new(
            "garbage behind a good request",
            format!("{good}\x00\x01\x02\r\n\r\n{second}"),
        )
        .passed(clean())
        .bad(),
        Case::new(
            "an empty line between two requests",
            format!("{good}\r\n{second}"),
        )
        .passed(clean())
        .passed(Clean::get("/open/b")),
        Case::new(
            "a bare LF between two requests",
            format!("{good}\n{second}"),
        )
        .passed(clean())
        .bad(),
        Case::new(
            "a user's request after an anonymous one",
            format!("{refused}GET /known/b HTTP/1.1\r\nHost: g\r\nskey: {{skey}}\r\n\r\n{refused}"),
        )
        .turned_down(401, "not_logged_in")
        .passed(Clean::get("/known/b").known())
        .turned_down(401, "not_logged_in"),
    ]
}

/// After the last request of a connection nothing is processed.
fn ended() -> Vec<Case> {
    let behind = |connection: &str| format!("{}{SMUGGLED}", get(connection));
    [
        (
            "a request behind Connection: close",
            behind("Connection: close\r\n"),
        ),
        (
            "a request behind Connection: CLOSE",
            behind("Connection: CLOSE\r\n"),
        ),
        (
            "a request behind close in a list",
            behind("Connection: keep-alive, close\r\n"),
        ),
        (
            "a request behind close on a second line",
            behind("Connection: keep-alive\r\nConnection: close\r\n"),
        ),
        (
            "a request behind close between blanks",
            behind("Connection: \t close \t\r\n"),
        ),
        (
            "a request behind close between commas",
            behind("Connection: ,close,\r\n"),
        ),
    ]
    .map(|(name, bytes)| Case::new(name, bytes).passed(clean()).closed())
    .to_vec()
}

/// HTTP/1.0.
fn old() -> Vec<Case> {
    let old = |lines: &str| format!("GET /open/a HTTP/1.0\r\nHost: g\r\n{lines}\r\n");
    vec![
        Case::new("HTTP/1.0 ends its connection", old("") + SMUGGLED).passed(clean()).closed(),
        Case::new("HTTP/1.0 with close", old("Connection: close\r\n") + SMUGGLED)
            .passed(clean())
            .closed(),
        Case::new("HTTP/1.0 is kept alive on request", old("Connection: keep-alive\r\n")).passed(clean()),
        Case::new("HTTP/1.0 with close and keep-alive", old("Connection: keep-alive, close\r\n") + SMUGGLED)
            .passed(clean())
            .closed(),
        Case::new("HTTP/1.0 with a body", "POST /open/a HTTP/1.0\r\nHost: g\r\nContent-Length: 3\r\n\r\nabc")
            .passed(Clean::post("/open/a", "abc"))
            .closed(),
        Case::new("HTTP/1.0 with more than its body", format!("POST /open/a HTTP/1.0\r\nHost: g\r\nContent-Length: 3\r\n\r\nabc{SMUGGLED}"))
            .passed(Clean::post("/open/a", "abc"))
            .closed(),
        Case::new("HTTP/1.0 with Expect", "POST /open/a HTTP/1.0\r\nHost: g\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")
            .passed(Clean::post("/open/a", "abc"))
            .closed(),
        Case::new("HTTP/1.0 with an upgrade", format!("GET /open/echo HTTP/1.0\r\nHost: g\r\n{SOCKET}\r\n").replace("Connection: Upgrade\r\nUpgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\nX-A: b\r\n").replace("/open/echo", "/open/426"))
            .answered(socket_headers(Clean::get("/open/426")).header("x-a", "b"), 426, "upgrade")
            .closed(),
    ]
}

/// `Expect` is handled by the gateway and never passes.
fn expecting() -> Vec<Case> {
    let post = |expect: &str, behind: &str| {
        post(
            &format!("Expect: {expect}\r\nContent-Length: 3\r\n"),
            behind,
        )
    };
    let body = || Clean::post("/open/a", "abc");
    vec![
        Case::new("a body that waits", post("100-continue", "")).then("abc").continued(body()),
        Case::new("a body that does not wait", post("100-continue", "abc")).continued(body()),
        Case::new("a body that waits, in capitals", post("100-CONTINUE", "")).then("abc").continued(body()),
        Case::new("an unknown expectation", post("200-ok", "abc")).passed(body()),
        Case::new("an expectation with a word before it", post("y 100-continue", "abc")).continued(body()),
        Case::new("an expectation in a list", post("100-continue, x", "abc")).continued(body()),
        Case::new("two expectations", post("100-continue\r\nExpect: x", "abc")).continued(body()),
        Case::new("an empty expectation", post("", "abc")).passed(body()),
        Case::new("an expectation without a body", get("Expect: 100-continue\r\n")).passed(clean()),
        Case::new("a request for a body that waits", post("100-continue", &format!("abc{SMUGGLED}")))
            .continued(body())
            .passed(Clean::get("/open/smuggled")),
        Case::new("an expectation of a request that is refused", "POST /known/a HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            .then("abc")
            .unread(401, "not_logged_in"),
        Case::new("an expectation beside a bad length", post("100-continue\r\nContent-Length: 3", "abc")).bad(),
    ]
}

fn socket_headers(clean: Clean) -> Clean {
    clean
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

fn socket(target: &str) -> Clean {
    socket_headers(Clean::get(target))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
}

/// Bytes behind an upgrade belong to the tunnel if there is one, and are requests like any if there
/// is none.
fn sockets() -> Vec<Case> {
    let ask =
        |target: &str, lines: &str| format!("GET {target} HTTP/1.1\r\nHost: g\r\n{lines}\r\n");
    let forged = "GET /known/a HTTP/1.1\r\nHost: g\r\nX-Openid: forged\r\n\r\n";
    vec![
        Case::new(
            "bytes before a tunnel is there",
            ask("/open/echo", SOCKET) + SMUGGLED,
        )
        .tunnels(socket("/open/echo"), "X-Openid: forged\r\n\r\n"),
        Case::new(
            "bytes behind an upgrade that is answered with 426",
            ask("/open/426", SOCKET) + SMUGGLED,
        )
        .answered(socket("/open/426"), 426, "upgrade")
        .passed(Clean::get("/open/smuggled")),
        Case::new(
            "bytes behind an upgrade that is answered with 200",
            ask("/open/a", SOCKET) + forged,
        )
        .passed(socket("/open/a"))
        .turned_down(401, "not_logged_in"),
        Case::new(
            "an upgrade without an skey",
            ask("/known/echo", SOCKET) + SMUGGLED,
        )
        .turned_down(401, "not_logged_in")
        .passed(Clean::get("/open/smuggled")),
        Case::new(
            "an upgrade by a user",
            ask(
                "/known/426",
                &format!("{SOCKET}skey: {{skey}}\r\nX-Openid: forged\r\n"),
            ),
        )
        .answered(socket("/known/426").known(), 426, "upgrade"),
        Case::new(
            "an upgrade that removes the identity",
            ask(
                "/known/426",
                &format!("{SOCKET}Connection: X-Openid\r\nskey: {{skey}}\r\n"),
            ),
        )
        .answered(socket("/known/426").known(), 426, "upgrade"),
        Case::new(
            "an upgrade by POST",
            post(
                &format!("{SOCKET}Content-Length: {}\r\n", SMUGGLED.len()),
                SMUGGLED,
            ),
        )
        .passed(socket_headers(Clean::post("/open/a", SMUGGLED))),
        Case::new(
            "an upgrade that Connection does not name",
            ask("/open/a", "Upgrade: websocket\r\n") + SMUGGLED,
        )
        .passed(clean())
        .passed(Clean::get("/open/smuggled")),
        Case::new(
            "an upgrade to nothing",
            ask("/open/a", "Connection: Upgrade\r\n") + SMUGGLED,
        )
        .passed(clean())
        .passed(Clean::get("/open/smuggled")),
        Case::new(
            "an upgrade with two framings",
            ask(
                "/open/echo",
                &format!("{SOCKET}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
            ),
        )
        .bad(),
    ]
}

/// Upgrades that never pass: the tunnelled bytes would reach the upstream unchecked.
fn other_upgrades() -> Vec<Case> {
    let ask = |lines: &str| format!("{}{SMUGGLED}", get(lines));
    let mut cases: Vec<Case> = [
        ("h2c", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
        ("h2c in capitals", "Connection: upgrade, http2-settings\r\nUpgrade: H2C\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
        ("h2c without settings", "Connection: Upgrade\r\nUpgrade: h2c\r\n"),
        ("h2c in a list", "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"),
        ("h2c first in a list", "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n"),
        ("h2c on a second line", "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"),
        ("h2c with a tab", "Connection: Upgrade\r\nUpgrade: \th2c\t\r\n"),
        ("h2", "Connection: Upgrade\r\nUpgrade: h2\r\n"),
        ("HTTP/2.0", "Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n"),
        ("HTTP/3", "Connection: Upgrade\r\nUpgrade: HTTP/3.0\r\n"),
        ("TLS", "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n"),
        ("nothing", "Connection: Upgrade\r\nUpgrade:\r\n"),
        ("what is no token", "Connection: Upgrade\r\nUpgrade: web socket\r\n"),
    ]
    .map(|(name, lines)| {
        Case::new(format!("no tunnel to {name}"), ask(lines))
            .passed(clean())
            .passed(Clean::get("/open/smuggled"))
    })
    .to_vec();
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    cases.push(
        Case::new(
            "an HTTP/2 preface behind an upgrade to h2c",
            format!("{}{preface}", get(h2c)),
        )
        .passed(clean())
        .bad(),
    );
    cases.push(
        Case::new(
            "an HTTP/2 preface behind a request",
            format!("{}{preface}", get("")),
        )
        .passed(clean())
        .bad(),
    );
    cases
}
