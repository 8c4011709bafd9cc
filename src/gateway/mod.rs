//! One request, from its first sight to its one log line. `handle` wraps: id, clock, panic, refusal, log. `steps` is what happens
//! in between, in the order that the security argument rests on (docs/ARCHITECTURE.md).

mod answer;
mod caller;
mod decrypt;
mod delivery;
mod endpoints;
mod explain;
mod guard;
mod key_checks;
mod limits;
mod outgoing;
mod phone;
mod profile;
#[cfg(test)]
mod properties;
mod received;
mod routing;

use std::collections::HashMap;
use std::sync::Arc;

use hyper::body::{Body as _, Incoming};
use hyper::header::EXPECT;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Method, Request, Response, Version};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

pub use self::answer::AnswerBody;
use self::answer::Reply;
use self::delivery::Delivery;
pub use self::explain::{Explanation, Forwarding};
use self::guard::guard;
use self::key_checks::KeyChecks;
use self::received::Received;
use crate::access_token::AccessTokens;
use crate::config::{
    AccessLog, Action, App, Config, HeaderRules, Login, PathPolicy, Route, Server, Style,
    TokenSource,
};
use crate::error::Error;
use crate::forward::Upstream;
use crate::http::address::{Peer, client_address};
use crate::http::framing::{self, RefusedHead};
use crate::http::headers::HeaderPolicy;
use crate::http::path::CanonicalPath;
use crate::http::request_id::{self, RequestIds, X_REQUEST_ID};
use crate::http::{host, method, target};
use crate::limit::{Limits, Standing};
use crate::login::Logins;
use crate::request_log::Record;
use crate::route::RouteTable;
use crate::session::SessionStore;

/// Everything a request needs. Made once from a configuration, shared by all connections.
pub struct Gateway {
    server: Server,
    apps: Vec<Arc<App>>,
    login_entries: Vec<Login>,
    /// Where to post what was decrypted, unless the client gets it.
    delivery: Option<Delivery>,
    /// `None` where WeChat is not asked about session_keys.
    key_checks: Option<Arc<KeyChecks>>,
    access_log: Arc<AccessLog>,
    routes: RouteTable,
    upstreams: HashMap<String, Arc<Upstream>>,
    policy: Arc<HeaderPolicy>,
    ids: RequestIds,
    sessions: SessionStore,
    logins: Arc<Logins>,
    /// `None` where phone numbers are not asked for.
    phone: Option<Arc<AccessTokens>>,
    limits: Limits,
    /// Where our own endpoints look for the skey: wherever any route does.
    every_source: Vec<TokenSource>,
    /// What goes on when the connection that began it is done: tunnels, and logins whose client has left.
    tasks: TaskTracker,
}

/// A request on its way through the steps.
struct Exchange<'a> {
    parts: Parts,
    body: &'a mut Received,
    peer: &'a Peer,
    /// The peer is a proxy whose word counts.
    trusted: bool,
    authority: Option<Authority>,
    /// The query without the skey.
    query: Option<String>,
    record: &'a mut Record,
    /// What a limit says of the caller, for whatever answer this ends in.
    standing: &'a mut Option<Standing>,
}

