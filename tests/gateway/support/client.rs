//! A client that sends exactly the given bytes and returns exactly the received ones.

use std::io::Result;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};

use super::fields::{Fields, Head};
use super::wire::{Framing, Wire};
use super::within;

/// A response, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    /// The final status.
    pub(crate) status: u16,
    /// In the order they came.
    pub(crate) headers: Fields,
    /// Without chunk sizes.
    pub(crate) body: Vec<u8>,
    /// How the length was told.
    pub(crate) framing: Framing,
    /// Behind a chunked body.
    pub(crate) trailers: Fields,
    /// The 1xx heads before it.
    pub(crate) interim: Vec<Head>,
}

impl Response {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics: when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in the body of {self:?}"))
    }

    /// The text under `key` of a JSON object.
    ///
    /// # Panics: when there is none.
    pub(crate) fn field(&self, key: &str) -> String {
        let Some(value) = self.json()[key].as_str().map(str::to_owned) else {
            panic!("no text under {key} in {}: {}", self.status, self.text());
        };
        value
    }

    /// The value of `X-Gateway-Error`.
    pub(crate) fn error(&self) -> Option<&str> {
        self.headers.get("x-gateway-error")
    }
}

/// A request to be written out.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: String,
    head: String,
    body: Vec<u8>,
}

impl Request {
    /// Any method; `Host: gateway.test` and nothing else.
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            head: format!("{method} {target} HTTP/1.1\r\nHost: gateway.test\r\n"),
            body: Vec::new(),
        }
    }

    /// A GET.
    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST of an `application/json` body.
    pub(crate) fn post_json(target: &str, body: &Value) -> Self {
        Self::new("POST", target)
            .header("Content-Type", "application/json")
            .body(body.to_string())
    }

    /// A POST of an `application/x-www-form-urlencoded` body.
    pub(crate) fn post_form(target: &str, body: &str) -> Self {
        Self::new("POST", target)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body)
    }

    /// One more header line.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    /// The body, with its `Content-Length`.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.header("Content-Length", &length)
    }

    /// The bytes of the message.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), b"\r\n", &self.body].concat()
    }

    /// Sends it over a connection of its own and reads the answer.
    pub(crate) async fn send(&self, to: SocketAddr) -> Response {
        Client::connect(to).await.exchange(self).await
    }

    /// As `send`; a connection that broke is an error, not the end of the test.
    pub(crate) async fn try_send(&self, to: SocketAddr) -> Result<Response> {
        let mut client = Client::try_connect(to).await?;
        client.try_exchange(self).await
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    wire: Wire<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let client = within("a connection", Self::try_connect(to)).await;
        client.unwrap_or_else(|error| panic!("connecting to {to}: {error}"))
    }

    /// Connects from an address of its own.
    pub(crate) async fn connect_from(address: [u8; 4], to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        let from = SocketAddr::from((address, 0));
        socket.bind(from).expect("an address of this machine");
        let stream = within("a connection", socket.connect(to)).await;
        let stream = stream.unwrap_or_else(|error| panic!("connecting to {to}: {error}"));
        Self::over(stream).expect("a connection")
    }

    /// Connects, or tells why not.
    pub(crate) async fn try_connect(to: SocketAddr) -> Result<Self> {
        Self::over(TcpStream::connect(to).await?)
    }

    fn over(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Self {
            wire: Wire::new(reader),
            writer,
        })
    }

    /// Writes bytes as they are. A write error shows when the response is read.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.writer.write_all(bytes.as_ref()).await;
    }

    /// Closes the writing side. A write error shows when the response is read.
    pub(crate) async fn finish(&mut self) {
        let _ = self.writer.shutdown().await;
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn exchange(&mut self, request: &Request) -> Response {
        let response = within("a response", self.try_exchange(request)).await;
        response.unwrap_or_else(|error| panic!("reading a response: {error}"))
    }

    /// Sends a request and reads its answer, or tells how the connection broke.
    pub(crate) async fn try_exchange(&mut self, request: &Request) -> Result<Response> {
        self.write(request.bytes()).await;
        self.try_response(&request.method).await
    }

    /// Reads the answer to a `method` request that is on its way already.
    pub(crate) async fn response(&mut self, method: &str) -> Response {
        let response = within("a response", self.try_response(method)).await;
        response.unwrap_or_else(|error| panic!("reading a response: {error}"))
    }

    /// Reads one head, 1xx or final.
    pub(crate) async fn head(&mut self) -> Head {
        let head = within("a response head", self.wire.head()).await;
        head.expect("reading a head")
            .expect("a head before the end")
    }

    /// The next bytes of a body, as they come; empty at the end of the stream.
    pub(crate) async fn some(&mut self) -> Vec<u8> {
        let some = within("bytes of a body", self.wire.some()).await;
        some.unwrap_or_default()
    }

    /// As `some`; a connection that broke is an error.
    pub(crate) async fn try_some(&mut self) -> Result<Vec<u8>> {
        within("bytes of a body", self.wire.some()).await
    }

    /// Reads until this text has arrived.
    ///
    /// # Panics: when the other side ends first.
    pub(crate) async fn until(&mut self, text: &str) {
        let mut arrived = String::new();
        while !arrived.contains(text) {
            let some = self.some().await;
            assert!(!some.is_empty(), "the end after {arrived:?}");
            arrived += &String::from_utf8_lossy(&some);
        }
    }

    /// Whether the other side closes without another byte.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.some().await.is_empty()
    }

    /// As `response`; a connection that broke is an error, not the end of the test.
    pub(crate) async fn try_response(&mut self, method: &str) -> Result<Response> {
        let mut interim = Vec::new();
        let head = loop {
            let head = self.wire.head().await?;
            let head = head.ok_or(std::io::ErrorKind::UnexpectedEof)?;
            if head.status() >= 200 || head.status() == 101 {
                break head;
            }
            interim.push(head);
        };
        let framing = Framing::of(&head.headers);
        let bodiless = method == "HEAD" || matches!(head.status(), 101 | 204 | 304);
        let (body, trailers) = if bodiless {
            Default::default()
        } else {
            self.wire.body(framing, true).await?
        };
        Ok(Response {
            status: head.status(),
            headers: head.headers,
            body,
            framing,
            trailers,
            interim,
        })
    }
}
