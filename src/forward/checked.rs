//! An upstream's socket whose answers are read strictly before hyper gets them.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use hyper::Method;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::chunks::Damage;
use super::framer::{Framer, Verdict};

/// The connection's owner's view of the answers that come over it.
#[derive(Debug, Clone)]
pub(super) struct Answers(Arc<Mutex<Framer>>);

impl Answers {
    /// A request is about to be sent: one answer is due.
    pub(super) fn expect_one(&self, method: &Method) {
        self.framer().expect_answer(method);
    }

    /// Whether the last answer is over and nothing came behind it.
    pub(super) fn are_complete(&self) -> bool {
        self.framer().is_between_answers()
    }

    /// What was wrong with the answer.
    pub(super) fn fault(&self) -> Option<Damage> {
        self.framer().fault()
    }

    fn framer(&self) -> MutexGuard<'_, Framer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The socket.
#[derive(Debug)]
pub(super) struct Checked<S> {
    stream: S,
    answers: Answers,
    /// Bytes that hyper has not got yet.
    held: BytesMut,
    /// How many of them it may have.
    passed: usize,
}

impl<S> Checked<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            answers: Answers(Arc::new(Mutex::new(Framer::new()))),
            held: BytesMut::new(),
            passed: 0,
        }
    }

    pub(super) fn answers(&self) -> Answers {
        self.answers.clone()
    }

    /// Hands over what may be passed of the held bytes.
    fn release(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.passed.min(buf.remaining());
        buf.put_slice(self.held.get(..count).unwrap_or_default());
        self.held.advance(count);
        self.passed -= count;
    }

    /// Looks at bytes that were just read into `buf`, behind `before`, and takes back what may not be passed on.
    fn inspect(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if self.held.is_empty() {
            // The usual way: nothing is copied.
            let verdict = self.answers.framer().read(fresh);
            match verdict {
                Verdict::Pass => {}
                Verdict::HoldFrom(at) => {
                    self.held
                        .extend_from_slice(fresh.get(at..).unwrap_or_default());
                    buf.set_filled(before + at);
                }
                Verdict::RefuseFrom(at) => buf.set_filled(before + at),
            }
            return;
        }
        self.held.extend_from_slice(fresh);
        buf.set_filled(before);
        let verdict = self.answers.framer().read(&self.held);
        match verdict {
            Verdict::Pass => self.passed = self.held.len(),
            Verdict::HoldFrom(at) => self.passed = at,
            Verdict::RefuseFrom(at) => {
                self.passed = at;
                self.held.truncate(at);
            }
        }
        self.release(buf);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Checked<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        loop {
            if this.passed > 0 {
                this.release(buf);
                return Poll::Ready(Ok(()));
            }
            if let Some(fault) = this.answers.fault() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault)));
            }
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            if buf.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            this.inspect(buf, before);
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Checked<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
