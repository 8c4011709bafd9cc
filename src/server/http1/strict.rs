//! Strict HTTP/1 framing in front of hyper: the framing of each request is checked before anything
//! else reads it (`http/framing`), and no byte of the next request is released before the response
//! to the last one is out. In place of a refused request hyper gets a placeholder, so the refusal
//! is a response like any other.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::state::Http1State;
use crate::delegate_io::delegate_write;
use crate::http::framing::{Chunks, Framing, HeadError, HeadReader, RefusedHead};
use crate::server::deadline::DeadlineStream;

/// The request that hyper reads in place of a refused one.
const PLACEHOLDER: &[u8] = b"GET / HTTP/1.1\r\nHost: refused\r\n\r\n";
const PLACEHOLDER_FOR_HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nHost: refused\r\n\r\n";
/// Lingering close: after the last response, keep reading until the client is silent for this long.
/// Closed with unread bytes, the kernel resets the connection and the client may lose the response
/// (RFC 9112, 9.6).
const LINGER_IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// A stream that releases only well-framed requests, one at a time.
#[derive(Debug)]
pub(in crate::server) struct StrictRequests<S> {
    stream: DeadlineStream<S>,
    state: Arc<Http1State>,
    /// Bytes that arrived and were not released: first the checked ones, then the others.
    held: BytesMut,
    /// How many bytes of `held` may be released.
    checked: usize,
    position: Position,
    /// Heads released.
    heads: u64,
    max_head: usize,
    linger: Duration,
    write_closed: bool,
    lingering: Option<Box<Lingering>>,
}

/// The part of the exchange that the next byte belongs to.
#[derive(Debug)]
enum Position {
    Head(HeadReader),
    Body(u64),
    Chunks(Box<Chunks>),
    /// Before the first bad byte of a body.
    Damaged,
    /// Behind a request, before the end of its response.
    Response,
    /// Nothing more is released.
    Refused,
}

#[derive(Debug)]
struct Lingering {
    until: Instant,
    silence: Pin<Box<Sleep>>,
}

impl<S> StrictRequests<S> {
    /// `max_head` is in bytes; `linger` bounds the time spent reading after the last response.
    pub(in crate::server) fn new(
        stream: DeadlineStream<S>,
        state: Arc<Http1State>,
        max_head: usize,
        linger: Duration,
    ) -> Self {
        Self {
            stream,
            state,
            held: BytesMut::new(),
            checked: 0,
            position: Position::Head(HeadReader::default()),
            heads: 0,
            max_head,
            linger,
            write_closed: false,
            lingering: None,
        }
    }

