//! Unread bytes after a request, or bytes that are no request, delay no response.

use crate::support::client::{Client, Request};
use crate::support::setup::Setup;
use crate::support::stack::Stack;
use crate::support::steps::{Answer, chunk};

const OPEN: &str = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n";

// All of these once failed, before 0.1.0: hyper's `pipeline_flush` flushes nothing while a byte is
// unread, and what it had not flushed was lost when the connection closed.

#[tokio::test]
async fn a_malformed_head_is_refused_with_a_response() {
    let stack = Stack::start(Setup::new().memory().routes(OPEN)).await;
    let long = "a".repeat(40_000);
    for (head, status) in [
        (
            "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n".to_owned(),
            400,
        ),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), 400),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
            431,
        ),
    ] {
        let mut client = Client::connect(stack.address()).await;
        client.write(&head).await;

        let answer = client.response("GET").await;

        assert_eq!(answer.status, status, "{:.60}", head);
        assert!(client.is_closed().await, "{:.60}", head);
    }
}

#[tokio::test]
async fn a_response_does_not_wait_for_the_rest_of_the_next_request() {
    let stack = Stack::start(Setup::new().memory().routes(OPEN)).await;
    let mut client = Client::connect(stack.address()).await;
    let mut bytes = Request::get("/a").bytes();
    bytes.extend(b"GET /b HTT");
    client.write(bytes).await;

    let first = client.response("GET").await;

    assert_eq!(first.text(), "ok");
    client.write("P/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response("GET").await.text(), "ok");
}

#[tokio::test]
async fn an_event_is_passed_on_though_the_client_sent_a_line_end_too_many() {
    let stack = Stack::start(Setup::new().memory().routes(OPEN)).await;
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (events, answer) = Answer::stream(head);
    stack.upstream.next(answer);
    let mut client = Client::connect(stack.address()).await;
    // As old clients do behind a body.
    let mut bytes = Request::post_form("/events", "a=1").bytes();
    bytes.extend(b"\r\n");
    client.write(bytes).await;

    events.send(chunk("data: 1\n\n")).expect("an upstream");

    client.until("data: 1").await;
}
