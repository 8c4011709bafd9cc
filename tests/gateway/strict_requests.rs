//! Strict reading of an HTTP/1 connection: refusals can be read by the client and found in the log,
//! and no byte of one request becomes part of another.

use std::time::Duration;

use serde_json::Value;

use crate::support::client::{Client, Request};
use crate::support::process::GatewayProcess;
use crate::support::setup::Setup;
use crate::support::stack::Stack;
use crate::support::steps::Answer;
use crate::support::within_limit;

const OPEN: &str = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n";

fn setup() -> Setup {
    Setup::new().memory().routes(OPEN)
}

fn long_target() -> String {
    format!("GET /{} HTTP/1.1\r\nHost: g\r\n\r\n", "a".repeat(9000))
}

fn many_lines() -> String {
    let lines = "A: b\r\n".repeat(101);
    format!("GET /many?skey=s HTTP/1.1\r\n{lines}\r\n")
}

#[tokio::test]
async fn a_refused_head_gets_a_regular_response() {
    let stack = Stack::start(setup()).await;
    for (bytes, status, name) in [
        ("GET /a HTTP/1.1\nHost: g\n\n", 400, "bad_request"),
        ("GET /a HTTP/1.1\r\nHost : g\r\n\r\n", 400, "bad_request"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}", 400, "bad_request"),
        ("GET /a#b HTTP/1.1\r\nHost: g\r\n\r\n", 400, "bad_request"),
        (
            "POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "bad_request",
        ),
        (long_target().as_str(), 414, "uri_too_long"),
        (many_lines().as_str(), 431, "headers_too_large"),
    ] {
        let mut client = Client::connect(stack.address()).await;
        client.write(bytes).await;
        let answer = client.response("GET").await;
        assert_eq!(
            (answer.status, answer.error()),
            (status, Some(name)),
            "{bytes:?}"
        );
        assert_eq!(answer.field("error"), name);
        assert_eq!(answer.headers.get("connection"), Some("close"));
        assert!(answer.headers.get("x-request-id").is_some());
        assert!(client.is_closed().await, "{bytes:?}");
    }
    assert_eq!(stack.upstream.requests(), 0);
}

#[tokio::test]
async fn a_refused_head_has_its_line_in_the_log() {
    let parts = setup().table("log", "format = \"json\"").start().await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    for (bytes, method) in [
        (many_lines().as_str(), "GET"),
        ("HEAD /a?skey=s HTTP/1.1\r\nHost : g\r\n\r\n", "HEAD"),
        ("what?\r\n\r\n", "GET"),
    ] {
        let mut client = Client::connect(gateway.address).await;
        client.write(bytes).await;
        client.response(method).await;
        assert!(client.is_closed().await);
    }

    gateway.program.signal("TERM");
    gateway.program.exit().await;

    let log = gateway.program.output().await;
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let told: Vec<(String, String, u64)> = lines
        .filter(|line: &Value| line["message"] == "request")
        .map(|line| {
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            let status = line["http.response.status_code"].as_u64();
            let request = format!("{} {}", text("http.request.method"), text("url.path"));
            (request, text("error"), status.unwrap_or_default())
        })
        .collect();
    let expected = [
        ("GET /many", "headers_too_large", 431),
        ("HEAD /a", "bad_request", 400),
        ("- -", "bad_request", 400),
    ];
    let expected =
        expected.map(|(request, error, status)| (request.to_owned(), error.to_owned(), status));
    assert_eq!(told, expected, "{log}");
}

#[tokio::test]
async fn a_bad_request_behind_a_good_one_waits_for_its_turn() {
    let mut stack = Stack::start(setup()).await;
    let (gate, answer) = Answer::ok().held();
    stack.upstream.next(answer);
    let mut client = Client::connect(stack.address()).await;
    client
        .write("GET /a HTTP/1.1\r\nHost: g\r\n\r\nGET /b HTTP/1.1\nHost: g\n\nGET /c HTTP/1.1\r\nHost: g\r\n\r\n")
        .await;
    stack.upstream.head().await;

    gate.notify_one();

    assert_eq!(client.response("GET").await.status, 200);
    assert_eq!(client.response("GET").await.status, 400);
    assert!(client.is_closed().await);
    assert_eq!(stack.upstream.requests(), 1);
}

