//! Values in each place of an skey. Redis is asked once for a well-formed skey and never for
//! anything else, and no part of the value is forwarded.

use super::case::{Case, Clean};

/// The group: each case with the look-ups that it may cost.
pub(super) fn cases() -> Vec<(Case, u64)> {
    [impossible(), unknown(), good(), several(), raw()].concat()
}

fn head(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: g\r\n{lines}\r\n")
}

fn nobody(case: Case) -> Case {
    case.turned_down(401, "not_logged_in")
}

/// Too short, too long, or of letters that no skey has.
fn impossible() -> Vec<(Case, u64)> {
    let mut values: Vec<String> = [
        "",
        " ",
        "x",
        "*",
        "?",
        "[a-z]*",
        "skeygate:s:*",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa*",
        "aaaaaaaaaaaaaaaaaaaaa?aaaaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaaa{a}aaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaaa\taaaaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=",
        "aaaaaaaaaaaaaaaaaaaaa+/aaaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaaa:aaaaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaaa%0aaaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaaa\\r\\nDEL a",
        "$3 foo",
        "*1 $7 FLUSHDB",
        "../../etc/passwd",
        "' OR 1=1 --",
        "\u{ff41}\u{ff41}\u{ff41}\u{ff41}\u{ff41}\u{ff41}\u{ff41}\u{ff41}",
        "{skey}=",
        "{skey}, {skey}",
        "\"{skey}\"",
        "Bearer {skey}",
    ]
    .map(str::to_owned)
    .to_vec();
    values.extend(["a".repeat(19), "a".repeat(129), "a".repeat(8000)]);
    let mut cases = Vec::new();
    for value in values {
        let name: String = value.chars().take(60).collect();
        let length = value.len();
        let name = format!("skey {name:?} of {length} bytes");
        let bytes = head("/known/a", &format!("skey: {value}\r\n"));
        cases.push((nobody(Case::new(name, bytes)), 0));
    }
    cases
}

/// Well-formed, but not stored.
fn unknown() -> Vec<(Case, u64)> {
    [20, 43, 128]
        .map(|length| {
            let bytes = head("/known/a", &format!("skey: {}\r\n", "a".repeat(length)));
            let case = Case::new(format!("an unknown skey of {length} letters"), bytes);
            (nobody(case), 1)
        })
        .to_vec()
}

/// The skey of a user, in each place; the upstream gets it in none.
fn good() -> Vec<(Case, u64)> {
    let places = |target: &str| Clean::get(target).known();
    let post = |kind: &str, body: &str, length: usize| {
        let head = "POST /places/a HTTP/1.1\r\nHost: g\r\n";
        format!("{head}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let form = "application/x-www-form-urlencoded";
    let json = "application/json";
    // The mark in the body is shorter than the skey that it stands for.
    let longer = 43 - "{skey}".len();
    let in_form = "a=1&tk={skey}&b=2";
    let in_json = "{\"a\":1,\"tk\":\"{skey}\"}";
    vec![
        (
            Case::new(
                "an skey in the header",
                head("/places/a", "skey: {skey}\r\n"),
            )
            .passed(places("/places/a")),
            1,
        ),
        (
            Case::new(
                "an skey between blanks",
                head("/places/a", "SKEY: \t {skey} \t\r\n"),
            )
            .passed(places("/places/a")),
            1,
        ),
        (
            Case::new(
                "an skey as bearer",
                head("/places/a", "Authorization: bearer {skey}\r\n"),
            )
            .passed(places("/places/a")),
            1,
        ),
        (
            Case::new(
                "an skey in a cookie",
                head("/places/a", "Cookie: a=1; sid={skey}; b=2\r\n"),
            )
            .passed(places("/places/a").header("cookie", "a=1; b=2")),
            1,
        ),
        (
            Case::new(
                "an skey in the query",
                head("/places/a?x=1&tk={skey}&y=2", ""),
            )
            .passed(places("/places/a?x=1&y=2")),
            1,
        ),
        (
            Case::new(
                "an skey in a form",
                post(form, in_form, in_form.len() + longer),
            )
            .passed(
                Clean::post("/places/a", "a=1&b=2")
                    .header("content-type", form)
                    .known(),
            ),
            1,
        ),
        (
            Case::new(
                "an skey in JSON",
                post(json, in_json, in_json.len() + longer),
            )
            .passed(
                Clean::post("/places/a", "{\"a\":1}")
                    .header("content-type", json)
                    .known(),
            ),
            1,
        ),
        (
            Case::new(
                "an skey on a route without auth",
                head("/open/a", "skey: {skey}\r\n"),
            )
            .passed(Clean::get("/open/a")),
            0,
        ),
    ]
}

/// More than one place: equal values are one skey, different ones are refused without a look-up.
fn several() -> Vec<(Case, u64)> {
    let other = "a".repeat(43);
    let conflicting = |name: &str, target: &str, lines: &str| {
        let bytes = head(target, lines);
        (
            Case::new(name, bytes).turned_down(400, "conflicting_skeys"),
            0,
        )
    };
    let twice = "skey: {skey}\r\nAuthorization: Bearer {skey}\r\nCookie: sid={skey}\r\n";
    vec![
        (
            Case::new(
                "the same skey in every place",
                head("/places/a?tk={skey}", twice),
            )
            .passed(Clean::get("/places/a").known()),
            1,
        ),
        conflicting(
            "two skeys in one header",
            "/places/a",
            &format!("skey: {{skey}}\r\nskey: {other}\r\n"),
        ),
        conflicting(
            "two skeys in header and bearer",
            "/places/a",
            &format!("skey: {{skey}}\r\nAuthorization: Bearer {other}\r\n"),
        ),
        conflicting(
            "two skeys in header and cookie",
            "/places/a",
            &format!("skey: {{skey}}\r\nCookie: sid={other}\r\n"),
        ),
        conflicting(
            "two skeys in header and query",
            &format!("/places/a?tk={other}"),
            "skey: {skey}\r\n",
        ),
        conflicting(
            "two skeys in one cookie line",
            "/places/a",
            &format!("Cookie: sid={{skey}}; sid={other}\r\n"),
        ),
        conflicting(
            "two skeys in two cookie lines",
            "/places/a",
            &format!("Cookie: sid={{skey}}\r\nCookie: sid={other}\r\n"),
        ),
        conflicting(
            "two skeys in one query",
            &format!("/places/a?tk={{skey}}&tk={other}"),
            "",
        ),
        conflicting(
            "two skeys in one query, one of them encoded",
            &format!("/places/a?tk={{skey}}&%74k={other}"),
            "",
        ),
    ]
}

/// Bytes that end a header's value, or are in none.
fn raw() -> Vec<(Case, u64)> {
    let filler = "a".repeat(20);
    let mut cases = Vec::new();
    for (what, bytes) in [
        ("NUL", "\0"),
        ("a bare LF", "\n"),
        ("a bare CR", "\r"),
        ("BEL", "\x07"),
        ("DEL", "\x7f"),
        ("a folded line", "\r\n "),
    ] {
        let lines = format!("skey: {filler}{bytes}{filler}\r\n");
        let name = format!("an skey with {what}");
        cases.push((Case::new(name, head("/known/a", &lines)).bad(), 0));
    }
    let above = [
        b"GET /known/a HTTP/1.1\r\nHost: g\r\nskey: ".as_slice(),
        &[0xff; 43],
        b"\r\n\r\n",
    ];
    cases.push((
        nobody(Case::new("an skey of bytes above ASCII", above.concat())),
        0,
    ));
    cases
}
