//! `Transfer-Encoding`: one `chunked` over HTTP/1.1, or nothing (RFC 9112, 6.1). TE.TE is the same
//! header twice, or in a form that one server sees and the next does not.

use super::case::{Case, Clean};
use super::post;

const BODY: &str = "5\r\nhello\r\n0\r\n\r\n";

/// Every coding that is not plainly `chunked`.
const ODD: [&str; 30] = [
    "chunked, identity",
    "identity, chunked",
    "identity",
    "gzip, chunked",
    "chunked, gzip",
    "gzip",
    "chunked, chunked",
    "chunked,",
    ",chunked",
    ", chunked",
    "chunked, ",
    "chunked;q=1",
    "chunked; a=b",
    "chunked;",
    "\"chunked\"",
    "'chunked'",
    "(chunked)",
    "chunk",
    "xchunked",
    "chunkedx",
    "chunked chunked",
    "cow chunked bar",
    "chunked cow",
    "trailers",
    "chun\u{212a}ed",
    "chunke\u{301}d",
    "%63hunked",
    "=?utf-8?q?chunked?=",
    "",
    "0",
];

/// The forms with a name.
pub(super) fn named() -> Vec<Case> {
    let refused = [
        (
            "chunked twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "chunked behind another coding",
            "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "chunked before another coding",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n",
        ),
        (
            "chunked before identity",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        ),
        (
            "chunked before an empty coding",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n",
        ),
        (
            "chunked behind an empty coding",
            "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "chunked twice in other letters",
            "Transfer-Encoding: chunked\r\ntransfer-encoding: CHUNKED\r\n",
        ),
        (
            "chunked twice, far apart",
            "Transfer-Encoding: chunked\r\nX-A: b\r\nTransfer-Encoding: x\r\n",
        ),
        (
            "chunked on the next line",
            "Transfer-Encoding:\r\n chunked\r\n",
        ),
        (
            "chunked on the next line behind a tab",
            "Transfer-Encoding:\r\n\tchunked\r\n",
        ),
        (
            "chunked behind a bare LF and a blank",
            "Transfer-Encoding:\n chunked\r\n",
        ),
        (
            "chunked with another coding folded behind",
            "Transfer-Encoding: chunked\r\n , identity\r\n",
        ),
        (
            "a coding folded into another header",
            "X-A: b\r\n Transfer-Encoding: chunked\r\n",
        ),
        (
            "a coding behind a bare CR",
            "X-A: b\rTransfer-Encoding: chunked\r\n",
        ),
        (
            "a coding behind a bare LF",
            "X-A: b\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "a coding with a bare CR in its name",
            "Transfer\r-Encoding: chunked\r\n",
        ),
        (
            "a coding with NUL in its name",
            "Transfer-Encoding\0: chunked\r\n",
        ),
        (
            "a coding with NUL in its value",
            "Transfer-Encoding: chunked\0\r\n",
        ),
        (
            "a coding with a blank in its name",
            "Transfer Encoding: chunked\r\n",
        ),
        (
            "a coding with an underscore",
            "Transfer_Encoding: chunked\r\n",
        ),
        ("a coding with a dot", "Transfer.Encoding: chunked\r\n"),
        ("a coding with a star", "Transfer*Encoding: chunked\r\n"),
        ("a coding with no colon", "Transfer-Encoding chunked\r\n"),
        (
            "a coding with two colons",
            "Transfer-Encoding:: chunked\r\n",
        ),
        ("a coding behind a colon", ":Transfer-Encoding: chunked\r\n"),
    ];
    let mut cases: Vec<Case> = refused
        .iter()
        .map(|(name, lines)| Case::new(*name, post(lines, BODY)).bad())
        .collect();
    for value in ODD {
        let lines = format!("Transfer-Encoding: {value}\r\n");
        cases.push(Case::new(format!("coding {value:?}"), post(&lines, BODY)).bad());
    }
    for (name, bytes) in [
        (
            "a coding with a letter above ASCII in its name",
            b"Transf\x82r-Encoding: chunked".as_slice(),
        ),
        (
            "a coding with a letter above ASCII",
            b"Transfer-Encoding: ch\x96nked",
        ),
    ] {
        let head = b"POST /open/a HTTP/1.1\r\nHost: g\r\n".as_slice();
        let bytes = [head, bytes, b"\r\n\r\n", BODY.as_bytes()].concat();
        cases.push(Case::new(name, bytes).bad());
    }
    cases.extend(good());
    cases.extend(lookalikes());
    cases
}

/// `chunked` in other letters, and between blanks.
fn good() -> Vec<Case> {
    [
        ("a plain chunked", "Transfer-Encoding: chunked"),
        ("chunked in capitals", "TRANSFER-ENCODING: CHUNKED"),
        ("chunked in mixed letters", "tRaNsFeR-eNcOdInG: cHuNkEd"),
        ("chunked without a blank", "Transfer-Encoding:chunked"),
        ("chunked between blanks", "Transfer-Encoding: \t chunked \t"),
        (
            "chunked, named by Connection",
            "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
        ),
    ]
    .map(|(name, line)| {
        let clean = Clean::post("/open/a", "hello").chunked();
        Case::new(name, post(&format!("{line}\r\n"), BODY)).passed(clean)
    })
    .to_vec()
}

