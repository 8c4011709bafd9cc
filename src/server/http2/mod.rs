//! An HTTP/2 connection: its settings, its end when it idles, and the end of those that only make work.
//!
//! The library has limits of its own against what one frame or one header block can do. What it answers or passes over without end,
//! each frame of it legal, is counted here: frames that carry neither a request nor data, and requests that are taken back.

pub(super) mod stall;

use std::error::Error;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http2;
use hyper::service::HttpService;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::delegate_io::delegate_write;
use crate::server::admission::ConnectionPermit;
use crate::server::connection_state::ConnectionState;

/// Streams of one connection at once.
pub(super) const MAX_STREAMS: usize = 128;
/// Time a client gets to leave after GOAWAY when it has no request under way; then the connection is closed.
pub(super) const LEAVING: Duration = Duration::from_secs(2);

/// What a client may send without a request or data, in frames: at first, each second, with each request, and for each KiB that it
/// is sent. Clients answer settings, ping, open windows and take requests back; none comes near.
const FRAMES_AT_FIRST: u64 = 250;
const FRAMES_PER_SECOND: u64 = 10;
const FRAMES_PER_REQUEST: u64 = 10;
const FRAMES_PER_KIB: u64 = 2;
/// Requests that a client may take back before they are answered: so many, and from there on half of all.
const MAX_CANCELLED: u64 = 200;

/// What `[server]` says about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) header_list: usize,
    pub(super) idle: Duration,
    /// A proxy of ours: its connection carries many users, and what one of them takes back is not the others' fault.
    pub(super) many_users: bool,
}

/// Serves to the end of the connection. Idle, or told to stop, it says GOAWAY and finishes what is under way.
///
/// # Errors
/// hyper's, when the connection was not ended by us.
pub(super) async fn serve<S, B, R>(
    io: S,
    service: R,
    limits: Limits,
    place: &ConnectionPermit,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    R: HttpService<Incoming, ResBody = B>,
    R::Error: Into<Box<dyn Error + Send + Sync>>,
    R::Future: Send + 'static,
{
    let activity = &place.activity;
    let io = TokioIo::new(Frames::new(io, Arc::clone(activity), limits.many_users));
    let connection = builder(limits.header_list).serve_connection(io, service);
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = place.stop.cancelled() => {}
        () = activity.idling(limits.idle) => {}
    }
    connection.as_mut().graceful_shutdown();
    // The client has to say that it has seen the end before hyper closes; one that does not may not stay for that, and what it
    // begins after its time keeps nobody waiting.
    tokio::select! {
        biased;
        _ = connection.as_mut() => {}
        () = activity.left(LEAVING) => {}
        () = leaves(place) => {}
    }
    Ok(())
}

async fn leaves(place: &ConnectionPermit) {
    // One that idles has the time that its requests take.
    place.stop.cancelled().await;
    place.leaves().await;
}

/// The library's settings, also those that are its defaults: what a client may cost is decided here and not by an update.
fn builder(header_list: usize) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        // Streams beyond are refused one by one, and such a client reset.
        .max_concurrent_streams(u32::try_from(MAX_STREAMS).ok())
        // Longer lists are answered 431; a block several times as long, or in more CONTINUATION frames than it needs, ends the
        // connection. The decoder's table is the protocol's default.
        .max_header_list_size(u32::try_from(header_list).unwrap_or(u32::MAX))
        .header_table_size(4096)
        // Requests reset before they were looked at: rapid reset in its first form.
        .max_pending_accept_reset_streams(20)
        // Streams that we had to reset for what the client did wrong (MadeYouReset).
        .max_local_error_reset_streams(256)
        // Of uploads that an upstream does not read, no more lies here than 1 MiB for a connection, a quarter of it for a stream.
        .initial_connection_window_size(1 << 20)
        .initial_stream_window_size(256 << 10)
        .max_frame_size(16 << 10)
        // Of answers that a client has opened its windows for and does not read: two pieces for each stream, 4 MiB for a
        // connection. The library's default would be 50 MiB.
        .max_send_buf_size(32 << 10);
    builder
}

/// The bytes of a connection, read along for the types of its frames.
struct Frames<S> {
    stream: S,
    activity: Arc<ConnectionState>,
    many_users: bool,
    started: Instant,
    scan: Scan,
    written: u64,
}

