//! What stands between an HTTP/1 connection's bytes and hyper: each request's framing is checked strictly before anything else
//! reads it (`http/framing`), and no byte of a next request is passed on before the answer to the last is out. hyper gets one
//! made-up request in place of one that is refused, so that the refusal is an answer like any other.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::delegate_io::delegate_write;
use crate::http::framing::{Chunks, Framing, HeadReader, Refusal, Refused};
use crate::server::connection_state::ConnectionState;
use crate::server::deadline::DeadlineStream;

/// What hyper reads in place of a refused request.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nHost: refused\r\n\r\n";
const STAND_IN_FOR_HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nHost: refused\r\n\r\n";
/// A client that sends on after the last answer is listened to until it is silent for so long: a connection that is closed with
/// bytes unread is reset, and the answer may be lost with it.
const LINGER_SILENCE: Duration = Duration::from_secs(5);

/// A stream that passes on whole, well-framed requests, one at a time.
#[derive(Debug)]
pub(in crate::server) struct StrictRequests<S> {
    stream: DeadlineStream<S>,
    activity: Arc<ConnectionState>,
    /// Bytes that came and were not passed on: first those that may be, then the others.
    held: BytesMut,
    /// How many of `held` may be passed on.
    checked: usize,
    place: Position,
    /// Heads passed on.
    heads: u64,
    max_head: usize,
    linger: Duration,
    said_all: bool,
    lingering: Option<Box<Lingering>>,
}

/// Where in the conversation we are.
#[derive(Debug)]
enum Position {
    Head(HeadReader),
    Body(u64),
    Chunks(Box<Chunks>),
    /// Before the first bad byte of a body.
    Damaged,
    /// Behind a request, before the end of its answer.
    Answer,
    /// Nothing more is passed on.
    Refused,
}

#[derive(Debug)]
struct Lingering {
    until: Instant,
    silence: Pin<Box<Sleep>>,
}

impl<S> StrictRequests<S> {
    /// `max_head` is the most bytes of one head, `linger` the longest time that a client is listened to after the last answer.
    pub(in crate::server) fn new(
        stream: DeadlineStream<S>,
        activity: Arc<ConnectionState>,
        max_head: usize,
        linger: Duration,
    ) -> Self {
        Self {
            stream,
            activity,
            held: BytesMut::new(),
            checked: 0,
            place: Position::Head(HeadReader::default()),
            heads: 0,
            max_head,
            linger,
            said_all: false,
            lingering: None,
        }
    }

