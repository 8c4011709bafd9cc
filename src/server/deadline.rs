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
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const HEAD: Duration = Duration::from_secs(10);
    const DEADLINES: Deadlines = Deadlines {
        idle: Duration::from_secs(75),
        write: Duration::from_secs(30),
    };

    #[tokio::test(start_paused = true)]
    async fn a_slow_head_is_cut_after_header_timeout() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut stream = DeadlineStream::http1(server, HEAD, DEADLINES, ConnectionState::new());
        let started = Instant::now();
        let dripping = async {
            loop {
                client.write_all(b"x").await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let reading = async {
            let mut byte = [0];
            loop {
                if let Err(error) = stream.read_exact(&mut byte).await {
                    return error;
                }
            }
        };
        let error = tokio::select! { error = reading => error, () = dripping => unreachable!() };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(
            (10..12).contains(&started.elapsed().as_secs()),
            "{:?}",
            started.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn idle_timeout_applies_between_requests_only() {
        let (_client, server) = tokio::io::duplex(64);
        let state = ConnectionState::new();
        let mut stream = DeadlineStream::http1(server, HEAD, DEADLINES, Arc::clone(&state));
        let started = Instant::now();
        let request = state.start_request();
        let ends = async {
            tokio::time::sleep(Duration::from_secs(300)).await;
            drop(request);
        };
        let mut byte = [0];
        let (error, ()) = tokio::join!(stream.read_exact(&mut byte), ends);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let elapsed = started.elapsed().as_secs();
        assert!((375..=386).contains(&elapsed), "{elapsed}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_is_never_idle() {
        let (mut client, server) = tokio::io::duplex(64);
        let state = ConnectionState::new();
        let mut stream = DeadlineStream::http1(server, HEAD, DEADLINES, Arc::clone(&state));
        state.start_request().into_tunnel();
        let mut byte = [0];
        let hours_later = async {
            tokio::time::sleep(Duration::from_secs(10_000)).await;
            client.write_all(b"x").await.unwrap();
        };
        let (read, ()) = tokio::join!(stream.read_exact(&mut byte), hours_later);
        read.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn http2_connections_have_only_the_idle_deadline() {
        let (mut client, server) = tokio::io::duplex(64);
        let stalls = Arc::default();
        let mut stream = DeadlineStream::http2(server, stalls, DEADLINES, ConnectionState::new());
        client.write_all(b"x").await.unwrap();
        let started = Instant::now();
        let mut bytes = [0; 2];
        let error = stream.read_exact(&mut bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unread_response_is_cut_after_body_timeout() {
        let (_client, server) = tokio::io::duplex(64);
        let mut stream = DeadlineStream::http1(server, HEAD, DEADLINES, ConnectionState::new());
        let started = Instant::now();
        let error = stream.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 30);
    }

    /// Writes a response of which the client reads this many bytes every five seconds; the second
    /// at which it was cut.
    async fn read_at(bytes: usize) -> Option<u64> {
        let (mut client, server) = tokio::io::duplex(64);
        let state = ConnectionState::new();
        let mut stream = DeadlineStream::http1(server, HEAD, DEADLINES, Arc::clone(&state));
        let _request = state.start_request();
        let started = Instant::now();
        let reading = async {
            let mut some = vec![0; bytes];
            loop {
                tokio::time::sleep(Duration::from_secs(5)).await;
                client.read_exact(&mut some).await.unwrap();
            }
        };
        let all = vec![0; 300 * 1024];
        tokio::select! {
            written = stream.write_all(&all) => {
                written.is_err().then(|| started.elapsed().as_secs())
            }
            () = reading => unreachable!(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_read_below_1_kib_per_second_is_cut_despite_progress() {
        assert_eq!(read_at(64).await, Some(35));
        assert_eq!(read_at(4 * 1024).await, Some(35));
        assert_eq!(read_at(6 * 1024).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn rare_events_do_not_count_as_slow_reading() {
        let (mut client, server) = tokio::io::duplex(64);
        let state = ConnectionState::new();
        let mut stream = DeadlineStream::http1(server, HEAD, DEADLINES, Arc::clone(&state));
        let _request = state.start_request();
        for _ in 0..100 {
            stream.write_all(b"data: 1\n\n").await.unwrap();
            client.read_exact(&mut [0; 9]).await.unwrap();
            tokio::time::advance(Duration::from_secs(60)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_slowly_read_response_is_not_idle() {
        let (mut client, server) = tokio::io::duplex(16 * 1024);
        let deadlines = Deadlines {
            idle: Duration::from_secs(5),
            ..DEADLINES
        };
        let state = ConnectionState::new();
        let stream = DeadlineStream::http1(server, HEAD, deadlines, Arc::clone(&state));
        // The request ends before its response has gone out.
        drop(state.start_request());
        let (mut reading, mut writing) = tokio::io::split(stream);
        let started = Instant::now();
        let slow = async {
            let mut bytes = [0; 16 * 1024];
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(8)).await;
                client.read_exact(&mut bytes).await.unwrap();
            }
        };
        let end = async {
            let error = reading.read_exact(&mut [0]).await.unwrap_err();
            (error.kind(), started.elapsed().as_secs())
        };
        let all = [0; 160 * 1024];
        let (written, end, ()) = tokio::join!(writing.write_all(&all), end, slow);
        written.unwrap();
        // The last chunk finds room when the one before it is read, at 72 s.
        assert_eq!(end, (io::ErrorKind::TimedOut, 77));
    }
}
