//! Chunked bodies: sizes, extensions, ends, trailers (RFC 9112, 7.1). A damaged body never becomes
//! a whole request upstream, and no extension passes.

use super::case::{Case, Clean};
use super::{SMUGGLED, post};

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// The group.
pub(super) fn cases() -> Vec<Case> {
    [
        sizes(),
        line_ends(),
        extensions(),
        trailers(),
        good(),
        behind(),
    ]
    .concat()
}

fn damaged(name: impl Into<String>, body: impl AsRef<str>) -> Case {
    Case::new(name, post(CHUNKED, body.as_ref())).damaged()
}

fn good_one(name: &str, body: &str) -> Case {
    let clean = Clean::post("/open/a", "hello").chunked();
    Case::new(name, post(CHUNKED, body)).passed(clean)
}

/// Sizes that are no hexadecimal number, or none in 64 bits.
fn sizes() -> Vec<Case> {
    [
        "-1",
        "-0",
        "+5",
        "0x5",
        "0X5",
        "5h",
        "5_",
        "5.",
        "5,5",
        "5 5",
        "5\t5",
        " 5",
        "\t5",
        "5 ",
        "\"5\"",
        "g",
        "x",
        "",
        " ",
        "%35",
        "\u{ff15}",
        "5\0",
        "10000000000000000",
        "10000000000000005",
        "fffffffffffffffff",
        "ffffffffffffffffffffffffffffffff",
    ]
    .map(|size| {
        damaged(
            format!("chunk size {size:?}"),
            format!("{size}\r\nhello\r\n0\r\n\r\n"),
        )
    })
    .to_vec()
}

/// A bare LF or CR ends no line, and data ends where its size says.
fn line_ends() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("a size before a bare LF", "5\nhello\r\n0\r\n\r\n"),
        ("a size before a bare CR", "5\rhello\r\n0\r\n\r\n"),
        ("a size before CR CR LF", "5\r\r\nhello\r\n0\r\n\r\n"),
        ("a size before LF CR", "5\n\rhello\r\n0\r\n\r\n"),
        ("data before a bare LF", "5\r\nhello\n0\r\n\r\n"),
        ("data before a bare CR", "5\r\nhello\r0\r\n\r\n"),
        ("data before another byte", "5\r\nhello!\r\n0\r\n\r\n"),
        ("data without a line end", "5\r\nhello0\r\n\r\n"),
        ("data shorter than its size", "7\r\nhello\r\n0\r\n\r\n"),
        ("data longer than its size", "4\r\nhello\r\n0\r\n\r\n"),
        (
            "an empty line between chunks",
            "5\r\nhello\r\n\r\n0\r\n\r\n",
        ),
        ("the last chunk before a bare LF", "5\r\nhello\r\n0\n\r\n"),
        ("an end of a bare LF", "5\r\nhello\r\n0\r\n\n"),
        ("an end of a bare CR", "5\r\nhello\r\n0\r\n\rx"),
    ]
    .map(|(name, body)| damaged(name, body))
    .to_vec();
    cases.push(damaged("a chunked body that is none", SMUGGLED));
    cases
}

/// TERM.EXT and its like: an extension that one parser ends at another place.
fn extensions() -> Vec<Case> {
    let long = format!("5;a={}\r\nhello\r\n0\r\n\r\n", "b".repeat(20 * 1024));
    let many = format!(
        "{}0\r\n\r\n",
        format!("1;a={}\r\nx\r\n", "b".repeat(1024)).repeat(40)
    );
    let mut cases: Vec<Case> = [
        ("an extension with a bare LF", "5;\nhello\r\n0\r\n\r\n"),
        (
            "an extension with a name and a bare LF",
            "5;a\nhello\r\n0\r\n\r\n",
        ),
        (
            "an extension with a value and a bare LF",
            "5;a=b\nhello\r\n0\r\n\r\n",
        ),
        (
            "an extension with a bare LF before CR LF",
            "5;\n\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "an extension with a quoted LF",
            "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "an extension with a quoted CR LF",
            "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "an extension with a bare CR",
            "5;a\rb\r\nhello\r\n0\r\n\r\n",
        ),
        ("an extension with CR CR LF", "5;a\r\r\nhello\r\n0\r\n\r\n"),
        ("an extension with NUL", "5;a=\0\r\nhello\r\n0\r\n\r\n"),
        ("an extension with DEL", "5;a=\x7f\r\nhello\r\n0\r\n\r\n"),
        (
            "an extension of the last chunk with a bare LF",
            "5\r\nhello\r\n0;\n\r\n",
        ),
        (
            "an extension of the last chunk with a bare LF and more",
            "2;\nxx\r\n0\r\n\r\n",
        ),
    ]
    .map(|(name, body)| damaged(name, body))
    .to_vec();
    cases.push(damaged("an extension of 20 KiB", long));
    cases.push(damaged("40 KiB of extensions", many));
    cases
}

