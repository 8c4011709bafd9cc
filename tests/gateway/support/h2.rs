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
        let exchange = async {
            let request = request.map(Full::new);
            let response = self.sender.send_request(request).await.expect("a response");
            let (parts, body) = response.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            http::Response::from_parts(parts, body)
        };
        within("an HTTP/2 response", exchange).await
    }
}
