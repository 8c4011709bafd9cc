//! Forwarding in both directions: bodies, headers, paths, time.

use std::time::Duration;

use crate::support::client::{Client, Request};
use crate::support::setup::Setup;
use crate::support::stack::Stack;
use crate::support::steps::{Answer, Step, chunk};
use crate::support::wire::Framing;

async fn logged_in() -> (Stack, String) {
    let stack = Stack::start(Setup::new().memory()).await;
    let skey = stack.login("ann").await;
    (stack, skey)
}

/// A setup whose only route has these keys.
fn route(keys: &str) -> Setup {
    Setup::new().memory().routes(&format!(
        "[[routes]]\npath = \"/*\"\nauth = \"off\"\n{keys}\n"
    ))
}

#[tokio::test]
async fn an_upload_is_passed_on_while_it_is_sent() {
    let (mut stack, skey) = logged_in().await;
    stack.upstream.next(Answer::echo());
    let mut client = Client::connect(stack.address()).await;
    let head = format!(
        "POST /up HTTP/1.1\r\nHost: gateway.test\r\nskey: {skey}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    client.write(head).await;

    for piece in ["first", "second", "third"] {
        client.write(chunk(piece)).await;
        assert_eq!(stack.upstream.piece().await, piece.as_bytes());
    }
    client.write("0\r\n\r\n").await;

    assert_eq!(client.response("POST").await.text(), "firstsecondthird");
}

#[tokio::test]
async fn a_download_is_passed_on_while_it_comes() {
    let (stack, skey) = logged_in().await;
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (pieces, answer) = Answer::stream(head);
    stack.upstream.next(answer);
    let mut client = Client::connect(stack.address()).await;
    let request = Request::get("/down").header("skey", &skey);
    client.write(request.bytes()).await;
    assert_eq!(client.head().await.status(), 200);

    for piece in ["first", "second"] {
        pieces.send(chunk(piece)).expect("a listening upstream");
        client.until(piece).await;
    }
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let (stack, skey) = logged_in().await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    let (events, answer) = Answer::stream(head);
    stack.upstream.next(answer.then(Step::Close));
    let mut client = Client::connect(stack.address()).await;
    let request = Request::get("/events").header("skey", &skey);
    client.write(request.bytes()).await;
    let head = client.head().await;
    assert_eq!(head.headers.get("content-type"), Some("text/event-stream"));

    for event in ["data: one\n\n", "data: two\n\n"] {
        events.send(event.into()).expect("a listening upstream");
        client.until(event).await;
    }
}

#[tokio::test]
async fn a_known_length_stays_a_length_both_ways() {
    let (mut stack, skey) = logged_in().await;
    let request = Request::new("POST", "/a")
        .header("skey", &skey)
        .body("0123456789");

    let answer = stack.send(request).await;

    let forwarded = stack.upstream.request().await;
    assert_eq!(forwarded.head.headers.get("content-length"), Some("10"));
    assert_eq!(forwarded.head.headers.get("transfer-encoding"), None);
    assert_eq!(forwarded.text(), "0123456789");
    assert_eq!(answer.framing, Framing::Length(2));
}

#[tokio::test]
async fn a_get_is_forwarded_without_a_body() {
    let (mut stack, skey) = logged_in().await;

    stack.get("/a", &skey).await;

    let forwarded = stack.upstream.request().await;
    assert_eq!(forwarded.head.start, "GET /a HTTP/1.1");
    assert_eq!(forwarded.head.headers.get("content-length"), None);
    assert_eq!(forwarded.head.headers.get("transfer-encoding"), None);
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let (mut stack, skey) = logged_in().await;
    stack.upstream.next(Answer::echo());
    let mut client = Client::connect(stack.address()).await;
    let request = format!(
        "POST /a HTTP/1.1\r\nHost: gateway.test\r\nskey: {skey}\r\nTE: trailers\r\nTrailer: X-Sum\r\n\
         Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n"
    );

    client.write(request).await;

    let answer = client.response("POST").await;
    let forwarded = stack.upstream.request().await;
    assert_eq!(forwarded.trailers.get("x-sum"), Some("42"));
    assert_eq!(answer.trailers.get("x-sum"), Some("42"));
}

#[tokio::test]
async fn a_body_is_requested_only_after_authorization() {
    let (mut stack, skey) = logged_in().await;
    let expecting = |skey: &str| {
        format!(
            "POST /a HTTP/1.1\r\nHost: gateway.test\r\nskey: {skey}\r\nContent-Length: 4\r\n\
             Expect: 100-continue\r\n\r\n"
        )
    };

    let mut stranger = Client::connect(stack.address()).await;
    stranger.write(expecting(&"u".repeat(43))).await;
    let refusal = stranger.response("POST").await;
    let mut client = Client::connect(stack.address()).await;
    client.write(expecting(&skey)).await;
    let interim = client.head().await;
    client.write("body").await;
    let answer = client.response("POST").await;

    assert_eq!(refusal.status, 401);
    assert!(refusal.interim.is_empty(), "{:?}", refusal.interim);
    assert_eq!(interim.status(), 100);
    assert_eq!(answer.status, 200);
    assert_eq!(stack.upstream.request().await.text(), "body");
    assert_eq!(stack.upstream.requests(), 1);
}

#[tokio::test]
async fn a_head_request_keeps_the_length_and_has_no_body() {
    let (stack, skey) = logged_in().await;
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n";
    stack.upstream.next(Answer::raw(head));
    let mut client = Client::connect(stack.address()).await;
    let request = Request::new("HEAD", "/a").header("skey", &skey);

    let answer = client.exchange(&request).await;
    let next = client
        .exchange(&Request::get("/b").header("skey", &skey))
        .await;

    assert_eq!(answer.framing, Framing::Length(1234));
    assert_eq!(next.text(), "ok");
}

#[tokio::test]
async fn requests_that_are_sent_ahead_are_answered_in_order() {
    let (stack, skey) = logged_in().await;
    stack
        .upstream
        .always(|head| Answer::text(200, head.target()));
    let mut client = Client::connect(stack.address()).await;
    let ahead: Vec<u8> = ["/1", "/2", "/3"]
        .iter()
        .flat_map(|path| Request::get(path).header("skey", &skey).bytes())
        .collect();

    client.write(ahead).await;

    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.response("GET").await.text(), path);
    }
}

