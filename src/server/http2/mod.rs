//! One HTTP/2 connection, from its settings to its GOAWAY.

mod flood;
mod settings;
pub(super) mod stall;
pub(super) mod state;

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use self::flood::FloodGuard;
use self::state::Http2State;
use super::admission::ConnectionPermit;

/// How long a client may take to leave after GOAWAY when it has no request in flight; then the
/// connection is closed.
pub(super) const GOAWAY_TIMEOUT: Duration = Duration::from_secs(2);

/// The options of one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Http2Options {
    pub(super) max_header_list: usize,
    pub(super) idle_timeout: Duration,
    /// The client is a trusted proxy, whose connection carries the requests of many users.
    pub(super) many_users: bool,
}

/// Serves to the end of the connection. Once idle, or told to stop, it sends GOAWAY and finishes
/// the requests in flight.
///
/// # Errors
/// hyper's, when the connection was not ended by us.
pub(super) async fn serve<S, B, R>(
    io: S,
    service: R,
    options: Http2Options,
    state: Arc<Http2State>,
    permit: &ConnectionPermit,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    R: HttpService<Incoming, ResBody = B>,
    R::Error: Into<Box<dyn Error + Send + Sync>>,
    R::Future: Send + 'static,
{
    let io = TokioIo::new(FloodGuard::new(io, Arc::clone(&state), options.many_users));
    let connection = settings::builder(options.max_header_list).serve_connection(io, service);
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = permit.stop.cancelled() => {}
        () = state.idle_for(options.idle_timeout) => {}
    }
    connection.as_mut().graceful_shutdown();
    // hyper closes once the client has acknowledged the GOAWAY. A client that never does is not
    // waited for, nor are requests that it starts after its time to leave.
    tokio::select! {
        biased;
        _ = connection.as_mut() => {}
        () = state.drained_after(GOAWAY_TIMEOUT) => {}
        () = evicted(permit) => {}
    }
    Ok(())
}

/// Completes when the connection was told to make room and its time for that is over. A connection
/// that leaves because it idles takes as long as its requests take.
async fn evicted(permit: &ConnectionPermit) {
    permit.stop.cancelled().await;
    permit.eviction_deadline().await;
}
