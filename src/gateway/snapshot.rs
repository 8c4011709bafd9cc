//! The compiled configuration. A hot reload builds another snapshot and swaps it in whole; a
//! request keeps the snapshot that it began with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::key_checks::KeyChecks;
use crate::access_token::AccessTokens;
use crate::config::{AccessLog, Action, App, Config, Login, Respond, Route, Server, TokenSource};
use crate::identity_headers::HeaderPolicy;
use crate::limit::{Limit, RateLimits, RouteLimits};
use crate::login::Logins;
use crate::route::RouteTable;
use crate::session::SessionStore;
use crate::upstream::Upstream;
use crate::users::UserDirectory;
use crate::wechat::Wechat;

/// Routes, upstreams, logins and rules of one configuration.
pub struct Snapshot {
    pub(super) server: Arc<Server>,
    pub(super) apps: Vec<Arc<App>>,
    pub(super) login_entries: Vec<CompiledLogin>,
    /// The limit of logout, me, decrypt and phone: the first login's quota, in a bucket of its own.
    pub(super) endpoint_limit: Option<Limit>,
    /// `None` without `decrypt.checksession`.
    pub(super) key_checks: Option<Arc<KeyChecks>>,
    pub(super) access_log: Arc<AccessLog>,
    pub(super) routes: RouteTable<CompiledRoute>,
    /// By name: the next snapshot keeps the endpoints that did not change.
    upstreams: BTreeMap<String, Arc<Upstream>>,
    pub(super) policy: Arc<HeaderPolicy>,
    pub(super) sessions: SessionStore,
    pub(super) logins: Arc<Logins>,
    /// `None` without `phone.enabled`.
    pub(super) phone: Option<Arc<AccessTokens>>,
    pub(super) limits: Arc<RateLimits>,
    /// Sources for the gateway's own endpoints: the union over all routes.
    pub(super) every_source: Vec<TokenSource>,
}

/// A route with its target and limits.
pub(super) struct CompiledRoute {
    pub(super) config: Arc<Route>,
    pub(super) target: RouteTarget,
    /// `None` without a rate limit.
    pub(super) limits: Option<RouteLimits>,
}

/// The target of a route.
pub(super) enum RouteTarget {
    /// Forward to this upstream.
    Forward(Arc<Upstream>),
    /// Respond directly.
    Respond(Respond),
}

/// A login entry with its rate limit.
pub(super) struct CompiledLogin {
    pub(super) config: Login,
    pub(super) limit: Option<Limit>,
}

/// A route whose upstream does not exist. Checked configurations have none; leaving such a route
/// out could let a shorter one open what it protects.
#[derive(Debug)]
pub struct UnknownUpstream {
    route: String,
    upstream: String,
}

impl fmt::Display for UnknownUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { route, upstream } = self;
        write!(f, "route `{route}`: there is no upstream `{upstream}`")
    }
}

impl std::error::Error for UnknownUpstream {}

/// What a snapshot calls: stores, which outlive it, and clients made anew with each file, which go
/// on with the state of the former ones.
#[derive(Clone)]
pub struct Services {
    /// The session store.
    pub sessions: SessionStore,
    /// The user directory.
    pub users: UserDirectory,
    /// Logs users in.
    pub logins: Arc<Logins>,
    /// WeChat's API.
    pub wechat: Arc<Wechat>,
    /// Calls WeChat with access_tokens.
    pub tokens: Arc<AccessTokens>,
    /// Counts requests.
    pub limits: Arc<RateLimits>,
    /// Work that outlives its request.
    pub tasks: TaskTracker,
}

impl Snapshot {
    /// Compiles a configuration without connecting. Upstreams unchanged from `previous` keep their
    /// connections.
    ///
    /// # Errors
    /// A route names an upstream that does not exist.
    pub fn new(
        config: Config,
        services: &Services,
        previous: Option<&Self>,
    ) -> Result<Self, UnknownUpstream> {
        let Services { tokens, limits, .. } = services;
        let mut every_source = config.session.token_from;
        for source in config.routes.iter().flat_map(|route| &route.token_from) {
            if !every_source.contains(source) {
                every_source.push(source.clone());
            }
        }
        let credentials = every_source.iter().filter_map(|source| match source {
            TokenSource::Header(name) => Some(name.clone()),
            _ => None,
        });
        let policy = HeaderPolicy::new(
            &config.identity,
            credentials.collect(),
            config.server.underscore_headers,
        );
        let kept = |name: &String| previous.and_then(|previous| previous.upstreams.get(name));
        let upstreams = config.upstreams.into_iter().map(|(name, config)| {
            let known = kept(&name).map(Arc::as_ref);
            let upstream = Upstream::new(&name, config, known);
            (name, Arc::new(upstream))
        });
        let upstreams: BTreeMap<_, _> = upstreams.collect();
        let routes = config.routes.into_iter();
        let routes =
            routes.map(|route| CompiledRoute::new(route, &upstreams, limits).map(Arc::new));
        let routes = routes.collect::<Result<Vec<_>, _>>()?;
        let endpoint_limit = limits.of_endpoints(&config.login);
        let login_entries = config.login.into_iter().map(|config| CompiledLogin {
            limit: limits.of_login(&config),
            config,
        });
        let known_checks = previous.and_then(|previous| previous.key_checks.as_ref());
        let key_checks = config.decrypt.checksession.then(|| match known_checks {
            Some(known) => known.reconfigured(tokens),
            None => KeyChecks::new(tokens, services.tasks.clone()),
        });
        Ok(Self {
            login_entries: login_entries.collect(),
            endpoint_limit,
            policy: Arc::new(policy),
            server: Arc::new(config.server),
            apps: config.apps.into_iter().map(Arc::new).collect(),
            key_checks: key_checks.map(Arc::new),
            access_log: Arc::new(config.log.access),
            routes: RouteTable::new(&routes),
            upstreams,
            sessions: services.sessions.clone(),
            logins: Arc::clone(&services.logins),
            phone: config.phone.enabled.then(|| Arc::clone(tokens)),
            limits: Arc::clone(limits),
            every_source,
        })
    }
}

impl CompiledRoute {
    fn new(
        route: Route,
        upstreams: &BTreeMap<String, Arc<Upstream>>,
        limits: &RateLimits,
    ) -> Result<Self, UnknownUpstream> {
        let target = match &route.action {
            Action::Forward(name) => {
                let upstream = upstreams.get(name).ok_or_else(|| UnknownUpstream {
                    route: route.path.to_string(),
                    upstream: name.clone(),
                })?;
                RouteTarget::Forward(Arc::clone(upstream))
            }
            Action::Respond(respond) => RouteTarget::Respond(respond.clone()),
        };
        Ok(Self {
            limits: limits.of_route(&route),
            config: Arc::new(route),
            target,
        })
    }
}

impl AsRef<Route> for CompiledRoute {
    fn as_ref(&self) -> &Route {
        &self.config
    }
}
