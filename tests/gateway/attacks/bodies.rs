//! Two framings at once (CL.TE, TE.CL), bodies where none is expected (CL.0, 0.CL), and requests
//! hidden in them.

use super::case::{Case, Clean};
use super::{SMUGGLED, post};

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// The group.
pub(super) fn cases() -> Vec<Case> {
    [both(), hidden(), unread(), cut()].concat()
}

/// A length and a coding: whichever the next server goes by, we do not pass it on (RFC 9112, 6.1).
fn both() -> Vec<Case> {
    let smuggled = format!("0\r\n\r\n{SMUGGLED}");
    let one_chunk = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let length = |count: usize| format!("Content-Length: {count}\r\n");
    let whole = length(smuggled.len());
    let six = length(6);
    let four = length(4);
    let requests = [
        ("CL.TE", post(&format!("{whole}{CHUNKED}"), &smuggled)),
        (
            "CL.TE, a prefix left over",
            post(&format!("{six}{CHUNKED}"), "0\r\n\r\nG"),
        ),
        ("TE.CL", post(&format!("{CHUNKED}{four}"), &one_chunk)),
        (
            "TE.CL, the length last of all",
            post(&format!("{CHUNKED}X-A: b\r\n{four}"), &one_chunk),
        ),
        (
            "TE and a length of 0",
            post(&format!("{CHUNKED}Content-Length: 0\r\n"), &smuggled),
        ),
        (
            "TE and an empty length",
            post(&format!("{CHUNKED}Content-Length:\r\n"), &smuggled),
        ),
        (
            "TE and two lengths",
            post(&format!("{six}{CHUNKED}{six}"), "0\r\n\r\nG"),
        ),
        (
            "a length and TE in other letters",
            post(
                &format!("{six}tRANSFER-eNCODING: cHUNKED\r\n"),
                "0\r\n\r\nG",
            ),
        ),
        (
            "a length and TE identity",
            post(&format!("{six}Transfer-Encoding: identity\r\n"), "abcdef"),
        ),
        (
            "a length and an empty TE",
            post(&format!("{six}Transfer-Encoding:\r\n"), "abcdef"),
        ),
        (
            "a length and TE gzip",
            post(&format!("{six}Transfer-Encoding: gzip\r\n"), "abcdef"),
        ),
        (
            "a length and TE named by Connection",
            post(
                &format!("Connection: Transfer-Encoding\r\n{six}{CHUNKED}"),
                "0\r\n\r\nG",
            ),
        ),
        (
            "TE and a length named by Connection",
            post(
                &format!("Connection: Content-Length\r\n{six}{CHUNKED}"),
                "0\r\n\r\nG",
            ),
        ),
        (
            "a length and TE by GET",
            format!("GET /open/a HTTP/1.1\r\nHost: g\r\n{six}{CHUNKED}\r\n0\r\n\r\nG"),
        ),
        (
            "a length and TE before the host",
            format!("POST /open/a HTTP/1.1\r\n{six}{CHUNKED}Host: g\r\n\r\n0\r\n\r\nG"),
        ),
        (
            "a length and TE over HTTP/1.0",
            format!("POST /open/a HTTP/1.0\r\nHost: g\r\n{six}{CHUNKED}\r\n0\r\n\r\nG"),
        ),
        (
            "TE over HTTP/1.0",
            format!("POST /open/a HTTP/1.0\r\nHost: g\r\n{CHUNKED}\r\n0\r\n\r\n"),
        ),
        (
            "TE over HTTP/1.0 that is kept alive",
            format!(
                "POST /open/a HTTP/1.0\r\nHost: g\r\nConnection: keep-alive\r\n{CHUNKED}\r\n{smuggled}"
            ),
        ),
    ];
    let mut cases: Vec<Case> = requests
        .into_iter()
        .map(|(name, bytes)| Case::new(name, bytes).bad())
        .collect();
    let head = post(&format!("{six}{CHUNKED}"), "");
    cases.push(
        Case::new("CL.TE, the body later", head)
            .then("0\r\n\r\nG")
            .bad(),
    );
    let (first, second) = (
        "POST /open/a HTTP/1.1\r\nHost: g\r\nContent-Length: 6\r\n",
        CHUNKED,
    );
    cases.push(
        Case::new("CL.TE, the coding later", first)
            .then(format!("{second}\r\n0\r\n\r\nG"))
            .bad(),
    );
    cases
}

