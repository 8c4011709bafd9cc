//! Responses of upstreams, byte for byte, and the outcome each must have: the cases of
//! `bad_upstreams`.

/// A response that no client may get.
pub(crate) const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

/// The outcome of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 502 `upstream_protocol`.
    Unsound,
    /// 502 `upstream_reset`.
    Reset,
    /// Passed on; the connection is used again.
    Kept(u16, &'static str),
    /// Passed on; the connection is closed.
    Closed(u16, &'static str),
    /// The client's connection breaks inside the response.
    Torn,
}
use Outcome::{Closed, Kept, Reset, Torn, Unsound};

/// 200, these header lines, and a body.
pub(crate) fn ok(lines: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n{body}")
}

pub(crate) fn chunked(body: &str) -> String {
    ok("Transfer-Encoding: chunked\r\n", body)
}

/// Responses to a GET.
pub(crate) fn answers() -> Vec<(String, Outcome)> {
    let two = "Content-Length: 2\r\n";
    let te = "Transfer-Encoding: chunked\r\n";
    let whole = "2\r\nok\r\n0\r\n\r\n";
    let long = "x".repeat(70 * 1024);
    let many = "A: b\r\n".repeat(101);
    let most = "A: b\r\n".repeat(99);
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let sound = ok(two, "ok");
    let head = |status: &str| format!("{status}\r\n{two}\r\nok");
    vec![
        // Well formed.
        (sound.clone(), Kept(200, "ok")),
        (chunked(whole), Kept(200, "ok")),
        (
            ok("transfer-encoding:  CHUNKED \r\n", whole),
            Kept(200, "ok"),
        ),
        (
            chunked("2 ;a=b\r\nok\r\n0\r\nX: y\r\n\r\n"),
            Kept(200, "ok"),
        ),
        (ok(&format!("{two}{most}"), "ok"), Kept(200, "ok")),
        (
            ok(&format!("{two}A: \u{e9}\t\u{540d}\r\n"), "ok"),
            Kept(200, "ok"),
        ),
        (head("HTTP/1.1 200"), Kept(200, "ok")),
        (head("HTTP/1.1 200 "), Kept(200, "ok")),
        (head("HTTP/1.1 999 Far out"), Kept(999, "ok")),
        (head("HTTP/1.1 205 Reset"), Kept(205, "ok")),
        (
            head("HTTP/1.0 200 OK\r\nConnection: keep-alive"),
            Kept(200, "ok"),
        ),
        (head("HTTP/1.0 200 OK"), Closed(200, "ok")),
        (format!("{}{sound}", interim.repeat(16)), Kept(200, "ok")),
        // Two framings for one response.
        (ok(&format!("{two}{te}"), whole), Unsound),
        (ok(&format!("{te}{two}"), whole), Unsound),
        (ok(&format!("{two}{two}"), "ok"), Unsound),
        (ok(&format!("{two}Content-Length: 3\r\n"), "ok"), Unsound),
        (ok("Content-Length: 2, 2\r\n", "ok"), Unsound),
        (ok("Content-Length: +2\r\n", "ok"), Unsound),
        (ok("Content-Length: -2\r\n", "ok"), Unsound),
        (ok("Content-Length: 0x2\r\n", "ok"), Unsound),
        (ok("Content-Length: 02\r\n", "ok"), Unsound),
        (ok("Content-Length: 2 2\r\n", "ok"), Unsound),
        (ok("Content-Length:\r\n", "ok"), Unsound),
        (ok("Content-Length: \u{662}\r\n", "ok"), Unsound),
        (
            ok("Content-Length: 18446744073709551618\r\n", "ok"),
            Unsound,
        ),
        (
            ok("Content-Length: 18446744073709551615\r\n", "ok"),
            Unsound,
        ),
        (ok("Transfer-Encoding: gzip, chunked\r\n", whole), Unsound),
        (
            ok("Transfer-Encoding: chunked, identity\r\n", whole),
            Unsound,
        ),
        (ok("Transfer-Encoding: identity\r\n", "ok"), Unsound),
        (ok("Transfer-Encoding: ,chunked\r\n", whole), Unsound),
        (ok("Transfer-Encoding: \"chunked\"\r\n", whole), Unsound),
        (ok("Transfer-Encoding: xchunked\r\n", whole), Unsound),
        (ok("Transfer-Encoding:\r\n", whole), Unsound),
        (ok(&format!("{te}{te}"), whole), Unsound),
        (format!("HTTP/1.0 200 OK\r\n{te}\r\n{whole}"), Unsound),
        // Heads that two parsers could read differently.
        (ok("A: b\nContent-Length: 2\r\n", "ok"), Unsound),
        (
            "HTTP/1.1 200 OK\nContent-Length: 2\n\nok".to_owned(),
            Unsound,
        ),
        (ok("Content-Length: 2\r\n\n", "ok"), Unsound),
        (
            ok("A: b\rContent-Length: 7\r\nContent-Length: 2\r\n", "ok"),
            Unsound,
        ),
        (
            ok("A: b\r\n Content-Length: 7\r\nContent-Length: 2\r\n", "ok"),
            Unsound,
        ),
        (
            ok("A: b\r\n\tfolded\r\nContent-Length: 2\r\n", "ok"),
            Unsound,
        ),
        (ok(" A: b\r\nContent-Length: 2\r\n", "ok"), Unsound),
        (ok("A: b\0c\r\nContent-Length: 2\r\n", "ok"), Unsound),
        (ok("A: b\u{1b}[31m\r\nContent-Length: 2\r\n", "ok"), Unsound),
        (ok("A: b\u{7f}\r\nContent-Length: 2\r\n", "ok"), Unsound),
        (ok("Content-Length : 2\r\n", "ok"), Unsound),
        (ok("Content-Length\t: 2\r\n", "ok"), Unsound),
        (ok("A\u{e9}: b\r\nContent-Length: 2\r\n", "ok"), Unsound),
        (ok(": b\r\nContent-Length: 2\r\n", "ok"), Unsound),
        (ok("no colon\r\nContent-Length: 2\r\n", "ok"), Unsound),
        (ok(&format!("{two}A: {long}\r\n"), "ok"), Unsound),
        (ok(&format!("{two}{many}"), "ok"), Unsound),
        // Heads without an end.
        (format!("HTTP/1.1 200 OK\r\nA: {long}"), Unsound),
        (long.clone(), Unsound),
        // Status lines.
        (head("HTTP/1.1 99 Low"), Unsound),
        (head("HTTP/1.1 099 Low"), Unsound),
        (head("HTTP/1.1 000 None"), Unsound),
        (head("HTTP/1.1 0 None"), Unsound),
        (head("HTTP/1.1 1000 High"), Unsound),
        (head("HTTP/1.1 20 Short"), Unsound),
        (head("HTTP/1.1 2OO Letters"), Unsound),
        (head("HTTP/1.1 abc Letters"), Unsound),
        (head("HTTP/1.1 -20 Minus"), Unsound),
        (head("HTTP/1.1 200\0OK"), Unsound),
        (head("HTTP/1.1 200 O\u{1}K"), Unsound),
        (head("HTTP/1.1  200 OK"), Unsound),
        (head("HTTP/1.1\t200 OK"), Unsound),
        (head("HTTP/1.1"), Unsound),
        (head("HTTP/1.2 200 OK"), Unsound),
        (head("HTTP/1.10 200 OK"), Unsound),
        (head("HTTP/2.0 200 OK"), Unsound),
        (head("HTTP/2 200 OK"), Unsound),
        (head("HTTP/0.9 200 OK"), Unsound),
        (head("http/1.1 200 OK"), Unsound),
        (head("ICY 200 OK"), Unsound),
        (head(" HTTP/1.1 200 OK"), Unsound),
        (format!("\r\n{sound}"), Unsound),
        (format!("\n{sound}"), Unsound),
        (format!("garbage\r\n{sound}"), Unsound),
        (format!("<br>Warning: cannot\r\n\r\n{sound}"), Unsound),
        ("just some text, as HTTP/0.9 had it\r\n".to_owned(), Unsound),
        // Upgrades without a request for one, and too many interim responses.
        (
            "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".to_owned(),
            Unsound,
        ),
        (format!("{}{sound}", interim.repeat(17)), Unsound),
        ("HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000), Unsound),
        (
            format!("HTTP/1.1 103 H\r\nA: {long}\r\n\r\n{sound}"),
            Unsound,
        ),
        // Bytes after the response.
        (format!("{sound}{POISON}"), Closed(200, "ok")),
        (format!("{}{POISON}", chunked(whole)), Closed(200, "ok")),
        (format!("{sound}\r\n"), Closed(200, "ok")),
        (
            format!("{sound}HTTP/1.1 100 Continue\r\n\r\n"),
            Closed(200, "ok"),
        ),
        (
            format!("HTTP/1.1 204 No Content\r\n\r\n{POISON}"),
            Closed(204, ""),
        ),
        (
            format!("HTTP/1.1 304 Not Modified\r\n\r\n{POISON}"),
            Closed(304, ""),
        ),
        (
            format!(
                "HTTP/1.1 304 Not Modified\r\nContent-Length: {}\r\n\r\n",
                POISON.len()
            ),
            Closed(304, ""),
        ),
        (
            format!("HTTP/1.1 204 No Content\r\n{two}\r\nok"),
            Closed(204, ""),
        ),
        (
            format!("HTTP/1.1 204 No Content\r\n{te}\r\n{whole}"),
            Closed(204, ""),
        ),
        // Bodies that break.
        (chunked("2\r\nok\r\nx\r\n\r\n"), Torn),
        (chunked("2\r\nokay\r\n0\r\n\r\n"), Torn),
        (chunked("3\r\nok\r\n0\r\n\r\n"), Torn),
        (chunked("2\nok\n0\n\n"), Torn),
        (chunked("2\r\nok\n0\r\n\r\n"), Torn),
        (chunked("2;a\nb\r\nok\r\n0\r\n\r\n"), Torn),
        (chunked("2;a\rb\r\nok\r\n0\r\n\r\n"), Torn),
        (chunked("2;\0\r\nok\r\n0\r\n\r\n"), Torn),
        (chunked(&format!("2;{long}\r\nok\r\n0\r\n\r\n")), Torn),
        (chunked("0x2\r\nok\r\n0\r\n\r\n"), Torn),
        (chunked("+2\r\nok\r\n0\r\n\r\n"), Torn),
        (chunked("-2\r\nok\r\n0\r\n\r\n"), Torn),
        (chunked("\r\nok\r\n0\r\n\r\n"), Torn),
        (chunked("10000000000000002\r\nok\r\n0\r\n\r\n"), Torn),
        (
            chunked(&format!("{}2\r\nok\r\n0\r\n\r\n", "0".repeat(64))),
            Torn,
        ),
        (chunked("2\r\nok\r\n0\r\nA: b\nC: d\r\n\r\n"), Torn),
        (chunked(&format!("2\r\nok\r\n0\r\nA: {long}\r\n\r\n")), Torn),
        (chunked("2\r\nok\r\n0\r\n\n"), Torn),
    ]
}

/// Responses after which the upstream closes.
pub(crate) fn last_answers() -> Vec<(String, Outcome)> {
    vec![
        ("".to_owned(), Reset),
        ("HTTP/1.1 2".to_owned(), Reset),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n".to_owned(), Reset),
        ("HTTP/1.1 100 Continue\r\n\r\n".to_owned(), Reset),
        (ok("", "ok"), Closed(200, "ok")),
        (ok("Connection: close\r\n", "ok"), Closed(200, "ok")),
        (ok("Content-Length: 3\r\n", "ok"), Torn),
        (ok("Content-Length: 9223372036854775807\r\n", "ok"), Torn),
        (chunked("2\r\nok\r\n"), Torn),
        (chunked("2\r\nok\r\n0\r\n"), Torn),
        (chunked("2\r\nok\r\n0"), Torn),
        (chunked("9\r\nok"), Torn),
        (chunked("ffffffffffffffff\r\nok"), Torn),
    ]
}

/// Responses to HEAD, whose connection is never reused.
pub(crate) fn answers_to_head() -> Vec<(String, Outcome)> {
    vec![
        (ok("Content-Length: 2\r\n", ""), Closed(200, "")),
        (ok("Content-Length: 2\r\n", "ok"), Closed(200, "")),
        (chunked(""), Closed(200, "")),
        (ok("", POISON), Closed(200, "")),
        (ok("Content-Length: +2\r\n", ""), Unsound),
        (
            ok("Content-Length: 2\r\nContent-Length: 2\r\n", ""),
            Unsound,
        ),
        (
            ok("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", ""),
            Unsound,
        ),
        (ok("Transfer-Encoding: gzip\r\n", ""), Unsound),
    ]
}
