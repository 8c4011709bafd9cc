//! An upstream that records every received byte and responds as scripted.

use std::collections::VecDeque;
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::fields::{Fields, Head};
use super::steps::{Answer, Step, chunk};
use super::wire::{Chunk, Framing, Wire};
use super::{free_port, within};

/// One request, read as far as its answer asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded {
    /// Request line and headers.
    pub(crate) head: Head,
    /// Without chunk sizes.
    pub(crate) body: Vec<u8>,
    /// Behind a chunked body.
    pub(crate) trailers: Fields,
}

impl Recorded {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Events at the upstream, in order.
pub(crate) enum Seen {
    /// The head of a request.
    Head(Head),
    /// Some of its body.
    Piece(Vec<u8>),
    /// All of it that its answer asked for.
    Request(Recorded),
    /// A connection ended, by either side.
    Closed,
}

type Respond = dyn Fn(&Head) -> Answer + Send + Sync;

struct Shared {
    queue: Mutex<VecDeque<Answer>>,
    otherwise: Mutex<Arc<Respond>>,
    idle_timeout: Mutex<Option<Duration>>,
    connections: AtomicUsize,
    requests: AtomicUsize,
    seen: mpsc::UnboundedSender<Seen>,
}

/// The upstream. Responds with 200 `ok` by default; stops when dropped.
pub(crate) struct RecordingUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    seen: mpsc::UnboundedReceiver<Seen>,
    running: Option<DropGuard>,
    /// Reserves the port while the upstream does not listen.
    closed: Option<TcpSocket>,
}