#[tokio::test]
async fn headers_for_one_hop_go_no_further() {
    let (mut stack, skey) = logged_in().await;
    stack.upstream.next(Answer::raw(
        "HTTP/1.1 200 OK\r\nConnection: X-Internal\r\nConnection: keep-alive\r\nX-Internal: 1\r\n\
         Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n",
    ));
    let request = Request::get("/a")
        .header("skey", &skey)
        .header("Connection", "keep-alive, X-One")
        .header("Connection", "X-Two, Upgrade, HTTP2-Settings")
        .header("X-One", "1")
        .header("X-Two", "2")
        .header("Upgrade", "h2c")
        .header("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Connection", "keep-alive")
        .header("Proxy-Authorization", "Basic x")
        .header("TE", "gzip")
        .header("X-Kept", "1");

    let answer = stack.send(request).await;

    let forwarded = stack.upstream.request().await.head.headers;
    for gone in [
        "x-one",
        "x-two",
        "upgrade",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
    ] {
        assert!(forwarded.all(gone).is_empty(), "{gone} in {forwarded:?}");
    }
    assert!(!forwarded.lists("connection", "x-one"));
    assert_eq!(forwarded.get("x-kept"), Some("1"));
    for gone in ["x-internal", "keep-alive", "proxy-authenticate"] {
        assert!(
            answer.headers.all(gone).is_empty(),
            "{gone} in {:?}",
            answer.headers
        );
    }
    assert_eq!(answer.headers.get("x-kept"), Some("1"));
}