/// Other headers, which frame nothing: the length counts, and the upstream gets no coding.
fn lookalikes() -> Vec<Case> {
    let clean = || Clean::post("/open/a", "abc");
    [
        (
            "Content-Encoding",
            "Content-Encoding: chunked",
            clean().header("content-encoding", "chunked"),
        ),
        (
            "X-Transfer-Encoding",
            "X-Transfer-Encoding: chunked",
            clean().header("x-transfer-encoding", "chunked"),
        ),
        ("TE", "TE: chunked", clean()),
        ("TE with trailers", "TE: trailers, chunked;q=0.5", clean()),
    ]
    .map(|(name, line, clean)| {
        let lines = format!("{line}\r\nContent-Length: 3\r\n");
        Case::new(format!("{name} is no transfer coding"), post(&lines, "abc")).passed(clean)
    })
    .to_vec()
}

/// Bytes that some parser takes for a blank or a line end.
const BYTES: [u8; 13] = [
    0x01, 0x04, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1f, 0x20, 0x7f, 0xa0, 0xff,
];

/// Where in a line such a byte stands: what comes before it, and what behind.
const PLACES: [(&str, &str, &str); 8] = [
    ("before the coding", "Transfer-Encoding:", "chunked"),
    ("behind the coding", "Transfer-Encoding: chunked", ""),
    ("before the name", "", "Transfer-Encoding: chunked"),
    ("behind the name", "Transfer-Encoding", ": chunked"),
    (
        "between another header and it",
        "X: X",
        "Transfer-Encoding: chunked",
    ),
    (
        "between it and another header",
        "Transfer-Encoding: chunked",
        "X: X",
    ),
    (
        "behind a CR before it",
        "X: X\r",
        "Transfer-Encoding: chunked",
    ),
    (
        "before an LF before it",
        "X: X",
        "\nTransfer-Encoding: chunked",
    ),
];

/// Each byte in each place, with a length and without.
pub(super) fn mutated() -> Vec<Case> {
    let mut cases = Vec::new();
    for (place, before, behind) in PLACES {
        for byte in BYTES {
            let line = [before.as_bytes(), &[byte], behind.as_bytes()].concat();
            let name = format!("0x{byte:02x} {place}");
            let means = meaning(place, byte);
            cases.push(with_length(&name, &line, &means));
            cases.push(without_length(&name, &line, &means));
        }
    }
    cases
}

/// Kind of a header line by the RFC.
enum Meaning {
    /// No line at all.
    Malformed,
    /// The coding, with blanks around it or behind another header's line.
    Chunked { beside: bool },
    /// A value of the header `X`.
    Value(Vec<u8>),
}

fn meaning(place: &str, byte: u8) -> Meaning {
    let blank = matches!(byte, b' ' | b'\t');
    match (place, byte) {
        ("before the coding" | "behind the coding", _) if blank => {
            Meaning::Chunked { beside: false }
        }
        ("behind a CR before it", b'\n') | ("before an LF before it", b'\r') => {
            Meaning::Chunked { beside: true }
        }
        // Above ASCII is opaque in a value, and no blank (RFC 9110, 5.5).
        ("between another header and it", 0xa0 | 0xff) => value(byte),
        ("between another header and it", _) if blank => value(byte),
        _ => Meaning::Malformed,
    }
}

fn value(byte: u8) -> Meaning {
    Meaning::Value([b"X".as_slice(), &[byte], b"Transfer-Encoding: chunked"].concat())
}

fn with_length(name: &str, line: &[u8], means: &Meaning) -> Case {
    let head = b"POST /open/a HTTP/1.1\r\nHost: g\r\nContent-Length: 15\r\n".as_slice();
    let bytes = [head, line, b"\r\n\r\n", BODY.as_bytes()].concat();
    let case = Case::new(format!("{name}, and a length"), bytes);
    match means {
        Meaning::Malformed | Meaning::Chunked { .. } => case.bad(),
        Meaning::Value(value) => case.passed(Clean::post("/open/a", BODY).header("x", value)),
    }
}

fn without_length(name: &str, line: &[u8], means: &Meaning) -> Case {
    let head = b"POST /open/a HTTP/1.1\r\nHost: g\r\n".as_slice();
    let bytes = [head, line, b"\r\n\r\n", BODY.as_bytes()].concat();
    let case = Case::new(format!("{name}, and no length"), bytes);
    let chunked = Clean::post("/open/a", "hello").chunked();
    match means {
        Meaning::Malformed => case.bad(),
        Meaning::Chunked { beside: false } => case.passed(chunked),
        Meaning::Chunked { beside: true } => case.passed(chunked.header("x", "X")),
        // No body then, and what follows is no request.
        Meaning::Value(value) => {
            let clean = Clean::new("POST", "/open/a").header("x", value);
            case.passed(clean).bad()
        }
    }
}
