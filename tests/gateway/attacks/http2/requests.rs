//! Requests that are malformed by RFC 9113, 8, or that would be another request over HTTP/1.1.

use super::case::{Attack, END_STREAM, PROTOCOL_ERROR, SKEY, data, get, headers, post, request};
use crate::attacks::SMUGGLED;
use crate::attacks::case::Clean;

/// The group.
pub(in crate::attacks) fn attacks() -> Vec<Attack> {
    [
        pseudo(),
        targets(),
        hosts(),
        names(),
        values(),
        lengths(),
        trailers(),
        good(),
    ]
    .concat()
}

fn alone(name: &str, fields: &[(&str, &str)]) -> Attack {
    Attack::new(name, &[headers(1, END_STREAM, fields)])
}

fn with(name: &str, fields: &[(&str, &str)]) -> Attack {
    Attack::new(name, &[get("/open/a", fields)])
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const AUTHORITY: (&str, &str) = (":authority", "g");
const PATH: (&str, &str) = (":path", "/open/a");

fn pseudo() -> Vec<Attack> {
    let all = [METHOD, SCHEME, AUTHORITY, PATH];
    let and = |more: (&'static str, &'static str)| [all.as_slice(), &[more]].concat();
    let late_path = [METHOD, SCHEME, AUTHORITY, ("x-a", "b"), PATH];
    let late_host = [METHOD, SCHEME, PATH, ("x-a", "b"), AUTHORITY];
    let empty_path = [METHOD, SCHEME, AUTHORITY, (":path", "")];
    let protocol = (":protocol", "websocket");
    let malformed = [
        alone("no pseudo-header", &[("x-a", "b")]),
        alone("nothing at all", &[]),
        alone("no :method", &[SCHEME, AUTHORITY, PATH]),
        alone("no :scheme", &[METHOD, AUTHORITY, PATH]),
        alone("no :path", &[METHOD, SCHEME, AUTHORITY]),
        alone("an empty :path", &empty_path),
        alone(":path behind a header", &late_path),
        alone(":authority behind a header", &late_host),
        alone(":method twice", &and(METHOD)),
        alone(":method twice, different", &and((":method", "POST"))),
        alone(":scheme twice", &and(SCHEME)),
        alone(":authority twice", &and(AUTHORITY)),
        alone(":path twice", &and(PATH)),
        alone(":path twice, different", &and((":path", "/known/a"))),
        alone(":status in a request", &and((":status", "200"))),
        alone(":protocol without CONNECT", &and(protocol)),
    ];
    let mut attacks: Vec<Attack> = malformed.into_iter().map(Attack::malformed).collect();
    let capitals = [(":METHOD", "GET"), SCHEME, AUTHORITY, PATH];
    attacks.push(alone(":METHOD in capitals", &capitals).broken());
    attacks.push(alone("an unknown pseudo-header", &and((":x", "b"))).broken());
    for method in [
        "",
        "G T",
        "GET /known/a HTTP/1.1\r\nx: y",
        "GET\r\n",
        "GET\0",
        "G(T",
        "G\u{cb}T",
        " GET",
        "GET ",
    ] {
        let fields = [(":method", method), SCHEME, AUTHORITY, PATH];
        attacks.push(alone(&format!(":method {method:?}"), &fields).broken());
    }
    for scheme in ["ht tp", "http\r\n", "http://g/known/a"] {
        let fields = [METHOD, (":scheme", scheme), AUTHORITY, PATH];
        attacks.push(alone(&format!(":scheme {scheme:?}"), &fields).malformed());
    }
    for scheme in ["", "1http", "ftp"] {
        let fields = [METHOD, (":scheme", scheme), AUTHORITY, PATH];
        let attack = alone(&format!(":scheme {scheme:?}"), &fields);
        attacks.push(attack.refused(400, "bad_request"));
    }
    attacks
}

fn targets() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for path in [
        "open/a",
        "/open/a b",
        "/open/a HTTP/1.1\r\nX-Openid: forged\r\n\r\n",
        "/open/a\r\n",
        "/open/a\n",
        "/open/a\0",
        "/open/\ta",
        "/open/\x7fa",
        "/open/a?b c",
        "/open/a?b\r\nc",
        "http://g/open/a",
        "g:80",
    ] {
        attacks.push(Attack::new(format!(":path {path:?}"), &[get(path, &[])]).malformed());
    }
    for path in [
        "/open/../known/a",
        "/open/%2e%2e/known/a",
        "/open/x%2fa",
        "/open/a%00",
        "/open/a;x",
        "/open\\a",
        "/open/%zz",
    ] {
        let attack = Attack::new(format!(":path {path:?}"), &[get(path, &[])]);
        attacks.push(attack.refused(400, "ambiguous_path"));
    }
    // Cut off here, so that it is no part of what was checked or of what is passed on.
    for path in ["/open/a#x", "/open/a#/../known/a"] {
        let attack = Attack::new(format!(":path {path:?}"), &[get(path, &[])]);
        attacks.push(attack.passed(1, Clean::get("/open/a")));
    }
    attacks.push(Attack::new("GET *", &[get("*", &[])]).refused(400, "bad_request"));
    attacks
}

