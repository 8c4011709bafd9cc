//! Responses of upstreams, byte for byte: the client gets one well-formed response, a 502, or a
//! broken connection; and the next client gets the response to its own request.

use std::time::Duration;

use http::Request as H2Request;
use tokio::net::{TcpListener, TcpStream};

use crate::bad_responses::Outcome::{self, Closed, Kept, Reset, Torn, Unsound};
use crate::bad_responses::{POISON, answers, answers_to_head, chunked, last_answers, ok};
use crate::support::client::{Client, Request};
use crate::support::h2::H2Client;
use crate::support::setup::Setup;
use crate::support::stack::Stack;
use crate::support::steps::{Answer, Step, chunk};
use crate::support::wire::Wire;
use crate::support::within;

const OPEN: &str = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n";

async fn open() -> Stack {
    let setup = Setup::new().memory().routes(OPEN);
    // One try, so that each case is one response.
    let stack = Stack::start(setup.table("upstreams.api", "retries = 0")).await;
    stack
        .upstream
        .always(|head| Answer::text(200, head.target()));
    stack
}

/// The outcome of the first request, and whether the second one used the same connection.
async fn outcome(stack: &Stack, method: &str, answer: Answer) -> Result<Outcome, String> {
    stack.upstream.next(answer);
    let first = Request::new(method, "/first");
    let first = within("an answer", first.try_send(stack.address())).await;
    let before = stack.upstream.connections();
    let second = stack.send(Request::get("/second")).await;
    if (second.status, second.text().as_str()) != (200, "/second") {
        return Err(format!(
            "the next caller got {} {}",
            second.status,
            second.text()
        ));
    }
    let again = stack.upstream.connections() == before;
    let Ok(first) = first else {
        return if again {
            Err("a torn connection was used again".to_owned())
        } else {
            Ok(Torn)
        };
    };
    let text: &'static str = first.text().leak();
    Ok(match (first.error(), again) {
        (Some("upstream_protocol"), false) if first.status == 502 => Unsound,
        (Some("upstream_reset"), false) if first.status == 502 => Reset,
        (None, true) => Kept(first.status, text),
        (None, false) => Closed(first.status, text),
        other => return Err(format!("{other:?} with {}", first.status)),
    })
}

