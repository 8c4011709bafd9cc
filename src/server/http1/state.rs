//! State of one HTTP/1 connection: the service, the strict reader and the connection's task read
//! and set it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use futures_util::task::AtomicWaker;

use crate::http::framing::RefusedHead;
use crate::server::connection_state::{ConnectionState, RequestGuard};

/// What HTTP/1 keeps beside the state that both protocols share.
#[derive(Debug)]
pub(in crate::server) struct Http1State {
    connection: Arc<ConnectionState>,
    /// The reader that waits for the end of a request.
    request_ended: AtomicWaker,
    is_tunnel: AtomicBool,
    skips_linger: AtomicBool,
    /// Set once: no request follows a refused one.
    refused: OnceLock<Box<RefusedHead>>,
}

/// One HTTP/1 request in flight; dropping it ends the request and wakes the reader.
#[derive(Debug)]
pub(in crate::server) struct Http1Request {
    /// `None` only while it is dropped or becomes a tunnel.
    guard: Option<RequestGuard>,
    state: Arc<Http1State>,
}

impl Http1State {
    pub(in crate::server) fn new(connection: Arc<ConnectionState>) -> Arc<Self> {
        Arc::new(Self {
            connection,
            request_ended: AtomicWaker::new(),
            is_tunnel: AtomicBool::new(false),
            skips_linger: AtomicBool::new(false),
            refused: OnceLock::new(),
        })
    }

    pub(in crate::server) fn start_request(self: &Arc<Self>) -> Http1Request {
        Http1Request {
            guard: Some(self.connection.start_request()),
            state: Arc::clone(self),
        }
    }

    /// Whether this many requests have come and ended.
    pub(super) fn has_responded(&self, requests: u64) -> bool {
        self.connection.requests() >= requests && self.connection.is_idle()
    }

    /// Wakes the task when a request ends; `false` when this many have ended already.
    pub(super) fn wake_when_responded(&self, requests: u64, waker: &Waker) -> bool {
        self.request_ended.register(waker);
        !self.has_responded(requests)
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.is_tunnel.load(Ordering::Acquire)
    }

    /// The next request is a placeholder for this refused one.
    pub(super) fn refuse(&self, refused: RefusedHead) {
        let _ = self.refused.set(Box::new(refused));
    }

    /// From now on the connection closes without lingering.
    pub(in crate::server) fn skip_linger(&self) {
        self.skips_linger.store(true, Ordering::Relaxed);
    }

    pub(super) fn skips_linger(&self) -> bool {
        self.skips_linger.load(Ordering::Relaxed)
    }
}

impl Http1Request {
    /// The refused request that this one is a placeholder for.
    pub(in crate::server) fn refused(&self) -> Option<&RefusedHead> {
        self.state.refused.get().map(Box::as_ref)
    }

    /// Turns the connection into a tunnel: bytes pass unread from now on.
    pub(in crate::server) fn into_tunnel(mut self) {
        self.state.is_tunnel.store(true, Ordering::Release);
        if let Some(guard) = self.guard.take() {
            guard.into_tunnel();
        }
    }
}

impl Drop for Http1Request {
    fn drop(&mut self) {
        // The reader looks for requests in flight when it wakes, so this one ends first.
        drop(self.guard.take());
        self.state.request_ended.wake();
    }
}
