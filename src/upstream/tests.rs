//! An upstream with one endpoint or several, against scripted servers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::header::HOST;
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Attempt, RequestBody, ResponseKind, Upstream, UpstreamRequest, UpstreamResponse};
use crate::config::{HostHeader, ServerAddress, Upstream as UpstreamConfig};
use crate::error::Error;
use crate::testing::free_port;

const TIMEOUT: Duration = Duration::from_secs(5);
const NO_CONTENT: Option<&str> = Some("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");

fn upstream(servers: &[SocketAddr], retries: u32) -> Upstream {
    let config = UpstreamConfig {
        servers: servers.iter().copied().map(server_at).collect(),
        idle_timeout: TIMEOUT,
        connect_timeout: TIMEOUT,
        response_timeout: TIMEOUT,
        host: HostHeader::Upstream,
        retries,
        max_in_flight: 1,
    };
    Upstream::new("api", config, None)
}

fn server_at(address: SocketAddr) -> ServerAddress {
    ServerAddress::Http {
        host: address.ip().to_string(),
        port: address.port(),
    }
}

fn get() -> UpstreamRequest {
    let request = Request::get("/").header(HOST, "client.test").body(());
    let (parts, ()) = request.unwrap().into_parts();
    UpstreamRequest {
        parts,
        target: PathAndQuery::from_static("/a"),
        body: RequestBody::none(),
        timeout: TIMEOUT,
        upgrade: None,
    }
}

/// Sends a GET; the attempts in their order, and the result.
async fn send(upstream: &Upstream) -> (Vec<(String, u32)>, Result<UpstreamResponse, Error>) {
    let mut attempts = Vec::new();
    let noted = |attempt: &Attempt| attempts.push((attempt.address.to_string(), attempt.tries));
    let result = upstream.send(get(), noted).await;
    (attempts, result)
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that refuses connections.
fn refusing() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// Reads one request from each connection and writes the next response; `None` closes without one.
/// Ends after the last response with the heads of the requests.
fn serve(listener: TcpListener, responses: [Option<&'static str>; 2]) -> JoinHandle<Vec<String>> {
    tokio::spawn(async move {
        let mut heads = Vec::new();
        for response in responses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            heads.push(String::from_utf8(head).unwrap());
            if let Some(response) = response {
                stream.write_all(response.as_bytes()).await.unwrap();
            }
        }
        heads
    })
}

fn status(response: &UpstreamResponse) -> StatusCode {
    match &response.kind {
        ResponseKind::Final(response) => response.status(),
        ResponseKind::Switching(response, _) => response.status(),
    }
}

#[tokio::test]
async fn a_response_names_its_endpoint_and_the_number_of_tries() {
    let (listener, address) = bind().await;
    let server = serve(listener, [None, NO_CONTENT]);
    let upstream = upstream(&[address], 1);

    let (attempts, response) = send(&upstream).await;

    let response = response.unwrap();
    assert_eq!(status(&response), StatusCode::NO_CONTENT);
    let expected = Attempt {
        upstream: "api".into(),
        address: address.to_string().into(),
        tries: 2,
    };
    assert_eq!(response.attempt, expected);
    let address = address.to_string();
    assert_eq!(attempts, [(address.clone(), 1), (address, 2)]);
    assert_eq!(server.await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_failed_endpoint_is_left_for_the_next_one_and_avoided_afterwards() {
    let (away, (listener, here)) = (refusing(), bind().await);
    let server = serve(listener, [NO_CONTENT, NO_CONTENT]);
    let upstream = upstream(&[away, here], 1);

    let (first, response) = send(&upstream).await;
    assert_eq!(response.unwrap().attempt.tries, 2);
    let (second, response) = send(&upstream).await;
    assert_eq!(response.unwrap().attempt.tries, 1);

    let (away, here) = (away.to_string(), here.to_string());
    assert_eq!(first, [(away, 1), (here.clone(), 2)]);
    assert_eq!(second, [(here.clone(), 1)]);
    for head in server.await.unwrap() {
        assert!(head.contains(&format!("host: {here}\r\n")), "{head}");
        assert!(!head.contains("client.test"), "{head}");
    }
}

#[tokio::test]
async fn the_endpoint_is_known_when_no_response_came() {
    let away = refusing();
    let (attempts, result) = send(&upstream(&[away], 1)).await;
    assert!(matches!(result, Err(Error::UpstreamRefused(_))));
    let away = away.to_string();
    assert_eq!(attempts, [(away.clone(), 1), (away, 2)]);

    let (_listener, silent) = bind().await;
    let upstream = upstream(&[silent], 1);
    let mut attempts = Vec::new();
    let sending = upstream.send(get(), |attempt| attempts.push(attempt.address.to_string()));
    let cancelled = tokio::time::timeout(Duration::from_millis(10), sending).await;
    assert!(cancelled.is_err());
    assert_eq!(attempts, [silent.to_string()]);
}

#[tokio::test]
async fn a_preview_names_the_first_endpoint_and_sets_its_host() {
    let (one, two) = (refusing(), refusing());
    let mut headers = HeaderMap::new();

    let attempt = upstream(&[one, two], 1).preview(&mut headers).unwrap();

    assert_eq!((&*attempt.address, attempt.tries), (&*one.to_string(), 1));
    assert_eq!(headers[HOST], one.to_string());
}

#[tokio::test]
async fn endpoints_that_did_not_change_keep_their_connections_under_another_configuration() {
    let (listener, address) = bind().await;
    let keep = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let first = upstream(&[address], 1);
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..2 {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(keep.as_bytes()).await.unwrap();
        }
    });
    let read = async |upstream: &Upstream| {
        let (_, response) = send(upstream).await;
        let ResponseKind::Final(response) = response.unwrap().kind else {
            panic!("no tunnel was asked for");
        };
        response.into_body().collect().await.unwrap();
    };
    read(&first).await;

    let (gone, config) = (refusing(), first.config().clone());
    let config = UpstreamConfig {
        servers: vec![config.servers[0].clone(), server_at(gone)],
        response_timeout: TIMEOUT * 2,
        ..config
    };
    let second = Upstream::new("api", config, Some(&first));
    drop(first);
    read(&second).await;
    server.await.unwrap();

    let other = UpstreamConfig {
        idle_timeout: TIMEOUT * 2,
        ..second.config().clone()
    };
    let third = Upstream::new("api", other, Some(&second));
    let kept = |new: &Upstream, old: &Upstream| Arc::ptr_eq(&new.endpoints[0], &old.endpoints[0]);
    assert!(
        !kept(&third, &second),
        "its idle connections have another deadline"
    );
}
