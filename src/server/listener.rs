//! One port or socket: takes connections, refuses those that there is no place for, and goes on after any failure to accept.

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
use super::seldom::Seldom;
use super::{StartError, connection};
use crate::config::ListenAddress;
use crate::gateway::Gateway;
use crate::http::address::Peer;

/// Connections that wait in the kernel, at most.
const BACKLOG: i32 = 4096;
/// Pause after a failure to accept: with no descriptors left, asking again at once only burns the CPU that could free some.
const PAUSE: Duration = Duration::from_millis(50);
/// Connections accepted in a row, at most, before the others have their turn.
const AT_ONCE: usize = 32;

/// Bytes of an answer that the kernel takes ahead of what it can send. Without it one client that reads nothing makes it hold up to
/// 4 MiB (`tcp_wmem`), and one that reads 32 KiB a second seems to stand still until a third of that has gone. With it we see every
/// 32 KiB that are read: above the slowest pace that is allowed, nobody seems to stand still.
const UNSENT: u32 = 64 * 1024;

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

/// What the listeners of one server share.
pub(super) struct Acceptor {
    pub(super) places: Arc<Admission>,
    pub(super) refusals: Refusals,
    pub(super) connections: TaskTracker,
}

impl Listener {
    /// Binds the address. A Unix socket that nobody listens on any more is replaced.
    pub(super) async fn bind(address: &ListenAddress) -> Result<Self, StartError> {
        let bound = match address {
            ListenAddress::Tcp(tcp) => bind_tcp(*tcp).map(Bound::Tcp),
            ListenAddress::Unix(path) => bind_unix(path).await.map(Bound::Unix),
        };
        let socket = bound.map_err(|source| StartError::Bind {
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
                // What cannot be set on a connection that is gone already shows when it is read.
                let _ = stream.set_nodelay(true);
                // Finds clients that went away without a word, which mobile ones do.
                let keepalive = TcpKeepalive::new()
                    .with_time(Duration::from_secs(60))
                    .with_interval(Duration::from_secs(15));
                let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
                Ok(Accepted::Tcp(stream, Peer::ip(from.ip().to_canonical())))
            }
            Bound::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }

    /// Accepts until told to stop; each connection is served by a task of its own.
    pub(super) async fn accept(
        self,
        gateway: Arc<Gateway>,
        entrance: Arc<Acceptor>,
        stop: CancellationToken,
    ) {
        let mut newcomers = FairQueue::default();
        let mut others = Duration::ZERO;
        let mut failures = Seldom::default();
        let begin = |accepted| entrance.admit(accepted, &gateway, &stop);
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = self.next(), if newcomers.is_empty() => Some(accepted),
                () = std::future::ready(()), if !newcomers.is_empty() => None,
            };
            let more = std::iter::from_fn(|| self.next().now_or_never());
            let at_once = newcomers.room().min(AT_ONCE);
            let mut failure = None;
            for accepted in first.into_iter().chain(more).take(at_once) {
                match accepted {
                    Ok(accepted) => {
                        let address = entrance.places.counted(&accepted.peer());
                        newcomers.push(address, accepted);
                    }
                    Err(error) if is_about_one_connection(&error) => {}
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
            let Some(error) = failure else {
                newcomers.round(others).into_iter().for_each(begin);
                // Between two rounds those who are served already have their turn.
                let their_turn = Instant::now();
                tokio::task::yield_now().await;
                others = their_turn.elapsed();
                continue;
            };
            newcomers.all().for_each(begin);
            // How many connections fail is in a stranger's hands.
            if let Some(failures) = failures.count() {
                tracing::warn!(
                    listen = %self.address, %error, failures,
                    "accepting connections fails; open ones are served, accepting goes on"
                );
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        newcomers.all().for_each(begin);
    }
}

impl Acceptor {
    /// Serves a connection, or refuses it.
    fn admit(&self, accepted: Accepted, gateway: &Arc<Gateway>, stop: &CancellationToken) {
        match self.places.take(&accepted.peer(), stop) {
            Ok(place) => {
                let serving = connection::serve(accepted, place, Arc::clone(gateway));
                self.connections.spawn(serving);
            }
            Err(why) => {
                if let Some(refusing) = self.refusals.refuse(accepted, why) {
                    self.connections.spawn(refusing);
                }
            }
        }
    }
}

/// The connection was gone before it was accepted; nothing is wrong with us.
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
    // A restart must not wait for the old connections to be forgotten.
    socket.set_reuse_address(true)?;
    // Accepted connections inherit it. A kernel that does not know it only sees less.
    let _ = socket.set_tcp_notsent_lowat(UNSENT);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
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
