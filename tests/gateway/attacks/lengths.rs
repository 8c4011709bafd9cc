//! `Content-Length`: one plain decimal number, or nothing (RFC 9110, 8.6).

use super::case::{Case, Clean};
use super::{SMUGGLED, post};

/// Numbers that parsers may read differently.
const ODD: [&str; 40] = [
    "+3", "-1", "-0", "0x3", "0X3", "0b11", "0o3", "3 3", "3\t3", "3,3", "3, 3", "3,", ",3",
    "3, 4", "03", "003", "00", "3.0", "3.", ".3", "1e1", "3e0", "3;", "3; a=b", "\"3\"", "'3'",
    "(3)", "3_0", "3a", "a3", "abc", "NaN", "infinity", "3%", "%33", "\u{ff13}", "\u{663}",
    "3\u{a0}", "", "\t",
];

/// The group.
pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = ODD
        .iter()
        .map(|value| {
            let bytes = post(&format!("Content-Length: {value}\r\n"), "abc");
            Case::new(format!("length {value:?}"), bytes).bad()
        })
        .collect();
    cases.extend(overflowing());
    cases.extend(several());
    cases.extend(disguised());
    cases.extend(plain());
    cases
}

/// Numbers that some server cannot hold, and plain ones over the limit.
fn overflowing() -> Vec<Case> {
    let case = |value: &str| {
        let bytes = post(&format!("Content-Length: {value}\r\n"), "abc");
        Case::new(format!("length of {value}"), bytes)
    };
    let none = [
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709551619",
        "36893488147419103235",
        "99999999999999999999999999999999999999",
        "340282366920938463463374607431768211459",
    ];
    let large = ["65537", "4294967299", "999999999999999999"];
    let mut cases: Vec<Case> = none.iter().map(|value| case(value).bad()).collect();
    let large = large
        .iter()
        .map(|value| case(value).refused(413, "body_too_large"));
    cases.extend(large);
    cases
}

/// CL.CL: servers disagree which of them counts, and equal ones are refused, too.
fn several() -> Vec<Case> {
    let whole = SMUGGLED.len();
    [
        (
            "two equal lengths",
            "Content-Length: 3\r\nContent-Length: 3\r\n".to_owned(),
        ),
        (
            "two lengths",
            "Content-Length: 3\r\nContent-Length: 0\r\n".to_owned(),
        ),
        (
            "two lengths, the longer first",
            format!("Content-Length: {whole}\r\nContent-Length: 0\r\n"),
        ),
        (
            "two lengths, the shorter first",
            format!("Content-Length: 0\r\nContent-Length: {whole}\r\n"),
        ),
        (
            "a length and an empty one",
            "Content-Length: 3\r\nContent-Length:\r\n".to_owned(),
        ),
        (
            "an empty length and one",
            "Content-Length:\r\nContent-Length: 3\r\n".to_owned(),
        ),
        (
            "two lengths in other letters",
            "Content-Length: 3\r\ncontent-LENGTH: 3\r\n".to_owned(),
        ),
        (
            "two lengths apart",
            "Content-Length: 3\r\nX-A: b\r\nContent-Length: 4\r\n".to_owned(),
        ),
        ("three lengths", "Content-Length: 3\r\n".repeat(3)),
    ]
    .map(|(name, lines)| Case::new(name, post(&lines, SMUGGLED)).bad())
    .to_vec()
}

/// Names that some server may take for a length.
fn disguised() -> Vec<Case> {
    let refused = [
        (
            "a length with a blank before its colon",
            "Content-Length : 3\r\n",
        ),
        (
            "a length with a tab before its colon",
            "Content-Length\t: 3\r\n",
        ),
        ("a length behind a blank", " Content-Length: 3\r\n"),
        (
            "a length in a folded line",
            "X-A: b\r\n Content-Length: 3\r\n",
        ),
        ("a length on the next line", "Content-Length:\r\n 3\r\n"),
        ("a length folded with a tab", "Content-Length: 3\r\n\t0\r\n"),
        ("a length with a blank in its name", "Content Length: 3\r\n"),
        ("a length behind a bare CR", "X-A: b\rContent-Length: 3\r\n"),
        ("a length behind a bare LF", "X-A: b\nContent-Length: 3\r\n"),
        ("a length with NUL in its name", "Content-\0Length: 3\r\n"),
        ("a length with NUL in its value", "Content-Length: 3\0\r\n"),
        ("a length with a vertical tab", "Content-Length:\x0b3\r\n"),
        ("a length with a form feed", "Content-Length: 3\x0c\r\n"),
        ("a length with an underscore", "Content_Length: 3\r\n"),
        ("a length with a dot", "Content.Length: 3\r\n"),
        ("a length without a colon", "Content-Length 3\r\n"),
    ];
    let mut cases: Vec<Case> = refused
        .iter()
        .map(|(name, lines)| Case::new(*name, post(lines, "abc")).bad())
        .collect();
    let zero = post("Content-Length: 0\r\n", SMUGGLED);
    cases.push(
        Case::new("behind a length of 0 the next request begins", zero)
            .passed(Clean::post("/open/a", ""))
            .passed(Clean::get("/open/smuggled")),
    );
    cases
}

/// Valid requests, so that a gateway that refuses everything fails.
fn plain() -> Vec<Case> {
    [
        ("a plain length", "Content-Length: 3\r\n"),
        ("a length without a blank", "Content-Length:3\r\n"),
        ("a length between blanks", "Content-Length: \t 3 \t\r\n"),
        ("a length in capitals", "CONTENT-LENGTH: 3\r\n"),
        (
            "a length named by Connection",
            "Connection: Content-Length\r\nContent-Length: 3\r\n",
        ),
    ]
    .map(|(name, lines)| Case::new(name, post(lines, "abc")).passed(Clean::post("/open/a", "abc")))
    .to_vec()
}
