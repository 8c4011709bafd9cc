//! Builds the request for the upstream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::Version;
use hyper::body::Body as _;
use hyper::header::{
    CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, TRAILER,
    TRANSFER_ENCODING,
};
use hyper::http::request::Parts;
use hyper::http::uri::{Authority, PathAndQuery};

use super::RequestContext;
use super::decision::Head;
use super::header_rules::apply;
use super::snapshot::Snapshot;
use crate::auth::{self, BODY_TOKEN_LIMIT, BodyText, ExtractedToken};
use crate::config::{Route, TokenSource};
use crate::error::Error;
use crate::http::address::Peer;
use crate::http::body::{self, BodyProblem};
use crate::http::forwarded::{remove_forwarded, remove_imitated_forwarded};
use crate::http::headers::remove_hop_by_hop;
use crate::http::path::CanonicalPath;
use crate::http::request_id::{self, RequestId, X_REQUEST_ID};
use crate::identity::Identity;
use crate::request_log::Record;
use crate::upstream::{RequestBody, Upgrade, Upstream, UpstreamRequest};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A body that was read to find the skey, without the skey; `None` if it streams.
pub(super) type ReadBody = Option<Bytes>;

impl Snapshot {
    /// Builds the upstream's request.
    ///
    /// # Errors
    /// The path is ambiguous once the route has changed its prefix.
    pub(super) fn upstream_request<'r>(
        &self,
        upstream: &Upstream,
        route: &Route,
        context: RequestContext<'r, '_>,
        read: ReadBody,
        identity: Option<&Identity>,
    ) -> Result<(UpstreamRequest, &'r mut Record), Error> {
        let target = target(route, context.head.path(), context.query.as_deref())?;
        let RequestContext {
            head,
            body,
            peer,
            trusted,
            outcome,
            ..
        } = context;
        let Head {
            mut parts,
            authority,
            ..
        } = head;
        let record = &mut *outcome.record;
        let sender = Sender {
            peer,
            trusted,
            authority: authority.as_ref(),
            id: &record.id,
        };
        let upgrade = self.upstream_headers(&mut parts, &sender, route, identity);
        let body = match read {
            Some(bytes) => {
                parts.headers.remove(TRAILER);
                parts
                    .headers
                    .insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
                RequestBody::whole(bytes)
            }
            None => match body.take() {
                None => RequestBody::none(),
                Some(body) => {
                    // hyper assumes that a GET without a length has no body.
                    if !body.is_end_stream() && !parts.headers.contains_key(CONTENT_LENGTH) {
                        let chunked = HeaderValue::from_static("chunked");
                        parts.headers.insert(TRANSFER_ENCODING, chunked);
                    }
                    RequestBody::stream(
                        body,
                        route.max_body,
                        self.server.body_timeout,
                        Arc::clone(&self.policy),
                    )
                }
            },
        };
        let timeout = route.timeout.unwrap_or(upstream.config().response_timeout);
        let request = UpstreamRequest {
            parts,
            target,
            body,
            timeout,
            upgrade,
        };
        Ok((request, record))
    }

    /// Turns the client's headers into the upstream's. Hop-by-hop headers are removed before any is
    /// set, so that a `Connection` line cannot remove the gateway's headers; identity is set last,
    /// so that no rule can change it.
    pub(super) fn upstream_headers(
        &self,
        parts: &mut Parts,
        sender: &Sender<'_>,
        route: &Route,
        identity: Option<&Identity>,
    ) -> Option<Upgrade> {
        let upgrade = Upgrade::take(parts);
        let headers = &mut parts.headers;
        remove_hop_by_hop(headers);
        // hyper responds 100 once the body is read, after authentication.
        headers.remove(EXPECT);
        if parts.version == Version::HTTP_2 {
            join_cookies(headers);
        }
        let client_host = client_host(headers, sender.authority);
        set_forwarded(headers, sender, client_host.as_ref());
        set_trace(headers, sender.id);
        // The upstream replaces it with the endpoint's name, if its `host` says so.
        if let Some(host) = client_host {
            headers.insert(HOST, host);
        }
        if let Some(upgrade) = &upgrade {
            upgrade.mark(headers);
        }
        apply(&route.request_headers, headers);
        if let Some(identity) = identity {
            self.policy.inject(headers, identity);
        }
        upgrade
    }
}

/// The sender of a request, as forwarded in headers.
pub(super) struct Sender<'a> {
    pub(super) peer: &'a Peer,
    pub(super) trusted: bool,
    pub(super) authority: Option<&'a Authority>,
    pub(super) id: &'a RequestId,
}