#[tokio::test]
async fn many_requests_in_one_piece_are_answered_in_order() {
    let stack = Stack::start(setup()).await;
    let mut client = Client::connect(stack.address()).await;
    let mut bytes = Vec::new();
    for number in 0..40 {
        bytes.extend(Request::get(&format!("/{number}")).bytes());
        bytes.extend(
            Request::new("POST", "/body")
                .body("x".repeat(number * 100))
                .bytes(),
        );
        bytes.extend(b"POST /c HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n");
    }

    client.write(&bytes).await;

    for _ in 0..120 {
        assert_eq!(client.response("GET").await.status, 200);
    }
    assert_eq!(stack.upstream.requests(), 120);
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_an_upload_can_be_read() {
    let stack = Stack::start(setup().table("server", "max_body = \"1KiB\"")).await;
    // Closed with unread bytes, the connection would be reset and the response lost.
    for _ in 0..10 {
        let mut client = Client::connect(stack.address()).await;
        client
            .write("POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 8000000\r\n\r\n")
            .await;
        for _ in 0..80 {
            client.write(vec![b'x'; 100_000]).await;
        }
        assert_eq!(client.response("POST").await.status, 413);
        assert!(client.is_closed().await);
    }
    assert_eq!(stack.upstream.requests(), 0);
}

#[tokio::test]
async fn bytes_after_an_upgrade_wait_for_the_response() {
    let mut stack = Stack::start(setup()).await;
    let upgrade = "GET /socket HTTP/1.1\r\nHost: g\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let forged = "GET /b HTTP/1.1\r\nHost: g\r\nX-Openid: forged\r\n\r\n";

    // Not switched: the bytes after it are a request like any other.
    let mut client = Client::connect(stack.address()).await;
    client.write(format!("{upgrade}{forged}")).await;
    assert_eq!(client.response("GET").await.status, 200);
    assert_eq!(client.response("GET").await.status, 200);
    stack.upstream.request().await;
    let second = stack.upstream.request().await.head;
    assert_eq!(second.start, "GET /b HTTP/1.1");
    assert_eq!(second.headers.get("x-openid"), None);

    // Switched: the bytes belong to the tunnel.
    stack.upstream.next(Answer::echo_upgrade());
    let mut client = Client::connect(stack.address()).await;
    client.write(format!("{upgrade}early")).await;
    assert_eq!(client.response("GET").await.status, 101);
    client.until("early").await;
}

#[tokio::test]
async fn half_a_head_does_not_hold_up_the_end() {
    let parts = setup().start().await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let mut client = Client::connect(gateway.address).await;
    assert_eq!(client.exchange(&Request::get("/a")).await.status, 200);
    client.write("GET /b HTTP/1.1\r\nHo").await;
    let mut fresh = Client::connect(gateway.address).await;
    fresh.write("GET /b HTTP/1.1\r\nHo").await;

    gateway.program.signal("TERM");

    let ended = tokio::time::timeout(Duration::from_secs(5), gateway.program.exit()).await;
    assert_eq!(ended.expect("the end").code(), Some(0));
}

/// A login that is due is a request right behind a refused one.
#[tokio::test]
async fn a_refused_request_with_a_body_leaves_the_connection_to_the_next_one_or_says_so() {
    let refused = "[[routes]]\npath = \"/closed/*\"\nupstream = \"api\"\n";
    let stack = Stack::start(Setup::new().memory().routes(&format!("{OPEN}{refused}"))).await;
    for path in ["/closed/a", "/_gateway/none"] {
        for size in [7, 20_000, 60_000] {
            let mut client = Client::connect(stack.address()).await;
            // The body arrives when the refusal could have been sent already.
            let head = format!("POST {path} HTTP/1.1\r\nHost: g\r\nContent-Length: {size}\r\n\r\n");
            client.write(head).await;
            tokio::task::yield_now().await;
            client.write("x".repeat(size)).await;
            let answer = client.response("POST").await;
            assert!(matches!(answer.status, 401 | 404), "{}", answer.status);
            assert_eq!(answer.headers.get("connection"), None, "{path} {size}");
            assert_eq!(client.exchange(&Request::get("/b")).await.status, 200);
        }
    }
    for head in [
        "POST /closed/a HTTP/1.1\r\nHost: g\r\nContent-Length: 100000\r\n\r\n",
        "POST /closed/a HTTP/1.1\r\nHost: g\r\nContent-Length: 5\r\n\r\nab",
        "POST /closed/a HTTP/1.1\r\nHost: g\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    ] {
        let mut client = Client::connect(stack.address()).await;
        client.write(head).await;
        let answer = client.response("POST").await;
        assert_eq!((answer.status, answer.interim.len()), (401, 0));
        assert_eq!(answer.headers.get("connection"), Some("close"), "{head}");
        assert!(client.is_closed().await);
    }
}

#[tokio::test]
async fn a_line_end_after_a_body_gets_no_response() {
    let server = "header_timeout = \"200ms\"\nidle_timeout = \"600ms\"";
    let stack = Stack::start(setup().table("server", server)).await;
    let mut client = Client::connect(stack.address()).await;
    let post = Request::new("POST", "/a").body("hello");
    assert_eq!(client.exchange(&post).await.status, 200);
    client.write("\r\n").await;

    // Idle, without a partial head: no 408 that the next request would take for its response.
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn half_a_head_behind_a_request_has_the_time_of_a_head() {
    let stack = Stack::start(setup().table("server", "header_timeout = \"300ms\"")).await;
    let mut client = Client::connect(stack.address()).await;
    client
        .write("GET /a HTTP/1.1\r\nHost: g\r\n\r\nPOST /b HTTP/1.1\r\nHo")
        .await;
    assert_eq!(client.response("GET").await.status, 200);
    // The default is 10 s.
    let limit = Duration::from_secs(5);
    let refused = within_limit(limit, "a refusal", client.response("POST")).await;
    assert_eq!(
        (refused.status, refused.error()),
        (408, Some("request_timeout"))
    );
    assert!(client.is_closed().await);
}
