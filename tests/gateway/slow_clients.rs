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

async fn stack(server: &str) -> Stack {
    Stack::start(Setup::new().memory().routes(OPEN).table("server", server)).await
}

#[tokio::test]
async fn an_answer_that_is_read_by_drops_is_cut_and_its_upstream_is_free_again() {
    let mut stack = stack("body_timeout = \"500ms\"").await;
    stack
        .upstream
        .always(|_| Answer::text(200, &"x".repeat(16 << 20)));
    let socket = TcpSocket::new_v4().expect("a socket");
    // As in slow-read attacks: the client's own kernel buffers little.
    socket.set_recv_buffer_size(4096).expect("a small window");
    let mut client = socket.connect(stack.address()).await.expect("connecting");
    let request = Request::get("/large").bytes();
    tokio::io::AsyncWriteExt::write_all(&mut client, &request)
        .await
        .expect("writing");

    let reading = async {
        let mut byte = [0; 16];
        while client.read(&mut byte).await.is_ok_and(|read| read > 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = within("the answer to be cut", stack.upstream.closed()) => {}
        () = reading => {}
    }
}

#[tokio::test]
async fn events_that_come_seldom_outlive_every_deadline_of_the_client() {
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
    // The response breaks off, so that it cannot be taken for a complete one.
    stack.upstream.closed().await;
    client.write(get(3, "/a")).await;
    assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
}

#[tokio::test]
async fn an_http2_connection_that_idles_is_told_to_go() {
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
async fn an_http2_client_that_says_hello_or_half_a_head_and_no_more_is_let_go() {
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
