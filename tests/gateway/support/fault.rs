//! A TCP proxy that makes a network slow, deaf or broken.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::free_port;

/// State of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NetworkState {
    Carries,
    /// Takes bytes and connections and lets nothing through.
    Swallows,
    /// Ends every connection, new ones too.
    Breaks,
}

/// The network in front of `target`. Ends when dropped.
pub(crate) struct FaultProxy {
    address: SocketAddr,
    state: watch::Sender<NetworkState>,
    carried: Arc<AtomicU64>,
    _running: DropGuard,
}

impl FaultProxy {
    /// A network that carries each byte `latency` late in each direction. As many bytes as like are
    /// under way at once: it is far away, not narrow.
    pub(crate) async fn start(target: SocketAddr, latency: Duration) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let listener = TcpListener::bind(address).await.expect("binding");
        let (state, states) = watch::channel(NetworkState::Carries);
        let carried = Arc::new(AtomicU64::new(0));
        let token = CancellationToken::new();
        let link = Link {
            target,
            latency,
            states,
            carried: Arc::clone(&carried),
        };
        let stop = token.clone();
        tokio::spawn(async move { stop.run_until_cancelled(accept(listener, link)).await });
        Self {
            address,
            state,
            carried,
            _running: token.drop_guard(),
        }
    }

    /// Where to connect instead of the target.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing arrives, and no connection is closed.
    pub(crate) fn swallow(&self) {
        self.state.send_replace(NetworkState::Swallows);
    }

    /// From now on every connection breaks.
    pub(crate) fn break_all(&self) {
        self.state.send_replace(NetworkState::Breaks);
    }

    /// From now on new connections work.
    pub(crate) fn heal(&self) {
        self.state.send_replace(NetworkState::Carries);
    }

    /// Bytes that arrived, both directions together.
    pub(crate) fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Link {
    target: SocketAddr,
    latency: Duration,
    states: watch::Receiver<NetworkState>,
    carried: Arc<AtomicU64>,
}

async fn accept(listener: TcpListener, link: Link) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let link = link.clone();
        connections.spawn(async move {
            let mut states = link.states.clone();
            let broken = states.wait_for(|state| *state == NetworkState::Breaks);
            tokio::select! {
                () = link.carry(near) => {}
                _ = broken => {}
            }
        });
    }
}

impl Link {
    async fn carry(&self, near: TcpStream) {
        let mut states = self.states.clone();
        // A connection made while the network swallows bytes gets no reply until it is healed.
        let _ = states
            .wait_for(|state| *state != NetworkState::Swallows)
            .await;
        let Ok(far) = TcpStream::connect(self.target).await else {
            return;
        };
        let _ = near.set_nodelay(true);
        let _ = far.set_nodelay(true);
        let (near_reader, near_writer) = near.into_split();
        let (far_reader, far_writer) = far.into_split();
        tokio::join!(
            self.one_way(near_reader, far_writer),
            self.one_way(far_reader, near_writer),
        );
    }

    /// Reading and writing run side by side, each piece with its own time of arrival: latency, not
    /// serialisation.
    async fn one_way(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let (sender, mut pieces) = mpsc::unbounded_channel();
        let reading = async move {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = from.read(&mut buffer).await {
                let arrival = Instant::now() + self.latency;
                let piece = buffer[..count].to_vec();
                if sender.send((arrival, piece)).is_err() {
                    return;
                }
            }
        };
        let writing = async {
            while let Some((arrival, piece)) = pieces.recv().await {
                tokio::time::sleep_until(arrival).await;
                if *self.states.borrow() == NetworkState::Swallows {
                    std::future::pending::<()>().await;
                }
                if to.write_all(&piece).await.is_err() {
                    return;
                }
                let count = u64::try_from(piece.len()).expect("a small piece");
                self.carried.fetch_add(count, Ordering::Relaxed);
            }
            let _ = to.shutdown().await;
        };
        tokio::join!(reading, writing);
    }
}