/// The target for the upstream: the canonical path, rewritten by the route, and the query as
/// received, without the skey.
pub(super) fn target(
    route: &Route,
    path: &str,
    query: Option<&str>,
) -> Result<PathAndQuery, Error> {
    let mut text = String::with_capacity(path.len() + query.map_or(0, str::len) + 16);
    let rewritten = route.strip_prefix.is_some() || route.add_prefix.is_some();
    if let Some(prefix) = &route.add_prefix {
        text.push_str(prefix.trim_end_matches('/'));
    }
    let rest = match &route.strip_prefix {
        None => path,
        Some(prefix) => match path.strip_prefix(prefix.trim_end_matches('/')) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            // Only at a segment boundary: `/api` is not a prefix of `/apiary`.
            Some(_) | None => path,
        },
    };
    text.push_str(rest);
    // A rewrite must not combine harmless parts into a path that would be refused.
    if rewritten && CanonicalPath::parse(&text)?.as_str() != text {
        return Err(Error::BadRequest(
            "the path is ambiguous after its prefix was changed",
        ));
    }
    if let Some(query) = query {
        text.push('?');
        text.push_str(query);
    }
    PathAndQuery::try_from(text).map_err(|_| Error::BadRequest("the request target is malformed"))
}

/// Reads a body of a type that a source names, and extracts the skey.
///
/// # Errors
/// The body is too long, too slow, damaged, or does not match its `Content-Type`.
pub(super) async fn read_for_token(
    context: &mut RequestContext<'_, '_>,
    sources: &[TokenSource],
    max_body: Option<u64>,
    patience: Duration,
    taken: &mut ExtractedToken,
) -> Result<ReadBody, Error> {
    let wanted =
        |source: &TokenSource| matches!(source, TokenSource::Form(_) | TokenSource::Json(_));
    if !sources.iter().any(wanted) || context.body.is_end_stream() {
        return Ok(None);
    }
    if context
        .head
        .parts
        .headers
        .get_all(CONTENT_TYPE)
        .iter()
        .nth(1)
        .is_some()
    {
        return Err(Error::BadRequest("more than one content type"));
    }
    let Some(kind) = body::kind(&context.head.parts.headers) else {
        return Ok(None);
    };
    let limit = max_body.map_or(BODY_TOKEN_LIMIT, |max_body| max_body.min(BODY_TOKEN_LIMIT));
    let reading = body::read(context.body, limit, patience);
    let bytes = Box::pin(reading).await?;
    context.outcome.record.bytes_in = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let text = String::from_utf8(bytes.to_vec())
        .map_err(|_| Error::BadRequest("the body is not UTF-8"))?;
    let mut body = BodyText { kind, text };
    auth::take_from_body(&mut body, sources, taken)?;
    Ok(Some(Bytes::from(body.text)))
}

impl From<BodyProblem> for Error {
    fn from(problem: BodyProblem) -> Self {
        match problem {
            BodyProblem::TooLarge => Self::BodyTooLarge,
            BodyProblem::TimedOut => Self::RequestTimeout,
            BodyProblem::Damaged => Self::BadRequest("the body is damaged or incomplete"),
        }
    }
}

/// HTTP/2 may split cookies over several lines, HTTP/1 may not (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let lines: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(b"; ".as_slice())) {
        headers.insert(COOKIE, joined);
    }
}

/// The host that the client named, as a header value.
fn client_host(headers: &HeaderMap, authority: Option<&Authority>) -> Option<HeaderValue> {
    let named = headers.get(HOST).cloned();
    named.or_else(|| HeaderValue::from_str(authority?.as_str()).ok())
}

/// Sets `X-Forwarded-For`, `-Proto` and `-Host`: extended or kept for a trusted proxy, replaced for
/// other peers.
fn set_forwarded(headers: &mut HeaderMap, sender: &Sender<'_>, host: Option<&HeaderValue>) {
    if sender.trusted {
        remove_imitated_forwarded(headers);
    } else {
        remove_forwarded(headers);
    }
    if let Some(address) = sender.peer.text() {
        let list = prolonged(headers, address).unwrap_or_else(|| address.clone());
        headers.insert(X_FORWARDED_FOR, list);
    }
    if !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if let (false, Some(host)) = (headers.contains_key(X_FORWARDED_HOST), host) {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
}

/// All lines of the list, joined, with the address appended. `None` without a list.
fn prolonged(headers: &HeaderMap, address: &HeaderValue) -> Option<HeaderValue> {
    let mut list = Vec::new();
    for line in headers.get_all(X_FORWARDED_FOR) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(b", ");
    }
    if list.is_empty() {
        return None;
    }
    list.extend_from_slice(address.as_bytes());
    HeaderValue::from_bytes(&list).ok()
}

/// Sets the request id, and a `traceparent` unless the client sent a valid one.
fn set_trace(headers: &mut HeaderMap, id: &RequestId) {
    let mut lines = headers.get_all(TRACEPARENT).iter();
    let known = lines
        .next()
        .is_some_and(|value| request_id::is_traceparent(value.as_bytes()))
        && lines.next().is_none();
    if let (false, Some(trace)) = (known, id.traceparent()) {
        headers.insert(TRACEPARENT, trace);
        // `tracestate` is meaningless without its parent.
        headers.remove("tracestate");
    }
    headers.insert(X_REQUEST_ID, id.value().clone());
}
