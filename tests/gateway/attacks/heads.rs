//! Heads: line ends, folding, control characters, names (RFC 9112, 2.2 and 5).

use super::case::{Case, Clean};
use super::{SMUGGLED, get};

/// The group.
pub(super) fn cases() -> Vec<Case> {
    [line_ends(), controls(), names(), lines(), good(), limits()].concat()
}

/// Lines end with CR LF, and only with that.
fn line_ends() -> Vec<Case> {
    [
        (
            "bare LFs alone",
            "GET /open/a HTTP/1.1\nHost: g\n\n".to_owned(),
        ),
        (
            "a bare LF behind the request line",
            "GET /open/a HTTP/1.1\nHost: g\r\n\r\n".to_owned(),
        ),
        (
            "a bare LF behind a header",
            "GET /open/a HTTP/1.1\r\nHost: g\nX-A: b\r\n\r\n".to_owned(),
        ),
        (
            "a bare LF for the empty line",
            format!("GET /open/a HTTP/1.1\r\nHost: g\r\n\n{SMUGGLED}"),
        ),
        (
            "two bare LFs for the end",
            format!("GET /open/a HTTP/1.1\r\nHost: g\n\n{SMUGGLED}"),
        ),
        (
            "a bare LF before CR LF",
            "GET /open/a HTTP/1.1\r\nHost: g\n\r\n".to_owned(),
        ),
        (
            "LF CR",
            "GET /open/a HTTP/1.1\n\rHost: g\n\r\n\r".to_owned(),
        ),
        (
            "bare CRs alone",
            "GET /open/a HTTP/1.1\rHost: g\r\r\n\r\n".to_owned(),
        ),
        (
            "a bare CR behind the request line",
            "GET /open/a HTTP/1.1\rHost: g\r\n\r\n".to_owned(),
        ),
        (
            "a bare CR behind a header",
            "GET /open/a HTTP/1.1\r\nHost: g\rX-A: b\r\n\r\n".to_owned(),
        ),
        (
            "CR CR LF",
            "GET /open/a HTTP/1.1\r\nHost: g\r\r\n\r\n".to_owned(),
        ),
        (
            "CR CR LF for the empty line",
            format!("GET /open/a HTTP/1.1\r\nHost: g\r\n\r\r\n{SMUGGLED}"),
        ),
        ("a bare CR in a value", get("X-A: b\rc\r\n")),
        ("a bare CR at the start of a value", get("X-A:\rb\r\n")),
        ("a bare CR at the end of a value", get("X-A: b\r\r\n")),
        ("a bare CR in a name", get("X\r-A: b\r\n")),
        ("a bare CR before a name", get("\rX-A: b\r\n")),
        ("a bare LF in a value", get("X-A: b\nc: d\r\n")),
        ("a bare LF before a colon", get("X-A\n: b\r\n")),
        (
            "a request behind a bare LF in a value",
            get(&format!("X-A: b\n\n{SMUGGLED}")),
        ),
        (
            "a bare LF before the request line",
            "\nGET /open/a HTTP/1.1\r\nHost: g\r\n\r\n".to_owned(),
        ),
        (
            "a bare CR before the request line",
            "\rGET /open/a HTTP/1.1\r\nHost: g\r\n\r\n".to_owned(),
        ),
    ]
    .map(|(name, bytes)| Case::new(name, bytes).bad())
    .to_vec()
}

/// No control character anywhere but HTAB in a value.
fn controls() -> Vec<Case> {
    let mut cases = Vec::new();
    for byte in [0x00, 0x01, 0x08, 0x0b, 0x0c, 0x0e, 0x1b, 0x1f, 0x7f] {
        let control = char::from(byte);
        for (place, bytes) in [
            ("a value", get(&format!("X-A: b{control}c\r\n"))),
            ("a name", get(&format!("X{control}A: b\r\n"))),
            (
                "the target",
                format!("GET /open/{control}a HTTP/1.1\r\nHost: g\r\n\r\n"),
            ),
            (
                "the method",
                format!("GE{control}T /open/a HTTP/1.1\r\nHost: g\r\n\r\n"),
            ),
        ] {
            cases.push(Case::new(format!("0x{byte:02x} in {place}"), bytes).bad());
        }
    }
    cases
}

/// A field name is a token: delimiters are not part of it.
fn names() -> Vec<Case> {
    let mut cases: Vec<Case> = "\"(),/;<=>?@[\\]{}"
        .chars()
        .map(|separator| {
            let bytes = get(&format!("X{separator}Openid: forged\r\n"));
            Case::new(format!("{separator:?} in a name"), bytes).bad()
        })
        .collect();
    let raw = |line: &[u8]| {
        let head = b"GET /open/a HTTP/1.1\r\nHost: g\r\n".as_slice();
        [head, line, b"\r\n\r\n"].concat()
    };
    cases.extend([
        Case::new("a name with a letter above ASCII", raw(b"X-\xc3\xa9: b")).bad(),
        Case::new("a name with a no-break space", raw(b"X-A\xa0: b")).bad(),
        Case::new(
            "a name with a full-width hyphen",
            raw("X\u{ff0d}Openid: b".as_bytes()),
        )
        .bad(),
        Case::new("a name with a soft hyphen", raw(b"X\xadOpenid: b")).bad(),
    ]);
    cases
}