impl Gateway {
    /// Puts the parts together. Connects to nothing.
    #[must_use]
    pub fn new(
        config: Config,
        sessions: SessionStore,
        logins: Logins,
        tokens: &Arc<AccessTokens>,
        limits: Limits,
        tasks: TaskTracker,
    ) -> Self {
        let routes: Vec<Arc<Route>> = config.routes.into_iter().map(Arc::new).collect();
        let mut every_source = config.session.token_from;
        for source in routes.iter().flat_map(|route| &route.token_from) {
            if !every_source.contains(source) {
                every_source.push(source.clone());
            }
        }
        let credentials = every_source.iter().filter_map(|source| match source {
            TokenSource::Header(name) => Some(name.clone()),
            _ => None,
        });
        let credentials = credentials.collect();
        let key_checks = Arc::new(KeyChecks::new(tokens, tasks.clone()));
        let upstream = |(name, upstream)| (name, Arc::new(Upstream::new(upstream)));
        Self {
            policy: Arc::new(HeaderPolicy::new(
                &config.identity,
                credentials,
                config.server.underscore_headers,
            )),
            server: config.server,
            apps: config.apps.into_iter().map(Arc::new).collect(),
            login_entries: config.login,
            delivery: config.decrypt.delivery.map(Delivery::new),
            key_checks: config.decrypt.checksession.then_some(key_checks),
            access_log: Arc::new(config.log.access),
            routes: RouteTable::new(&routes),
            upstreams: config.upstreams.into_iter().map(upstream).collect(),
            ids: RequestIds::new(),
            sessions,
            logins: Arc::new(logins),
            phone: config.phone.enabled.then(|| Arc::clone(tokens)),
            limits,
            every_source,
            tasks,
        }
    }

