//! Ends a connection whose client is too slow: no request for `idle_timeout`, a head that takes longer than `header_timeout`, or an
//! answer that is not read for `body_timeout` or below the slowest pace (`pace.rs`); of HTTP/2, that answer alone. Costs a clock
//! reading per request; the timer itself is armed once and looks up what is due when it fires.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::connection_state::ConnectionState;
use super::min_rate::MinRate;
use crate::delegate_io::delegate_write;

/// The three deadlines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// `None` where heads are frames among others, as in HTTP/2: there only `idle` counts.
    pub(super) head: Option<Duration>,
    pub(super) idle: Duration,
    pub(super) write: Duration,
}

/// A stream that fails with `TimedOut` when a deadline passes.
#[derive(Debug)]
pub(super) struct DeadlineStream<S> {
    stream: S,
    limits: Deadlines,
    activity: Arc<ConnectionState>,
    /// When the first bytes of a head that is not complete came, and how many requests there had been then.
    head_since: Option<(Instant, u64)>,
    reading: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
    pace: MinRate,
}

impl<S> DeadlineStream<S> {
    pub(super) fn new(stream: S, limits: Deadlines, activity: Arc<ConnectionState>) -> Self {
        // The first bytes are there already: they told the protocol.
        let head_since = Some((Instant::now(), 0));
        if limits.head.is_some() {
            activity.half_sent(0);
        }
        Self {
            stream,
            limits,
            activity,
            head_since,
            reading: None,
            writing: None,
            pace: MinRate::default(),
        }
    }

    /// The next head has begun: its first bytes came behind the last request.
    pub(super) fn head_started(&mut self) {
        let begun = self.activity.begun();
        self.head_since = Some((Instant::now(), begun));
        self.activity.half_sent(begun);
    }

    /// What looked like the beginning of a head was none.
    pub(super) fn no_head(&mut self) {
        self.head_since = None;
        self.activity.nothing_sent();
    }

