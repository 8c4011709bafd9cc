//! The tries of one request: which endpoint, over which connection, and whether one more is
//! allowed.
//!
//! A failed connect, or a connection found closed before anything was sent, is retried for every
//! method. A reset before the response is retried only for idempotent methods without a body: any
//! other request may have been executed.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::header::HOST;
use hyper::{Method, Request, Response};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::pool::ConnectionGuard;
use super::request_body::{BodyFailure, BodyWatch, RequestBody};
use super::transport::http1::Connection;
use super::tunnel::Upgrade;
use super::{Attempt, Upstream, UpstreamResponse, response};
use crate::error::{Error, UpstreamWait};

/// A try without a response.
enum Failure {
    /// Nothing of the request was sent, so it may be sent again.
    Unsent(Box<Request<RequestBody>>, Error),
    /// The upstream may have executed some of it.
    Sent(Error),
}

/// The endpoint that has the request now, for one try or several.
struct Target<'a> {
    position: usize,
    endpoint: &'a Endpoint,
    permit: OwnedSemaphorePermit,
    /// A connection was found closed, so the other pooled ones probably are closed too.
    fresh_only: bool,
}

/// Sends a request, to one endpoint after the other if need be. `on_attempt` is called before each
/// try, so that the caller knows the endpoint even when this future is dropped.
pub(super) async fn send(
    upstream: &Upstream,
    mut request: Request<RequestBody>,
    timeout: Duration,
    upgrade: Option<Upgrade>,
    mut on_attempt: impl FnMut(&Attempt),
) -> Result<UpstreamResponse, Error> {
    let body = request.body().watch();
    let is_repeatable = body.is_none() && upgrade.is_none() && is_idempotent(request.method());
    let is_head = request.method() == Method::HEAD;
    let names_host = request.headers().contains_key(HOST);
    let mut retries_left = upstream.config.retries;
    // Positions of the endpoints that failed, one for each failed try.
    let mut failed = Vec::new();
    let mut last: Option<Target<'_>> = None;
    let mut tries = 1;
    let (response, connection, target, attempt) = loop {
        let (position, endpoint) = upstream.pick(&failed)?;
        let attempt = upstream.attempt(endpoint, tries);
        on_attempt(&attempt);
        // Another endpoint's permit is released before the wait for one of this endpoint.
        let kept = last.take().filter(|target| target.position == position);
        let mut target = match kept {
            Some(target) => target,
            None => Target {
                position,
                endpoint,
                permit: endpoint.permit(timeout).await?,
                fresh_only: false,
            },
        };
        endpoint.set_host(request.headers_mut(), names_host);
        let spare = (is_repeatable && retries_left > 0).then(|| clone_head(&request));
        let error = match target.exchange(request, timeout, body.as_ref()).await {
            Ok((response, connection)) => break (response, connection, target, attempt),
            Err(Failure::Unsent(unsent, error)) => {
                request = *unsent;
                error
            }
            Err(Failure::Sent(error)) => {
                // A timeout is not retried: the next try would probably time out too.
                let (Some(spare), false) = (spare, matches!(error, Error::UpstreamTimeout(_)))
                else {
                    return Err(error);
                };
                request = spare;
                error
            }
        };
        if retries_left == 0 {
            return Err(error);
        }
        retries_left -= 1;
        tries += 1;
        failed.push(position);
        last = Some(target);
    };
    // An upstream that wrongly sends a body for HEAD would send it into the next response.
    let pool = (!is_head).then(|| Arc::clone(target.endpoint.pool()));
    let guard = ConnectionGuard::new(pool, connection, target.permit, body);
    let kind = response::finish(response, guard, timeout, upgrade)?;
    Ok(UpstreamResponse { attempt, kind })
}

impl Target<'_> {
    /// One try: over a pooled connection if there is one, and once more over a new connection if
    /// the pooled one was found closed before anything was sent.
    async fn exchange(
        &mut self,
        mut request: Request<RequestBody>,
        timeout: Duration,
        body: Option<&Arc<BodyWatch>>,
    ) -> Result<(Response<Incoming>, Connection), Failure> {
        loop {
            let mut connection = match self.connection().await {
                Ok(connection) => connection,
                Err(error) => return Err(Failure::Unsent(Box::new(request), error)),
            };
            let sending = connection.send(request);
            let failure = match response_head(sending, timeout, body, &connection).await {
                Ok(response) => return Ok((response, connection)),
                Err(failure) => failure,
            };
            let was_fresh_only = std::mem::replace(&mut self.fresh_only, true);
            match failure {
                Failure::Unsent(unsent, _) if !was_fresh_only => request = *unsent,
                failure => return Err(failure),
            }
        }
    }

    async fn connection(&self) -> Result<Connection, Error> {
        if !self.fresh_only
            && let Some(connection) = self.endpoint.pool().take().await
        {
            return Ok(connection);
        }
        Box::pin(self.endpoint.connect()).await
    }
}

/// Waits for the head of the response. The deadline runs from the last piece of the request body; a
/// client that stops sending in the middle of the body has a deadline of its own.
async fn response_head(
    sending: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>,
    timeout: Duration,
    body: Option<&Arc<BodyWatch>>,
    connection: &Connection,
) -> Result<Response<Incoming>, Failure> {
    let mut sending = pin!(sending);
    let mut deadline = Instant::now() + timeout;
    loop {
        match tokio::time::timeout_at(deadline, sending.as_mut()).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(mut failed)) => {
                let unsent = failed.take_message();
                let error = explain(failed.error(), body, connection);
                return Err(match unsent {
                    Some(request) => Failure::Unsent(Box::new(request), error),
                    None => Failure::Sent(error),
                });
            }
            Err(_) => {
                let progress = body.map_or(deadline, |body| body.busy_until() + timeout);
                if progress <= deadline {
                    let wait = UpstreamWait::FirstByte(timeout);
                    return Err(Failure::Sent(Error::UpstreamTimeout(wait)));
                }
                deadline = progress;
            }
        }
    }
}

/// Names the cause of a failed exchange. A failure of the client's body comes first, since it also
/// ends the upstream connection.
fn explain(error: &hyper::Error, body: Option<&Arc<BodyWatch>>, connection: &Connection) -> Error {
    match body.and_then(|body| body.failure()) {
        Some(BodyFailure::TooLarge) => Error::BodyTooLarge,
        Some(BodyFailure::TimedOut) => Error::RequestTimeout,
        Some(BodyFailure::Damaged) => Error::BadRequest("the body is damaged or incomplete"),
        None => connection.explain(error),
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
