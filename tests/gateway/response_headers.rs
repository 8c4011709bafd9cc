//! The headers of an upstream's response: fields about its own connection and fields of the gateway
//! are removed; all others pass unchanged.

use http::Request as H2Request;

use crate::bad_responses::ok;
use crate::support::client::{Client, Request};
use crate::support::h2::H2Client;
use crate::support::setup::Setup;
use crate::support::stack::Stack;
use crate::support::steps::Answer;

const OPEN: &str = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n";

async fn open() -> Stack {
    Stack::start(Setup::new().memory().routes(OPEN)).await
}

/// A response with headers about the upstream's connection and headers reserved to the gateway.
fn loaded() -> Answer {
    Answer::raw(
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, X-Hop\r\nConnection: x-other\r\n\
         X-Hop: 1\r\nX-Other: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n\
         Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nTE: trailers\r\n\
         X-Gateway-Error: not_logged_in\r\nX-Request-Id: theirs\r\nX-Request-Id: again\r\n\
         Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nX-Openid: echoed\r\nServer: own\r\n\r\nok",
    )
}

#[tokio::test]
async fn headers_of_the_upstreams_connection_and_ours_do_not_pass_over_http1() {
    let stack = open().await;
    stack.upstream.next(loaded());

    let mut client = Client::connect(stack.address()).await;
    client.write(Request::get("/a").bytes()).await;
    let head = client.head().await;

    assert_eq!(head.start, "HTTP/1.1 200 OK");
    let mut names = head.headers.names();
    names.retain(|name| name != "date");
    assert_eq!(
        names,
        [
            "content-length",
            "server",
            "set-cookie",
            "set-cookie",
            "x-openid",
            "x-request-id"
        ]
    );
    assert_eq!(head.headers.all("set-cookie"), ["a=1; Path=/", "b=2"]);
    assert_eq!(head.headers.get("x-request-id").map(str::len), Some(32));
}

#[tokio::test]
async fn headers_of_the_upstreams_connection_and_ours_do_not_pass_over_http2() {
    let stack = open().await;
    stack.upstream.next(loaded());
    let mut client = H2Client::connect(stack.address()).await;
    let request = H2Request::get("http://gateway.test/a");

    let answer = client
        .send(request.body(bytes::Bytes::new()).expect("a request"))
        .await;

    assert_eq!(answer.body().as_ref(), b"ok");
    let mut names: Vec<&str> = answer
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    names.retain(|name| *name != "date");
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "content-length",
            "server",
            "set-cookie",
            "x-openid",
            "x-request-id"
        ]
    );
    assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
}

#[tokio::test]
async fn trailers_that_mean_something_in_a_head_do_not_pass() {
    let stack = open().await;
    let names = "X-Sum, Content-Length, X-Gateway-Error, X-Request-Id, Host, Transfer-Encoding";
    stack.upstream.next(Answer::raw(ok(
        &format!("Transfer-Encoding: chunked\r\nTrailer: {names}\r\n"),
        "2\r\nok\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nX-Gateway-Error: e\r\nX-Request-Id: r\r\n\
         Host: h\r\nTransfer-Encoding: gzip\r\n\r\n",
    )));

    let answer = stack
        .send(Request::get("/a").header("TE", "trailers"))
        .await;

    assert_eq!(answer.text(), "ok");
    assert_eq!(answer.trailers.names(), ["x-sum"]);
}