fn trailers() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("a trailer with no colon", "X-A"),
        ("a trailer with a blank before its colon", "X-A : b"),
        ("a trailer with an empty name", ": b"),
        ("a trailer that is folded", "X-A: b\r\n c"),
        ("a trailer behind a blank", " X-A: b"),
        ("a trailer with a bare CR", "X-A: b\rc"),
        ("a trailer with a bare LF", "X-A: b\nX-B: c"),
        ("a trailer with NUL", "X-A: \0"),
        ("a trailer with a blank in its name", "X A: b"),
        ("a trailer with a length", "Content-Length: 3"),
        ("a trailer with a coding", "Transfer-Encoding: chunked"),
        ("a trailer with a host", "Host: forged"),
        (
            "a trailer with a length in another spelling",
            "Content_Length: 3",
        ),
    ]
    .map(|(name, line)| damaged(name, format!("5\r\nhello\r\n0\r\n{line}\r\n\r\n")))
    .to_vec();
    let declared = |names: &str, lines: &str| {
        let head = format!("{CHUNKED}Trailer: {names}\r\n");
        post(&head, &format!("5\r\nhello\r\n0\r\n{lines}\r\n"))
    };
    let clean = || Clean::post("/open/a", "hello").chunked();
    cases.push(
        Case::new(
            "a plain trailer passes",
            declared("X-Checksum", "X-Checksum: 1\r\n"),
        )
        .passed(
            clean()
                .header("trailer", "X-Checksum")
                .trailer("x-checksum", "1"),
        ),
    );
    for (name, line) in [
        ("identity", "X-Openid: forged"),
        ("an identity with an underscore", "X_Openid: forged"),
        ("an identity with a dot", "X.User.Id: forged"),
        ("a connection", "Connection: X-Openid"),
        ("an address", "X-Forwarded-For: 1.2.3.4"),
        ("a real address", "X-Real-Ip: 1.2.3.4"),
        ("another URL", "X-Original-Url: /admin"),
        (
            "an skey",
            "skey: ssssssssssssssssssssssssssssssssssssssssssss",
        ),
        ("a trailer", "Trailer: X-Openid"),
    ] {
        let field = line.split(':').next().expect("a name");
        let bytes = declared(field, &format!("{line}\r\n"));
        // `Trailer` is passed on; forbidden trailer fields are not.
        let clean = clean().header("trailer", field);
        cases.push(Case::new(format!("a trailer with {name} is dropped"), bytes).passed(clean));
    }
    cases
}

/// Valid bodies, so that a gateway that refuses everything fails; no extension passes.
fn good() -> Vec<Case> {
    vec![
        good_one("a plain chunk", "5\r\nhello\r\n0\r\n\r\n"),
        good_one("two chunks", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        good_one("a size with zeros before it", "0005\r\nhello\r\n0\r\n\r\n"),
        good_one("a last chunk of many zeros", "5\r\nhello\r\n0000\r\n\r\n"),
        good_one("an extension", "5;a=b\r\nhello\r\n0\r\n\r\n"),
        good_one(
            "an extension without a value",
            "5;a\r\nhello\r\n0;b\r\n\r\n",
        ),
        good_one(
            "an extension in quotes",
            "5;a=\"b;c d\"\r\nhello\r\n0\r\n\r\n",
        ),
        Case::new(
            "a size in capitals",
            post(CHUNKED, "A\r\nhellohello\r\n0\r\n\r\n"),
        )
        .passed(Clean::post("/open/a", "hellohello").chunked()),
        Case::new("no chunk but the last", post(CHUNKED, "0\r\n\r\n"))
            .passed(Clean::post("/open/a", "").chunked()),
    ]
}

/// Behind the last chunk the next request begins.
fn behind() -> Vec<Case> {
    let whole = "5\r\nhello\r\n0\r\n\r\n";
    let clean = || Clean::post("/open/a", "hello").chunked();
    vec![
        Case::new(
            "a request behind the last chunk",
            post(CHUNKED, &format!("{whole}{SMUGGLED}")),
        )
        .passed(clean())
        .passed(Clean::get("/open/smuggled")),
        Case::new(
            "no request behind the last chunk",
            post(CHUNKED, &format!("{whole}x y z\r\n\r\n")),
        )
        .passed(clean())
        .bad(),
        Case::new(
            "a second last chunk",
            post(CHUNKED, &format!("{whole}0\r\n\r\n")),
        )
        .passed(clean())
        .bad(),
    ]
}
