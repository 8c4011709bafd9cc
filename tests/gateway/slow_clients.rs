//! Clients that read or send slowly, and clients that hold a connection without a request.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;

use crate::support::client::{Client, Request};
use crate::support::h2_frames::{
    DATA, END_HEADERS, GOAWAY, HEADERS, PING, RawH2, frame, get, post, request_block,
};
use crate::support::setup::Setup;
use crate::support::stack::Stack;
use crate::support::steps::{Answer, chunk};
use crate::support::within;

const OPEN: &str = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n";

/// More than the buffers of both kernels and of the gateway hold together.
const LARGE: usize = 16 << 20;

async fn stack(server: &str) -> Stack {
    Stack::start(Setup::new().memory().routes(OPEN).table("server", server)).await
}

#[tokio::test]
async fn a_response_read_too_slowly_is_cut_and_its_upstream_is_released() {
    let mut stack = stack("body_timeout = \"500ms\"").await;
    stack.upstream.always(|head| match head.target() {
        "/large" => Answer::text(200, &"x".repeat(LARGE)),
        _ => Answer::ok(),
    });
    let socket = TcpSocket::new_v4().expect("a socket");
    // As in slow-read attacks: the client's kernel buffers little.
    socket.set_recv_buffer_size(4096).expect("a small window");
    let mut client = socket.connect(stack.address()).await.expect("connecting");
    let request = Request::get("/large").bytes();
    tokio::io::AsyncWriteExt::write_all(&mut client, &request)
        .await
        .expect("writing");

    // 800 bytes a second.
    let reading = async {
        let mut bytes = [0; 16];
        while client.read(&mut bytes).await.is_ok_and(|read| read > 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The end of the client's connection does not show that the upstream was released.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = within("the upstream to be released", stack.upstream.closed()) => {}
        () = reading => {}
    }

    let mut rest = Vec::new();
    // Either end of the stream: the bytes in between are too few in both cases.
    let ended = within("the client's end", client.read_to_end(&mut rest)).await;
    assert!(
        rest.len() < LARGE / 2,
        "{ended:?} after {} bytes",
        rest.len()
    );
    assert_eq!(stack.upstream.requests(), 1);
    assert_eq!(stack.send(Request::get("/small")).await.text(), "ok");
}

#[tokio::test]
async fn infrequent_events_outlive_every_client_deadline() {
    let mut stack =
        stack("body_timeout = \"200ms\"\nheader_timeout = \"200ms\"\nidle_timeout = \"200ms\"")
            .await;
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (events, answer) = Answer::stream(head);
    stack.upstream.next(answer);
    let (h2_events, answer) = Answer::stream(head);
    let mut client = Client::connect(stack.address()).await;
    client.write(Request::get("/events").bytes()).await;
    stack.upstream.request().await;
    stack.upstream.next(answer);
    let mut h2 = RawH2::connect(stack.address()).await;
    h2.write(get(1, "/events")).await;
    stack.upstream.request().await;

    for number in 0..3 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let event = format!("data: {number}\n\n");
        events.send(chunk(&event)).expect("a running upstream");
        h2_events.send(chunk(&event)).expect("a running upstream");
        client.until(&event).await;
        assert_eq!(h2.next_of(DATA).await.payload, event.as_bytes());
    }
}

#[tokio::test]
async fn an_http2_upload_that_stops_is_408_and_the_connection_goes_on() {
    let stack = stack("body_timeout = \"300ms\"").await;
    let mut client = RawH2::connect(stack.address()).await;

    client
        .write([post(1, "/a"), frame(DATA, 0, 1, "half")].concat())
        .await;

    assert_eq!(client.next_of(HEADERS).await.status(), Some(408));
    client.write(get(3, "/a")).await;
    assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
}

#[tokio::test]
async fn an_http2_upload_that_never_ends_is_413_at_the_limit() {
    let mut stack = stack("max_body = \"32KiB\"").await;
    let mut client = RawH2::connect(stack.address()).await;
    client.write(post(1, "/a")).await;
    for _ in 0..5 {
        client.write(frame(DATA, 0, 1, [b'x'; 10_000])).await;
    }

    assert_eq!(client.next_of(HEADERS).await.status(), Some(413));
    // The partial upload is cut, so that it cannot be taken for the whole.
    stack.upstream.closed().await;
    client.write(get(3, "/a")).await;
    assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
}

#[tokio::test]
async fn an_idle_http2_connection_gets_goaway() {
    let stack = stack("idle_timeout = \"200ms\"").await;
    let mut client = RawH2::connect(stack.address()).await;
    client.write(get(1, "/a")).await;
    client.next_of(HEADERS).await;

    // The first GOAWAY comes with a PING: the last one when that is answered (RFC 9113, 6.8).
    assert_eq!(client.next_of(GOAWAY).await.code(), Some(0));
    let ping = client.next_of(PING).await;
    client.write(frame(PING, 1, 0, ping.payload)).await;

    let last = client.rest().await;
    assert!(last.iter().any(|frame| frame.kind == GOAWAY), "{last:?}");
}

#[tokio::test]
async fn an_http2_client_that_stops_after_its_preface_or_half_a_head_is_closed() {
    let stack = stack("idle_timeout = \"200ms\"").await;
    let mut silent = RawH2::connect(stack.address()).await;
    let mut half = RawH2::connect(stack.address()).await;
    half.write(frame(HEADERS, 0, 1, request_block("GET", "/a")))
        .await;

    silent.rest().await;
    half.rest().await;

    assert_eq!(stack.upstream.requests(), 0);
}

#[tokio::test]
async fn an_http2_login_that_never_ends_is_408() {
    let setup = Setup::new().memory();
    let stack = Stack::start(setup.table("server", "body_timeout = \"300ms\"")).await;
    let mut client = RawH2::connect(stack.address()).await;
    let head = frame(HEADERS, END_HEADERS, 1, request_block("POST", "/login"));

    client.write([head, frame(DATA, 0, 1, "{")].concat()).await;

    assert_eq!(client.next_of(HEADERS).await.status(), Some(408));
}
