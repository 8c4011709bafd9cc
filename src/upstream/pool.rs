//! Idle connections to one endpoint, latest first, so that few stay in use and the rest time out.
//! Each one is checked before it is used.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::request_body::BodyWatch;
use super::transport::http1::Connection;

/// Time that hyper's task gets to notice the end of its last exchange.
const READY_TIMEOUT: Duration = Duration::from_millis(20);
/// Shortest interval between two sweeps.
const MIN_SWEEP_INTERVAL: Duration = Duration::from_millis(100);

/// The idle connections. `max_in_flight` bounds their number: each one was used under a permit.
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
    /// An empty pool, and a task that closes connections after `idle_timeout`; it ends with the
    /// pool.
    pub(super) fn new(idle_timeout: Duration) -> Arc<Self> {
        let pool = Arc::new(Self {
            idle: Mutex::new(Vec::new()),
            idle_timeout,
        });
        tokio::spawn(sweep(Arc::downgrade(&pool), idle_timeout));
        pool
    }

    /// The latest idle connection that is still usable. The socket is peeked at too: hyper may not
    /// have noticed yet that the upstream closed it, or sent unexpected bytes that must not become
    /// the next response.
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
            if !connection.is_reusable() || !connection.is_quiet() {
                continue;
            }
            if connection.is_ready() {
                return Some(connection);
            }
            // The response was read to its end, so hyper's task has only to notice that; unless the
            // upstream responded without reading all of the request, which may take for ever.
            let ready = Box::pin(tokio::time::timeout(READY_TIMEOUT, connection.ready())).await;
            if matches!(ready, Ok(true)) {
                return Some(connection);
            }
        }
    }

    fn put(&self, connection: Connection) {
        if connection.is_reusable() {
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
    let mut ticks = tokio::time::interval(idle_timeout.max(MIN_SWEEP_INTERVAL));
    loop {
        ticks.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        pool.idle()
            .retain(|idle| idle.since.elapsed() < idle_timeout && idle.connection.is_reusable());
    }
}

/// A connection in use, with its permit. It returns to the pool only after a complete exchange;
/// otherwise dropping the guard closes it.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    pool: Option<Arc<Pool>>,
    connection: Connection,
    request_body: Option<Arc<BodyWatch>>,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionGuard {
    /// Without a pool, the connection is closed after the exchange.
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

    /// The time until which the request body accounts for silence; `None` without a body.
    pub(super) fn busy_until(&self) -> Option<Instant> {
        self.request_body.as_ref().map(|body| body.busy_until())
    }

    /// Takes the connection out and releases its permit.
    pub(super) fn into_connection(self) -> Connection {
        self.connection
    }

    /// Ends the exchange after the response was read to its end. A connection whose request body is
    /// still being sent, since the upstream responded early, is closed.
    pub(super) fn complete(self) {
        let request_is_complete = self
            .request_body
            .as_ref()
            .is_none_or(|body| body.has_ended());
        if let (true, Some(pool)) = (request_is_complete, self.pool) {
            pool.put(self.connection);
        }
    }
}
