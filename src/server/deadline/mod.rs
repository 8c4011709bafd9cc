//! Ends connections whose client is too slow: no request for `server.idle_timeout`, or a response
//! that is not read for `server.body_timeout` or is read below the minimum rate (`min_rate.rs`).
//! Of HTTP/1 also a head that takes longer than `server.header_timeout`; of HTTP/2 a response that
//! is not read ends alone. Costs a clock reading per request: the timer is armed once and computes
//! what is due when it fires.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::connection_state::ConnectionState;
use super::http1::deadline::HeadDeadline;
use super::http2::stall::StallRegistry;
use super::min_rate::MinRate;
use crate::delegate_io::delegate_write;

/// The deadlines of both protocols.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    pub(super) idle: Duration,
    pub(super) write: Duration,
}

/// What the protocol adds to the deadlines.
#[derive(Debug)]
enum ProtocolDeadline {
    Http1(HeadDeadline),
    /// Heads are frames among others there, so only `idle` applies to them.
    Http2(Arc<StallRegistry>),
}

/// A stream that fails with `TimedOut` when a deadline passes.
#[derive(Debug)]
pub(super) struct DeadlineStream<S> {
    stream: S,
    deadlines: Deadlines,
    protocol: ProtocolDeadline,
    state: Arc<ConnectionState>,
    read_timer: Option<Pin<Box<Sleep>>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    rate: MinRate,
}

impl<S> DeadlineStream<S> {
    /// An HTTP/1 connection, whose heads must be complete within `head`.
    pub(super) fn http1(
        stream: S,
        head: Duration,
        deadlines: Deadlines,
        state: Arc<ConnectionState>,
    ) -> Self {
        let head = HeadDeadline::new(head, &state);
        Self::new(stream, ProtocolDeadline::Http1(head), deadlines, state)
    }

    /// An HTTP/2 connection, whose stalled responses are aborted.
    pub(super) fn http2(
        stream: S,
        stalls: Arc<StallRegistry>,
        deadlines: Deadlines,
        state: Arc<ConnectionState>,
    ) -> Self {
        Self::new(stream, ProtocolDeadline::Http2(stalls), deadlines, state)
    }

    fn new(
        stream: S,
        protocol: ProtocolDeadline,
        deadlines: Deadlines,
        state: Arc<ConnectionState>,
    ) -> Self {
        Self {
            stream,
            deadlines,
            protocol,
            state,
            read_timer: None,
            write_timer: None,
            rate: MinRate::default(),
        }
    }

    /// The next HTTP/1 head has started: its first bytes arrived behind the last request.
    pub(super) fn head_started(&mut self) {
        if let ProtocolDeadline::Http1(head) = &mut self.protocol {
            head.start(&self.state);
        }
    }

    /// The bytes that arrived were no head.
    pub(super) fn clear_head(&mut self) {
        if let ProtocolDeadline::Http1(head) = &mut self.protocol {
            head.clear(&self.state);
        }
    }

    /// When the client's silence ends the connection; `None` while a request is in flight or the
    /// end of a response is still to be written, which have deadlines of their own.
    fn due(&mut self) -> Option<Instant> {
        let is_busy = !self.state.is_idle() || self.write_timer.is_some();
        let head = match &mut self.protocol {
            ProtocolDeadline::Http1(head) if is_busy => {
                head.stop();
                None
            }
            ProtocolDeadline::Http1(head) => head.due(&self.state),
            ProtocolDeadline::Http2(_) => None,
        };
        let idle = || self.state.idle_since() + self.deadlines.idle;
        (!is_busy).then(|| head.unwrap_or_else(idle))
    }

    /// The longest time in which nothing can become due while the connection is busy.
    fn recheck_interval(&self) -> Duration {
        let Deadlines { idle, write } = self.deadlines;
        match &self.protocol {
            ProtocolDeadline::Http1(head) => head.timeout().min(idle),
            ProtocolDeadline::Http2(_) => write.min(idle),
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let due = self.due();
            let wake = due.unwrap_or_else(|| Instant::now() + self.recheck_interval());
            let timer = self
                .read_timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(wake)));
            if timer.deadline() > wake {
                timer.as_mut().reset(wake);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                return Poll::Ready(too_slow());
            }
            if let ProtocolDeadline::Http2(stalls) = &self.protocol {
                stalls.abort_stalled(self.deadlines.write);
            }
            timer
                .as_mut()
                .reset(wake.max(Instant::now() + Duration::from_millis(1)));
        }
    }

    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let timeout = self.deadlines.write;
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        timer.as_mut().poll(cx).map(|()| too_slow())
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client is too slow")
}

impl<S: AsyncRead + Unpin> AsyncRead for DeadlineStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Pending => this.poll_silence(cx).map(Err),
            ready => {
                if let ProtocolDeadline::Http1(head) = &mut this.protocol
                    && this.state.is_idle()
                {
                    head.bytes_arrived(&this.state);
                }
                ready
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> DeadlineStream<S> {
    /// Times a write from its first wait; any progress starts the time over. Progress below the
    /// minimum rate, on average over all the time that the client was waited for, ends the
    /// connection too.
    fn timed(
        &mut self,
        polled: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if polled.is_pending() {
            let request = self.state.requests();
            self.rate.start_waiting(request);
            self.state.set_write_pending(true);
            return self.poll_stall(cx).map(Err);
        }
        if self.write_timer.take().is_some() {
            self.state.set_write_pending(false);
            // The connection is idle from when the client has the response, not from when the
            // response was ready.
            self.state.reset_idle();
            self.rate.stop_waiting();
        }
        if let Poll::Ready(Ok(bytes)) = polled
            && self.rate.is_below(bytes, self.deadlines.write)
        {
            return Poll::Ready(Err(too_slow()));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for DeadlineStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.timed(polled, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, bytes);
        this.timed(polled, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        let polled = polled.map_ok(|()| 0);
        this.timed(polled, cx).map_ok(|_| ())
    }

    delegate_write!(stream: is_write_vectored, poll_shutdown);
}

#[cfg(test)]
mod tests;
