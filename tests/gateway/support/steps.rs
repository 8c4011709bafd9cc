//! Scripted behaviour of an upstream for one request, step by step. `Answer` has the common
//! scripts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

/// One thing done with a request.
pub(crate) enum Step {
    /// Read the request's body to its end.
    ReadBody,
    /// Read the body and answer 200 with the same bytes and trailers, chunked.
    Echo,
    /// Write bytes as they are.
    Write(Vec<u8>),
    /// Write what the test sends, as it sends it, until it drops its end.
    Stream(mpsc::UnboundedReceiver<Vec<u8>>),
    /// Continue when the test signals it.
    Wait(Arc<Notify>),
    /// Go on after a time: the upstream is slow.
    Slow(Duration),
    /// Answer the upgrade with 101 and send back every byte that comes.
    EchoUpgrade,
    /// Close the connection without a response.
    Close,
    /// Break the connection (RST).
    Reset,
    /// Do nothing more until the other side ends the connection.
    Hang,
}

/// The steps of one answer.
pub(crate) struct Answer(pub(crate) Vec<Step>);

impl Answer {
    /// 200 `ok` once the body was read.
    pub(crate) fn ok() -> Self {
        Self::text(200, "ok")
    }

    /// A `text/plain` answer once the body was read.
    pub(crate) fn text(status: u16, body: &str) -> Self {
        let length = body.len();
        Self::raw(format!(
            "HTTP/1.1 {status} Some\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// These bytes once the body was read.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self(vec![Step::ReadBody, Step::Write(bytes.into())])
    }

    /// The request's body and trailers.
    pub(crate) fn echo() -> Self {
        Self(vec![Step::Echo])
    }

    /// 101 and an echo.
    pub(crate) fn echo_upgrade() -> Self {
        Self(vec![Step::EchoUpgrade])
    }

    /// This head, then what the test sends.
    pub(crate) fn stream(head: &str) -> (mpsc::UnboundedSender<Vec<u8>>, Self) {
        let (sender, pieces) = mpsc::unbounded_channel();
        let head = Step::Write(head.as_bytes().to_vec());
        (
            sender,
            Self(vec![Step::ReadBody, head, Step::Stream(pieces)]),
        )
    }

    /// `self`, held back until the test signals it; the body is read before.
    pub(crate) fn held(mut self) -> (Arc<Notify>, Self) {
        let gate = Arc::new(Notify::new());
        self.0
            .splice(0..0, [Step::ReadBody, Step::Wait(Arc::clone(&gate))]);
        (gate, self)
    }

    /// `self` and one more step.
    pub(crate) fn then(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }
}

/// One chunk of a chunked body.
pub(crate) fn chunk(data: impl AsRef<[u8]>) -> Vec<u8> {
    let data = data.as_ref();
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}