/// Lines that are no `name: value`.
fn lines() -> Vec<Case> {
    [
        ("a blank before a colon", get("X-A : b\r\n")),
        ("a tab before a colon", get("X-A\t: b\r\n")),
        (
            "a blank before the host's colon",
            "GET /open/a HTTP/1.1\r\nHost : g\r\n\r\n".to_owned(),
        ),
        ("an empty name", get(": b\r\n")),
        ("a name of a blank", get(" : b\r\n")),
        ("nothing but a colon", get(":\r\n")),
        ("no colon", get("X-A\r\n")),
        ("no colon but an equals sign", get("X-A=b\r\n")),
        ("a folded value", get("X-A: b\r\n c\r\n")),
        ("a value folded with a tab", get("X-A: b\r\n\tc\r\n")),
        ("a fold of nothing but blanks", get("X-A: b\r\n  \r\n")),
        (
            "a fold before the first header",
            "GET /open/a HTTP/1.1\r\n Host: g\r\n\r\n".to_owned(),
        ),
        (
            "an identity in a fold",
            get("X-A: b\r\n X-Openid: forged\r\n"),
        ),
        ("a blank in a name", get("X A: b\r\n")),
        ("a second request line", get("GET /open/b HTTP/1.1\r\n")),
        (
            "a byte order mark",
            "\u{feff}GET /open/a HTTP/1.1\r\nHost: g\r\n\r\n".to_owned(),
        ),
    ]
    .map(|(name, bytes)| Case::new(name, bytes).bad())
    .to_vec()
}

/// Valid requests, so that a gateway that refuses everything fails.
fn good() -> Vec<Case> {
    let clean = || Clean::get("/open/a");
    let value = b"GET /open/a HTTP/1.1\r\nHost: g\r\nX-A: \xe5\x90\x8d \xff\r\n\r\n";
    let all = "!#$%&'*+-.^`|~09az";
    vec![
        Case::new("a value above ASCII", value).passed(clean().header("x-a", b"\xe5\x90\x8d \xff")),
        Case::new("a tab in a value", get("X-A: b\tc\r\n")).passed(clean().header("x-a", "b\tc")),
        Case::new("a value of nothing", get("X-A:\r\n")).passed(clean().header("x-a", "")),
        Case::new("a value of blanks", get("X-A: \t \r\n")).passed(clean().header("x-a", "")),
        Case::new("colons in a value", get("X-A::b:c\r\n")).passed(clean().header("x-a", ":b:c")),
        Case::new("blanks around a value", get("X-A: \t b \t\r\n"))
            .passed(clean().header("x-a", "b")),
        Case::new("every character of a name", get(&format!("{all}: b\r\n")))
            .passed(clean().header(all, "b")),
        Case::new("a header twice", get("X-A: b\r\nX-A: c\r\n"))
            .passed(clean().header("x-a", "b").header("x-a", "c")),
        // RFC 9112, 2.2: old clients send a line end too many behind a body.
        Case::new(
            "an empty line before the request line",
            format!("\r\n{}", get("")),
        )
        .passed(clean()),
        Case::new("a name with an underscore is dropped", get("X_A: b\r\n")).passed(clean()),
    ]
}

/// Over the limits: the response names the limit.
fn limits() -> Vec<Case> {
    let long = "a".repeat(40 * 1024);
    let many = |count: usize| "X-A: b\r\n".repeat(count);
    let mut hundred = Clean::get("/open/a");
    for _ in 0..99 {
        hundred = hundred.header("x-a", "b");
    }
    vec![
        Case::new("a header of 40 KiB", get(&format!("X-A: {long}\r\n")))
            .refused(431, "headers_too_large"),
        Case::new("a name of 40 KiB", get(&format!("{long}: b\r\n")))
            .refused(431, "headers_too_large"),
        Case::new(
            "40 KiB in small headers",
            get(&format!("X-A: {}\r\n", "a".repeat(600)).repeat(64)),
        )
        .refused(431, "headers_too_large"),
        Case::new("101 headers", get(&many(100))).refused(431, "headers_too_large"),
        Case::new("1001 headers", get(&many(1000))).refused(431, "headers_too_large"),
        Case::new("100 headers", get(&many(99))).passed(hundred),
        Case::new(
            "a target of 9 KiB",
            format!(
                "GET /open/{} HTTP/1.1\r\nHost: g\r\n\r\n",
                "a".repeat(9 * 1024)
            ),
        )
        .refused(414, "uri_too_long"),
        Case::new(
            "a query of 9 KiB",
            format!(
                "GET /open/a?{} HTTP/1.1\r\nHost: g\r\n\r\n",
                "a".repeat(9 * 1024)
            ),
        )
        .refused(414, "uri_too_long"),
    ]
}