/// A request inside a body is a body.
fn hidden() -> Vec<Case> {
    let length = SMUGGLED.len();
    let lengthy = format!("Content-Length: {length}\r\n");
    let typed = |kind: &str| format!("Content-Type: {kind}\r\n{lengthy}");
    let chunk = format!("{length:x}\r\n{SMUGGLED}\r\n0\r\n\r\n");
    let form = "application/x-www-form-urlencoded";
    let by =
        |method: &str| format!("{method} /open/a HTTP/1.1\r\nHost: g\r\n{lengthy}\r\n{SMUGGLED}");
    let clean_by = |method: &str| {
        let mut clean = Clean::post("/open/a", SMUGGLED);
        clean.start = format!("{method} /open/a");
        clean
    };
    let mut cases = vec![
        Case::new("a request in a body", post(&lengthy, SMUGGLED))
            .passed(Clean::post("/open/a", SMUGGLED)),
        Case::new("a request in a form", post(&typed(form), SMUGGLED))
            .passed(Clean::post("/open/a", SMUGGLED).header("content-type", form)),
        Case::new(
            "a request in JSON",
            post(&typed("application/json"), SMUGGLED),
        )
        .passed(Clean::post("/open/a", SMUGGLED).header("content-type", "application/json")),
        Case::new("a request in a chunk", post(CHUNKED, &chunk))
            .passed(Clean::post("/open/a", SMUGGLED).chunked()),
        Case::new("a request in a body that comes later", post(&lengthy, ""))
            .then(SMUGGLED)
            .passed(Clean::post("/open/a", SMUGGLED)),
        Case::new(
            "a body is followed by a good request",
            post(&lengthy, SMUGGLED) + SMUGGLED,
        )
        .passed(Clean::post("/open/a", SMUGGLED))
        .passed(Clean::get("/open/smuggled")),
        Case::new(
            "a body is followed by bytes that are none",
            post(&lengthy, SMUGGLED) + "x\0y\r\n\r\n",
        )
        .passed(Clean::post("/open/a", SMUGGLED))
        .bad(),
    ];
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "PATCH", "PUT", "QUERY"] {
        let name = format!("a request in the body of a {method}");
        cases.push(Case::new(name, by(method)).passed(clean_by(method)));
    }
    let get_chunked = format!("GET /open/a HTTP/1.1\r\nHost: g\r\n{CHUNKED}\r\n{chunk}");
    cases.push(
        Case::new("a request in a chunk of a GET", get_chunked).passed(clean_by("GET").chunked()),
    );
    cases
}

/// Refused before the body is read: the rest of it is never taken for a request.
fn unread() -> Vec<Case> {
    let lengthy = format!(
        "Host: g\r\nContent-Length: {}\r\n\r\n{SMUGGLED}",
        SMUGGLED.len()
    );
    let chunked = format!(
        "Host: g\r\n{CHUNKED}\r\n{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n",
        SMUGGLED.len()
    );
    let mut cases = Vec::new();
    for (framing, rest) in [("length", lengthy), ("chunks", chunked)] {
        let mut add = |what: &str, line: &str, status, error| {
            let name = format!("a request in a body with {framing}, {what}");
            cases.push(Case::new(name, format!("{line}\r\n{rest}")).unread(status, error));
        };
        add(
            "without an skey",
            "POST /known/a HTTP/1.1",
            401,
            "not_logged_in",
        );
        add("to no route", "POST /nowhere HTTP/1.1", 404, "no_route");
        add(
            "to a dot segment",
            "POST /open/../known/a HTTP/1.1",
            400,
            "ambiguous_path",
        );
        add(
            "to an end of a login",
            "PUT /login HTTP/1.1",
            405,
            "method_not_allowed",
        );
        add(
            "to a logout",
            "POST /_gateway/logout HTTP/1.1",
            401,
            "not_logged_in",
        );
    }
    let login = format!(
        "POST /login HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{SMUGGLED}",
        SMUGGLED.len()
    );
    cases.push(Case::new("a request in a login", login).unread(400, "bad_request"));
    let large =
        format!("POST /open/a HTTP/1.1\r\nHost: g\r\nContent-Length: 70000\r\n\r\n{SMUGGLED}");
    cases.push(
        Case::new("a request in a body over the limit", large).refused(413, "body_too_large"),
    );
    let expects = format!(
        "POST /known/a HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        SMUGGLED.len()
    );
    cases.push(
        Case::new("a body that was refused and comes nevertheless", expects)
            .then(SMUGGLED)
            .unread(401, "not_logged_in"),
    );
    cases
}

/// Less than was promised, and then the end: never a whole request.
fn cut() -> Vec<Case> {
    [
        (
            "a body shorter than its length",
            post("Content-Length: 10\r\n", "abc"),
        ),
        ("no byte of a body", post("Content-Length: 10\r\n", "")),
        (
            "a head that breaks off",
            "POST /open/a HTTP/1.1\r\nHost: g\r\nContent-Le".to_owned(),
        ),
        (
            "a head without its empty line",
            "GET /open/a HTTP/1.1\r\nHost: g\r\n".to_owned(),
        ),
        (
            "half a line end",
            "GET /open/a HTTP/1.1\r\nHost: g\r\n\r".to_owned(),
        ),
        ("a chunk size that breaks off", post(CHUNKED, "5")),
        ("a chunk size without its data", post(CHUNKED, "5\r\n")),
        ("a chunk that breaks off", post(CHUNKED, "5\r\nhel")),
        ("a chunk without its line end", post(CHUNKED, "5\r\nhello")),
        (
            "chunks without the last one",
            post(CHUNKED, "5\r\nhello\r\n"),
        ),
        (
            "a last chunk that breaks off",
            post(CHUNKED, "5\r\nhello\r\n0\r\n"),
        ),
        (
            "a trailer that breaks off",
            post(CHUNKED, "5\r\nhello\r\n0\r\nX-A: b\r\n"),
        ),
        (
            "a huge chunk that is never sent",
            post(CHUNKED, "ffffffff\r\nhello"),
        ),
    ]
    .map(|(name, bytes)| Case::new(name, bytes).cut_off())
    .to_vec()
}
