//! The operator's listener: `/livez` says that the process runs, `/readyz` whether it should get traffic.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::listener::{Accepted, Listener};
use crate::redis::RedisLink;

/// Time a whole question may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause after a failure to accept.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers until `stopped`; not ready from `draining` on.
pub(super) async fn serve(
    listener: Listener,
    redis: Option<RedisLink>,
    draining: CancellationToken,
    stopped: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stopped.cancelled() => return,
            accepted = listener.next() => accepted,
        };
        match accepted {
            Ok(Accepted::Tcp(stream, _)) => {
                tokio::spawn(answer(stream, redis.clone(), draining.clone()));
            }
            Ok(Accepted::Unix(stream)) => {
                tokio::spawn(answer(stream, redis.clone(), draining.clone()));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn answer<S>(stream: S, redis: Option<RedisLink>, draining: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: Request<Incoming>| {
        let (redis, draining) = (redis.clone(), draining.is_cancelled());
        async move {
            let (status, text) = state(&request, redis, draining).await;
            let mut response = Response::new(Full::<Bytes>::from(text));
            *response.status_mut() = status;
            let headers = response.headers_mut();
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            );
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Ok::<_, Infallible>(response)
        }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn state(
    request: &Request<Incoming>,
    redis: Option<RedisLink>,
    draining: bool,
) -> (StatusCode, &'static str) {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    match request.uri().path() {
        "/livez" => (StatusCode::OK, "live\n"),
        "/readyz" if draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        "/readyz" => match redis {
            Some(link) if link.ping().await.is_err() => {
                (StatusCode::SERVICE_UNAVAILABLE, "redis does not answer\n")
            }
            _ => (StatusCode::OK, "ready\n"),
        },
        _ => (StatusCode::NOT_FOUND, "there are /livez and /readyz\n"),
    }
}
