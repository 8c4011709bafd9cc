//! Clients that send too much, too slowly, or nothing at all.

use std::time::Duration;

use crate::support::client::{Client, Request};
use crate::support::setup::Setup;
use crate::support::stack::Stack;
use crate::support::steps::Answer;
use crate::support::within_limit;

const ROUTES: &str = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\nmax_body = \"1KiB\"\n\
    [[routes]]\npath = \"/big/*\"\nupstream = \"api\"\nauth = \"off\"\n";

async fn stack(server: &str) -> Stack {
    Stack::start(Setup::new().memory().routes(ROUTES).table("server", server)).await
}

/// Half of `server.header_timeout` by default, the shortest of the deadlines that are tested here.
const BELOW_DEFAULTS: Duration = Duration::from_secs(5);

/// Writes `piece` every 50 ms until the gateway responds; gives the first bytes of the response.
async fn dripping(client: &mut Client, piece: &str) -> String {
    let mut drops = tokio::time::interval(Duration::from_millis(50));
    let response = async {
        loop {
            tokio::select! {
                _ = drops.tick() => client.write(piece).await,
                response = client.some() => break String::from_utf8(response).unwrap(),
            }
        }
    };
    within_limit(BELOW_DEFAULTS, "a response", response).await
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_sent() {
    let stack = stack("").await;
    let mut client = Client::connect(stack.address()).await;

    client
        .write("POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 1025\r\n\r\n")
        .await;

    let answer = client.response("POST").await;
    assert_eq!(
        (answer.status, answer.error()),
        (413, Some("body_too_large"))
    );
    assert_eq!(stack.upstream.connections(), 0);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_refused_where_it_passes_the_limit() {
    let mut stack = stack("").await;
    let mut client = Client::connect(stack.address()).await;
    let head = "POST /a HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));

    client.write(format!("{head}{chunk}{chunk}")).await;

    let answer = client.response("POST").await;
    assert_eq!(
        (answer.status, answer.error()),
        (413, Some("body_too_large"))
    );
    // The partial upload is cut, so that it cannot be taken for the whole.
    stack.upstream.closed().await;
}

#[tokio::test]
async fn a_body_of_the_size_of_the_limit_passes() {
    let stack = stack("").await;

    let answer = stack
        .send(Request::new("POST", "/a").body("x".repeat(1024)))
        .await;

    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_body_that_stops_is_refused_as_too_slow() {
    let stack = stack("body_timeout = \"300ms\"").await;
    let mut client = Client::connect(stack.address()).await;

    client
        .write("POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 9\r\n\r\nhalf")
        .await;

    let answer = client.response("POST").await;
    assert_eq!(
        (answer.status, answer.error()),
        (408, Some("request_timeout"))
    );
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_body_that_stops_is_not_the_upstreams_fault() {
    // By default both deadlines are equal: 504 came, and the upstream was blamed in the log.
    let setup = Setup::new().memory().routes(ROUTES);
    let setup = setup.table("server", "body_timeout = \"300ms\"");
    let setup = setup.table("upstreams.api", "response_timeout = \"100ms\"");
    let stack = Stack::start(setup).await;
    let mut client = Client::connect(stack.address()).await;

    client
        .write("POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 9\r\n\r\nhalf")
        .await;

    let answer = client.response("POST").await;
    assert_eq!(
        (answer.status, answer.error()),
        (408, Some("request_timeout"))
    );
}

#[tokio::test]
async fn a_body_that_drips_is_refused_as_too_slow() {
    let stack = stack("body_timeout = \"500ms\"").await;
    let mut client = Client::connect(stack.address()).await;
    client
        .write("POST /big/a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 99999\r\n\r\n")
        .await;

    // Never silent for as long as the deadline.
    let answer = dripping(&mut client, "x").await;

    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_head_that_drips_ends_the_connection() {
    let stack = stack("header_timeout = \"300ms\"").await;
    let mut client = Client::connect(stack.address()).await;
    client.write("GET /a HTTP/1.1\r\n").await;

    let answer = dripping(&mut client, "X-A: b\r\n").await;

    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(stack.upstream.requests(), 0);
}

#[tokio::test]
async fn a_silent_client_is_closed() {
    let stack = stack("header_timeout = \"200ms\"").await;

    let mut client = Client::connect(stack.address()).await;

    let closed = within_limit(BELOW_DEFAULTS, "the end", client.is_closed()).await;
    assert!(closed);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let stack = stack("idle_timeout = \"200ms\"").await;
    let mut client = Client::connect(stack.address()).await;

    assert_eq!(client.exchange(&Request::get("/a")).await.status, 200);

    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_quiet_websocket_outlives_the_deadlines_of_requests() {
    let stack =
        stack("header_timeout = \"100ms\"\nidle_timeout = \"100ms\"\nbody_timeout = \"100ms\"")
            .await;
    stack.upstream.next(Answer::echo_upgrade());
    let mut client = Client::connect(stack.address()).await;
    let upgrade = Request::get("/a")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(client.exchange(&upgrade).await.status, 101);
    client.write("one").await;
    client.until("one").await;

    // Silence is the case under test.
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.write("two").await;

    client.until("two").await;
}