#[tokio::test]
async fn forwarded_headers_are_believed_only_from_trusted_proxies() {
    let open = "upstream = \"api\"";
    let trusting = route(open).table("server", "trusted_proxies = [\"127.0.0.1/32\"]");
    let mut trusting = Stack::start(trusting).await;
    let mut wary = Stack::start(route(open)).await;
    let request = Request::get("/a")
        .header("X-Forwarded-For", "203.0.113.9")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "shop.example.com")
        .header("X.Forwarded-For", "198.51.100.1");
    let mut arrived = Vec::new();

    for stack in [&mut trusting, &mut wary] {
        stack.send(request.clone()).await;
        arrived.push(stack.upstream.request().await.head.headers);
    }

    let told = |name: &str| {
        arrived
            .iter()
            .map(|headers| headers.get(name))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        told("x-forwarded-for"),
        [Some("203.0.113.9, 127.0.0.1"), Some("127.0.0.1")]
    );
    assert_eq!(told("x-forwarded-proto"), [Some("https"), Some("http")]);
    assert_eq!(
        told("x-forwarded-host"),
        [Some("shop.example.com"), Some("gateway.test")]
    );
    assert_eq!(told("host"), [Some("gateway.test"), Some("gateway.test")]);
    // PHP would take it for the proxy's.
    assert_eq!(told("x.forwarded-for"), [None, None]);
}

#[tokio::test]
async fn request_id_and_trace_reach_both_sides() {
    let (mut stack, skey) = logged_in().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let request = Request::get("/a")
        .header("skey", &skey)
        .header("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"));

    let answer = stack.send(request).await;

    let forwarded = stack.upstream.request().await.head.headers;
    let id = forwarded.get("x-request-id").expect("a request id");
    assert_eq!(answer.headers.get("x-request-id"), Some(id));
    let forwarded = forwarded.get("traceparent").expect("a trace");
    assert!(forwarded.contains(trace), "{forwarded}");
}

#[tokio::test]
async fn prefixes_are_cut_and_put_before_the_path() {
    let setup = Setup::new().memory().routes(
        r#"
        [[routes]]
        path = "/api/*"
        upstream = "api"
        auth = "off"
        strip_prefix = "/api"
        add_prefix = "/v2"
        "#,
    );
    let mut stack = Stack::start(setup).await;

    for (asked, forwarded) in [
        ("/api/a/b?x=%2F&y", "/v2/a/b?x=%2F&y"),
        ("/api//a/%7Eb", "/v2/a/~b"),
    ] {
        stack.send(Request::get(asked)).await;
        assert_eq!(stack.upstream.request().await.head.target(), forwarded);
    }
    let other = stack.send(Request::get("/apis/a")).await;
    assert_eq!((other.status, other.error()), (404, Some("no_route")));
}

#[tokio::test]
async fn a_route_can_respond_by_itself() {
    let respond = "respond = { status = 418, body = \"short\", content_type = \"text/html\" }";
    let stack = Stack::start(route(respond)).await;

    let answer = stack.send(Request::get("/a")).await;

    assert_eq!((answer.status, answer.text().as_str()), (418, "short"));
    assert_eq!(answer.headers.get("content-type"), Some("text/html"));
    assert_eq!(stack.upstream.requests(), 0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let stack = Stack::start(route("upstream = \"api\"\nmax_body = \"1KiB\"")).await;
    let fits = stack
        .send(Request::new("POST", "/a").body(vec![b'x'; 1024]))
        .await;
    let declared = stack
        .send(Request::new("POST", "/a").body(vec![b'x'; 1025]))
        .await;
    let mut client = Client::connect(stack.address()).await;
    client
        .write("POST /a HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client.write(chunk(vec![b'x'; 1025])).await;

    let grown = client.response("POST").await;

    assert_eq!(fits.status, 200);
    for refusal in [declared, grown] {
        assert_eq!(
            (refusal.status, refusal.error()),
            (413, Some("body_too_large"))
        );
    }
}

#[tokio::test]
async fn a_silent_upstream_is_abandoned_after_the_route_timeout() {
    let stack = Stack::start(route("upstream = \"api\"\ntimeout = \"200ms\"")).await;
    stack
        .upstream
        .next(Answer(vec![Step::ReadBody, Step::Hang]));

    let answer = stack.send(Request::get("/a")).await;

    assert_eq!(
        (answer.status, answer.error()),
        (504, Some("upstream_timeout"))
    );
}

#[tokio::test]
async fn a_slow_response_within_the_deadline_is_passed_on() {
    let stack = Stack::start(route("upstream = \"api\"\ntimeout = \"10s\"")).await;
    let slow = Answer(vec![Step::Slow(Duration::from_millis(300))]);
    let body = Step::Write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec());
    stack.upstream.next(slow.then(body));

    assert_eq!(stack.send(Request::get("/a")).await.text(), "ok");
}
