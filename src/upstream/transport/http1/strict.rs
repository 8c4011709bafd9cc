//! A socket to an upstream whose responses are framed strictly before hyper reads them.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use hyper::Method;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framer::{Framer, Verdict};
use crate::delegate_io::delegate_write;
use crate::http::framing::Damage;

/// The state of a connection's responses, for the owner of the connection.
#[derive(Debug, Clone)]
pub(super) struct ResponseState(Arc<Mutex<Framer>>);

impl ResponseState {
    /// Expects one response: a request is about to be sent.
    pub(super) fn expect_one(&self, method: &Method) {
        self.framer().expect_response(method);
    }

    /// Whether a response is due or incomplete.
    fn one_is_in_progress(&self) -> bool {
        self.framer().is_in_progress()
    }

    /// Whether the last response is complete and nothing followed it.
    pub(super) fn are_complete(&self) -> bool {
        self.framer().is_between_responses()
    }

    /// The fault of the response, if it has one.
    pub(super) fn fault(&self) -> Option<Damage> {
        self.framer().fault()
    }

    fn framer(&self) -> MutexGuard<'_, Framer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that passes on well-framed responses only.
#[derive(Debug)]
pub(super) struct StrictResponses<S> {
    stream: S,
    state: ResponseState,
    /// Bytes that hyper has not read yet.
    held: BytesMut,
    /// How many of them hyper may read.
    passed: usize,
    /// The upstream closed during a write; further writes are discarded.
    discards_writes: bool,
}

impl<S> StrictResponses<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            state: ResponseState(Arc::new(Mutex::new(Framer::new()))),
            held: BytesMut::new(),
            passed: 0,
            discards_writes: false,
        }
    }

    pub(super) fn state(&self) -> ResponseState {
        self.state.clone()
    }

    /// Gives hyper those of the held bytes that may pass.
    fn release(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.passed.min(buf.remaining());
        buf.put_slice(self.held.get(..count).unwrap_or_default());
        self.held.advance(count);
        self.passed -= count;
    }

    /// Checks the bytes that were just read into `buf`, after `before`, and takes back those that
    /// may not pass.
    fn inspect(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if self.held.is_empty() {
            // The common case, without a copy.
            let verdict = self.state.framer().read(fresh);
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
        let verdict = self.state.framer().read(&self.held);
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

impl<S: AsyncWrite + Unpin> StrictResponses<S> {
    /// Writes, and ignores a connection that the upstream closed before the end of an upload: its
    /// response may be there to be read. hyper would stop at the failed write, so the rest of the
    /// upload is discarded and the read decides how the exchange ends.
    fn write(
        &mut self,
        length: usize,
        write: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.discards_writes {
            return Poll::Ready(Ok(length));
        }
        match write(Pin::new(&mut self.stream)) {
            Poll::Ready(Err(error)) if is_closed(&error) && self.state.one_is_in_progress() => {
                self.discards_writes = true;
                self.state.framer().never_reuse();
                Poll::Ready(Ok(length))
            }
            polled => polled,
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset)
}

impl<S: AsyncRead + Unpin> AsyncRead for StrictResponses<S> {
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
            if let Some(fault) = this.state.fault() {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for StrictResponses<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.write(bytes.len(), |stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        let this = self.get_mut();
        this.write(length, |stream| stream.poll_write_vectored(cx, slices))
    }

    delegate_write!(stream: is_write_vectored, poll_flush, poll_shutdown);
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::{Strategy, any, prop, proptest};
    use proptest::sample::select;
    use tokio::io::AsyncReadExt;

    use super::*;

    /// A socket that delivers these pieces.
    struct Pieces(VecDeque<Vec<u8>>);

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if let Some(mut piece) = self.0.pop_front() {
                let rest = piece.split_off(piece.len().min(buf.remaining()));
                buf.put_slice(&piece);
                if !rest.is_empty() {
                    self.0.push_front(rest);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    /// The bytes that hyper gets by reads of `room` bytes, the fault, and whether the response is
    /// complete.
    fn seen(pieces: VecDeque<Vec<u8>>, room: usize) -> (Vec<u8>, Option<Damage>, bool) {
        let mut strict = StrictResponses::new(Pieces(pieces));
        let state = strict.state();
        state.expect_one(&Method::GET);
        let mut all = Vec::new();
        let reading = async {
            let mut buffer = vec![0; room];
            while let Ok(count @ 1..) = strict.read(&mut buffer).await {
                all.extend_from_slice(&buffer[..count]);
            }
        };
        futures_util::FutureExt::now_or_never(reading).expect("nothing to wait for");
        (all, state.fault(), state.are_complete())
    }

    fn responses() -> impl Strategy<Value = Vec<u8>> {
        let parts = select(vec![
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 103 Early\r\n\r\n",
            "HTTP/1.1 204 None\r\n\r\n",
            "HTTP/1.0 200 OK\r\nA: b\r\n\r\n",
            "Content-Length: 2\r\n",
            "Content-Length: 0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n",
            "\r\n",
            "\n",
            "ok",
            "2\r\nok\r\n",
            "0\r\n\r\n",
            "X: y\r\n",
            "\r",
            " ",
            "\0",
        ]);
        prop::collection::vec(parts, 1..10).prop_map(|parts| parts.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn a_response_is_read_the_same_in_pieces_of_any_size(
            response in responses(),
            sizes in prop::collection::vec(1_usize..20, 1..40),
            room in 1_usize..30,
        ) {
            let mut pieces = VecDeque::new();
            let mut rest = response.as_slice();
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at(rest.len().min(*size));
                pieces.push_back(piece.to_vec());
                rest = after;
            }

            let whole = seen(VecDeque::from([response.clone()]), response.len());
            let parts = seen(pieces, room);

            assert_eq!(parts, whole);
            assert!(response.starts_with(&whole.0));
        }

        #[test]
        fn arbitrary_bytes_neither_panic_nor_pass_as_a_response(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let (passed, _, complete) = seen(VecDeque::from([bytes]), 64);
            assert!(passed.is_empty() && !complete);
        }
    }
}
