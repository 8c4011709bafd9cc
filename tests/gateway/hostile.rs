//! Requests made to be read in two ways: each gets a response, none gets around the rules of a
//! route, and none carries the skey to another service.

use serde_json::Value;

use crate::support::client::{Client, Request};
use crate::support::process::GatewayProcess;
use crate::support::setup::{Setup, login_request};
use crate::support::stack::Stack;
use crate::support::steps::{Answer, chunk};

const OPEN: &str = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n";

/// The status line of the first response; empty when the connection ends without one.
async fn first_line(stack: &Stack, bytes: &[u8]) -> String {
    let mut client = Client::connect(stack.address()).await;
    client.write(bytes).await;
    let some = client.some().await;
    let text = String::from_utf8_lossy(&some).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_last_request_is_answered_though_more_bytes_came_behind_it() {
    // With hyper's `pipeline_flush` the response stayed in the buffer for as long as unread bytes
    // did.
    let stack = Stack::start(Setup::new().memory().routes(OPEN)).await;
    for request in [
        "GET /a HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\nHost: g\r\n\r\n",
        // The line end that old clients send behind a body (RFC 9112, 2.2).
        "POST /a HTTP/1.1\r\nHost: g\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc\r\n",
        "GET /a HTTP/1.0\r\nHost: g\r\n\r\n\r\n",
    ] {
        let line = first_line(&stack, request.as_bytes()).await;
        assert!(line.contains(" 200 "), "{line:?} to {request:?}");
    }
}

#[tokio::test]
async fn an_answer_is_not_held_back_by_half_a_request_behind_it() {
    let stack = Stack::start(Setup::new().memory().routes(OPEN)).await;
    let mut client = Client::connect(stack.address()).await;
    client
        .write("GET /a HTTP/1.1\r\nHost: g\r\n\r\nGET /b HTTP/1.1\r\nHo")
        .await;

    let first = client.response("GET").await;
    client.write("st: g\r\n\r\n").await;
    let second = client.response("GET").await;

    assert_eq!((first.status, second.status), (200, 200));
}

#[tokio::test]
async fn events_are_passed_on_though_the_next_request_waits() {
    let mut stack = Stack::start(Setup::new().memory().routes(OPEN)).await;
    let (events, answer) = Answer::stream(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    stack.upstream.next(answer);
    let mut client = Client::connect(stack.address()).await;
    client.write(Request::get("/events").bytes()).await;
    client.write(Request::get("/next").bytes()).await;
    stack.upstream.request().await;

    events
        .send(chunk("data: 1\n\n"))
        .expect("a running upstream");

    client.until("data: 1").await;
    events.send(chunk("data: 2\n\n")).expect("still running");
    client.until("data: 2").await;
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_not_just_dropped() {
    let stack = Stack::start(Setup::new().memory().routes(OPEN)).await;
    let long = format!(
        "GET /a HTTP/1.1\r\nHost: g\r\nA: {}\r\n\r\n",
        "x".repeat(64 * 1024)
    );
    let many = format!(
        "GET /a HTTP/1.1\r\nHost: g\r\n{}\r\n",
        "A: b\r\n".repeat(120)
    );
    for (request, status) in [
        ("GET /a HTTP/1.1\r\nHost : g\r\n\r\n", "400"),
        (
            "POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: +3\r\n\r\nabc",
            "400",
        ),
        (
            "POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 3, 3\r\n\r\nabc",
            "400",
        ),
        (
            "POST /a HTTP/1.0\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        (
            "GET /a HTTP/1.1\r\nHost: g\r\nHost: g\r\n\r\nGET /b HTTP/1.1\r\nHost: g\r\n\r\n",
            "400",
        ),
        (long.as_str(), "431"),
        (many.as_str(), "431"),
    ] {
        let line = first_line(&stack, request.as_bytes()).await;
        let head: String = request.chars().take(90).collect();
        assert!(line.contains(status), "{line:?} to {head:?}");
    }
    assert_eq!(stack.upstream.requests(), 0);
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_answered_though_all_of_it_was_sent() {
    let setup = Setup::new().memory().routes(OPEN);
    let stack = Stack::start(setup.table("server", "max_body = \"1KiB\"")).await;
    let head = b"POST /a HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n";
    let request = [
        head.as_slice(),
        &chunk([b'x'; 1000]).repeat(20),
        b"0\r\n\r\n",
    ]
    .concat();

    let line = first_line(&stack, &request).await;

    assert!(line.contains("413"), "{line:?}");
}

#[tokio::test]
async fn path_parameters_do_not_lead_around_a_route() {
    let routes = format!("{OPEN}\n[[routes]]\npath = \"/admin/*\"\nupstream = \"api\"\n");
    let stack = Stack::start(Setup::new().memory().routes(&routes)).await;

    // Java servers cut `;…` off each segment before they route the path.
    for target in [
        "/admin;x/secret",
        "/admin;/secret",
        "/admin;",
        "/admin/secret;x",
        "/;/admin/x",
    ] {
        let answer = stack.send(Request::get(target)).await;
        assert!(
            matches!(answer.status, 400 | 401),
            "{} for {target}",
            answer.status
        );
    }

    assert_eq!(stack.upstream.requests(), 0);
}

#[tokio::test]
async fn the_skey_reaches_no_upstream_from_any_place_that_some_route_takes_it_from() {
    let routes = r#"
        [[routes]]
        path = "/*"
        upstream = "api"
        auth = "off"

        [[routes]]
        path = "/web/*"
        upstream = "api"
        token_from = ["cookie:sid", "query:tk", "header:sessionid"]
    "#;
    let mut stack = Stack::start(Setup::new().memory().routes(routes)).await;
    let skey = stack.login("ann").await;

    // Browsers send a cookie everywhere, and so do wrappers of wx.request with their token.
    let cookie = format!("a=1; sid={skey}; b=2");
    let request = Request::get(&format!("/open?x=1&tk={skey}&y=2"));
    let request = request.header("Cookie", &cookie).header("sessionid", &skey);
    let open = stack.send(request).await;
    let bearer = format!("Bearer {skey}");
    let request = Request::get("/web/a").header("sessionid", &skey);
    let web = stack.send(request.header("Authorization", &bearer)).await;

    assert_eq!((open.status, web.status), (200, 200));
    for _ in 0..2 {
        let raw = stack.upstream.request().await.head.raw;
        let head = String::from_utf8_lossy(&raw).into_owned();
        assert!(!head.contains(&skey), "{head}");
    }
}

#[tokio::test]
async fn a_cookie_with_other_letters_beside_it_is_still_the_skey() {
    let routes = r#"
        [[routes]]
        path = "/*"
        upstream = "api"
        auth = "optional"
        token_from = ["cookie:sid"]
    "#;
    let mut stack = Stack::start(Setup::new().memory().routes(routes)).await;
    let skey = stack.login("ann").await;

    let cookie = format!("name=\u{540d}; sid={skey}; b=2");
    let answer = stack
        .send(Request::get("/a").header("Cookie", &cookie))
        .await;

    assert_eq!(answer.status, 200);
    let head = stack.upstream.request().await.head;
    assert_eq!(head.headers.get("cookie"), Some("name=\u{540d}; b=2"));
    assert!(head.headers.get("x-openid").is_some(), "{head:?}");
}

#[tokio::test]
async fn a_login_style_of_ones_own_is_json_also_without_a_user_id() {
    let routes = format!(
        "{OPEN}\n[[login]]\npath = \"/login\"\nstyle = {}\n",
        r#"{ login = "{\"token\":\"{skey}\",\"id\":\"{user_id}\"}" }"#
    );
    let setup = Setup::new().memory().routes(&routes);
    let stack = Stack::start(setup.table("users", "store = \"off\"")).await;

    let answer = stack.send(login_request(&stack.code("ann"))).await;

    assert_eq!(answer.json()["id"], Value::from(""), "{}", answer.text());
}

#[tokio::test]
async fn a_malformed_http2_path_puts_no_skey_into_the_log_at_any_level() {
    let parts = Setup::new().memory().routes(OPEN);
    let parts = parts.table("log", "level = \"trace\"").start().await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let secret = "s".repeat(43);
    for path in [format!("/a b?skey={secret}"), format!("a?code={secret}")] {
        let mut client = Client::connect(gateway.address).await;
        client.write(http2_get(&path)).await;
        // Settings, their acknowledgement, and then the refusal: RST_STREAM is a frame of type 3.
        let mut arrived = Vec::new();
        while !arrived.windows(5).any(|part| part == [0, 0, 4, 3, 0]) {
            let some = client.some().await;
            assert!(!some.is_empty(), "the end after {arrived:?}");
            arrived.extend(some);
        }
    }

    gateway.program.signal("TERM");
    gateway.program.exit().await;
    let log = gateway.program.output().await;

    assert!(log.contains("listening") && !log.contains(&secret), "{log}");
}

/// The bytes of a GET from an HTTP/2 client with prior knowledge, uncompressed, so that any path
/// can be sent.
pub(crate) fn http2_get(path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "g"),
    ] {
        // A literal without indexing (RFC 7541, 6.2.2).
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("a length below 127"));
            block.extend(text.as_bytes());
        }
    }
    let length = u8::try_from(block.len()).expect("a short block");
    // HEADERS of stream 1 with END_STREAM and END_HEADERS.
    let headers = [0, 0, length, 1, 5, 0, 0, 0, 1];
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    [preface.as_slice(), &settings, &headers, &block].concat()
}
