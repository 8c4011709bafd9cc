//! Request lines: method, blank, target, blank, HTTP/1.0 or HTTP/1.1 (RFC 9112, 3); and other
//! protocols.

use super::case::{Case, Clean};

/// The group.
pub(super) fn cases() -> Vec<Case> {
    [malformed(), versions(), others(), methods()].concat()
}

fn line(text: &str) -> String {
    format!("{text}\r\nHost: g\r\n\r\n")
}

fn malformed() -> Vec<Case> {
    [
        ("no version", "GET /open/a"),
        ("no version but a blank", "GET /open/a "),
        ("no target", "GET HTTP/1.1"),
        ("no target but blanks", "GET  HTTP/1.1"),
        ("no method", "/open/a HTTP/1.1"),
        ("no method but a blank", " /open/a HTTP/1.1"),
        ("a method alone", "GET"),
        ("two blanks behind the method", "GET  /open/a HTTP/1.1"),
        ("two blanks before the version", "GET /open/a  HTTP/1.1"),
        ("a blank at the start", " GET /open/a HTTP/1.1"),
        ("a tab at the start", "\tGET /open/a HTTP/1.1"),
        ("a blank at the end", "GET /open/a HTTP/1.1 "),
        ("a tab at the end", "GET /open/a HTTP/1.1\t"),
        ("a word at the end", "GET /open/a HTTP/1.1 X"),
        ("tabs for blanks", "GET\t/open/a\tHTTP/1.1"),
        ("a vertical tab for a blank", "GET\x0b/open/a HTTP/1.1"),
        ("a form feed for a blank", "GET /open/a\x0cHTTP/1.1"),
        ("a no-break space for a blank", "GET\u{a0}/open/a HTTP/1.1"),
        ("a blank in the target", "GET /open/a b HTTP/1.1"),
        (
            "a second request in the target",
            "GET /open/a HTTP/1.1 /known/a HTTP/1.1",
        ),
        ("a method with a colon", "GET: /open/a HTTP/1.1"),
        ("a method with parentheses", "G(E)T /open/a HTTP/1.1"),
        ("a method with quotes", "\"GET\" /open/a HTTP/1.1"),
        ("a method with a slash", "GET/ /open/a HTTP/1.1"),
        ("a method above ASCII", "G\u{cb}T /open/a HTTP/1.1"),
    ]
    .map(|(name, text)| Case::new(name, line(text)).bad())
    .to_vec()
}

fn versions() -> Vec<Case> {
    [
        "HTTP/0.9",
        "HTTP/1.2",
        "HTTP/1.10",
        "HTTP/1.01",
        "HTTP/01.1",
        "HTTP/2.0",
        "HTTP/2",
        "HTTP/3",
        "HTTP/1",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP/11",
        "HTTP/1,1",
        "HTTP/1.1.1",
        "HTTP/1.x",
        "HTTP/-1.1",
        "HTTP/1.1\0",
        "HTTP/",
        "HTTP",
        "HTTP1.1",
        "HTTP /1.1",
        "HTTP/ 1.1",
        "HTTP\\1.1",
        "HTTPS/1.1",
        "http/1.1",
        "Http/1.1",
        "HTTp/1.1",
        "XHTTP/1.1",
        "ICY/1.1",
        "RTSP/1.0",
        "SIP/2.0",
    ]
    .map(|version| {
        Case::new(
            format!("version {version:?}"),
            line(&format!("GET /open/a {version}")),
        )
        .bad()
    })
    .to_vec()
}

/// Other protocols on our port.
fn others() -> Vec<Case> {
    let cases: [(&str, &[u8]); 8] = [
        ("HTTP/0.9", b"GET /open/a\r\n\r\n"),
        (
            "a TLS greeting",
            b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n",
        ),
        ("an SSH greeting", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ("a Redis command", b"*1\r\n$4\r\nPING\r\n\r\n"),
        ("a mail greeting", b"EHLO a.example\r\n\r\n"),
        (
            "PROXY protocol",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /open/a HTTP/1.1\r\nHost: g\r\n\r\n",
        ),
        (
            "half an HTTP/2 preface",
            b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        ),
        ("an answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ];
    let case = |(name, bytes): (&str, &[u8])| Case::new(format!("{name} instead of HTTP/1"), bytes);
    cases.map(case).map(Case::bad).to_vec()
}

/// An unknown method passes if it is in capitals: some services take `get` for GET.
fn methods() -> Vec<Case> {
    let ask = |method: &str| {
        let bytes = line(&format!("{method} /open/a HTTP/1.1"));
        Case::new(format!("method {method:?}"), bytes)
    };
    let long = "A".repeat(33);
    let bad = ["get", "Get", "gET", "G!T", "G.T", "G~T", long.as_str()];
    let mut cases: Vec<Case> = bad.iter().map(|method| ask(method).bad()).collect();
    for method in ["FOO", "GETX", "M-SEARCH", "PROPFIND", "X_2"] {
        cases.push(ask(method).passed(Clean::new(method, "/open/a")));
    }
    cases
}
