//! One request from receipt to its single log line. `handle` adds id, clock, panic handling,
//! refusals and the log; `Snapshot::serve` runs the steps in between, in the order that security
//! rests on (docs/ARCHITECTURE.md).

mod authenticate;
mod catch_panic;
mod decision;
mod decrypt;
mod endpoint;
mod endpoints;
mod explain;
mod forward;
mod header_rules;
mod key_checks;
mod limits;
mod phone;
mod profile;
#[cfg(test)]
mod properties;
mod response;
mod snapshot;
mod unread_body;
mod upstream_request;

use std::sync::Arc;

use arc_swap::ArcSwap;
use hyper::body::{Body as _, Incoming};
use hyper::header::EXPECT;
use hyper::{HeaderMap, Method, Request, Response, Version};
use tokio_util::task::TaskTracker;

use self::catch_panic::catch_panic;
use self::decision::Head;
pub use self::explain::{Explanation, Forwarding};
use self::response::GatewayResponse;
pub use self::response::LoggedBody;
pub use self::snapshot::{Services, Snapshot, UnknownUpstream};
use self::unread_body::UnreadBody;
use crate::config::{Server, Style};
use crate::error::Error;
use crate::http::address::{Peer, client_address};
use crate::http::framing::RefusedHead;
use crate::http::request_id::{self, RequestIds, X_REQUEST_ID};
use crate::limit::RateLimitStatus;
use crate::request_log::Record;
use crate::upstream::Tunnel;

/// Serves requests with the current snapshot. Shared by all connections.
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    ids: RequestIds,
    /// Work that outlives its connection: tunnels, and logins whose client has disconnected.
    tasks: TaskTracker,
}

/// The state of a request between steps.
struct RequestContext<'r, 's> {
    head: Head<'s>,
    body: &'r mut UnreadBody,
    peer: &'r Peer,
    /// The peer is a trusted proxy.
    trusted: bool,
    /// The query without the skey.
    query: Option<String>,
    outcome: &'r mut Outcome<'s>,
}

/// The parts of a request that log and response need in any case, also after a panic.
struct Outcome<'s> {
    record: Box<Record>,
    /// The style of a refusal.
    style: &'s Style,
    /// The status of the tightest limit.
    rate_limit: Option<RateLimitStatus>,
}

/// A tunnel whose 101 response is being sent.
pub struct OpenTunnel {
    tunnel: Box<Tunnel>,
    record: Box<Record>,
}

impl Gateway {
    /// Serves requests with this snapshot until another replaces it; draining waits for `tasks`.
    #[must_use]
    pub fn new(snapshot: Snapshot, tasks: TaskTracker) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            ids: RequestIds::new(),
            tasks,
        }
    }

    /// The current snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Serves further requests with another snapshot; requests in flight keep theirs.
    pub fn replace(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// `[server]` of the current snapshot.
    #[must_use]
    pub fn server(&self) -> Arc<Server> {
        Arc::clone(&self.snapshot.load().server)
    }

    /// Tasks that draining waits for, besides connections.
    #[must_use]
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Serves one request. Never fails: errors become a response and a log line. The caller runs
    /// the tunnel of a 101.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> (Response<LoggedBody>, Option<OpenTunnel>) {
        let snapshot = self.snapshot.load_full();
        let (parts, body) = request.into_parts();
        let trusted_proxies = &snapshot.server.trusted_proxies;
        let trusted = peer.is_trusted(trusted_proxies);
        let from_proxy = if trusted {
            request_id::from_proxy(&parts.headers)
        } else {
            None
        };
        let mut record = Box::new(Record::new(
            Arc::clone(&snapshot.access_log),
            from_proxy.unwrap_or_else(|| self.ids.next()),
            parts.method.clone(),
            parts.version,
            parts.uri.path(),
        ));
        record.client = client_address(peer, &parts.headers, trusted_proxies);
        let mut outcome = Outcome {
            record,
            style: &Style::Plain,
            rate_limit: None,
        };
        let mut body = UnreadBody::new(body);
        // Reading a body that the client holds back (`Expect: 100-continue`) would request it.
        let held_back = parts.headers.contains_key(EXPECT);
        let is_http1 = parts.version < Version::HTTP_2;
        let uri = parts.uri.clone();
        let context = RequestContext {
            query: uri.query().map(str::to_owned),
            head: Head::new(parts, &uri),
            body: &mut body,
            peer,
            trusted,
            outcome: &mut outcome,
        };
        let served = catch_panic(snapshot.serve(context)).await;
        let Outcome {
            mut record,
            style,
            rate_limit,
        } = outcome;
        let mut response = served.unwrap_or_else(|error| {
            record.fail(&error);
            GatewayResponse::refusal(&error, style, record.id.as_str())
        });
        if let Some(status) = rate_limit {
            response.set_rate_limit(status);
        }
        // An HTTP/1 connection cannot continue without the rest of the body; without `Connection:
        // close` the client would lose its next request.
        if is_http1 && !body.is_end_stream() && (held_back || !Box::pin(body.discard()).await) {
            response.end_connection();
        }
        finish(response, record)
    }

    /// Responds to a request whose bytes were refused.
    pub fn refuse(&self, refused: &RefusedHead, peer: &Peer) -> Response<LoggedBody> {
        let snapshot = self.snapshot.load();
        let (method, path) = refused.line.as_ref().map_or_else(
            || (Method::from_bytes(b"-").unwrap_or_default(), "-"),
            |(method, path)| (method.clone(), path.as_str()),
        );
        let mut record = Box::new(Record::new(
            Arc::clone(&snapshot.access_log),
            self.ids.next(),
            method,
            Version::HTTP_11,
            path,
        ));
        let trusted_proxies = &snapshot.server.trusted_proxies;
        record.client = client_address(peer, &HeaderMap::new(), trusted_proxies);
        let error = Error::from(refused.error);
        record.fail(&error);
        let response = GatewayResponse::refusal(&error, &Style::Plain, record.id.as_str());
        finish(response, record).0
    }
}

impl OpenTunnel {
    /// Copies bytes both ways until one side ends; then writes the log line.
    pub async fn run(self) {
        let Self { tunnel, mut record } = self;
        let traffic = tunnel.run().await;
        record.bytes_in = traffic.up;
        record.bytes_out = traffic.down;
    }
}

/// Adds the request id, and ties the log line to the end of the body or tunnel.
fn finish(
    response: GatewayResponse,
    mut record: Box<Record>,
) -> (Response<LoggedBody>, Option<OpenTunnel>) {
    let GatewayResponse {
        mut response,
        tunnel,
        request_body,
    } = response;
    response
        .headers_mut()
        .insert(X_REQUEST_ID, record.id.value().clone());
    record.status = Some(response.status().as_u16());
    match tunnel {
        None => {
            let response = response.map(|body| LoggedBody::new(body, record, request_body));
            (response, None)
        }
        Some(tunnel) => (
            response.map(|_| LoggedBody::empty()),
            Some(OpenTunnel { tunnel, record }),
        ),
    }
}
