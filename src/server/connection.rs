//! Serves one connection: detects its protocol, then speaks HTTP/1 or HTTP/2 to its end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::accepted::Accepted;
use super::admission::ConnectionPermit;
use super::deadline::{DeadlineStream, Deadlines};
use super::detect::{Protocol, detect};
use super::http1::guarded_body::GuardedBody;
use super::http1::state::{Http1Request, Http1State};
use super::http1::strict::StrictRequests;
use super::http2::stall::StallRegistry;
use super::http2::state::Http2State;
use super::http2::{self, Http2Options};
use crate::error::chain;
use crate::gateway::{Gateway, LoggedBody, OpenTunnel};
use crate::http::address::Peer;

/// Bytes of a body that hyper may read together with the largest head.
const BODY_BUFFER_BYTES: usize = 8 * 1024;

/// What the requests of one connection share. A tunnel keeps it, and with it the permit.
struct ConnectionContext {
    gateway: Arc<Gateway>,
    peer: Peer,
    permit: ConnectionPermit,
}

impl ConnectionContext {
    /// Runs the tunnel of a 101, if any, in a task of its own.
    fn spawn(self: &Arc<Self>, tunnel: Option<OpenTunnel>) {
        let Some(tunnel) = tunnel else { return };
        let context = Arc::clone(self);
        self.gateway.tasks().spawn(async move {
            // It holds the connection's permit to the tunnel's end.
            let _context = context;
            tunnel.run().await;
        });
    }
}

/// Serves a connection to its end; once told to stop, to the end of its requests in flight.
pub(super) async fn serve(accepted: Accepted, permit: ConnectionPermit, gateway: Arc<Gateway>) {
    let context = Arc::new(ConnectionContext {
        gateway,
        peer: accepted.peer(),
        permit,
    });
    match accepted {
        Accepted::Tcp(stream, _) => serve_detected(stream, context).await,
        Accepted::Unix(stream) => serve_detected(stream, context).await,
    }
}

async fn serve_detected<S>(stream: S, context: Arc<ConnectionContext>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let header_timeout = context.gateway.server().header_timeout;
    let first_bytes = tokio::time::timeout(header_timeout, detect(stream));
    let detected = tokio::select! {
        biased;
        detected = first_bytes => detected,
        // No request has been sent yet, so none is lost.
        () = context.permit.stop.cancelled() => return,
    };
    // Too slow, closed or failed: no protocol is known in which to respond.
    let Ok(Ok(Some((protocol, stream)))) = detected else {
        return;
    };
    match protocol {
        Protocol::Http1 => serve_http1(stream, context).await,
        // Boxed: most connections are idle HTTP/1 ones, and each would hold room for the larger of
        // the two futures.
        Protocol::Http2 => Box::pin(serve_http2(stream, context)).await,
    }
}

async fn serve_http1<S>(stream: S, context: Arc<ConnectionContext>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let server = context.gateway.server();
    let deadlines = Deadlines {
        idle: server.idle_timeout,
        write: server.body_timeout,
    };
    let connection = &context.permit.state;
    let state = Http1State::new(Arc::clone(connection));
    let stream = DeadlineStream::http1(
        stream,
        server.header_timeout,
        deadlines,
        Arc::clone(connection),
    );
    let stream = StrictRequests::new(
        stream,
        Arc::clone(&state),
        server.max_header_bytes,
        server.body_timeout,
    );
    let service = service_fn(|request| {
        let context = Arc::clone(&context);
        // Boxed: hyper keeps room for it in every connection, and most connections are idle.
        Box::pin(respond_http1(request, state.start_request(), context))
    });
    let connection = http1::Builder::new()
        // DeadlineStream has the deadlines: hyper's own is one for head and idle time alike.
        .header_read_timeout(None)
        // StrictRequests has the limit; a head that passed it fits in here.
        .max_buf_size(server.max_header_bytes + BODY_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return log_unreadable(&context.peer, ended),
        () = context.permit.stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    state.skip_linger();
    tokio::select! {
        biased;
        _ = connection => {}
        () = context.permit.eviction_deadline() => {}
    }
}

async fn respond_http1(
    head: Request<Incoming>,
    request: Http1Request,
    context: Arc<ConnectionContext>,
) -> Result<Response<GuardedBody<LoggedBody>>, Infallible> {
    let ConnectionContext { gateway, peer, .. } = context.as_ref();
    let (response, tunnel) = match request.refused() {
        None => gateway.handle(head, peer).await,
        Some(refused) => (gateway.refuse(refused, peer), None),
    };
    context.spawn(tunnel);
    let request = if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        request.into_tunnel();
        None
    } else {
        Some(request)
    };
    Ok(response.map(|body| GuardedBody::new(body, request)))
}

async fn serve_http2<S>(stream: S, context: Arc<ConnectionContext>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let server = context.gateway.server();
    let deadlines = Deadlines {
        // `http2::serve` ends an idle connection; this is for a client that does not let it.
        idle: server.idle_timeout + 2 * http2::GOAWAY_TIMEOUT,
        write: server.body_timeout,
    };
    let peer = &context.peer;
    let options = Http2Options {
        max_header_list: server.max_header_bytes,
        idle_timeout: server.idle_timeout,
        many_users: peer.address().is_none() || peer.is_trusted(&server.trusted_proxies),
    };
    let connection = &context.permit.state;
    let state = Http2State::new(Arc::clone(connection));
    let stalls = Arc::new(StallRegistry::default());
    let stream = DeadlineStream::http2(
        stream,
        Arc::clone(&stalls),
        deadlines,
        Arc::clone(connection),
    );
    let service = service_fn(|head: Request<Incoming>| {
        let (context, stalls) = (Arc::clone(&context), Arc::clone(&stalls));
        let request = state.start_request();
        Box::pin(async move {
            let ConnectionContext { gateway, peer, .. } = context.as_ref();
            let (response, tunnel) = gateway.handle(head, peer).await;
            context.spawn(tunnel);
            Ok::<_, Infallible>(response.map(|body| stalls.track(body, request)))
        })
    });
    let ended = http2::serve(
        stream,
        service,
        options,
        Arc::clone(&state),
        &context.permit,
    );
    log_unreadable(&context.peer, ended.await);
}

/// Logs a request that hyper could not read though its framing was fine: hyper responds to such a
/// request by itself. A client could repeat it at will, so the level is no higher than `debug`.
fn log_unreadable(peer: &Peer, ended: hyper::Result<()>) {
    if let Err(error) = ended
        && (error.is_parse() || error.is_parse_too_large())
    {
        tracing::debug!(
            client.address = peer.text().and_then(|text| text.to_str().ok()),
            cause = chain(&error),
            "a request could not be read and was refused"
        );
    }
}