    /// Goes on with bytes that begin where the last ones that were passed on ended; a head that is not complete is given again with
    /// what has come since. Says how many may be passed on: at most up to the end of this request.
    fn check(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match &mut self.place {
                Position::Head(reader) => {
                    let Some((length, framing)) = reader.read(rest, self.max_head)? else {
                        return Ok(at);
                    };
                    at += length;
                    self.heads += 1;
                    self.place = match framing {
                        Framing::Empty => Position::Answer,
                        Framing::Length(length) => Position::Body(length),
                        Framing::Chunked => Position::Chunks(Box::default()),
                    };
                }
                Position::Body(left) => {
                    let taken =
                        usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left -= taken as u64;
                    if *left == 0 {
                        self.place = Position::Answer;
                    }
                    return Ok(at + taken);
                }
                Position::Chunks(chunks) => {
                    // What is good goes first: without the head hyper could not answer, and would just close.
                    let taken = match chunks.read(rest) {
                        Ok((taken, ended)) => {
                            if ended {
                                self.place = Position::Answer;
                            }
                            taken
                        }
                        Err((good, _)) => {
                            self.place = Position::Damaged;
                            good
                        }
                    };
                    return Ok(at + taken);
                }
                Position::Damaged | Position::Answer | Position::Refused => return Ok(at),
            }
        }
    }

    /// Goes on with what is held.
    fn check_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        let checked = self.check(&held);
        self.held = held;
        match checked {
            Ok(checked) => self.checked = checked,
            Err(refusal) => self.refuse(refusal),
        }
        self.drop_blank_lines();
    }

    /// Goes on with what was read into `buf` behind `start`, and keeps in it what may be passed on.
    fn check_read(&mut self, buf: &mut ReadBuf<'_>, start: usize) {
        let new = buf.filled().get(start..).unwrap_or_default();
        let checked = self.check(new);
        let passed = *checked.as_ref().unwrap_or(&0);
        self.held
            .extend_from_slice(new.get(passed..).unwrap_or_default());
        buf.set_filled(start + passed);
        if let Err(refusal) = checked {
            self.refuse(refusal);
        }
        self.drop_blank_lines();
    }

    /// The line end that old clients send behind a body is no half head that somebody waits for.
    fn drop_blank_lines(&mut self) {
        if let Position::Head(reader) = &self.place
            && !self.held.is_empty()
            && reader.is_blank(self.held.len())
        {
            self.place = Position::Head(HeadReader::default());
            self.held.clear();
            self.stream.no_head();
        }
    }

    /// Refuses the head that is held.
    fn refuse(&mut self, refusal: Refusal) {
        let Position::Head(reader) = std::mem::replace(&mut self.place, Position::Refused) else {
            return;
        };
        if refusal == Refusal::TooSlow {
            self.linger = Duration::ZERO;
        }
        let line = reader.line(&self.held);
        let is_head = line
            .as_ref()
            .is_some_and(|(method, _)| method == hyper::Method::HEAD);
        let stand_in = if is_head { STAND_IN_FOR_HEAD } else { STAND_IN };
        self.held = BytesMut::from(stand_in);
        self.checked = stand_in.len();
        self.activity.refuse(Refused { refusal, line });
    }

    /// Passes on as much as there is room for.
    fn pass(&mut self, buf: &mut ReadBuf<'_>, most: usize) {
        let passed = most.min(buf.remaining());
        buf.put_slice(self.held.get(..passed).unwrap_or_default());
        self.held.advance(passed);
        if self.held.is_empty() {
            // An idle connection shall not hold what a large request needed.
            self.held = BytesMut::new();
        }
    }

    /// Whether an answer went out while the client may still be sending. Half a head has no answer that could be lost.
    fn is_interrupted(&self) -> bool {
        match self.place {
            Position::Body(_) | Position::Chunks(_) | Position::Damaged | Position::Refused => true,
            Position::Answer => !self.held.is_empty(),
            Position::Head(_) => false,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StrictRequests<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let start = buf.filled().len();
        loop {
            if this.checked > 0 {
                this.pass(buf, this.checked);
                this.checked -= buf.filled().len() - start;
                return Poll::Ready(Ok(()));
            }
            match &this.place {
                Position::Refused => return Poll::Pending,
                Position::Damaged => {
                    // hyper is told as of any body that breaks off: its request is under way.
                    this.place = Position::Refused;
                    let what = "the request body is damaged";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
                }
                Position::Answer if this.activity.is_tunnel() => {
                    if this.held.is_empty() {
                        return Pin::new(&mut this.stream).poll_read(cx, buf);
                    }
                    this.pass(buf, this.held.len());
                    return Poll::Ready(Ok(()));
                }
                Position::Answer if this.activity.has_answered(this.heads) => {
                    this.place = Position::Head(HeadReader::default());
                    if !this.held.is_empty() {
                        this.stream.head_started();
                        this.check_held();
                        continue;
                    }
                }
                Position::Answer if !this.held.is_empty() => {
                    if this.activity.wake_when_answered(this.heads, cx.waker()) {
                        return Poll::Pending;
                    }
                    continue;
                }
                Position::Answer | Position::Head(_) | Position::Body(_) | Position::Chunks(_) => {}
            }
            let read = Pin::new(&mut this.stream).poll_read(cx, buf);
            match ready!(read) {
                Ok(()) if buf.filled().len() == start => return Poll::Ready(Ok(())),
                Ok(()) if this.held.is_empty() => this.check_read(buf, start),
                Ok(()) => {
                    let new = buf.filled().get(start..).unwrap_or_default();
                    this.held.extend_from_slice(new);
                    buf.set_filled(start);
                    this.check_held();
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut && !this.held.is_empty() => {
                    this.refuse(Refusal::TooSlow);
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
            if buf.filled().len() > start {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> StrictRequests<S> {
    /// Listens until the client has seen the end of our answers and closes, or seems never to.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scrap = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut scrap);
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut buf);
            let more = match &read {
                Poll::Ready(Ok(())) => !buf.filled().is_empty(),
                Poll::Ready(Err(_)) => false,
                Poll::Pending => self.lingering.is_some() || self.is_interrupted(),
            };
            if !more || self.linger.is_zero() || self.activity.skips_linger() {
                return Poll::Ready(());
            }
            let now = Instant::now();
            let silence = now + LINGER_SILENCE;
            let linger = self.linger;
            let lingering = self.lingering.get_or_insert_with(|| {
                let until = now + linger;
                let silence = Box::pin(tokio::time::sleep_until(silence.min(until)));
                Box::new(Lingering { until, silence })
            });
            if read.is_pending() {
                return lingering.silence.as_mut().poll(cx);
            }
            if now >= lingering.until {
                return Poll::Ready(());
            }
            lingering
                .silence
                .as_mut()
                .reset(silence.min(lingering.until));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for StrictRequests<S> {
    delegate_write!(stream: poll_write, poll_write_vectored, is_write_vectored, poll_flush);

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.said_all {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.said_all = true;
        }
        // A tunnel says when it ends; who closes one half of it may read the other.
        if this.activity.is_tunnel() {
            return Poll::Ready(Ok(()));
        }
        this.poll_linger(cx).map(Ok)
    }
}
