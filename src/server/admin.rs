//! The admin listener: serves the operator's endpoints (`admin`) on an address of their own.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::accepted::Accepted;
use super::listener::Listener;
use crate::admin::Admin;

/// How long a request head may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The delay after a failed accept.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// Serves until `stopped`; reports not ready from `draining` on.
pub(super) async fn serve(
    listener: Listener,
    admin: Arc<Admin>,
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
                let (draining, stopped) = (draining.clone(), stopped.clone());
                tokio::spawn(respond(stream, Arc::clone(&admin), draining, stopped));
            }
            Ok(Accepted::Unix(stream)) => {
                let (draining, stopped) = (draining.clone(), stopped.clone());
                tokio::spawn(respond(stream, Arc::clone(&admin), draining, stopped));
            }
            Err(_) => tokio::time::sleep(RETRY_DELAY).await,
        }
    }
}

async fn respond<S>(
    stream: S,
    admin: Arc<Admin>,
    draining: CancellationToken,
    stopped: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: Request<Incoming>| {
        let (admin, draining) = (Arc::clone(&admin), draining.is_cancelled());
        async move { Ok::<_, Infallible>(admin.handle(request, draining).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stopped.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
