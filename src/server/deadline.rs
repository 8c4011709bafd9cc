//! Ends a connection whose client is too slow: no request for `idle_timeout`, a head that takes longer than `header_timeout`, or an
//! answer that is not read for `body_timeout`; of HTTP/2, that answer alone. Costs a clock reading per request; the timer itself is
//! armed once and looks up what is due when it fires.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::reading::Unread;
use crate::http::framing::Refused;

/// Streams of one HTTP/2 connection at once.
pub(super) const MAX_STREAMS: usize = 128;

/// The three deadlines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// `None` where heads are frames among others, as in HTTP/2: there only `idle` counts.
    pub(super) head: Option<Duration>,
    pub(super) idle: Duration,
    pub(super) write: Duration,
}

/// What the requests of a connection and its stream tell each other.
#[derive(Debug)]
pub(super) struct Activity {
    started: Instant,
    under_way: AtomicUsize,
    /// Requests so far.
    begun: AtomicU64,
    /// When the last request ended, in milliseconds since the start.
    idle_since: AtomicU64,
    /// Answers whose client may stop reading them while the connection itself moves on.
    pub(super) unread: Unread,
    /// Wants to know of the end of a request.
    waiting: AtomicWaker,
    is_tunnel: AtomicBool,
    /// Set once: what a refused request's place was taken by.
    refused: OnceLock<Box<Refused>>,
}

/// One request under way; dropping it ends it.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Activity>);

/// A stream that fails with `TimedOut` when a deadline passes.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    limits: Limits,
    activity: Arc<Activity>,
    /// When the first bytes of a head that is not complete came, and how many requests there had been then.
    head_since: Option<(Instant, u64)>,
    reading: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            under_way: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            unread: Unread::default(),
            waiting: AtomicWaker::new(),
            is_tunnel: AtomicBool::new(false),
            refused: OnceLock::new(),
        })
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Counts a request in.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    fn is_idle(&self) -> bool {
        // Pairs with the end of a request on another thread: who sees none under way sees when the last one ended.
        self.under_way.load(Ordering::Acquire) == 0
    }

    /// Whether so many requests have come and ended.
    pub(super) fn has_answered(&self, requests: u64) -> bool {
        self.begun.load(Ordering::Relaxed) >= requests && self.is_idle()
    }

    /// Wakes at the end of a request; `false` when that has come already.
    pub(super) fn wake_when_answered(&self, requests: u64, waker: &Waker) -> bool {
        self.waiting.register(waker);
        !self.has_answered(requests)
    }

    /// Whether the connection has become a tunnel.
    pub(super) fn is_tunnel(&self) -> bool {
        self.is_tunnel.load(Ordering::Acquire)
    }

    /// The next request is a stand-in for one that is refused.
    pub(super) fn refuse(&self, refused: Refused) {
        // Nothing is passed on behind the first.
        let _ = self.refused.set(Box::new(refused));
    }

    /// The request that this one stands in for.
    pub(super) fn refused(&self) -> Option<&Refused> {
        self.refused.get().map(Box::as_ref)
    }

    /// From now on nothing is done.
    fn rest(&self) {
        self.idle_since.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    fn idle_since(&self) -> Instant {
        self.started + Duration::from_millis(self.idle_since.load(Ordering::Relaxed))
    }
}

impl UnderWay {
    /// The connection has become a tunnel, which has a deadline of its own: it is never idle again.
    pub(super) fn for_good(self) {
        self.0.is_tunnel.store(true, Ordering::Release);
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.rest();
        self.0.under_way.fetch_sub(1, Ordering::Release);
        self.0.waiting.wake();
    }
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, limits: Limits, activity: Arc<Activity>) -> Self {
        // The first bytes are there already: they told the protocol.
        let head_since = Some((Instant::now(), 0));
        Self {
            stream,
            limits,
            activity,
            head_since,
            reading: None,
            writing: None,
        }
    }

    /// When the client's silence becomes too long; `None` while a request is under way or the end of an answer is still to be
    /// written, whose own deadlines count then.
    fn due(&mut self) -> Option<Instant> {
        if !self.activity.is_idle() || self.writing.is_some() {
            self.head_since = None;
            return None;
        }
        let begun = self.activity.begun.load(Ordering::Relaxed);
        match (self.head_since, self.limits.head) {
            (Some((since, before)), Some(head)) if before == begun => Some(since + head),
            _ => Some(self.activity.idle_since() + self.limits.idle),
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let due = self.due();
            // Looked at again after the longest time that nothing can become due in.
            let Limits { head, idle, write } = self.limits;
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
            self.activity.unread.give_up(write);
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

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
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
                    let begun = this.activity.begun.load(Ordering::Relaxed);
                    if this.head_since.is_none_or(|(_, before)| before != begun) {
                        this.head_since = Some((Instant::now(), begun));
                    }
                }
                ready
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// A write that waits is timed from its first wait; any progress starts over.
    fn timed<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_pending() {
            return self.poll_stall(cx).map(Err);
        }
        if self.writing.take().is_some() {
            // Idling begins when the client has the answer, not when we have.
            self.activity.rest();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
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

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        this.timed(polled, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LIMITS: Limits = Limits {
        head: Some(Duration::from_secs(10)),
        idle: Duration::from_secs(75),
        write: Duration::from_secs(30),
    };

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_cut_after_header_timeout() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut watched = Watched::new(server, LIMITS, Activity::new());
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
        let activity = Activity::new();
        let mut watched = Watched::new(server, LIMITS, Arc::clone(&activity));
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
        let activity = Activity::new();
        let mut watched = Watched::new(server, LIMITS, Arc::clone(&activity));
        activity.begin().for_good();
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
        let limits = Limits {
            head: None,
            ..LIMITS
        };
        let mut watched = Watched::new(server, limits, Activity::new());
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
        let mut watched = Watched::new(server, LIMITS, Activity::new());
        let started = Instant::now();
        let error = watched.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_read_slowly_is_not_idling() {
        let (mut client, server) = tokio::io::duplex(64);
        let limits = Limits {
            idle: Duration::from_secs(5),
            ..LIMITS
        };
        let activity = Activity::new();
        let watched = Watched::new(server, limits, Arc::clone(&activity));
        // Over before its answer has gone out.
        drop(activity.begin());
        let (mut reading, mut writing) = tokio::io::split(watched);
        let started = Instant::now();
        let slow = async {
            let mut bytes = [0; 64];
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(8)).await;
                client.read_exact(&mut bytes).await.unwrap();
            }
        };
        let end = async {
            let error = reading.read_exact(&mut [0]).await.unwrap_err();
            (error.kind(), started.elapsed().as_secs())
        };
        let all = [0; 640];
        let (written, end, ()) = tokio::join!(writing.write_all(&all), end, slow);
        written.unwrap();
        // The last piece finds room when the last but one is read, at 72 s.
        assert_eq!(end, (io::ErrorKind::TimedOut, 77));
    }
}
