//! Ends HTTP/2 connections that only cause work. The library bounds the cost of one frame and of
//! one header block; what it handles without limit, each frame of it legal, is counted here: frames
//! that carry neither a request nor data, and requests that are cancelled.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::state::Http2State;
use crate::delegate_io::delegate_write;

/// Frames without a request or data that a client may send: an initial allowance, then more per
/// second, per request and per KiB that it is sent. Clients answer settings, ping, open windows and
/// cancel requests; all stay far below.
const INITIAL_FRAMES: u64 = 250;
const FRAMES_PER_SECOND: u64 = 10;
const FRAMES_PER_REQUEST: u64 = 10;
const FRAMES_PER_KIB: u64 = 2;
/// Requests that a client may cancel before their response starts; beyond that, half of all.
const MAX_CANCELLED: u64 = 200;

/// A stream that counts the frames of a connection and fails at a flood.
pub(super) struct FloodGuard<S> {
    stream: S,
    state: Arc<Http2State>,
    /// The connection of a trusted proxy carries many users: requests that one of them cancels are
    /// not the others' fault.
    many_users: bool,
    started: Instant,
    scanner: FrameScanner,
    written: u64,
}

/// Follows the frames of a connection, byte by byte.
#[derive(Debug)]
struct FrameScanner {
    /// Bytes of the preface, or of a payload, still to skip.
    skip: usize,
    header: [u8; 9],
    filled: usize,
    /// Frames so far that carry neither a request nor data.
    empty: u64,
}

impl FrameScanner {
    fn new() -> Self {
        Self {
            skip: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len(),
            header: [0; 9],
            filled: 0,
            empty: 0,
        }
    }

    fn scan(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            for (slot, byte) in self.header.iter_mut().skip(self.filled).zip(bytes) {
                *slot = *byte;
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
            // The library bounds the number of these.
            HEADERS | CONTINUATION => true,
            _ => false,
        };
        self.empty = self.empty.saturating_add(u64::from(!carries));
    }
}

impl<S> FloodGuard<S> {
    pub(super) fn new(stream: S, state: Arc<Http2State>, many_users: bool) -> Self {
        Self {
            stream,
            state,
            many_users,
            started: Instant::now(),
            scanner: FrameScanner::new(),
            written: 0,
        }
    }

    fn check(&self) -> io::Result<()> {
        let (requests, cancelled) = self.state.requests();
        if !self.many_users && cancelled > MAX_CANCELLED && cancelled > requests / 2 {
            return Err(flood("it cancels its requests"));
        }
        // The clock is read only once the other allowances are used up.
        let earned = INITIAL_FRAMES
            .saturating_add(requests.saturating_mul(FRAMES_PER_REQUEST))
            .saturating_add((self.written >> 10).saturating_mul(FRAMES_PER_KIB));
        if self.scanner.empty > earned {
            let seconds = self.started.elapsed().as_secs();
            if self.scanner.empty > earned.saturating_add(seconds.saturating_mul(FRAMES_PER_SECOND))
            {
                return Err(flood("it sends frames that carry nothing"));
            }
        }
        Ok(())
    }

    fn count_written(&mut self, polled: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(count)) = polled {
            let count = u64::try_from(*count).unwrap_or(u64::MAX);
            self.written = self.written.saturating_add(count);
        }
    }
}

fn flood(cause: &'static str) -> io::Error {
    tracing::debug!(cause, "an HTTP/2 connection only causes work and is cut");
    io::Error::new(io::ErrorKind::ConnectionAborted, cause)
}

impl<S: AsyncRead + Unpin> AsyncRead for FloodGuard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.scanner
            .scan(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(this.check())
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FloodGuard<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.count_written(&polled);
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, bytes);
        this.count_written(&polled);
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
    fn frames_are_told_apart_in_chunks_of_any_size() {
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
            let mut scanner = FrameScanner::new();
            for chunk in bytes.chunks(size) {
                scanner.scan(chunk);
            }
            assert_eq!(
                (scanner.empty, scanner.filled, scanner.skip),
                (10, 0, 0),
                "{size}"
            );
        }
    }
}
