//! An upstream's socket whose answers are read strictly before hyper gets them.

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

/// The connection's owner's view of the answers that come over it.
#[derive(Debug, Clone)]
pub(super) struct Answers(Arc<Mutex<Framer>>);

impl Answers {
    /// A request is about to be sent: one answer is due.
    pub(super) fn expect_one(&self, method: &Method) {
        self.framer().expect_answer(method);
    }

    /// Whether an answer is due or not over.
    fn one_is_under_way(&self) -> bool {
        self.framer().is_under_way()
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
    /// The upstream closed while it was written to; what is still to be written goes nowhere.
    is_deaf: bool,
}

impl<S> Checked<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            answers: Answers(Arc::new(Mutex::new(Framer::new()))),
            held: BytesMut::new(),
            passed: 0,
            is_deaf: false,
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

impl<S: AsyncWrite + Unpin> Checked<S> {
    /// An upstream that refuses an upload by its head answers and closes, and the writing fails while the answer is there to be
    /// read. hyper would give up at the first error, so the rest of the upload counts as written: reading tells how it ends.
    fn write(
        &mut self,
        length: usize,
        write: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.is_deaf {
            return Poll::Ready(Ok(length));
        }
        match write(Pin::new(&mut self.stream)) {
            Poll::Ready(Err(error)) if is_closed(&error) && self.answers.one_is_under_way() => {
                self.is_deaf = true;
                self.answers.framer().never_reuse();
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

    /// A socket over which these pieces come.
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

    /// What hyper gets of it, by reads of so many bytes; and the fault that ends it.
    fn seen(pieces: VecDeque<Vec<u8>>, room: usize) -> (Vec<u8>, Option<Damage>, bool) {
        let mut checked = Checked::new(Pieces(pieces));
        let answers = checked.answers();
        answers.expect_one(&Method::GET);
        let mut all = Vec::new();
        let reading = async {
            let mut buffer = vec![0; room];
            while let Ok(count @ 1..) = checked.read(&mut buffer).await {
                all.extend_from_slice(&buffer[..count]);
            }
        };
        futures_util::FutureExt::now_or_never(reading).expect("nothing to wait for");
        (all, answers.fault(), answers.are_complete())
    }

    fn answers() -> impl Strategy<Value = Vec<u8>> {
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
        fn an_answer_is_read_the_same_in_whatever_pieces_it_comes(
            answer in answers(),
            sizes in prop::collection::vec(1_usize..20, 1..40),
            room in 1_usize..30,
        ) {
            let mut pieces = VecDeque::new();
            let mut rest = answer.as_slice();
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at(rest.len().min(*size));
                pieces.push_back(piece.to_vec());
                rest = after;
            }

            let whole = seen(VecDeque::from([answer.clone()]), answer.len());
            let parts = seen(pieces, room);

            assert_eq!(parts, whole);
            assert!(answer.starts_with(&whole.0));
        }

        #[test]
        fn no_bytes_make_the_reader_panic_or_pass_what_is_no_answer(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let (passed, _, complete) = seen(VecDeque::from([bytes]), 64);
            assert!(passed.is_empty() && !complete);
        }
    }
}
