//! Upstreams that close connections, reset them, or upgrade them.

use std::collections::BTreeSet;
use std::time::Duration;

use http::Request as H2Request;

use crate::support::client::{Client, Request};
use crate::support::h2::H2Client;
use crate::support::setup::Setup;
use crate::support::stack::Stack;
use crate::support::steps::{Answer, Step};

async fn open() -> Stack {
    let routes = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n";
    Stack::start(Setup::new().memory().routes(routes)).await
}

#[tokio::test]
async fn an_upstream_that_closes_after_every_response_fails_no_get() {
    let stack = open().await;
    stack.upstream.always(|_| Answer::ok().then(Step::Close));
    let mut client = Client::connect(stack.address()).await;

    for _ in 0..300 {
        assert_eq!(client.exchange(&Request::get("/a")).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_closes_idle_connections_silently_fails_no_get() {
    let stack = open().await;
    // About the duration of one exchange, so that many requests meet a connection that is being
    // closed.
    stack.upstream.close_idle_after(Duration::from_millis(1));
    let mut client = Client::connect(stack.address()).await;

    for number in 0..300_u64 {
        // Spread over the moment of closing.
        tokio::time::sleep(Duration::from_micros(number * 10)).await;
        assert_eq!(client.exchange(&Request::get("/a")).await.status, 200);
    }

    assert!(stack.upstream.connections() > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_is_never_sent_twice() {
    let mut stack = open().await;
    stack.upstream.close_idle_after(Duration::from_millis(1));
    let mut client = Client::connect(stack.address()).await;
    let mut answered = 0;
    for number in 0..300_u64 {
        tokio::time::sleep(Duration::from_micros(number * 10)).await;
        let post = Request::new("POST", "/a").body(number.to_string());
        let answer = client.exchange(&post).await;
        assert!(matches!(answer.status, 200 | 502), "{}", answer.text());
        answered += usize::from(answer.status == 200);
    }

    let arrived = stack.upstream.requests();
    assert!(
        (answered..=300).contains(&arrived),
        "{answered} of {arrived}"
    );
    let mut bodies = BTreeSet::new();
    for _ in 0..arrived {
        let body = stack.upstream.request().await.text();
        assert!(bodies.insert(body.clone()), "{body} came twice");
    }
    // The socket is peeked at before each use, so nearly all requests succeed, although many of
    // them meet a connection that is being closed.
    assert!(answered >= 270, "{answered} of 300");
}

#[tokio::test]
async fn a_get_that_was_reset_is_tried_once_more_and_a_post_is_not() {
    let stack = open().await;
    let reset = || Answer(vec![Step::ReadBody, Step::Reset]);
    stack.upstream.next(reset());
    let get = stack.send(Request::get("/a")).await;
    assert_eq!((get.status, stack.upstream.requests()), (200, 2));

    stack.upstream.next(reset());
    let post = stack.send(Request::new("POST", "/a").body("once")).await;

    assert_eq!((post.status, post.error()), (502, Some("upstream_reset")));
    assert_eq!(stack.upstream.requests(), 3);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_502_until_it_is() {
    let mut stack = open().await;
    stack.upstream.refuse().await;
    let refused = stack.send(Request::get("/a")).await;
    stack.upstream.listen().await;

    let again = stack.send(Request::get("/a")).await;

    assert_eq!(
        (refused.status, refused.error()),
        (502, Some("upstream_refused"))
    );
    assert_eq!(again.status, 200);
}

#[tokio::test]
async fn a_response_that_is_not_http_is_a_502() {
    let stack = open().await;
    for nonsense in [
        "220 mail.example.com ESMTP\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        // An upgrade without a request for it would open a tunnel.
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ] {
        stack.upstream.next(Answer::raw(nonsense).then(Step::Close));
        let answer = stack.send(Request::new("POST", "/a").body("x")).await;
        assert_eq!(
            (answer.status, answer.error()),
            (502, Some("upstream_protocol")),
            "{nonsense}"
        );
    }
}

#[tokio::test]
async fn a_truncated_response_is_never_passed_on_as_complete() {
    let stack = open().await;
    for half in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
    ] {
        stack.upstream.next(Answer::raw(half).then(Step::Close));
        let before = stack.upstream.requests();
        let mut client = Client::connect(stack.address()).await;
        client.write(Request::get("/a").bytes()).await;
        // The head passes: it is the body that must not end as if it were whole.
        assert_eq!(client.head().await.status(), 200, "{half}");
        let mut body = Vec::new();
        let ended = loop {
            match client.try_some().await {
                Ok(more) if more.is_empty() => break None,
                Ok(more) => body.extend(more),
                Err(error) => break Some(error),
            }
        };
        let body = String::from_utf8_lossy(&body);
        assert!(
            body.len() < 10 && !body.contains("0\r\n"),
            "{half}: {body:?}, {ended:?}"
        );
        assert_eq!(stack.upstream.requests(), before + 1, "{half}");
    }
    assert_eq!(stack.send(Request::get("/a")).await.text(), "ok");
}

#[tokio::test]
async fn a_response_before_the_body_was_read_is_passed_on() {
    let stack = open().await;
    let early = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly";
    stack
        .upstream
        .next(Answer(vec![Step::Write(early.to_vec()), Step::Hang]));
    let mut client = Client::connect(stack.address()).await;
    // More than any socket buffer takes: a gateway that sends it all first never reads the
    // response.
    let length = 16 * 1024 * 1024;
    let head =
        format!("POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {length}\r\n\r\n");
    client.write(head).await;
    client.write("the beginning").await;

    let answer = client.response("POST").await;

    assert_eq!((answer.status, answer.text().as_str()), (403, "early"));
}

#[tokio::test]
async fn an_upload_that_the_upstream_refuses_and_resets_gets_the_response() {
    let stack = open().await;
    let refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge";
    let upload = vec![b'x'; 4 * 1024 * 1024];
    for _ in 0..50 {
        // Closed with most of the upload unread, so the kernel resets the connection after the
        // response.
        let steps = vec![Step::Write(refusal.to_vec()), Step::Close];
        stack.upstream.next(Answer(steps));

        let answer = stack
            .send(Request::new("POST", "/a").body(upload.clone()))
            .await;

        assert_eq!((answer.status, answer.text().as_str()), (413, "large"));
    }
}

#[tokio::test]
async fn an_informational_response_does_no_harm() {
    let stack = open().await;
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    let hint = format!("{hint}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    stack.upstream.next(Answer::raw(hint));

    let answer = stack.send(Request::get("/a")).await;

    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
}

#[tokio::test]
async fn upstream_connections_are_used_again() {
    let stack = open().await;

    for _ in 0..20 {
        assert_eq!(stack.send(Request::get("/a")).await.status, 200);
    }

    assert_eq!(stack.upstream.connections(), 1);
}

#[tokio::test]
async fn an_upstream_request_ends_when_its_client_disconnects() {
    let mut stack = open().await;
    let hanging = Answer(vec![Step::ReadBody, Step::Hang]);
    stack.upstream.next(hanging);
    let mut client = Client::connect(stack.address()).await;
    client.write(Request::get("/a").bytes()).await;
    stack.upstream.request().await;

    drop(client);

    stack.upstream.closed().await;
}

#[tokio::test]
async fn a_websocket_carries_frames_both_ways_once_authorized() {
    let mut stack = Stack::start(Setup::new().memory()).await;
    stack.upstream.always(|_| Answer::echo_upgrade());
    let upgrade = Request::get("/socket")
        .header("Connection", "keep-alive, Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let stranger = stack.send(upgrade.clone()).await;
    let skey = stack.login("ann").await;
    let mut client = Client::connect(stack.address()).await;

    let answer = client.exchange(&upgrade.header("skey", &skey)).await;
    // "Hello" in a masked frame, the example of RFC 6455.
    let frame = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    for _ in 0..3 {
        client.write(frame).await;
        let mut echo = Vec::new();
        while echo.len() < frame.len() {
            echo.extend(client.some().await);
        }
        assert_eq!(echo, frame);
    }
    drop(client);

    assert_eq!(
        (stranger.status, stranger.error()),
        (401, Some("not_logged_in"))
    );
    assert_eq!(answer.status, 101);
    assert!(answer.headers.lists("connection", "upgrade"));
    let accept = answer.headers.get("sec-websocket-accept");
    assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(stack.upstream.requests(), 1);
    stack.upstream.closed().await;
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_answered_on_the_same_port() {
    let mut stack = Stack::start(Setup::new().memory()).await;
    let skey = stack.login("ann").await;
    let client = H2Client::connect(stack.address()).await;
    let request = |skey: &str| {
        let request = H2Request::post("http://gateway.test/a?b").header("skey", skey);
        request.body(bytes::Bytes::from("body")).expect("a request")
    };
    let (mut one, mut two) = (client.clone(), client);

    let (answer, refusal) =
        tokio::join!(one.send(request(&skey)), two.send(request(&"u".repeat(43))),);

    assert_eq!(
        (answer.status(), answer.body().as_ref()),
        (http::StatusCode::OK, &b"ok"[..])
    );
    assert_eq!(refusal.status(), 401);
    let forwarded = stack.upstream.request().await;
    assert_eq!(forwarded.head.start, "POST /a?b HTTP/1.1");
    assert_eq!(forwarded.head.headers.get("host"), Some("gateway.test"));
    assert_eq!(forwarded.head.headers.get("content-length"), Some("4"));
    assert_eq!(forwarded.text(), "body");
}
