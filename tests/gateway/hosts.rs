//! The host of a request: one well-formed host, the same in every place; routes for other hosts
//! never match.

use bytes::Bytes;

use crate::support::client::{Client, Response};
use crate::support::h2::{H2Client, RawAnswer, raw_request};
use crate::support::setup::Setup;
use crate::support::stack::Stack;

/// Each route answers with its own name.
const ROUTES: &str = r#"
    [[routes]]
    path = "/*"
    respond = { body = "every" }
    auth = "off"
    [[routes]]
    path = "/*"
    hosts = ["a.example", "[::1]", "xn--fsqu00a.xn--0zwm56d"]
    respond = { body = "named" }
    auth = "off"
    [[routes]]
    path = "/*"
    hosts = ["*.w.example"]
    respond = { body = "wide" }
    auth = "off"
    [[routes]]
    path = "/forwarded"
    upstream = "api"
    auth = "off"
"#;

async fn stack() -> Stack {
    Stack::start(Setup::new().memory().routes(ROUTES)).await
}

async fn send(stack: &Stack, request: &str) -> Response {
    let mut client = Client::connect(stack.address()).await;
    client
        .write(format!("{request}Connection: close\r\n\r\n"))
        .await;
    client.response("GET").await
}

#[tokio::test]
async fn a_host_takes_its_own_routes_and_no_others() {
    let stack = stack().await;
    for (host, expected) in [
        ("a.example", "named"),
        ("A.Example", "named"),
        ("a.example:8080", "named"),
        ("a.example.", "named"),
        ("a.example.:80", "named"),
        ("[::1]", "named"),
        ("[::1]:8080", "named"),
        ("[0:0:0:0:0:0:0:1]", "named"),
        ("xn--fsqu00a.xn--0zwm56d", "named"),
        ("XN--FSQU00A.XN--0ZWM56D", "named"),
        ("x.w.example", "wide"),
        ("x.y.w.example", "wide"),
        ("X.W.EXAMPLE.", "wide"),
        ("w.example", "every"),
        ("xw.example", "every"),
        ("b.example", "every"),
        ("xa.example", "every"),
        ("a.example.b.example", "every"),
        ("a.example-b", "every"),
        ("a_example", "every"),
        ("localhost", "every"),
        ("127.0.0.1", "every"),
        ("2130706433", "every"),
        ("[::2]", "every"),
        ("[::ffff:127.0.0.1]", "every"),
    ] {
        let answer = send(&stack, &format!("GET /x HTTP/1.1\r\nHost: {host}\r\n")).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, expected),
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_host_that_is_none_is_refused() {
    let stack = stack().await;
    let long = format!("{}a", "a.".repeat(127));
    let label = "a".repeat(64);
    for host in [
        "",
        " ",
        ":80",
        "a.example:",
        "a.example:0",
        "a.example:080",
        "a.example:+80",
        "a.example:65536",
        "a.example:80:80",
        "a.example:http",
        "u@a.example",
        "u:p@a.example",
        "a.example@b.example",
        "a.example/x",
        "/",
        "a.example?x",
        "a.example#x",
        "http://a.example",
        "a.example b.example",
        "a.example,b.example",
        "a.example;b",
        "a%2eexample",
        "a.example%00",
        "a.example%0d%0a",
        "a.example\\b",
        "a..example",
        ".a.example",
        ".",
        "a.example..",
        "*",
        "*.w.example",
        "a.exam\u{e4}ple",
        "\u{4f8b}\u{5b50}.\u{6d4b}\u{8bd5}",
        "\u{ff41}.example",
        "[::1",
        "::1",
        "::1]:80",
        "[::1]a",
        "[::1].a",
        "[::1]:",
        "[]",
        "[fe80::1%25lo]",
        "[fe80::1%lo]",
        "[v1.x]",
        "[127.0.0.1]",
        "[::1]]",
        "[[::1]]",
        "$a",
        "a'b",
        "<a>",
        "\"a\"",
        "(a)",
        "{a}",
        &long,
        &label,
    ] {
        let answer = send(&stack, &format!("GET /x HTTP/1.1\r\nHost: {host}\r\n")).await;
        assert_eq!(
            (answer.status, answer.error()),
            (400, Some("bad_request")),
            "{host:?}: {}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn one_host_line_is_needed_and_agrees_with_the_target() {
    let stack = stack().await;
    for (request, expected) in [
        ("GET /x HTTP/1.1\r\n", "400"),
        ("GET /x HTTP/1.1\r\nX-Forwarded-Host: a.example\r\n", "400"),
        (
            "GET /x HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n",
            "400",
        ),
        (
            "GET /x HTTP/1.1\r\nHost: a.example\r\nhOsT: b.example\r\n",
            "400",
        ),
        (
            "GET /x HTTP/1.1\r\nHost: a.example\r\n Host: b.example\r\n",
            "400",
        ),
        ("GET /x HTTP/1.1\r\nHost : a.example\r\n", "400"),
        ("GET http://a.example/x HTTP/1.1\r\n", "400"),
        (
            "GET http://a.example/x HTTP/1.1\r\nHost: b.example\r\n",
            "400",
        ),
        (
            "GET http://b.example/x HTTP/1.1\r\nHost: a.example\r\n",
            "400",
        ),
        (
            "GET http://a.example/x HTTP/1.1\r\nHost: a.example:81\r\n",
            "400",
        ),
        (
            "GET http://a.example:81/x HTTP/1.1\r\nHost: a.example\r\n",
            "400",
        ),
        (
            "GET https://a.example/x HTTP/1.1\r\nHost: a.example:80\r\n",
            "400",
        ),
        ("GET http://a.example/x HTTP/1.1\r\nHost:\r\n", "400"),
        (
            "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n",
            "named",
        ),
        (
            "GET http://A.EXAMPLE./x HTTP/1.1\r\nHost: a.example:80\r\n",
            "named",
        ),
        (
            "GET http://a.example:80/x HTTP/1.1\r\nHost: a.example\r\n",
            "named",
        ),
        (
            "GET https://a.example/x HTTP/1.1\r\nHost: a.example:443\r\n",
            "named",
        ),
        ("GET http://[::1]/x HTTP/1.1\r\nHost: [0::1]\r\n", "named"),
        ("GET /x HTTP/1.0\r\n", "every"),
        ("GET /x HTTP/1.0\r\nHost: a.example\r\n", "named"),
        ("GET http://a.example/x HTTP/1.0\r\n", "named"),
        (
            "GET http://a.example/x HTTP/1.0\r\nHost: b.example\r\n",
            "400",
        ),
    ] {
        let answer = send(&stack, request).await;
        let told = match answer.status {
            200 => answer.text(),
            status => status.to_string(),
        };
        assert_eq!(told, expected, "{request:?}");
    }
}

#[tokio::test]
async fn no_other_header_chooses_the_host() {
    let stack = stack().await;
    for name in [
        "X-Forwarded-Host",
        "Forwarded",
        "X-Host",
        "X-Forwarded-Server",
        "X-Original-Host",
        "X-HTTP-Host-Override",
    ] {
        let request = format!("GET /x HTTP/1.1\r\nHost: b.example\r\n{name}: a.example\r\n");
        assert_eq!(send(&stack, &request).await.text(), "every", "{name}");
    }
}

#[tokio::test]
async fn the_upstream_gets_the_host_used_for_routing() {
    let mut stack = stack().await;
    for (request, host) in [
        (
            "GET /forwarded HTTP/1.1\r\nHost: B.example:8080\r\nX-Forwarded-Host: a.example\r\n",
            "B.example:8080",
        ),
        (
            "GET http://b.example/forwarded HTTP/1.1\r\nHost: b.example\r\n",
            "b.example",
        ),
        ("GET http://b.example/forwarded HTTP/1.0\r\n", "b.example"),
    ] {
        assert_eq!(send(&stack, request).await.status, 200, "{request:?}");
        let head = stack.upstream.request().await.head;
        assert_eq!(head.headers.get("host"), Some(host), "{request:?}");
        assert_eq!(
            head.headers.get("x-forwarded-host"),
            Some(host),
            "{request:?}"
        );
        assert_eq!(head.target(), "/forwarded");
    }
    // The request names none: the upstream's own.
    let own = stack.upstream.address().to_string();
    assert_eq!(
        send(&stack, "GET /forwarded HTTP/1.0\r\n").await.status,
        200
    );
    let head = stack.upstream.request().await.head;
    assert_eq!(head.headers.get("host"), Some(own.as_str()));
    assert_eq!(head.headers.get("x-forwarded-host"), None);
}

#[tokio::test]
async fn http2_names_one_host_too() {
    let mut stack = stack().await;
    let mut client = H2Client::connect(stack.address()).await;
    for (authority, host, expected) in [
        ("a.example", None, "named"),
        ("A.EXAMPLE:80", Some("a.example"), "named"),
        ("b.example", None, "every"),
        ("a.example", Some("b.example"), ""),
        ("b.example", Some("a.example"), ""),
        ("a.example:0", None, ""),
        ("a..example", None, ""),
        ("u@a.example", None, ""),
    ] {
        let mut request = http::Request::get(format!("http://{authority}/x"));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let answer = client
            .send(request.body(Bytes::new()).expect("a request"))
            .await;
        let told = match answer.status().as_u16() {
            200 => String::from_utf8_lossy(answer.body()).into_owned(),
            _ => String::new(),
        };
        assert_eq!(told, expected, "{authority} {host:?}");
    }

    let get = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/forwarded"),
    ];
    let ask =
        async |more: &[(&str, &str)]| raw_request(stack.address(), &[&get, more].concat()).await;
    for more in [
        vec![],
        vec![("host", "a.example"), ("host", "a.example")],
        vec![
            (":authority", "a.example"),
            ("host", "a.example"),
            ("host", "b.example"),
        ],
        vec![(":authority", "a.example"), ("host", "")],
        vec![(":authority", ""), ("host", "")],
    ] {
        let answer = ask(&more).await;
        let refused = matches!(answer, RawAnswer::Reset | RawAnswer::Status(Some(400)));
        assert!(refused, "{more:?}: {answer:?}");
    }
    assert_eq!(stack.upstream.requests(), 0);

    for more in [(":authority", "b.example"), ("host", "b.example")] {
        assert_eq!(ask(&[more]).await, RawAnswer::Status(Some(200)), "{more:?}");
    }
    for _ in 0..2 {
        let head = stack.upstream.request().await.head;
        assert_eq!(head.headers.get("host"), Some("b.example"));
    }
}
