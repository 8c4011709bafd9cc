//! An HTTP/2 client with prior knowledge (h2c), over hyper's.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

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
