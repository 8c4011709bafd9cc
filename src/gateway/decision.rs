//! Decides where a request goes from its head alone: framing, method, target, host, identity
//! headers, path, endpoint, route. Pure: calls no store and no upstream. Forwarding and `explain`
//! both use it.

use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, Uri, Version};

use super::endpoint::Endpoint;
use super::snapshot::{CompiledRoute, Snapshot};
use crate::config::{PathPolicy, Style};
use crate::error::Error;
use crate::http::path::{CanonicalPath, PathProblem};
use crate::http::{framing, host, method, target};
use crate::route::RouteMatch;

/// The head of a request and the results so far; also read after a refusal, for the log and
/// `explain`.
pub(super) struct Head<'a> {
    pub(super) parts: Parts,
    /// The target as received; `path` borrows from it.
    uri: &'a Uri,
    pub(super) authority: Option<Authority>,
    /// The host for routing.
    pub(super) host: Option<String>,
    path: Option<RoutedPath<'a>>,
    pub(super) decision: Option<Decision<'a>>,
}

/// The path for routing and forwarding.
enum RoutedPath<'a> {
    Canonical(CanonicalPath<'a>),
    /// As received: `path_policy = "raw"`.
    Raw(&'a str),
}

/// The handler of a request.
#[derive(Clone, Copy)]
pub(super) enum Decision<'a> {
    /// An endpoint of the gateway's own.
    Endpoint(Endpoint<'a>),
    /// A route.
    Route(&'a Arc<CompiledRoute>),
}

impl<'a> Head<'a> {
    /// `uri` is a copy of the one in `parts`.
    pub(super) fn new(parts: Parts, uri: &'a Uri) -> Self {
        Self {
            parts,
            uri,
            authority: None,
            host: None,
            path: None,
            decision: None,
        }
    }

    /// The path for routing and forwarding; `None` if the request was refused before it was known.
    pub(super) fn routed_path(&self) -> Option<&str> {
        self.path.as_ref().map(|path| match path {
            RoutedPath::Canonical(path) => path.as_str(),
            RoutedPath::Raw(path) => path,
        })
    }

    /// The routed path, or the received path if that is not known.
    pub(super) fn path(&self) -> &str {
        self.routed_path().unwrap_or(self.uri.path())
    }
}

impl<'a> Decision<'a> {
    /// The style of a refusal.
    pub(super) fn style(&self, snapshot: &'a Snapshot) -> &'a Style {
        match self {
            Self::Endpoint(endpoint) => endpoint.style(snapshot),
            Self::Route(route) => &route.config.style,
        }
    }
}

/// Decides. The order is a security property (docs/ARCHITECTURE.md): each part is read only after
/// it has been made unambiguous.
///
/// # Errors
/// The first cause of a refusal. `head` keeps the results up to it.
pub(super) fn decide<'a>(
    snapshot: &'a Snapshot,
    head: &mut Head<'a>,
) -> Result<Decision<'a>, Error> {
    if head.parts.version == Version::HTTP_2 {
        framing::check_http2(&head.parts)?;
    }
    method::check(&head.parts.method)?;
    target::check(&head.parts)?;
    head.authority = host::authority(&head.parts)?;
    head.host = head.authority.as_ref().map(host::routing_name);

    // Before anything reads the headers: no route accepts an identity from the client.
    snapshot.policy.strip(&mut head.parts.headers);

    head.path = Some(match snapshot.server.path_policy {
        PathPolicy::Strict => RoutedPath::Canonical(CanonicalPath::parse(head.uri.path())?),
        PathPolicy::Raw => RoutedPath::Raw(head.uri.path()),
    });

    // Before routes, so that no route can shadow login or logout.
    if let Some(endpoint) = snapshot.endpoint(head.path()) {
        head.decision = Some(Decision::Endpoint(endpoint));
        endpoint.check_method(&head.parts.method)?;
        return Ok(Decision::Endpoint(endpoint));
    }

    let route = find_route(snapshot, head)?;
    head.decision = Some(Decision::Route(route));
    if let Some(RoutedPath::Canonical(path)) = &head.path {
        path.check_encoded(&route.config.allow_encoded)?;
    }
    Ok(Decision::Route(route))
}

/// The route of a request. A service that honours `X-HTTP-Method-Override` sees another method than
/// the one routed on, so that method must lead to the same route.
fn find_route<'a>(
    snapshot: &'a Snapshot,
    head: &Head<'_>,
) -> Result<&'a Arc<CompiledRoute>, Error> {
    let (host, path) = (head.host.as_deref(), head.path());
    let find = |method: &Method| match snapshot.routes.find(host, path, method) {
        RouteMatch::Route(route) => Ok(route),
        RouteMatch::Resembles(stricter) => {
            Err(PathProblem::Resembles(stricter.config.path.to_string()).into())
        }
        RouteMatch::OtherMethods(allow) => Err(Error::MethodNotAllowed { allow }),
        RouteMatch::Nothing => Err(Error::NoRoute),
    };
    let route = find(&head.parts.method)?;
    for method in method::overrides(&head.parts.headers)? {
        if !Arc::ptr_eq(find(&method)?, route) {
            return Err(Error::BadRequest(
                "the headers name another method, which is another route's",
            ));
        }
    }
    Ok(route)
}
