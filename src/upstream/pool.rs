//! Idle connections to one upstream. Latest first, so that few stay warm and the rest time out; each is checked before use.

use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use socket2::Socket;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::checked::Answers;
use super::request_body::{BodyWatch, RequestBody};

/// Time that a connection gets to notice the end of its last exchange.
const TAKE_NOTICE: Duration = Duration::from_millis(20);

/// A connection to an upstream.
#[derive(Debug)]
pub(super) struct Connection {
    /// hyper's end.
    pub(super) sender: SendRequest<RequestBody>,
    /// A second descriptor of the same socket, to look at it without hyper.
    pub(super) probe: Socket,
    /// Where its answers begin and end, read without hyper.
    pub(super) answers: Answers,
}

impl Connection {
    /// Whether it cannot be used again: closed, or its last answer left it at no certain place.
    fn is_spoilt(&self) -> bool {
        self.sender.is_closed() || !self.answers.are_complete()
    }
}

/// The idle connections. Their number is bounded by `max_in_flight`: each was in use once, under a permit.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Vec<Idle>>,
    idle_timeout: Duration,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// An empty pool, and a task that closes what was idle for too long; it ends with the pool.
    pub(super) fn new(idle_timeout: Duration) -> Arc<Self> {
        let pool = Arc::new(Self {
            idle: Mutex::new(Vec::new()),
            idle_timeout,
        });
        tokio::spawn(sweep(Arc::downgrade(&pool), idle_timeout));
        pool
    }

    /// The latest idle connection that still stands. The socket itself is asked too: hyper may not have seen yet that the
    /// upstream closed it, or sent something nobody asked for, which the next answer must not be mistaken for.
    pub(super) async fn take(&self) -> Option<Connection> {
        loop {
            let Idle {
                mut connection,
                since,
            } = self.idle().pop()?;
            if since.elapsed() >= self.idle_timeout {
                // The others have been idle for longer still.
                self.idle().clear();
                return None;
            }
            if connection.is_spoilt() || !is_quiet(&connection.probe) {
                continue;
            }
            if connection.sender.is_ready() {
                return Some(connection);
            }
            // The answer was read to its end, so hyper's task has only to take notice; unless the upstream answered without
            // reading all of the request, which may take for ever.
            let ready =
                Box::pin(tokio::time::timeout(TAKE_NOTICE, connection.sender.ready())).await;
            if matches!(ready, Ok(Ok(()))) {
                return Some(connection);
            }
        }
    }

    fn put(&self, connection: Connection) {
        if !connection.is_spoilt() {
            self.idle().push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep(pool: Weak<Pool>, idle_timeout: Duration) {
    let mut ticks = tokio::time::interval(idle_timeout.max(Duration::from_millis(100)));
    loop {
        ticks.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        pool.idle()
            .retain(|idle| idle.since.elapsed() < idle_timeout && !idle.connection.is_spoilt());
    }
}

/// Whether the socket is open and nothing unasked has come in.
fn is_quiet(probe: &Socket) -> bool {
    let mut byte = [MaybeUninit::uninit(); 1];
    // The socket is non-blocking, as its twin is; `WouldBlock` is the only good answer.
    let seen = probe.peek(&mut byte);
    matches!(seen, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// A connection in use, with its place among the requests under way. Goes back to the pool only when told that the exchange is
/// complete; otherwise dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Option<Arc<Pool>>,
    connection: Connection,
    request_body: Option<Arc<BodyWatch>>,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Without a pool, the connection ends with the exchange.
    pub(super) fn new(
        pool: Option<Arc<Pool>>,
        connection: Connection,
        permit: OwnedSemaphorePermit,
        request_body: Option<Arc<BodyWatch>>,
    ) -> Self {
        Self {
            pool,
            connection,
            request_body,
            _permit: permit,
        }
    }

    /// Until when the request's body keeps the upstream busy; `None` when it has none.
    pub(super) fn busy_until(&self) -> Option<Instant> {
        self.request_body.as_ref().map(|body| body.busy_until())
    }

    /// Takes the connection out; its place among the requests under way is free again.
    pub(super) fn into_connection(self) -> Connection {
        self.connection
    }

    /// The answer was read to its end. An upstream that answered before it read the whole request keeps the connection busy with
    /// the rest, so that one is closed.
    pub(super) fn complete(self) {
        let request_is_over = self
            .request_body
            .as_ref()
            .is_none_or(|body| body.has_ended());
        if let (true, Some(pool)) = (request_is_over, self.pool) {
            pool.put(self.connection);
        }
    }
}
