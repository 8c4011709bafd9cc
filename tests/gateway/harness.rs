//! Properties of the test tools that the other tests rely on.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::backend::Backend;
use crate::support::client::{Client, Request};
use crate::support::fault::FaultProxy;
use crate::support::redis::{RedisServer, Reply};
use crate::support::steps::{Answer, Step, chunk};
use crate::support::upstream::RecordingUpstream;
use crate::support::within;

#[tokio::test]
async fn the_upstream_records_spelling_order_and_repetition() {
    let mut upstream = RecordingUpstream::start().await;
    let mut client = Client::connect(upstream.address()).await;
    client
        .write("POST /a?b HTTP/1.1\r\nhost: x\r\nX-ONE: 1\r\nx-one:2\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client.write(chunk("body")).await;
    client.write("0\r\nX-Trailer: t\r\n\r\n").await;

    let answer = client.response("POST").await;

    assert_eq!(answer.text(), "ok");
    let request = upstream.request().await;
    assert_eq!(request.head.start, "POST /a?b HTTP/1.1");
    assert_eq!(request.head.headers.all("x-one"), ["1", "2"]);
    assert_eq!(request.head.headers.0[1].0, "X-ONE");
    assert!(request.head.raw.ends_with(b"chunked\r\n\r\n"));
    assert_eq!(request.text(), "body");
    assert_eq!(request.trailers.get("x-trailer"), Some("t"));
}

#[tokio::test]
async fn the_upstream_can_reset_and_refuse() {
    let mut upstream = RecordingUpstream::start().await;
    upstream.next(Answer(vec![Step::ReadBody, Step::Reset]));
    let reset = Request::get("/").try_send(upstream.address()).await;
    let reset = reset.expect_err("a reset");
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);

    upstream.refuse().await;
    let refused = Client::try_connect(upstream.address()).await;
    let refused = refused.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    upstream.listen().await;
    assert_eq!(Request::get("/").send(upstream.address()).await.status, 200);
}

#[tokio::test]
async fn redis_can_be_frozen_killed_and_brought_back() {
    let mut redis = RedisServer::start(&["--appendonly", "yes"]).await;
    let ok = Reply::Text(b"OK".to_vec());
    assert_eq!(redis.command(&[b"SET", b"a", b"the value"]).await, ok);

    redis.pause();
    let frozen = redis.command(&[b"PING"]);
    let frozen = tokio::time::timeout(Duration::from_millis(100), frozen).await;
    assert!(frozen.is_err());
    redis.resume();
    redis.kill().await;
    redis.restart().await;

    let dump = String::from_utf8(redis.dump().await).expect("text");
    assert!(dump.contains("the value"), "{dump:?}");
}

#[tokio::test]
async fn the_slow_network_is_far_away_but_not_narrow() {
    let upstream = RecordingUpstream::start().await;
    let network = FaultProxy::start(upstream.address(), Duration::from_millis(100)).await;
    let mut client = Client::connect(network.address()).await;
    let started = Instant::now();
    for _ in 0..50 {
        client.write(Request::get("/").bytes()).await;
    }

    for _ in 0..50 {
        assert_eq!(client.response("GET").await.status, 200);
    }

    let took = started.elapsed();
    assert!(took >= Duration::from_millis(200), "{took:?}");
    // One by one it would be ten seconds.
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(network.carried() > 0);
}

#[tokio::test]
async fn the_network_can_swallow_and_break() {
    let upstream = RecordingUpstream::start().await;
    let network = FaultProxy::start(upstream.address(), Duration::ZERO).await;
    let mut client = Client::connect(network.address()).await;
    assert_eq!(client.exchange(&Request::get("/")).await.status, 200);

    network.swallow();
    let request = Request::get("/");
    let swallowed = client.try_exchange(&request);
    let swallowed = tokio::time::timeout(Duration::from_millis(100), swallowed).await;
    assert!(swallowed.is_err());

    network.break_all();
    assert!(within("the end", client.is_closed()).await);
    network.heal();
    assert_eq!(Request::get("/").send(network.address()).await.status, 200);
}

#[tokio::test]
async fn the_real_backends_respond() {
    for backend in [
        Backend::php().await,
        Backend::node().await,
        Backend::nginx().await,
    ] {
        let url = backend.url();
        let address = url
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        let answer = Request::get("/hello").send(address).await;
        assert_eq!(answer.status, 200, "{url}");
        assert!(answer.text().contains("hello"), "{}", answer.text());
    }
}