async fn check(
    stack: &Stack,
    method: &str,
    cases: Vec<(String, Outcome)>,
    last: Option<fn() -> Step>,
) {
    let mut wrong = Vec::new();
    for (bytes, expected) in cases {
        let mut answer = Answer::raw(bytes.clone());
        answer.0.extend(last.map(|step| step()));
        let found = outcome(stack, method, answer).await;
        if found.as_ref() != Ok(&expected) {
            let shown: String = bytes.chars().take(100).collect();
            wrong.push(format!("{shown:?}: {found:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_upstream_response_is_relayed_whole_or_cut_or_a_502_and_spoils_no_other() {
    check(&open().await, "GET", answers(), None).await;
}

#[tokio::test]
async fn a_response_cut_by_the_upstream_is_never_completed() {
    check(&open().await, "GET", last_answers(), Some(|| Step::Close)).await;
}

#[tokio::test]
async fn a_body_after_a_response_to_head_is_not_forwarded() {
    check(&open().await, "HEAD", answers_to_head(), None).await;
}

#[tokio::test]
async fn a_head_in_small_pieces_is_read_as_in_one() {
    let stack = open().await;
    for (bytes, expected) in [
        (ok("Content-Length: 2\r\n", "ok"), Kept(200, "ok")),
        (
            format!("HTTP/1.1 103 H\r\n\r\n{}", chunked("2\r\nok\r\n0\r\n\r\n")),
            Kept(200, "ok"),
        ),
        (
            ok("Content-Length: 2\r\nContent-Length: 2\r\n", "ok"),
            Unsound,
        ),
        (ok("A: b\nC: d\r\n", ""), Unsound),
    ] {
        let steps = bytes.into_bytes().into_iter().flat_map(|byte| {
            // Long enough that each byte is read on its own.
            [
                Step::Write(vec![byte]),
                Step::Slow(Duration::from_micros(200)),
            ]
        });
        let answer = Answer([Step::ReadBody].into_iter().chain(steps).collect());
        assert_eq!(outcome(&stack, "GET", answer).await, Ok(expected));
    }
}

/// An upstream whose bytes the test writes one by one.
struct Manual(TcpListener);

impl Manual {
    async fn stack() -> (Self, Stack) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binding");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let setup = Setup::new().memory().routes(OPEN).upstream(&url);
        (Self(listener), Stack::start(setup).await)
    }

    /// The next connection, after the head of its first request, and that request's target.
    async fn request(&self) -> (Wire<TcpStream>, String) {
        let (stream, _) = within("a connection", self.0.accept()).await.expect("one");
        let mut wire = Wire::new(stream);
        let head = within("a head", wire.head()).await.expect("a head");
        (wire, head.expect("before the end").target().to_owned())
    }
}

#[tokio::test]
async fn bytes_between_two_requests_belong_to_neither() {
    let (manual, stack) = Manual::stack().await;
    let mut client = Client::connect(stack.address()).await;
    client.write(Request::get("/first").bytes()).await;
    let (mut first, _) = manual.request().await;
    first
        .write(ok("Content-Length: 2\r\n", "ok").as_bytes())
        .await
        .expect("writing");
    assert_eq!(client.response("GET").await.text(), "ok");

    first.write(POISON.as_bytes()).await.expect("writing");
    client.write(Request::get("/second").bytes()).await;

    let (mut second, target) = manual.request().await;
    assert_eq!(target, "/second");
    second
        .write(ok("Content-Length: 3\r\n", "own").as_bytes())
        .await
        .expect("writing");
    assert_eq!(client.response("GET").await.text(), "own");
}

#[tokio::test]
async fn an_upstream_that_responds_before_the_body_is_sent_gets_no_second_request() {
    let (manual, stack) = Manual::stack().await;
    let mut client = Client::connect(stack.address()).await;
    client
        .write("POST /first HTTP/1.1\r\nHost: g\r\nContent-Length: 10\r\n\r\nhalf ")
        .await;
    let (mut first, _) = manual.request().await;
    first
        .write(ok("Content-Length: 5\r\n", "early").as_bytes())
        .await
        .expect("writing");
    assert_eq!(client.response("POST").await.text(), "early");

    let mut other = Client::connect(stack.address()).await;
    other.write(Request::get("/second").bytes()).await;

    let (mut second, target) = manual.request().await;
    assert_eq!(target, "/second");
    second
        .write(ok("Content-Length: 3\r\n", "own").as_bytes())
        .await
        .expect("writing");
    assert_eq!(other.response("GET").await.text(), "own");
}

#[tokio::test]
async fn another_protocol_than_asked_for_opens_no_tunnel() {
    let stack = open().await;
    for upgrade in ["Upgrade: other\r\n", "Upgrade: websocket, other\r\n", ""] {
        let answer = format!("HTTP/1.1 101 S\r\nConnection: Upgrade\r\n{upgrade}\r\n{POISON}");
        stack.upstream.next(Answer::raw(answer));
        let request = Request::get("/socket")
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket");

        let answer = stack.send(request).await;

        assert_eq!(
            (answer.status, answer.error()),
            (502, Some("upstream_protocol")),
            "{upgrade}"
        );
    }
}

#[tokio::test]
async fn http2_clients_get_no_partial_response_and_no_other_stream_suffers() {
    let mut stack = open().await;
    let client = H2Client::connect(stack.address()).await;
    let get = |target: &str| {
        let request = H2Request::get(format!("http://gateway.test{target}"));
        request.body(bytes::Bytes::new()).expect("a request")
    };
    for half in [
        [
            ok("Transfer-Encoding: chunked\r\n", "").into_bytes(),
            chunk("half"),
            b"x".to_vec(),
        ]
        .concat(),
        ok("Content-Length: 10\r\n", "half").into_bytes(),
    ] {
        stack.upstream.next(Answer::raw(half).then(Step::Close));
        let (mut torn, mut whole) = (client.clone(), client.clone());
        let broken = torn.try_send(get("/torn")).await;
        assert!(broken.is_err(), "{broken:?}");
        while stack.upstream.head().await.target() != "/torn" {}
        assert_eq!(whole.send(get("/whole")).await.body().as_ref(), b"/whole");
    }
}
