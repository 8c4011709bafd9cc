//! One listening address: accepts connections, refuses those that are not admitted, and goes on
//! after any failure to accept. Each listener has a token of its own: cancelling it ends its
//! accepting and drains its connections, and leaves the other listeners alone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accept_queue::FairQueue;
use super::accepted::Accepted;
use super::admission::Admission;
use super::refusal::Refusals;
use super::{BindError, connection};
use crate::config::ListenAddress;
use crate::gateway::Gateway;
use crate::http::address::Peer;
use crate::log_throttle::LogThrottle;

/// Connections that wait in the kernel, at most.
const MAX_BACKLOG: i32 = 4096;
/// The delay after a failed accept: with no descriptors left, an immediate retry would burn the CPU
/// time that could free some.
const RETRY_DELAY: Duration = Duration::from_millis(50);
/// Connections accepted in a row, at most, before open connections have their turn.
const MAX_ACCEPT_BATCH: usize = 32;

/// Bytes of a response that the kernel takes ahead of what it can send (`TCP_NOTSENT_LOWAT`).
/// Without it the kernel holds up to 4 MiB (`tcp_wmem`) for a client that does not read, and a
/// client that reads 32 KiB per second shows no progress until a third of that has gone. With it
/// every 32 KiB that are read show, so a client above the minimum rate never appears to stall.
const MAX_UNSENT_BYTES: u32 = 64 * 1024;

/// A bound listener.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Bound,
    address: ListenAddress,
}

#[derive(Debug)]
enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Admits and serves accepted connections; shared by the listeners of one server.
pub(super) struct Acceptor {
    pub(super) admission: Arc<Admission>,
    pub(super) refusals: Refusals,
    pub(super) connections: TaskTracker,
}

impl Listener {
    /// Binds the address. A Unix socket left behind by a process that has ended is replaced.
    pub(super) async fn bind(address: &ListenAddress) -> Result<Self, BindError> {
        let bound = match address {
            ListenAddress::Tcp(tcp) => bind_tcp(*tcp).map(Bound::Tcp),
            ListenAddress::Unix(path) => bind_unix(path).await.map(Bound::Unix),
        };
        let socket = bound.map_err(|source| BindError {
            address: address.to_string(),
            source,
        })?;
        let address = match &socket {
            Bound::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| address.clone(), ListenAddress::Tcp),
            Bound::Unix(_) => address.clone(),
        };
        Ok(Self { socket, address })
    }

    pub(super) fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// The next connection.
    pub(super) async fn next(&self) -> io::Result<Accepted> {
        match &self.socket {
            Bound::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                // Fails only for a connection that is gone already, which the first read shows.
                let _ = stream.set_nodelay(true);
                // Detects clients that vanished without closing, as mobile ones do.
                let keepalive = TcpKeepalive::new()
                    .with_time(Duration::from_secs(60))
                    .with_interval(Duration::from_secs(15));
                let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
                Ok(Accepted::Tcp(stream, Peer::ip(from.ip().to_canonical())))
            }
            Bound::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }

    /// Accepts until `stop` is cancelled; each connection is served by a task of its own, which
    /// then finishes its requests in flight.
    pub(super) async fn accept(
        self,
        gateway: Arc<Gateway>,
        acceptor: Arc<Acceptor>,
        stop: CancellationToken,
    ) {
        let mut queue = FairQueue::default();
        let mut elapsed = Duration::ZERO;
        let failures = LogThrottle::new(LogThrottle::TEN_SECONDS);
        let admit = |accepted| acceptor.admit(accepted, &gateway, &stop);
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = self.next(), if queue.is_empty() => Some(accepted),
                () = std::future::ready(()), if !queue.is_empty() => None,
            };
            let more = std::iter::from_fn(|| self.next().now_or_never());
            let batch = queue.free().min(MAX_ACCEPT_BATCH);
            let mut failure = None;
            for accepted in first.into_iter().chain(more).take(batch) {
                match accepted {
                    Ok(accepted) => {
                        let address = acceptor.admission.counted_address(&accepted.peer());
                        queue.push(address, accepted);
                    }
                    Err(error) if is_about_one_connection(&error) => {}
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
            let Some(error) = failure else {
                queue.round(elapsed).into_iter().for_each(admit);
                // Between two rounds the open connections have their turn.
                let round_ended = Instant::now();
                tokio::task::yield_now().await;
                elapsed = round_ended.elapsed();
                continue;
            };
            queue.drain().for_each(admit);
            // Throttled, since any client can make accepting fail.
            if let Some(failures) = failures.count() {
                tracing::warn!(
                    listen = %self.address, %error, failures,
                    "accepting connections fails; open ones are served, accepting goes on"
                );
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(RETRY_DELAY) => {}
            }
        }
        queue.drain().for_each(admit);
    }
}

impl Acceptor {
    /// Serves a connection or refuses it.
    fn admit(&self, accepted: Accepted, gateway: &Arc<Gateway>, stop: &CancellationToken) {
        match self.admission.admit(&accepted.peer(), stop) {
            Ok(permit) => {
                let serving = connection::serve(accepted, permit, Arc::clone(gateway));
                self.connections.spawn(serving);
            }
            Err(refusal) => {
                if let Some(refusing) = self.refusals.refuse(accepted, refusal) {
                    self.connections.spawn(refusing);
                }
            }
        }
    }
}

/// The connection was gone before it was accepted; the listener is fine.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | NotConnected
    )
}

fn bind_tcp(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for connections in TIME_WAIT.
    socket.set_reuse_address(true)?;
    // Accepted connections inherit it. Without it slow reading is only detected later.
    let _ = socket.set_tcp_notsent_lowat(MAX_UNSENT_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(MAX_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn bind_unix(path: &std::path::Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if UnixStream::connect(path).await.is_ok() {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}
