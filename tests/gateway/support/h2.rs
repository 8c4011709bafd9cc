//! An HTTP/2 client with prior knowledge (h2c), over hyper's.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::client::Client;
use super::within;

/// One HTTP/2 connection; its streams run side by side.
#[derive(Clone)]
pub(crate) struct H2Client {
    sender: http2::SendRequest<Full<Bytes>>,
}

impl H2Client {
    /// Connects and greets.
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("connecting");
        let greeting = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = within("the HTTP/2 handshake", greeting)
            .await
            .expect("greeting");
        tokio::spawn(connection);
        Self { sender }
    }

    /// Sends one request and reads its answer.
    pub(crate) async fn send(&mut self, request: http::Request<Bytes>) -> http::Response<Bytes> {
        let response = within("an HTTP/2 response", self.try_send(request)).await;
        response.unwrap_or_else(|error| panic!("reading an HTTP/2 response: {error}"))
    }

    /// As `send`; a stream that broke is an error, not the end of the test.
    pub(crate) async fn try_send(
        &mut self,
        request: http::Request<Bytes>,
    ) -> hyper::Result<http::Response<Bytes>> {
        let response = self.sender.send_request(request.map(Full::new)).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(http::Response::from_parts(parts, body))
    }
}

/// Response to a request that was written frame by frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RawAnswer {
    /// This status; of those that HPACK has no number for, `None`.
    Status(Option<u16>),
    /// RST_STREAM, or GOAWAY.
    Reset,
}

/// Sends one request with exactly these fields, pseudo-header fields among them, and waits for the
/// first that comes of it.
pub(crate) async fn raw_request(to: SocketAddr, fields: &[(&str, &str)]) -> RawAnswer {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal without indexing (RFC 7541, 6.2.2), nothing compressed.
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("a length"));
            assert!(
                text.len() < 127,
                "{text} takes more than one byte of length"
            );
            block.extend(text.as_bytes());
        }
    }
    let length = u32::try_from(block.len())
        .expect("a short block")
        .to_be_bytes();
    // HEADERS of stream 1 with END_STREAM and END_HEADERS.
    let headers = [length[1], length[2], length[3], 1, 5, 0, 0, 0, 1];
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut client = Client::connect(to).await;
    client
        .write([preface.as_slice(), &settings, &headers, &block].concat())
        .await;
    let mut arrived = Vec::new();
    loop {
        while let Some((kind, payload)) = frame(&mut arrived) {
            match (kind, payload.first()) {
                // An indexed field (RFC 7541, 6.1) of the static table: `:status` first.
                (1, Some(index)) => return RawAnswer::Status(indexed_status(*index)),
                (3 | 7, _) => return RawAnswer::Reset,
                _ => {}
            }
        }
        let some = client.some().await;
        if some.is_empty() {
            return RawAnswer::Reset;
        }
        arrived.extend(some);
    }
}

fn indexed_status(field: u8) -> Option<u16> {
    match field & 0x7f {
        8 => Some(200),
        9 => Some(204),
        12 => Some(400),
        13 => Some(404),
        14 => Some(500),
        _ => None,
    }
}

/// Takes the next whole frame off the front: its type and what it holds.
fn frame(arrived: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let [a, b, c, kind, ..] = *arrived.as_slice() else {
        return None;
    };
    let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    if arrived.len() < 9 + length {
        return None;
    }
    let frame: Vec<u8> = arrived.drain(..9 + length).collect();
    Some((kind, frame[9..].to_vec()))
}
