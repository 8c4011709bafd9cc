//! Passes a request to its upstream and brings the answer back. Bodies stream both ways; nothing is buffered here.

mod checked;
mod connect;
pub mod framer;
mod pool;
mod request_body;
mod response;
mod tunnel;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, Uri, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use self::checked::Answers;
use self::connect::Dialer;
use self::pool::{Lease, Pool};
pub use self::request_body::{BodyFailure, BodyWatch, RequestBody};
pub use self::response::ResponseBody;
pub use self::tunnel::{Tunnel, Upgrade};
use crate::config::Upstream as UpstreamConfig;
use crate::error::{Error, UpstreamWait, chain};

/// One upstream service with its connections. Made once per configuration; shared by all requests.
#[derive(Debug)]
pub struct Upstream {
    config: UpstreamConfig,
    dialer: Dialer,
    pool: Arc<Pool>,
    places: Arc<Semaphore>,
    pending: AtomicUsize,
}

/// A request that is ready to go: identity set, hop-by-hop headers gone.
#[derive(Debug)]
pub struct Outgoing {
    /// Method and headers; the version and URI are replaced.
    pub parts: Parts,
    /// Path and query to ask for.
    pub target: PathAndQuery,
    /// Body, if any.
    pub body: RequestBody,
    /// Time to the first byte of the answer, and between two pieces of it.
    pub timeout: Duration,
    /// The protocol to switch to, when the client asked to.
    pub upgrade: Option<Upgrade>,
}

/// An answer of the upstream.
#[derive(Debug)]
pub enum Answer {
    /// To be passed on.
    Response(Response<ResponseBody>),
    /// 101: to be passed on, and then the tunnel run.
    Switched(Response<()>, Box<Tunnel>),
}

/// A try that brought no answer.
enum Failure {
    /// Nothing of the request was sent; it may go anywhere again.
    Unsent(Box<Request<RequestBody>>, Error),
    /// Some of it may have been executed.
    Sent(Error),
}

impl Upstream {
    /// Prepares an upstream; connects to nothing yet.
    #[must_use]
    pub fn new(config: UpstreamConfig) -> Self {
        let pool = Pool::new(config.idle_timeout);
        let places = Arc::new(Semaphore::new(config.max_in_flight));
        let dialer = Dialer::new(config.server.clone(), config.connect_timeout);
        Self {
            config,
            dialer,
            pool,
            places,
            pending: AtomicUsize::new(0),
        }
    }

    /// What the file says of it.
    #[must_use]
    pub fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// The server's address for the log.
    #[must_use]
    pub fn address(&self) -> &str {
        self.dialer.label()
    }

    /// The server's own name, for `Host`.
    #[must_use]
    pub fn host(&self) -> &str {
        self.dialer.host()
    }

    /// Forwards one request.
    ///
    /// A failed connect, or a connection found closed before anything was sent, is tried again for every method; a reset before
    /// the first byte only for idempotent methods without a body: nothing else can be known not to have been executed.
    ///
    /// # Errors
    /// `Overloaded`, `UpstreamRefused`, `UpstreamReset`, `UpstreamProtocol`, `UpstreamTimeout`; and where the client's own body
    /// was the cause, `BodyTooLarge`, `RequestTimeout` or `BadRequest`.
    pub fn forward(&self, outgoing: Outgoing) -> impl Future<Output = Result<Answer, Error>> {
        let Outgoing {
            mut parts,
            target,
            body,
            timeout,
            upgrade,
        } = outgoing;
        parts.uri = Uri::from(target);
        parts.version = Version::HTTP_11;
        self.exchange(Request::from_parts(parts, body), timeout, upgrade)
    }

