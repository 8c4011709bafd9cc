//! `decrypt.deliver = "upstream"`: what was decrypted goes to a path of a service instead of to the client. The service believes
//! what it finds there, so no route may lead to it.

use bytes::Bytes;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RANGE, UPGRADE};
use hyper::http::uri::PathAndQuery;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::answer::Reply;
use super::{Exchange, Gateway, note_attempt, outgoing};
use crate::config::{self, Action, Auth, HeaderRules, OnBadToken, PathPattern, Route, Style};
use crate::error::Error;
use crate::http::loose::{loosest, script_readings};
use crate::http::method;
use crate::identity::Identity;

/// Where to deliver.
pub(super) struct Delivery {
    upstream: String,
    path: String,
    /// The path as the least exact of services reads it, in each way.
    readings: Vec<String>,
    /// That only we take: as plain as can be.
    route: Route,
}

impl Delivery {
    pub(super) fn new(delivery: config::Delivery) -> Self {
        let config::Delivery { upstream, path } = delivery;
        let reading = loosest(&path);
        let routed = script_readings(&reading).map(|[_, routed]| routed.to_owned());
        let mut readings = vec![reading.into_owned()];
        readings.extend(routed);
        let route = Route {
            number: 0,
            path: PathPattern::Exact(path.clone()),
            hosts: Vec::new(),
            methods: vec![Method::POST],
            action: Action::Forward(upstream.clone()),
            auth: Auth::Required,
            style: Style::Plain,
            strip_prefix: None,
            add_prefix: None,
            token_from: Vec::new(),
            on_bad_token: OnBadToken::Reject,
            max_body: None,
            timeout: None,
            rate_limit: config::RateLimit::default(),
            allow_encoded: Vec::new(),
            request_headers: HeaderRules::default(),
            response_headers: HeaderRules::default(),
        };
        Self {
            upstream,
            path,
            readings,
            route,
        }
    }

    /// Whether some service would take a path for the one that we deliver to, or for something below it.
    fn is_at(&self, path: &str) -> bool {
        let reading = loosest(path);
        let is_at = |reading: &str| {
            let rest = |own: &String| reading.strip_prefix(own.as_str());
            let ends = |rest: &str| rest.is_empty() || rest.starts_with(['/', '.']);
            self.readings.iter().filter_map(rest).any(ends)
        };
        is_at(&reading) || script_readings(&reading).is_some_and(|[a, b]| is_at(a) || is_at(b))
    }
}

impl Gateway {
    /// What is asked of the upstream for a route's request.
    ///
    /// # Errors
    /// As `outgoing::target`; `NoRoute` for the path that only we send to, at whatever upstream: two may be the same service.
    pub(super) fn target(
        &self,
        route: &Route,
        path: &str,
        query: Option<&str>,
    ) -> Result<PathAndQuery, Error> {
        let target = outgoing::target(route, path, query)?;
        let taken = |delivery: &Delivery| delivery.is_at(target.path());
        if self.delivery.as_ref().is_some_and(taken) {
            return Err(Error::NoRoute);
        }
        Ok(target)
    }

    /// Posts what was decrypted, and passes the answer back.
    pub(super) async fn deliver(
        &self,
        delivery: &Delivery,
        mut exchange: Exchange<'_>,
        identity: &Identity,
        data: Map<String, Value>,
    ) -> Result<Reply, Error> {
        let headers = &mut exchange.parts.headers;
        let other_method = |method: &Method| method != Method::POST;
        if method::overrides(headers)?.iter().any(other_method) {
            return Err(Error::BadRequest("the headers name another method"));
        }
        // They are about the client's body, or about an answer that nobody has yet.
        let about_body = |name: &&HeaderName| {
            let name = name.as_str();
            name.starts_with("content-") || name.starts_with("if-") || name.ends_with("digest")
        };
        let doomed: Vec<HeaderName> = headers.keys().filter(about_body).cloned().collect();
        for name in doomed.iter().chain(&[RANGE, UPGRADE]) {
            headers.remove(name);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let upstream = self.upstream(&delivery.upstream)?;
        let target = PathAndQuery::try_from(delivery.path.as_str())
            .map_err(|error| Error::Internal(format!("decrypt.path: {error}")))?;
        let body = Some(Bytes::from(Value::Object(data).to_string()));
        let route = &delivery.route;
        let came = exchange.record.bytes_in;
        let (outgoing, record) =
            self.outgoing(upstream, route, exchange, target, body, Some(identity));
        record.bytes_in = came;
        let sent = Instant::now();
        let response = upstream
            .send(outgoing, |attempt| note_attempt(record, attempt))
            .await;
        record.upstream_time = Some(sent.elapsed());
        Ok(Reply::forwarded(response?, None, &route.response_headers))
    }
}