/// Where in the frames the bytes are.
#[derive(Debug)]
struct Scan {
    /// Bytes of the preface, or of a payload, still to be passed over.
    skip: usize,
    header: [u8; 9],
    filled: usize,
    /// Frames so far that carry neither a request nor data.
    empty: u64,
}

impl Scan {
    fn new() -> Self {
        Self {
            skip: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len(),
            header: [0; 9],
            filled: 0,
            empty: 0,
        }
    }

    fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let passed = self.skip.min(bytes.len());
            self.skip -= passed;
            bytes = bytes.get(passed..).unwrap_or_default();
            for (place, byte) in self.header.iter_mut().skip(self.filled).zip(bytes) {
                *place = *byte;
            }
            let taken = (self.header.len() - self.filled).min(bytes.len());
            self.filled += taken;
            bytes = bytes.get(taken..).unwrap_or_default();
            if self.filled == self.header.len() {
                self.frame();
            }
        }
    }

    fn frame(&mut self) {
        const DATA: u8 = 0;
        const HEADERS: u8 = 1;
        const CONTINUATION: u8 = 9;
        const END_STREAM: u8 = 1;
        let [high, middle, low, kind, flags, ..] = self.header;
        self.filled = 0;
        self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        let carries = match kind {
            DATA => self.skip > 0 || flags & END_STREAM != 0,
            // The library bounds how many there are of these.
            HEADERS | CONTINUATION => true,
            _ => false,
        };
        self.empty = self.empty.saturating_add(u64::from(!carries));
    }
}

impl<S> Frames<S> {
    fn new(stream: S, activity: Arc<ConnectionState>, many_users: bool) -> Self {
        Self {
            stream,
            activity,
            many_users,
            started: Instant::now(),
            scan: Scan::new(),
            written: 0,
        }
    }

    fn check(&self) -> io::Result<()> {
        let (requests, cancelled) = self.activity.requests();
        if !self.many_users && cancelled > MAX_CANCELLED && cancelled > requests / 2 {
            return Err(flood("it takes its requests back"));
        }
        // The clock is read by those only that have used up the rest.
        let earned = FRAMES_AT_FIRST
            .saturating_add(requests.saturating_mul(FRAMES_PER_REQUEST))
            .saturating_add((self.written >> 10).saturating_mul(FRAMES_PER_KIB));
        if self.scan.empty > earned {
            let seconds = self.started.elapsed().as_secs();
            if self.scan.empty > earned.saturating_add(seconds.saturating_mul(FRAMES_PER_SECOND)) {
                return Err(flood("it sends frames that carry nothing"));
            }
        }
        Ok(())
    }

    fn wrote(&mut self, polled: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(count)) = polled {
            let count = u64::try_from(*count).unwrap_or(u64::MAX);
            self.written = self.written.saturating_add(count);
        }
    }
}

fn flood(why: &'static str) -> io::Error {
    tracing::debug!(
        cause = why,
        "an HTTP/2 connection only makes work and is cut"
    );
    io::Error::new(io::ErrorKind::ConnectionAborted, why)
}

impl<S: AsyncRead + Unpin> AsyncRead for Frames<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.scan
            .pass(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(this.check())
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.wrote(&polled);
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, bytes);
        this.wrote(&polled);
        polled
    }

    delegate_write!(stream: is_write_vectored, poll_flush, poll_shutdown);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u8::try_from(payload).unwrap();
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.resize(9 + payload, b'x');
        frame
    }

    #[test]
    fn frames_are_told_apart_however_the_bytes_arrive() {
        let empty = [
            frame(6, 0, 8),
            frame(4, 0, 0),
            frame(0, 0, 0),
            frame(8, 0, 4),
            frame(200, 0, 3),
        ];
        let carrying = [
            frame(1, 0, 20),
            frame(9, 4, 100),
            frame(0, 0, 1),
            frame(0, 1, 0),
        ];
        let bytes = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            empty.concat(),
            carrying.concat(),
            empty.concat(),
        ]
        .concat();
        for size in [1, 2, 8, 9, 10, 33, bytes.len()] {
            let mut scan = Scan::new();
            for piece in bytes.chunks(size) {
                scan.pass(piece);
            }
            assert_eq!((scan.empty, scan.filled, scan.skip), (10, 0, 0), "{size}");
        }
    }
}
