//! Long-lived connections: tunnels live as long as both ends do, and an idle peer never holds an
//! upstream slot.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::hostile::http2_get;
use crate::support::client::{Client, Request};
use crate::support::setup::Setup;
use crate::support::stack::Stack;
use crate::support::steps::Answer;
use crate::support::within;

const OPEN: &str = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n";

/// Deadlines for heads and idle connections that are short enough to wait for.
const SHORT: Duration = Duration::from_millis(200);

async fn stack() -> Stack {
    let setup = Setup::new().memory().routes(OPEN);
    let setup = setup.table("server", "header_timeout = \"200ms\"");
    Stack::start(setup.table("server", "idle_timeout = \"200ms\"")).await
}

fn upgrade(target: &str) -> Request {
    Request::get(target)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
}

#[tokio::test]
async fn a_tunnel_outlives_the_deadlines_of_requests() {
    // Tunnel bytes were taken for a head that never ends: every WebSocket broke after
    // header_timeout.
    let stack = stack().await;
    stack.upstream.always(|_| Answer::echo_upgrade());
    let mut client = Client::connect(stack.address()).await;
    assert_eq!(client.exchange(&upgrade("/socket")).await.status, 101);

    let started = Instant::now();
    while started.elapsed() < 4 * SHORT {
        client.write("ping").await;
        let echo = client.some().await;
        let elapsed = started.elapsed();
        assert!(!echo.is_empty(), "the tunnel ended after {elapsed:?}");
    }
}

#[tokio::test]
async fn a_silent_tunnel_is_no_idle_connection() {
    let stack = stack().await;
    stack.upstream.always(|_| Answer::echo_upgrade());
    let mut client = Client::connect(stack.address()).await;
    assert_eq!(client.exchange(&upgrade("/socket")).await.status, 101);

    let ended = tokio::time::timeout(4 * SHORT, client.some()).await;

    assert!(ended.is_err(), "{ended:?}");
    client.write("ping").await;
    assert_eq!(client.some().await, b"ping");
}

#[tokio::test]
async fn a_ping_between_requests_is_no_head_that_never_ends() {
    let setup = Setup::new().memory().routes(OPEN);
    let stack = Stack::start(setup.table("server", "header_timeout = \"200ms\"")).await;
    let mut client = Client::connect(stack.address()).await;
    client.write(http2_get("/a")).await;
    client.until("ok").await;

    let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0];
    client.write([ping.as_slice(), b"12345678"].concat()).await;
    client.until("12345678").await;

    // The default idle_timeout is over a minute.
    let ended = tokio::time::timeout(4 * SHORT, client.some()).await;
    assert!(ended.is_err(), "{ended:?}");
    client.write([ping.as_slice(), b"87654321"].concat()).await;
    client.until("87654321").await;
}

#[tokio::test]
async fn http2_streams_that_are_not_read_do_not_close_the_upstream_for_others() {
    // Without a window nothing is written, so the write deadline never began. Then the whole
    // connection was cut.
    let setup = Setup::new().memory().routes(OPEN);
    let setup = setup.table("server", "body_timeout = \"200ms\"");
    let setup = setup.table(
        "upstreams.api",
        "max_in_flight = 2\nresponse_timeout = \"300ms\"",
    );
    let stack = Stack::start(setup).await;
    stack.upstream.always(|head| match head.target() {
        "/large" => Answer::text(200, &"x".repeat(256 * 1024)),
        _ => Answer::ok(),
    });
    let stream = TcpStream::connect(stack.address())
        .await
        .expect("connecting");
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1);
    let greeting = builder.handshake(TokioIo::new(stream));
    let (mut sender, connection) = greeting.await.expect("greeting");
    tokio::spawn(connection);
    let mut unread = Vec::new();
    for _ in 0..2 {
        let request = http::Request::get("http://gateway.test/large");
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let answer = sender.send_request(request).await.expect("a response");
        unread.push(answer);
    }

    let served = async {
        // Each waits for an upstream connection until the unread responses are aborted.
        while stack.send(Request::get("/a")).await.status != 200 {}
    };
    within("a place to become free", served).await;

    let request = http::Request::get("http://gateway.test/a");
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    let other = within("the other stream", sender.send_request(request)).await;
    assert_eq!(other.expect("the connection goes on").status(), 200);
    for answer in unread {
        let body = within("the end of an unread answer", answer.into_body().collect()).await;
        assert!(
            body.is_err(),
            "an answer that was given up must not look whole"
        );
    }
}

#[tokio::test]
async fn open_tunnels_leave_places_to_requests() {
    let setup = Setup::new().memory().routes(OPEN);
    let limits = "max_in_flight = 2\nresponse_timeout = \"300ms\"";
    let stack = Stack::start(setup.table("upstreams.api", limits)).await;
    stack.upstream.always(|head| match head.target() {
        "/socket" => Answer::echo_upgrade(),
        _ => Answer::ok(),
    });
    let mut tunnels = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(stack.address()).await;
        assert_eq!(client.exchange(&upgrade("/socket")).await.status, 101);
        tunnels.push(client);
    }

    let answer = stack.send(Request::get("/a")).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_login_that_drips_is_given_up() {
    let setup = Setup::new().memory();
    let setup = setup.table("server", "body_timeout = \"300ms\"");
    let stack = Stack::start(setup).await;
    let mut client = Client::connect(stack.address()).await;
    client
        .write("POST /login HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\nContent-Length: 8000\r\n\r\n{")
        .await;

    // Each byte arrives in time; all of them would take forty minutes.
    let dripping = async {
        loop {
            match tokio::time::timeout(SHORT, client.some()).await {
                Ok(answer) => return answer,
                Err(_) => client.write(" ").await,
            }
        }
    };
    let answer = within("the end of the patience", dripping).await;

    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}