    /// When the client's silence becomes too long; `None` while a request is under way or the end of an answer is still to be
    /// written, whose own deadlines count then.
    fn due(&mut self) -> Option<Instant> {
        if !self.activity.is_idle() || self.writing.is_some() {
            self.head_since = None;
            return None;
        }
        let begun = self.activity.begun();
        match (self.head_since, self.limits.head) {
            (Some((since, before)), Some(head)) if before == begun => Some(since + head),
            _ => Some(self.activity.idle_since() + self.limits.idle),
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let due = self.due();
            // Looked at again after the longest time that nothing can become due in.
            let Deadlines { head, idle, write } = self.limits;
            let wake = due.unwrap_or_else(|| Instant::now() + head.unwrap_or(write).min(idle));
            let timer = self
                .reading
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
            self.activity.unread.abort_stalled(write);
            timer
                .as_mut()
                .reset(wake.max(Instant::now() + Duration::from_millis(1)));
        }
    }

    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let limit = self.limits.write;
        let timer = self
            .writing
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
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
                if this.activity.is_idle() {
                    let begun = this.activity.begun();
                    if this.head_since.is_none_or(|(_, before)| before != begun) {
                        this.head_since = Some((Instant::now(), begun));
                        if this.limits.head.is_some() {
                            this.activity.half_sent(begun);
                        }
                    }
                }
                ready
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> DeadlineStream<S> {
    /// A write that waits is timed from its first wait; any progress starts over. Progress that is too little, on average over all
    /// the time that the client was waited for, ends the connection too.
    fn timed(
        &mut self,
        polled: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if polled.is_pending() {
            let request = self.activity.begun();
            self.pace.wait(request);
            self.activity.write_waits(true);
            return self.poll_stall(cx).map(Err);
        }
        if self.writing.take().is_some() {
            self.activity.write_waits(false);
            // Idling begins when the client has the answer, not when we have.
            self.activity.rest();
            self.pace.go_on();
        }
        if let Poll::Ready(Ok(bytes)) = polled
            && self.pace.is_below(bytes, self.limits.write)
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

    delegate_write!(stream: is_write_vectored, poll_shutdown);

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        let polled = polled.map_ok(|()| 0);
        this.timed(polled, cx).map_ok(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LIMITS: Deadlines = Deadlines {
        head: Some(Duration::from_secs(10)),
        idle: Duration::from_secs(75),
        write: Duration::from_secs(30),
    };

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_cut_after_header_timeout() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut watched = DeadlineStream::new(server, LIMITS, ConnectionState::new());
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
                if let Err(error) = watched.read_exact(&mut byte).await {
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
    async fn between_requests_idle_timeout_counts_and_during_one_nothing_does() {
        let (_client, server) = tokio::io::duplex(64);
        let activity = ConnectionState::new();
        let mut watched = DeadlineStream::new(server, LIMITS, Arc::clone(&activity));
        let started = Instant::now();
        let request = activity.begin();
        let ends = async {
            tokio::time::sleep(Duration::from_secs(300)).await;
            drop(request);
        };
        let mut byte = [0];
        let (error, ()) = tokio::join!(watched.read_exact(&mut byte), ends);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let elapsed = started.elapsed().as_secs();
        assert!((375..=386).contains(&elapsed), "{elapsed}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_is_never_idle() {
        let (mut client, server) = tokio::io::duplex(64);
        let activity = ConnectionState::new();
        let mut watched = DeadlineStream::new(server, LIMITS, Arc::clone(&activity));
        activity.begin().into_tunnel();
        let mut byte = [0];
        let hours_later = async {
            tokio::time::sleep(Duration::from_secs(10_000)).await;
            client.write_all(b"x").await.unwrap();
        };
        let (read, ()) = tokio::join!(watched.read_exact(&mut byte), hours_later);
        read.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_head_deadline_only_idling_counts() {
        let (mut client, server) = tokio::io::duplex(64);
        let limits = Deadlines {
            head: None,
            ..LIMITS
        };
        let mut watched = DeadlineStream::new(server, limits, ConnectionState::new());
        client.write_all(b"x").await.unwrap();
        let started = Instant::now();
        let mut bytes = [0; 2];
        let error = watched.read_exact(&mut bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_nobody_reads_is_cut_after_body_timeout() {
        let (_client, server) = tokio::io::duplex(64);
        let mut watched = DeadlineStream::new(server, LIMITS, ConnectionState::new());
        let started = Instant::now();
        let error = watched.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 30);
    }

    /// Writes an answer that the client reads so many bytes of every five seconds; when it was cut, in seconds.
    async fn read_at(bytes: usize) -> Option<u64> {
        let (mut client, server) = tokio::io::duplex(64);
        let activity = ConnectionState::new();
        let mut watched = DeadlineStream::new(server, LIMITS, Arc::clone(&activity));
        let _request = activity.begin();
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
            written = watched.write_all(&all) => {
                written.is_err().then(|| started.elapsed().as_secs())
            }
            () = reading => unreachable!(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_read_below_a_kib_a_second_is_cut_though_something_always_moves() {
        assert_eq!(read_at(64).await, Some(35));
        assert_eq!(read_at(4 * 1024).await, Some(35));
        assert_eq!(read_at(6 * 1024).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn events_that_come_seldom_are_no_slow_reading() {
        let (mut client, server) = tokio::io::duplex(64);
        let activity = ConnectionState::new();
        let mut watched = DeadlineStream::new(server, LIMITS, Arc::clone(&activity));
        let _request = activity.begin();
        for _ in 0..100 {
            watched.write_all(b"data: 1\n\n").await.unwrap();
            client.read_exact(&mut [0; 9]).await.unwrap();
            tokio::time::advance(Duration::from_secs(60)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_read_slowly_is_not_idling() {
        let (mut client, server) = tokio::io::duplex(16 * 1024);
        let limits = Deadlines {
            idle: Duration::from_secs(5),
            ..LIMITS
        };
        let activity = ConnectionState::new();
        let watched = DeadlineStream::new(server, limits, Arc::clone(&activity));
        // Over before its answer has gone out.
        drop(activity.begin());
        let (mut reading, mut writing) = tokio::io::split(watched);
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
        // The last piece finds room when the last but one is read, at 72 s.
        assert_eq!(end, (io::ErrorKind::TimedOut, 77));
    }
}
