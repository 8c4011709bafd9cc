//! One connection: its protocol, its requests, its end.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::accepted::Accepted;
use super::admission::ConnectionPermit;
use super::connection_state::RequestGuard;
use super::deadline::{DeadlineStream, Deadlines};
use super::detect::{self, Protocol};
use super::http1::strict::StrictRequests;
use super::http2;
use super::http2::stall::TrackedBody;
use crate::error::chain;
use crate::gateway::{AnswerBody, Gateway};
use crate::http::address::Peer;

/// Bytes of a body that may be read together with the largest head.
const ROOM: usize = 8 * 1024;

/// Serves a connection to its end; when told to stop, to the end of what is under way.
pub(super) async fn serve(accepted: Accepted, place: ConnectionPermit, gateway: Arc<Gateway>) {
    let place = Arc::new(place);
    match accepted {
        Accepted::Tcp(stream, peer) => serve_stream(stream, peer, place, gateway).await,
        Accepted::Unix(stream) => serve_stream(stream, Peer::unix(), place, gateway).await,
    }
}

async fn serve_stream<S>(stream: S, peer: Peer, place: Arc<ConnectionPermit>, gateway: Arc<Gateway>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stop = place.stop.clone();
    let server = gateway.server();
    let first_bytes_within = server.header_timeout;
    let limits = |protocol| Deadlines {
        head: (protocol == Protocol::Http1).then_some(server.header_timeout),
        idle: match protocol {
            Protocol::Http1 => server.idle_timeout,
            // There the connection says that it ends; this is for one that does not let it.
            Protocol::Http2 => server.idle_timeout + 2 * http2::LEAVING,
        },
        write: server.body_timeout,
    };
    let (max_header_bytes, linger) = (server.max_header_bytes, server.body_timeout);
    let first_bytes = tokio::time::timeout(first_bytes_within, detect::detect(stream));
    let detected = tokio::select! {
        biased;
        detected = first_bytes => detected,
        // Nothing was asked yet, so nothing is lost.
        () = stop.cancelled() => return,
    };
    // Too slow, gone, or gone wrong: there is nobody to tell.
    let Ok(Ok(Some((protocol, stream)))) = detected else {
        return;
    };
    let activity = Arc::clone(&place.activity);
    let idle = server.idle_timeout;
    let many_users = peer.address().is_none() || peer.is_trusted(&server.trusted_proxies);
    let told = peer.clone();
    let stream = DeadlineStream::new(stream, limits(protocol), Arc::clone(&activity));
    let behind_the_door = Arc::clone(&activity);
    let here = Arc::clone(&place);
    let service = service_fn(move |request: Request<Incoming>| {
        let (gateway, place) = (Arc::clone(&gateway), Arc::clone(&place));
        let peer = peer.clone();
        let activity = Arc::clone(&activity);
        let under_way = activity.begin();
        // Boxed: hyper keeps room for it in every connection, and most connections idle.
        Box::pin(async move {
            let response = match activity.refused() {
                None => gateway.handle(request, &peer, &place).await,
                Some(refused) => gateway.refuse(refused, &peer, &place),
            };
            let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
            let response = response.map(|body| match protocol {
                Protocol::Http2 => Counted::Http2(activity.unread.watch(body, under_way)),
                Protocol::Http1 if switched => {
                    under_way.into_tunnel();
                    let _under_way = None;
                    Counted::Http1 { body, _under_way }
                }
                Protocol::Http1 => {
                    let _under_way = Some(under_way);
                    Counted::Http1 { body, _under_way }
                }
            });
            Ok::<_, Infallible>(response)
        })
    });
    match protocol {
        Protocol::Http1 => {
            let door = StrictRequests::new(stream, behind_the_door, max_header_bytes, linger);
            let connection = http1::Builder::new()
                // DeadlineStream has the deadlines: hyper's own is one for head and idling alike.
                .header_read_timeout(None)
                // The door has the limit; a head that passed it fits in here.
                .max_buf_size(max_header_bytes + ROOM)
                .serve_connection(TokioIo::new(door), service)
                .with_upgrades();
            let mut connection = pin!(connection);
            tokio::select! {
                biased;
                ended = connection.as_mut() => return tell(&told, ended),
                () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            here.activity.skip_linger();
            tokio::select! {
                biased;
                _ = connection => {}
                () = here.leaves() => {}
            }
        }
        Protocol::Http2 => {
            let limits = http2::Limits {
                header_list: max_header_bytes,
                idle,
                many_users,
            };
            // Boxed: idle connections are many, most of them HTTP/1, and each would hold room for the larger of both.
            let connection = http2::serve(stream, service, limits, &here);
            tell(&told, Box::pin(connection).await);
        }
    }
}

/// Notes a request that hyper could not read though the door let it through: hyper answers such by itself. A stranger could repeat
/// it at will, so it is no more than `debug`.
fn tell(peer: &Peer, ended: hyper::Result<()>) {
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

/// An answer's body that keeps its request counted as under way.
enum Counted {
    /// An answer that is not read shows in the socket.
    Http1 {
        body: AnswerBody,
        _under_way: Option<RequestGuard>,
    },
    /// One that is not read shows only here.
    Http2(TrackedBody<AnswerBody>),
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Http1 { body, .. } => Pin::new(body).poll_frame(cx),
            Self::Http2(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1 { body, .. } => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1 { body, .. } => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