    async fn exchange(
        &self,
        mut request: Request<RequestBody>,
        timeout: Duration,
        upgrade: Option<Upgrade>,
    ) -> Result<Answer, Error> {
        let watch = request.body().watch();
        let repeatable = watch.is_none() && upgrade.is_none() && is_idempotent(request.method());
        let is_head = request.method() == Method::HEAD;
        let permit = self.place(timeout).await?;
        let mut tries_left = self.config.retries;
        let mut fresh_only = false;
        let (response, connection) = loop {
            let pooled = if fresh_only {
                None
            } else {
                self.pool.take().await
            };
            let mut connection = match pooled {
                Some(connection) => connection,
                None => match Box::pin(self.dialer.connect()).await {
                    Ok(connection) => connection,
                    Err(_) if tries_left > 0 => {
                        tries_left -= 1;
                        continue;
                    }
                    Err(error) => return Err(error),
                },
            };
            let spare = repeatable.then(|| clone_head(&request));
            connection.answers.expect_one(request.method());
            let sending = connection.sender.try_send_request(request);
            match answered(sending, timeout, watch.as_ref(), &connection.answers).await {
                Ok(response) => break (response, connection),
                Err(Failure::Unsent(unsent, error)) => {
                    if fresh_only && tries_left == 0 {
                        return Err(error);
                    }
                    tries_left = tries_left.saturating_sub(u32::from(fresh_only));
                    request = *unsent;
                }
                Err(Failure::Sent(error)) => {
                    let (Some(spare), true) = (spare, tries_left > 0) else {
                        return Err(error);
                    };
                    // A deadline that passed once would pass again.
                    if matches!(error, Error::UpstreamTimeout(_)) {
                        return Err(error);
                    }
                    tries_left -= 1;
                    request = spare;
                }
            }
            // One pooled connection was stale, so its neighbours probably are.
            fresh_only = true;
        };
        // An upstream that sends a body for HEAD, as hand-written ones do, would leave it to the next request.
        let pool = (!is_head).then(|| Arc::clone(&self.pool));
        let lease = Lease::new(pool, connection, permit, watch);
        response::finish(response, lease, timeout, upgrade)
    }

    /// Waits for one of the `max_in_flight` places; at most `max_pending` requests wait.
    async fn place(&self, patience: Duration) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(permit);
        }
        Box::pin(self.wait_for_place(patience)).await
    }

    async fn wait_for_place(&self, patience: Duration) -> Result<OwnedSemaphorePermit, Error> {
        let _waiting = Waiting::enter(&self.pending, self.config.max_pending)?;
        let place = Arc::clone(&self.places).acquire_owned();
        match tokio::time::timeout(patience, place).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Error::Overloaded),
        }
    }
}

/// Waits for the head of the answer. The deadline runs from the last piece of the request body; a client that stops sending in the
/// middle of it has one of its own, which is not the upstream's fault.
async fn answered(
    sending: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>,
    timeout: Duration,
    watch: Option<&Arc<BodyWatch>>,
    answers: &Answers,
) -> Result<Response<Incoming>, Failure> {
    let mut sending = pin!(sending);
    let mut deadline = Instant::now() + timeout;
    loop {
        match tokio::time::timeout_at(deadline, sending.as_mut()).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(mut failed)) => {
                let unsent = failed.take_message();
                let error = explain(failed.error(), watch, answers);
                return Err(match unsent {
                    Some(request) => Failure::Unsent(Box::new(request), error),
                    None => Failure::Sent(error),
                });
            }
            Err(_) => {
                let progress = watch.map_or(deadline, |watch| watch.busy_until() + timeout);
                if progress <= deadline {
                    let wait = UpstreamWait::FirstByte(timeout);
                    return Err(Failure::Sent(Error::UpstreamTimeout(wait)));
                }
                deadline = progress;
            }
        }
    }
}

/// One of the requests that wait for a place; leaving is counted even when the request is cancelled.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(pending: &'a AtomicUsize, most: usize) -> Result<Self, Error> {
        let waiting = Self(pending);
        if pending.fetch_add(1, Ordering::Relaxed) >= most {
            return Err(Error::Overloaded);
        }
        Ok(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Idempotent by RFC 9110, 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PUT,
        Method::DELETE,
    ]
    .contains(method)
}

fn clone_head(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::none());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// Names the cause of a failed exchange; the client's own body comes first, since its end also ends the upstream connection.
fn explain(error: &hyper::Error, watch: Option<&Arc<BodyWatch>>, answers: &Answers) -> Error {
    match watch.and_then(|watch| watch.failure()) {
        Some(BodyFailure::TooLarge) => return Error::BodyTooLarge,
        Some(BodyFailure::TimedOut) => return Error::RequestTimeout,
        Some(BodyFailure::Damaged) => {
            return Error::BadRequest("the body is damaged or incomplete");
        }
        None => {}
    }
    if let Some(fault) = answers.fault() {
        return Error::UpstreamProtocol(format!("the upstream's answer is not sound: {fault}"));
    }
    if error.is_parse() || error.is_parse_status() || error.is_parse_too_large() {
        return Error::UpstreamProtocol(chain(error));
    }
    if error.is_incomplete_message() || error.is_canceled() {
        return Error::UpstreamReset(
            "the upstream closed the connection before its answer".to_owned(),
        );
    }
    Error::UpstreamReset(chain(error))
}
