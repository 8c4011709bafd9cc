//! HTTP/1.1 to an endpoint: hyper's client over a socket whose responses are framed strictly first.

pub mod framer;
mod strict;

use std::io;
use std::mem::MaybeUninit;

use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use socket2::Socket;
use tokio::io::{AsyncRead, AsyncWrite};

use self::strict::{ResponseState, StrictResponses};
use crate::error::{Error, chain};
use crate::upstream::request_body::RequestBody;

/// Bytes of a response that hyper buffers, at most.
const MAX_BUFFER: usize = 256 * 1024;

/// A connection to an endpoint.
#[derive(Debug)]
pub(in crate::upstream) struct Connection {
    sender: SendRequest<RequestBody>,
    /// A second descriptor of the same socket, to peek at it without hyper.
    probe: Socket,
    responses: ResponseState,
}

/// Sets up a connection over an open socket; `probe` is a second descriptor of it.
///
/// # Errors
/// hyper's handshake failed.
pub(in crate::upstream) async fn handshake<S>(stream: S, probe: Socket) -> io::Result<Connection>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = StrictResponses::new(stream);
    let responses = stream.state();
    let (sender, connection) = Builder::new()
        .max_buf_size(MAX_BUFFER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        // The request in progress gets the error too, so it is not needed here.
        let _ = connection.with_upgrades().await;
    });
    Ok(Connection {
        sender,
        probe,
        responses,
    })
}

impl Connection {
    /// Sends a request; the future gives the head of its response.
    pub(in crate::upstream) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<>
    {
        self.responses.expect_one(request.method());
        self.sender.try_send_request(request)
    }

    /// Names the cause of a failed exchange.
    pub(in crate::upstream) fn explain(&self, error: &hyper::Error) -> Error {
        if let Some(fault) = self.responses.fault() {
            return Error::UpstreamProtocol(format!(
                "the upstream's response is malformed: {fault}"
            ));
        }
        if error.is_parse() || error.is_parse_status() || error.is_parse_too_large() {
            return Error::UpstreamProtocol(chain(error));
        }
        if error.is_incomplete_message() || error.is_canceled() {
            let cause = "the upstream closed the connection before its response";
            return Error::UpstreamReset(cause.to_owned());
        }
        Error::UpstreamReset(chain(error))
    }

    /// Whether the connection is open and its last response ended at a known place.
    pub(in crate::upstream) fn is_reusable(&self) -> bool {
        !self.sender.is_closed() && self.responses.are_complete()
    }

    /// Whether the socket is open and nothing unexpected has arrived.
    pub(in crate::upstream) fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit(); 1];
        // Both descriptors are non-blocking; `WouldBlock` is the only good result.
        let peeked = self.probe.peek(&mut byte);
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether hyper takes a request now.
    pub(in crate::upstream) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until hyper takes a request; `false` when the connection is closed instead.
    pub(in crate::upstream) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }
}