fn hosts() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for authority in ["g h", "g/x", "g\r\n", "g\0", "g?x", "g#x", "g\\x"] {
        let fields = [METHOD, SCHEME, (":authority", authority), PATH];
        attacks.push(alone(&format!(":authority {authority:?}"), &fields).malformed());
    }
    for authority in ["u@g", "g:99999", "g:"] {
        let fields = [METHOD, SCHEME, (":authority", authority), PATH];
        let attack = alone(&format!(":authority {authority:?}"), &fields);
        attacks.push(attack.refused(400, "bad_request"));
    }
    let refused = [
        alone("no host", &[METHOD, SCHEME, PATH]),
        with(":authority and another host", &[("host", "h")]),
        with(":authority and two hosts", &[("host", "g"), ("host", "g")]),
        with(":authority and an empty host", &[("host", "")]),
        with(":authority and a malformed host", &[("host", "g h")]),
    ];
    attacks.extend(refused.map(|attack| attack.refused(400, "bad_request")));
    attacks
}

fn names() -> Vec<Attack> {
    let named = |field: &(&str, &str)| {
        let name = format!("the field {:?}: {:?}", field.0, field.1);
        with(&name, &[*field])
    };
    let broken = [
        ("X-A", "b"),
        ("x-a ", "b"),
        (" x-a", "b"),
        ("x a", "b"),
        ("x:a", "b"),
        ("x-a:", "b"),
        ("x-a\r\nx-openid", "forged"),
        ("x-a\n", "b"),
        ("x-a\0", "b"),
        ("x(a)", "b"),
        ("x/a", "b"),
        ("x-\u{e9}", "b"),
        ("", "b"),
    ];
    let malformed = [
        ("connection", "close"),
        ("connection", "x-openid"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("upgrade", "websocket"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("te", "chunked"),
    ];
    let broken = broken.iter().map(|field| named(field).broken());
    let malformed = malformed.iter().map(|field| named(field).malformed());
    let mut attacks: Vec<Attack> = broken.chain(malformed).collect();
    let head = post(&[("transfer-encoding", "chunked")]);
    let chunked = [head, data(1, END_STREAM, "0\r\n\r\n")];
    attacks.push(Attack::new("a body with transfer-encoding", &chunked).damaged());
    attacks
}

fn values() -> Vec<Attack> {
    [
        "b\r\nx-openid: forged",
        "b\r\n\r\nGET /open/smuggled HTTP/1.1\r\nHost: g\r\n\r\n",
        "b\nc",
        "b\rc",
        "\r\n",
        "b\0c",
        "b\x01c",
        "b\x7fc",
    ]
    .map(|value| with(&format!("the value {value:?}"), &[("x-a", value)]).broken())
    .to_vec()
}

/// H2.CL: over HTTP/1.1 the length would be believed.
fn lengths() -> Vec<Attack> {
    let ends = |length: &'static str| [get("/open/a", &[("content-length", length)])];
    let body = |length: &'static str, bytes: &str| {
        [
            post(&[("content-length", length)]),
            data(1, END_STREAM, bytes),
        ]
    };
    let mut attacks = vec![
        Attack::new("a length and no body", &ends("5")).malformed(),
        Attack::new("a length of 0 and a body", &body("0", SMUGGLED)).damaged(),
        Attack::new("a length that is too short", &body("3", SMUGGLED)).damaged(),
        Attack::new("a length that is too long", &body("100", "abc")).damaged(),
        Attack::new("a length and no byte of a body", &body("3", "")).damaged(),
        Attack::new(
            "a length that the second piece goes over",
            &[
                post(&[("content-length", "3")]),
                data(1, 0, "abc"),
                data(1, END_STREAM, SMUGGLED),
            ],
        )
        .damaged(),
        Attack::new(
            "a length and trailers in place of a body",
            &[
                post(&[("content-length", "3")]),
                headers(1, END_STREAM, &[("x-a", "b")]),
            ],
        )
        .damaged(),
        Attack::new(
            "a length over the limit",
            &[post(&[("content-length", "70000")])],
        )
        .refused(413, "body_too_large"),
    ];
    for length in [
        "+3",
        "-3",
        "0x3",
        "3,3",
        "3 3",
        "",
        "abc",
        "18446744073709551616",
    ] {
        let frames = [
            post(&[("content-length", length)]),
            data(1, END_STREAM, "abc"),
        ];
        attacks.push(Attack::new(format!("the length {length:?}"), &frames).damaged());
    }
    for lengths in [["3", "4"], ["0", "3"]] {
        let fields = lengths.map(|length| ("content-length", length));
        let frames = [post(&fields), data(1, END_STREAM, "abc")];
        attacks.push(Attack::new(format!("the lengths {lengths:?}"), &frames).damaged());
    }
    let twice = [("content-length", "3"), ("content-length", "3")];
    let frames = [post(&twice), data(1, END_STREAM, "abc")];
    attacks.push(Attack::new("a length twice", &frames).refused(400, "bad_request"));
    let frames = [
        post(&[("content-length", "03")]),
        data(1, END_STREAM, "abc"),
    ];
    attacks
        .push(Attack::new("a length with a zero before it", &frames).refused(400, "bad_request"));
    attacks
}

fn trailers() -> Vec<Attack> {
    let behind = |name: &str, flags: u8, fields: &[(&str, &str)]| {
        let frames = [post(&[]), data(1, 0, "abc"), headers(1, flags, fields)];
        Attack::new(name, &frames)
    };
    let clean = || Clean::post("/open/a", "abc").chunked();
    let pseudo = [(":path", "/known/a")];
    let capitals = [("X-A", "b")];
    let lines = [("x-a", "b\r\nx-openid: forged")];
    let connection = [("connection", "close")];
    let identity = [("x-openid", "forged"), ("x_user_id", "forged")];
    let framing = [("content-length", "9"), ("host", "h")];
    vec![
        behind("trailers with a name in capitals", END_STREAM, &capitals).gone(PROTOCOL_ERROR),
        behind("trailers with CR LF", END_STREAM, &lines).gone(PROTOCOL_ERROR),
        behind("trailers with a connection", END_STREAM, &connection).damaged(),
        behind("trailers that do not end", 0, &[("x-a", "b")]).damaged(),
        // The library drops it.
        behind("trailers with a pseudo-header", END_STREAM, &pseudo).passed(1, clean()),
        behind("trailers with identity", END_STREAM, &identity).passed(1, clean()),
        behind("trailers with framing", END_STREAM, &framing).passed(1, clean()),
    ]
}

/// Valid requests, so that a gateway that refuses everything fails; and headers that are removed.
fn good() -> Vec<Attack> {
    let clean = || Clean::get("/open/a");
    let known = |name: &str, fields: &[(&str, &str)]| {
        let mut all = vec![("skey", SKEY)];
        all.extend(fields);
        let attack = Attack::new(name, &[get("/known/a", &all)]);
        attack.passed(1, Clean::get("/known/a").known())
    };
    vec![
        with("a plain request", &[]).passed(1, clean()),
        // A proxy that ended TLS may say so; it is not passed on.
        alone(
            "the scheme https",
            &[METHOD, (":scheme", "https"), AUTHORITY, PATH],
        )
        .passed(1, clean()),
        with("te: trailers", &[("te", "trailers")]).passed(1, clean()),
        with("the same host twice", &[("host", "g")]).passed(1, clean()),
        alone(
            "a host for an authority",
            &[METHOD, SCHEME, PATH, ("host", "g")],
        )
        .passed(1, clean()),
        with(
            "cookies in crumbs",
            &[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")],
        )
        .passed(1, clean().header("cookie", "a=1; b=2; c=3")),
        with("a name with an underscore", &[("x_a", "b")]).passed(1, clean()),
        Attack::new("a path in another spelling", &[get("/open//%61", &[])]).passed(1, clean()),
        with("an expectation", &[("expect", "100-continue")]).passed(1, clean()),
        with(
            "an address of one's own",
            &[("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=1")],
        )
        .passed(1, clean()),
        with(
            "identity without an skey",
            &[
                ("x-openid", "forged"),
                ("x.user.id", "forged"),
                ("x_unionid", "forged"),
            ],
        )
        .passed(1, clean()),
        known(
            "identity of a user",
            &[
                ("x-openid", "forged"),
                ("x~user~id", "forged"),
                ("x_wx_appid", "forged"),
            ],
        ),
        known(
            "a proxy's authorization",
            &[("proxy-authorization", "Basic eDp5")],
        ),
        Attack::new(
            "a body without a length",
            &[post(&[]), data(1, END_STREAM, SMUGGLED)],
        )
        .passed(1, Clean::post("/open/a", SMUGGLED).chunked()),
        Attack::new(
            "a body with its length",
            &[
                post(&[("content-length", "3")]),
                data(1, 0, "ab"),
                data(1, END_STREAM, "c"),
            ],
        )
        .passed(1, Clean::post("/open/a", "abc")),
        Attack::new(
            "a request in the body of a GET",
            &[
                headers(1, 0, &request("GET", "/open/a", &[])),
                data(1, END_STREAM, SMUGGLED),
            ],
        )
        .passed(1, {
            let mut clean = Clean::post("/open/a", SMUGGLED).chunked();
            clean.start = "GET /open/a".to_owned();
            clean
        }),
        Attack::new("a request without an skey", &[get("/known/a", &[])])
            .refused(401, "not_logged_in"),
    ]
}