    /// What `[server]` says.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// What is to be waited for when draining, besides connections.
    #[must_use]
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Answers one request. Never fails: what goes wrong becomes an answer and a log line. A tunnel keeps the connection's place.
    pub async fn handle<P: Send + Sync + 'static>(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        place: &Arc<P>,
    ) -> Response<AnswerBody> {
        let (parts, body) = request.into_parts();
        let trusted = peer.is_trusted(&self.server.trusted_proxies);
        let from_proxy = if trusted {
            request_id::from_proxy(&parts.headers)
        } else {
            None
        };
        let mut record = Box::new(Record::new(
            Arc::clone(&self.access_log),
            from_proxy.unwrap_or_else(|| self.ids.next()),
            parts.method.clone(),
            parts.version,
            parts.uri.path(),
        ));
        record.client = client_address(peer, &parts.headers, &self.server.trusted_proxies);
        let mut style = &Style::Plain;
        let mut standing = None;
        let mut body = Received::new(body);
        // Reading a body that the client holds back would ask for it.
        let held_back = parts.headers.contains_key(EXPECT);
        let is_http1 = parts.version < Version::HTTP_2;
        let exchange = Exchange {
            query: parts.uri.query().map(str::to_owned),
            parts,
            body: &mut body,
            peer,
            trusted,
            authority: None,
            record: &mut record,
            standing: &mut standing,
        };
        let reply = guard(self.steps(exchange, &mut style)).await;
        let reply = reply.unwrap_or_else(|error| {
            record.fail(&error);
            Reply::refusal(&error, style, record.id.as_str())
        });
        let mut reply = match standing {
            Some(standing) => reply.with_standing(standing),
            None => reply,
        };
        // Without the rest of the request the connection cannot go on, and a client that is not told loses its next request.
        if is_http1 && !body.is_end_stream() && (held_back || !Box::pin(body.discard()).await) {
            reply.end_connection();
        }
        self.finish(reply, record, place)
    }

    /// Answers a request that was refused for its bytes alone.
    pub fn refuse<P: Send + Sync + 'static>(
        &self,
        refused: &RefusedHead,
        peer: &Peer,
        place: &Arc<P>,
    ) -> Response<AnswerBody> {
        let (method, path) = refused.line.as_ref().map_or_else(
            || (Method::from_bytes(b"-").unwrap_or_default(), "-"),
            |(method, path)| (method.clone(), path.as_str()),
        );
        let mut record = Box::new(Record::new(
            Arc::clone(&self.access_log),
            self.ids.next(),
            method,
            Version::HTTP_11,
            path,
        ));
        record.client = client_address(peer, &HeaderMap::new(), &self.server.trusted_proxies);
        let error = Error::from(refused.error);
        record.fail(&error);
        let reply = Reply::refusal(&error, &Style::Plain, record.id.as_str());
        self.finish(reply, record, place)
    }

    /// Adds what every answer carries, and ties the log line to the end of the body.
    fn finish<P: Send + Sync + 'static>(
        &self,
        reply: Reply,
        mut record: Box<Record>,
        place: &Arc<P>,
    ) -> Response<AnswerBody> {
        let Reply {
            mut response,
            tunnel,
            request_body,
        } = reply;
        response
            .headers_mut()
            .insert(X_REQUEST_ID, record.id.value().clone());
        record.status = Some(response.status().as_u16());
        let Some(tunnel) = tunnel else {
            return response.map(|body| AnswerBody::new(body, record, request_body));
        };
        let place = Arc::clone(place);
        self.tasks.spawn(async move {
            let _place = place;
            let traffic = tunnel.run().await;
            record.bytes_in = traffic.up;
            record.bytes_out = traffic.down;
        });
        response.map(|_| AnswerBody::empty())
    }

    /// The steps. Each either passes the request on or ends it; nothing is forwarded but at the very end.
    async fn steps<'a>(
        &'a self,
        mut exchange: Exchange<'_>,
        style: &mut &'a Style,
    ) -> Result<Reply, Error> {
        if exchange.parts.version == Version::HTTP_2 {
            framing::check_http2(&exchange.parts)?;
        }
        method::check(&exchange.parts.method)?;
        target::check(&exchange.parts)?;
        exchange.authority = host::authority(&exchange.parts)?;
        let host = exchange.authority.as_ref().map(host::routing_name);
        exchange.record.host.clone_from(&host);

        // Before anything looks at the headers: on no route may a client say who it is.
        self.policy.strip(&mut exchange.parts.headers);

        let path_and_query = exchange.parts.uri.clone();
        let path = match self.server.path_policy {
            PathPolicy::Strict => Some(CanonicalPath::parse(path_and_query.path())?),
            PathPolicy::Raw => None,
        };
        let text = path
            .as_ref()
            .map_or(path_and_query.path(), CanonicalPath::as_str);

        if let Some(endpoint) = self.endpoint(text) {
            *style = endpoint.style(self);
            // Boxed, as are the other rare ways below: the future of every request is as large as its largest branch.
            return Box::pin(self.serve(endpoint, exchange, host.as_deref())).await;
        }

        let route = self.route(host.as_deref(), text, &exchange.parts)?;
        *style = &route.style;
        exchange.record.route = Some(Arc::clone(route));
        if let Some(path) = &path {
            path.check_encoded(&route.allow_encoded)?;
        }

        let (session, body) = self.admit(route, &mut exchange).await?;
        match &route.action {
            Action::Respond(respond) => Ok(Reply::configured(respond, &route.response_headers)),
            Action::Forward(name) => {
                let upstream = self.upstream(name)?;
                let target = self.target(route, text, exchange.query.as_deref())?;
                let identity = session.map(|session| session.identity);
                // Prepared before the wait, so that its future holds nothing of the preparation.
                let (forwarding, watch, record) = {
                    let (outgoing, record) =
                        self.outgoing(upstream, route, exchange, target, body, identity.as_ref());
                    record.upstream = Some((name.clone(), upstream.address().to_owned()));
                    let watch = outgoing.body.watch();
                    (upstream.forward(outgoing), watch, record)
                };
                let sent = Instant::now();
                let answer = forwarding.await;
                record.upstream_time = Some(sent.elapsed());
                if let Some(watch) = &watch {
                    record.bytes_in = watch.bytes();
                }
                Ok(Reply::forwarded(answer?, watch, &route.response_headers))
            }
        }
    }

    fn upstream(&self, name: &str) -> Result<&Arc<Upstream>, Error> {
        let missing = || Error::Internal(format!("the route names the unknown upstream {name}"));
        self.upstreams.get(name).ok_or_else(missing)
    }
}

/// Sets and removes what the route says.
fn apply(rules: &HeaderRules, headers: &mut HeaderMap) {
    for name in &rules.remove {
        headers.remove(name);
    }
    for (name, value) in &rules.set {
        headers.insert(name.clone(), value.clone());
    }
}