impl RecordingUpstream {
    /// Listens on a port of its own.
    pub(crate) async fn start() -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let shared = Shared {
            queue: Mutex::default(),
            otherwise: Mutex::new(Arc::new(|_| Answer::ok())),
            idle_timeout: Mutex::default(),
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            seen: sender,
        };
        let mut upstream = Self {
            address: SocketAddr::from(([127, 0, 0, 1], free_port())),
            shared: Arc::new(shared),
            seen,
            running: None,
            closed: None,
        };
        upstream.listen().await;
        upstream
    }

    /// Listens again after `refuse`.
    pub(crate) async fn listen(&mut self) {
        self.closed = None;
        let listener = TcpListener::bind(self.address).await.expect("binding");
        let token = CancellationToken::new();
        let serving = serve(listener, Arc::clone(&self.shared), token.clone());
        tokio::spawn(serving);
        self.running = Some(token.drop_guard());
    }

    /// Closes every connection and refuses further ones.
    pub(crate) async fn refuse(&mut self) {
        self.running = None;
        let refused = async {
            while TcpStream::connect(self.address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        within("the upstream's port to close", refused).await;
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an address used before");
        socket.bind(self.address).expect("keeping the port");
        self.closed = Some(socket);
    }

    /// The URL for `servers` of a gateway.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers the next request that has no answer queued yet.
    pub(crate) fn next(&self, answer: Answer) {
        self.shared.queue.lock().expect("lock").push_back(answer);
    }

    /// Answers every request that has no answer queued.
    pub(crate) fn always(&self, respond: impl Fn(&Head) -> Answer + Send + Sync + 'static) {
        *self.shared.otherwise.lock().expect("lock") = Arc::new(respond);
    }

    /// Closes connections that were idle for this time, without notice.
    pub(crate) fn close_idle_after(&self, time: Duration) {
        *self.shared.idle_timeout.lock().expect("lock") = Some(time);
    }

    /// Connections taken so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Requests whose head was read so far.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// The next request that was read as far as its answer asked for.
    pub(crate) async fn request(&mut self) -> Recorded {
        self.wait("a request", |seen| match seen {
            Seen::Request(request) => Some(request),
            _ => None,
        })
        .await
    }

    /// The next request head, as soon as it is there.
    pub(crate) async fn head(&mut self) -> Head {
        self.wait("a request head", |seen| match seen {
            Seen::Head(head) => Some(head),
            _ => None,
        })
        .await
    }

    /// The next bytes of a request's body, as they come.
    pub(crate) async fn piece(&mut self) -> Vec<u8> {
        self.wait("a piece of a request body", |seen| match seen {
            Seen::Piece(piece) => Some(piece),
            _ => None,
        })
        .await
    }

    /// The end of a connection.
    pub(crate) async fn closed(&mut self) {
        self.wait("the end of an upstream connection", |seen| {
            matches!(seen, Seen::Closed).then_some(())
        })
        .await;
    }

    /// The next event of any kind.
    pub(crate) async fn next_seen(&mut self) -> Seen {
        self.wait("anything at the upstream", Some).await
    }

    async fn wait<T>(&mut self, what: &str, pick: impl Fn(Seen) -> Option<T>) -> T {
        let next = async {
            loop {
                let seen = self.seen.recv().await.expect("the upstream is running");
                if let Some(picked) = pick(seen) {
                    return picked;
                }
            }
        };
        within(what, next).await
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            let (stream, _) = listener.accept().await.expect("accepting");
            stream.set_nodelay(true).expect("no delay");
            shared.connections.fetch_add(1, Ordering::SeqCst);
            let shared = Arc::clone(&shared);
            connections.spawn(async move {
                let mut connection = Connection::new(stream, &shared);
                // Tests provoke broken connections.
                let _ = connection.run().await;
                connection.close();
                let _ = shared.seen.send(Seen::Closed);
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    // Listener and connections end with this function.
}

struct Connection<'a> {
    wire: Wire<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    resets: bool,
    shared: &'a Shared,
}

impl<'a> Connection<'a> {
    fn new(stream: TcpStream, shared: &'a Shared) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            wire: Wire::new(reader),
            writer,
            resets: false,
            shared,
        }
    }

    async fn run(&mut self) -> Result<()> {
        loop {
            let idle = *self.shared.idle_timeout.lock().expect("lock");
            let idle = idle.unwrap_or(Duration::MAX);
            let Ok(head) = tokio::time::timeout(idle, self.wire.head()).await else {
                return Ok(());
            };
            let Some(head) = head? else { return Ok(()) };
            self.shared.requests.fetch_add(1, Ordering::SeqCst);
            let queued = self.shared.queue.lock().expect("lock").pop_front();
            let answer = queued.unwrap_or_else(|| {
                let otherwise = Arc::clone(&self.shared.otherwise.lock().expect("lock"));
                otherwise(&head)
            });
            if !self.answer(head, answer).await? {
                return Ok(());
            }
        }
    }

    /// Runs the steps of the answer; false when the connection is to end.
    async fn answer(&mut self, head: Head, answer: Answer) -> Result<bool> {
        self.report(Seen::Head(head.clone()));
        let mut recorded = Recorded {
            head,
            ..Recorded::default()
        };
        let mut unread = Some(Framing::of(&recorded.head.headers));
        let mut reported = false;
        for step in answer.0 {
            if matches!(step, Step::ReadBody | Step::Echo)
                && let Some(framing) = unread.take()
            {
                self.read_body(framing, &mut recorded).await?;
            }
            // Sent before the response, so that a test that has the response finds the request.
            if !reported {
                self.report(Seen::Request(recorded.clone()));
                reported = true;
            }
            match step {
                Step::ReadBody => {}
                Step::Echo => self.writer.write_all(&echo(&recorded)).await?,
                Step::Write(bytes) => self.writer.write_all(&bytes).await?,
                Step::Stream(mut pieces) => {
                    while let Some(piece) = pieces.recv().await {
                        self.writer.write_all(&piece).await?;
                    }
                }
                Step::Wait(gate) => gate.notified().await,
                Step::Slow(time) => tokio::time::sleep(time).await,
                Step::EchoUpgrade => return self.echo_upgrade(&recorded.head).await,
                Step::Close => return Ok(false),
                Step::Reset => return self.reset(),
                Step::Hang => while !self.wire.some().await?.is_empty() {},
            }
        }
        Ok(true)
    }

    async fn read_body(&mut self, framing: Framing, recorded: &mut Recorded) -> Result<()> {
        match framing {
            Framing::Neither => {}
            Framing::Length(length) => {
                let mut left = length;
                while left > 0 {
                    let piece = self.wire.at_most(left).await?;
                    left -= piece.len();
                    self.piece(piece, recorded);
                }
            }
            Framing::Chunked => loop {
                match self.wire.chunk().await? {
                    Chunk::Data(piece) => self.piece(piece, recorded),
                    Chunk::End(trailers) => {
                        recorded.trailers = trailers;
                        break;
                    }
                }
            },
        }
        Ok(())
    }

    fn piece(&self, piece: Vec<u8>, recorded: &mut Recorded) {
        recorded.body.extend(&piece);
        self.report(Seen::Piece(piece));
    }

    async fn echo_upgrade(&mut self, head: &Head) -> Result<bool> {
        let upgrade = head.headers.get("upgrade").unwrap_or("websocket");
        let key = head.headers.get("sec-websocket-key").unwrap_or_default();
        let accept = accept_key(key);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: {upgrade}\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        self.writer.write_all(answer.as_bytes()).await?;
        loop {
            let some = self.wire.some().await?;
            if some.is_empty() {
                return Ok(false);
            }
            self.writer.write_all(&some).await?;
        }
    }

    /// Without lingering, closing sends RST instead of FIN.
    fn reset(&mut self) -> Result<bool> {
        let stream: &TcpStream = self.writer.as_ref();
        socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
        self.resets = true;
        Err(Error::other("reset"))
    }

    fn close(self) {
        if self.resets {
            // Dropping a write half sends FIN, and then the client sees no reset.
            self.writer.forget();
        }
    }

    fn report(&self, seen: Seen) {
        // The test may be over already.
        let _ = self.shared.seen.send(seen);
    }
}

fn echo(request: &Recorded) -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n".to_vec();
    for (name, _) in &request.trailers.0 {
        answer.extend(format!("Trailer: {name}\r\n").as_bytes());
    }
    answer.extend(b"\r\n");
    if !request.body.is_empty() {
        answer.extend(chunk(&request.body));
    }
    answer.extend(b"0\r\n");
    for (name, value) in &request.trailers.0 {
        answer.extend(format!("{name}: {value}\r\n").as_bytes());
    }
    answer.extend(b"\r\n");
    answer
}

/// `Sec-WebSocket-Accept` of a key, as RFC 6455 wants it.
fn accept_key(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    STANDARD.encode(hash)
}
