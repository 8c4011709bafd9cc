//! WebSocket and other upgrades: after the upstream's 101, bytes are copied both ways until one
//! side ends or both are silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{HeaderMap, Method, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::pool::ConnectionGuard;
use super::transport::http1::Connection;
use crate::delegate_io::delegate_write;
use crate::http::headers::connection_holds;

/// A tunnel is closed after this long without bytes. Live peers send heartbeats far more often; TCP
/// keepalive finds peers that are gone earlier.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// A client's request to switch protocols, with its end of the connection.
#[derive(Debug)]
pub struct Upgrade {
    protocol: HeaderValue,
    client: OnUpgrade,
}

/// Both ends of a switched connection.
#[derive(Debug)]
pub struct Tunnel {
    upgrade: Upgrade,
    upstream: OnUpgrade,
    connection: Connection,
}

/// Bytes that were copied through a tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the client.
    pub up: u64,
    /// To the client.
    pub down: u64,
}

impl Upgrade {
    /// The upgrade that a request asks for, if it is allowed: one protocol, by GET, over HTTP/1.1,
    /// named in `Connection` too. Another version of HTTP is never allowed: its requests would
    /// reach the upstream unchecked.
    pub fn take(parts: &mut Parts) -> Option<Self> {
        if parts.method != Method::GET || parts.version != Version::HTTP_11 {
            return None;
        }
        let mut lines = parts.headers.get_all(UPGRADE).iter();
        let (Some(protocol), None) = (lines.next(), lines.next()) else {
            return None;
        };
        let name = protocol.to_str().ok()?.to_ascii_lowercase();
        let is_token = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._+/".contains(&byte));
        let is_http = ["h2", "h3", "http", "tls"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if !is_token || is_http || !connection_holds(&parts.headers, "upgrade") {
            return None;
        }
        let protocol = protocol.clone();
        let client = parts.extensions.remove::<OnUpgrade>()?;
        Some(Self { protocol, client })
    }

    /// The protocol's name.
    #[must_use]
    pub fn protocol(&self) -> &HeaderValue {
        &self.protocol
    }

    /// Writes the two headers of an upgrade.
    pub fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, self.protocol.clone());
    }
}

impl Tunnel {
    pub(super) fn new(upgrade: Upgrade, upstream: OnUpgrade, guard: ConnectionGuard) -> Self {
        Self {
            upgrade,
            upstream,
            connection: guard.into_connection(),
        }
    }

    /// Copies bytes until both directions have ended, one side breaks off, or neither sends for an
    /// hour. A tunnel holds no permit of the endpoint, or requests would wait for it: the limit on
    /// client connections bounds tunnels.
    pub async fn run(self) -> Traffic {
        let Self {
            upgrade,
            upstream,
            connection: _open,
        } = self;
        let (Ok(client), Ok(upstream)) = tokio::join!(upgrade.client, upstream) else {
            return Traffic::default();
        };
        let activity = Arc::new(Activity::new());
        let mut client = CountedStream::new(TokioIo::new(client), &activity);
        let mut upstream = CountedStream::new(TokioIo::new(upstream), &activity);
        tokio::select! {
            // Both ends are closed, however the copying ended.
            _ = tokio::io::copy_bidirectional(&mut client, &mut upstream) => {}
            () = activity.silence() => {}
        }
        Traffic {
            up: client.read,
            down: upstream.read,
        }
    }
}

/// The time of the last bytes in either direction.
struct Activity {
    started: Instant,
    last_ms: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            last_ms: AtomicU64::new(0),
        }
    }

    fn touch(&self) {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(elapsed, Ordering::Relaxed);
    }

    async fn silence(&self) {
        loop {
            let last = self.started + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            if last.elapsed() >= IDLE_TIMEOUT {
                return;
            }
            tokio::time::sleep_until(last + IDLE_TIMEOUT).await;
        }
    }
}

/// One end of a tunnel. It counts the bytes it reads.
struct CountedStream<'a, S> {
    stream: S,
    activity: &'a Activity,
    read: u64,
}

impl<'a, S> CountedStream<'a, S> {
    fn new(stream: S, activity: &'a Activity) -> Self {
        Self {
            stream,
            activity,
            read: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedStream<'_, S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        let read = buf.filled().len().saturating_sub(before);
        if read > 0 {
            this.read = this
                .read
                .saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
            this.activity.touch();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountedStream<'_, S> {
    delegate_write!(stream: poll_write, poll_flush, poll_shutdown);
}