    /// Checks bytes that begin where the last released ones ended; a partial head is given again
    /// together with what has arrived since. Returns how many bytes may be released: at most up to
    /// the end of this request.
    fn check(&mut self, bytes: &[u8]) -> Result<usize, HeadError> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match &mut self.position {
                Position::Head(reader) => {
                    let Some((length, framing)) = reader.read(rest, self.max_head)? else {
                        return Ok(at);
                    };
                    at += length;
                    self.heads += 1;
                    self.position = match framing {
                        Framing::Empty => Position::Response,
                        Framing::Length(length) => Position::Body(length),
                        Framing::Chunked => Position::Chunks(Box::default()),
                    };
                }
                Position::Body(left) => {
                    let taken =
                        usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left -= taken as u64;
                    if *left == 0 {
                        self.position = Position::Response;
                    }
                    return Ok(at + taken);
                }
                Position::Chunks(chunks) => {
                    // The good bytes go first: without the head hyper could not respond and would
                    // just close.
                    let taken = match chunks.read(rest) {
                        Ok((taken, ended)) => {
                            if ended {
                                self.position = Position::Response;
                            }
                            taken
                        }
                        Err((good, _)) => {
                            self.position = Position::Damaged;
                            good
                        }
                    };
                    return Ok(at + taken);
                }
                Position::Damaged | Position::Response | Position::Refused => return Ok(at),
            }
        }
    }

    /// Checks the held bytes.
    fn check_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        let checked = self.check(&held);
        self.held = held;
        match checked {
            Ok(checked) => self.checked = checked,
            Err(error) => self.refuse(error),
        }
        self.drop_blank_lines();
    }

    /// Checks the bytes of `buf` behind `start`, and leaves in it those that may be released.
    fn check_read(&mut self, buf: &mut ReadBuf<'_>, start: usize) {
        let new = buf.filled().get(start..).unwrap_or_default();
        let checked = self.check(new);
        let released = *checked.as_ref().unwrap_or(&0);
        self.held
            .extend_from_slice(new.get(released..).unwrap_or_default());
        buf.set_filled(start + released);
        if let Err(error) = checked {
            self.refuse(error);
        }
        self.drop_blank_lines();
    }

    /// Drops the line end that old clients send behind a body: it is no partial head.
    fn drop_blank_lines(&mut self) {
        if let Position::Head(reader) = &self.position
            && !self.held.is_empty()
            && reader.is_blank(self.held.len())
        {
            self.position = Position::Head(HeadReader::default());
            self.held.clear();
            self.stream.clear_head();
        }
    }

    /// Refuses the head that is held.
    fn refuse(&mut self, error: HeadError) {
        let Position::Head(reader) = std::mem::replace(&mut self.position, Position::Refused)
        else {
            return;
        };
        if error == HeadError::TooSlow {
            self.linger = Duration::ZERO;
        }
        let line = reader.line(&self.held);
        let is_head = line
            .as_ref()
            .is_some_and(|(method, _)| method == hyper::Method::HEAD);
        let placeholder = if is_head {
            PLACEHOLDER_FOR_HEAD
        } else {
            PLACEHOLDER
        };
        self.held = BytesMut::from(placeholder);
        self.checked = placeholder.len();
        self.state.refuse(RefusedHead { error, line });
    }

    /// Releases up to `max` held bytes, as many as fit.
    fn release(&mut self, buf: &mut ReadBuf<'_>, max: usize) {
        let released = max.min(buf.remaining());
        buf.put_slice(self.held.get(..released).unwrap_or_default());
        self.held.advance(released);
        if self.held.is_empty() {
            // An idle connection must not keep the memory of a large request.
            self.held = BytesMut::new();
        }
    }

    /// Whether a response went out while the client may still be sending. A partial head has no
    /// response that could be lost.
    fn is_interrupted(&self) -> bool {
        match self.position {
            Position::Body(_) | Position::Chunks(_) | Position::Damaged | Position::Refused => true,
            Position::Response => !self.held.is_empty(),
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
                this.release(buf, this.checked);
                this.checked -= buf.filled().len() - start;
                return Poll::Ready(Ok(()));
            }
            match &this.position {
                Position::Refused => return Poll::Pending,
                Position::Damaged => {
                    // hyper sees an error as for any body that breaks off: its request is in
                    // flight.
                    this.position = Position::Refused;
                    let text = "the request body is damaged";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
                }
                Position::Response if this.state.is_tunnel() => {
                    if this.held.is_empty() {
                        return Pin::new(&mut this.stream).poll_read(cx, buf);
                    }
                    this.release(buf, this.held.len());
                    return Poll::Ready(Ok(()));
                }
                Position::Response if this.state.has_responded(this.heads) => {
                    this.position = Position::Head(HeadReader::default());
                    if !this.held.is_empty() {
                        this.stream.head_started();
                        this.check_held();
                        continue;
                    }
                }
                Position::Response if !this.held.is_empty() => {
                    if this.state.wake_when_responded(this.heads, cx.waker()) {
                        return Poll::Pending;
                    }
                    continue;
                }
                Position::Response
                | Position::Head(_)
                | Position::Body(_)
                | Position::Chunks(_) => {}
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
                    this.refuse(HeadError::TooSlow);
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
    /// Reads on until the client has seen the last response and closes, or the linger time is over.
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
            if !more || self.linger.is_zero() || self.state.skips_linger() {
                return Poll::Ready(());
            }
            let now = Instant::now();
            let silence = now + LINGER_IDLE_TIMEOUT;
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
        if !this.write_closed {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.write_closed = true;
        }
        // A tunnel ends by itself: a client that closes one direction may still read the other.
        if this.state.is_tunnel() {
            return Poll::Ready(Ok(()));
        }
        this.poll_linger(cx).map(Ok)
    }
}
