//! A named upstream: endpoints that give the same service. A caller sends it a request and gets the
//! response of one of them. The choice of the endpoint, its connections and the retries are decided
//! here and nowhere else. Bodies stream both ways; nothing is buffered.

mod balance;
mod endpoint;
mod permits;
mod pool;
mod request_body;
mod response;
mod retry;
#[cfg(test)]
mod tests;
pub mod transport;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Request, Response, Uri, Version};

use self::endpoint::Endpoint;
pub use self::request_body::{BodyFailure, BodyWatch, RequestBody};
pub use self::response::ResponseBody;
pub use self::tunnel::{Tunnel, Upgrade};
use crate::config::Upstream as UpstreamConfig;
use crate::error::Error;

/// An upstream with its endpoints. Made once per configuration; shared by all requests.
#[derive(Debug)]
pub struct Upstream {
    name: Arc<str>,
    config: UpstreamConfig,
    endpoints: Vec<Arc<Endpoint>>,
}

/// A request that is ready to be sent: identity set, hop-by-hop headers removed, and in `Host` what
/// the client named, if anything.
#[derive(Debug)]
pub struct UpstreamRequest {
    /// Method and headers; the version, the URI and, by the upstream's rule, the `Host` are
    /// replaced.
    pub parts: Parts,
    /// Path and query of the request line.
    pub target: PathAndQuery,
    /// Body, if any.
    pub body: RequestBody,
    /// Time to the first byte of the response, and between two pieces of it.
    pub timeout: Duration,
    /// The protocol to switch to, when the client asked to.
    pub upgrade: Option<Upgrade>,
}

/// One try of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The name of the upstream.
    pub upstream: Arc<str>,
    /// The address of the endpoint: host and port, or `unix:` and the socket.
    pub address: Arc<str>,
    /// Tries so far, this one included.
    pub tries: u32,
}

/// The response of an endpoint.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// The try that gave it: which endpoint, and after how many tries.
    pub attempt: Attempt,
    /// The response itself.
    pub kind: ResponseKind,
}

/// The two kinds of responses that are passed on.
#[derive(Debug)]
pub enum ResponseKind {
    /// A response with a body.
    Final(Response<ResponseBody>),
    /// 101: the head is passed on, then the tunnel runs.
    Switching(Response<()>, Box<Tunnel>),
}

impl Upstream {
    /// Prepares an upstream; connects to nothing yet. Endpoints that `previous` has too keep their
    /// connections, their permits and what is known of their health.
    #[must_use]
    pub fn new(name: &str, config: UpstreamConfig, previous: Option<&Self>) -> Self {
        let endpoint = |server: &_| {
            let mut known = previous
                .into_iter()
                .flat_map(|previous| &previous.endpoints);
            match known.find(|endpoint| endpoint.fits(server, &config)) {
                Some(endpoint) => Arc::clone(endpoint),
                None => Arc::new(Endpoint::new(server, &config)),
            }
        };
        Self {
            name: Arc::from(name),
            endpoints: config.servers.iter().map(endpoint).collect(),
            config,
        }
    }

    /// The upstream's table in the configuration.
    #[must_use]
    pub fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// Sends a request. `on_attempt` is called before each try, the wait for a permit included, so
    /// that the caller knows the endpoint of a request that fails or is cancelled, too.
    ///
    /// A failed connect, or a connection found closed before anything was sent, is retried for
    /// every method; a reset before the first byte only for idempotent methods without a body,
    /// since any other request may have been executed.
    ///
    /// # Errors
    /// `Overloaded`, `UpstreamRefused`, `UpstreamReset`, `UpstreamProtocol`, `UpstreamTimeout`; and
    /// where the client's own body was the cause, `BodyTooLarge`, `RequestTimeout` or `BadRequest`.
    pub fn send(
        &self,
        request: UpstreamRequest,
        on_attempt: impl FnMut(&Attempt),
    ) -> impl Future<Output = Result<UpstreamResponse, Error>> {
        let UpstreamRequest {
            mut parts,
            target,
            body,
            timeout,
            upgrade,
        } = request;
        parts.uri = Uri::from(target);
        parts.version = Version::HTTP_11;
        let request = Request::from_parts(parts, body);
        retry::send(self, request, timeout, upgrade, on_attempt)
    }

    /// The first try of a request, without sending anything: sets its `Host`.
    ///
    /// # Errors
    /// `UpstreamRefused` without endpoints.
    pub fn preview(&self, headers: &mut HeaderMap) -> Result<Attempt, Error> {
        let (_, endpoint) = self.pick(&[])?;
        let is_named = headers.contains_key(hyper::header::HOST);
        endpoint.set_host(headers, is_named);
        Ok(self.attempt(endpoint, 1))
    }

    /// The endpoint of the next try, and its position; `failed` has the positions of failed tries.
    fn pick(&self, failed: &[usize]) -> Result<(usize, &Endpoint), Error> {
        let state = |(position, endpoint): (usize, &Arc<Endpoint>)| {
            endpoint.state(failed.iter().filter(|at| **at == position).count())
        };
        balance::pick(self.endpoints.iter().enumerate().map(state))
            .and_then(|position| Some((position, self.endpoints.get(position)?.as_ref())))
            .ok_or_else(|| Error::UpstreamRefused("the upstream has no endpoint".to_owned()))
    }

    fn attempt(&self, endpoint: &Endpoint, tries: u32) -> Attempt {
        Attempt {
            upstream: Arc::clone(&self.name),
            address: Arc::clone(endpoint.label()),
            tries,
        }
    }
}
