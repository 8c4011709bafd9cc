//! Route look-up: host first, then the longest path, then the method. A path that a lenient service
//! could take for one of a stricter route is refused.

mod index;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use hyper::Method;

use self::index::PathTable;
use crate::config::{Action, Auth, PathPattern, Route};
use crate::http::lenient_path::{most_lenient, script_readings};

/// All routes, indexed for look-up. A path is looked up among the routes of its own host, then of
/// the wildcards that cover it (longest first), then of those for every host.
#[derive(Debug)]
pub struct RouteTable<R> {
    named: HashMap<String, PathTable<R>>,
    /// Suffix with its leading dot, longest first.
    wildcards: Vec<(String, PathTable<R>)>,
    every: PathTable<R>,
    /// Whether routes differ in strictness, so that lenient readings matter.
    differs: bool,
}

/// The result of a look-up.
#[derive(Debug)]
pub enum RouteMatch<'a, R> {
    /// The route.
    Route(&'a Arc<R>),
    /// A route, but a lenient service may take the path for one of this stricter route.
    Resembles(&'a Arc<R>),
    /// The path has routes, but only for these other methods.
    OtherMethods(String),
    /// No route.
    Nothing,
}

/// The strictness of a route, or of a path's routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strictness {
    Off,
    Optional,
    Required,
    /// Allows no request: another method, or a refusal written as `respond`.
    Closed,
}

impl AsRef<Self> for Route {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl<R: AsRef<Route>> RouteTable<R> {
    /// Indexes the routes.
    #[must_use]
    pub fn new(routes: &[Arc<R>]) -> Self {
        let written = |route: &'_ Arc<R>| strictness(R::as_ref(route));
        let mut table = Self {
            named: HashMap::new(),
            wildcards: Vec::new(),
            every: PathTable::default(),
            differs: routes.windows(2).any(|pair| match pair {
                [left, right] => written(left) != written(right),
                _ => false,
            }) || routes
                .iter()
                .any(|route| !R::as_ref(route).methods.is_empty()),
        };
        for route in routes {
            let hosts = &R::as_ref(route).hosts;
            if hosts.is_empty() {
                table.every.add(route);
            }
            for host in hosts {
                match host.strip_prefix('*') {
                    None => table.named.entry(host.clone()).or_default().add(route),
                    Some(suffix) => {
                        let known = table
                            .wildcards
                            .iter()
                            .position(|(known, _)| known == suffix);
                        if let Some((_, paths)) = known.and_then(|at| table.wildcards.get_mut(at)) {
                            paths.add(route);
                        } else {
                            let mut paths = PathTable::default();
                            paths.add(route);
                            table.wildcards.push((suffix.to_owned(), paths));
                        }
                    }
                }
            }
        }
        table
            .wildcards
            .sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        table
    }

    /// Finds the route of a request.
    ///
    /// `host` is lower case without port, `path` canonical. A path that has routes, but none for
    /// the method, ends the search: a shorter route with other rules must not catch a request that
    /// a longer one refuses.
    #[must_use]
    pub fn find(&self, host: Option<&str>, path: &str, method: &Method) -> RouteMatch<'_, R> {
        let found = self.exactly(host, path, method);
        match &found {
            RouteMatch::Route(route) if self.differs => self
                .stricter(host, path, method, R::as_ref(route))
                .map_or(found, RouteMatch::Resembles),
            _ => found,
        }
    }

    /// The route as configured. An exact path also covers itself with and without a final slash, as
    /// most services treat it; a route for the exact spelling goes first. Neither opens a path that
    /// another route closes.
    fn exactly(&self, host: Option<&str>, path: &str, method: &Method) -> RouteMatch<'_, R> {
        let mut twin = None;
        let mut covering = None;
        for paths in self.tables(host) {
            let hit = paths.find(path);
            if let Some(exact) = hit.exact {
                return choose(exact, method);
            }
            twin = twin.or(hit.twin);
            if hit.prefix.is_some() {
                covering = hit.prefix;
                break;
            }
        }
        match (covering, twin) {
            (None, None) => RouteMatch::Nothing,
            (Some(only), None) | (None, Some(only)) => choose(only, method),
            (Some(covering), Some(twin)) => {
                let (open, closed) = (choose(covering, method), choose(twin, method));
                let own = index::ends_at(covering, path);
                if closed.strictness() > open.strictness()
                    || (closed.strictness() == open.strictness() && !own)
                {
                    closed
                } else {
                    open
                }
            }
        }
    }

    /// A stricter route than the found one, reached by a lenient reading of the path. A route
    /// written for this very path, in any case of letters, is final.
    fn stricter(
        &self,
        host: Option<&str>,
        path: &str,
        method: &Method,
        found: &Route,
    ) -> Option<&Arc<R>> {
        let most_lenient = most_lenient(path);
        self.stricter_at(host, &most_lenient, method, found)
            .or_else(|| {
                // A route that names a script accounts for the path behind it; `/*` does not.
                let readings = script_readings(&most_lenient).filter(|_| !names_script(found))?;
                let stricter = |path| self.stricter_at(host, path, method, found);
                let named =
                    |route: &&Arc<R>| R::as_ref(route).path != PathPattern::Prefix(String::new());
                readings.into_iter().filter_map(stricter).find(named)
            })
    }

    fn stricter_at(
        &self,
        host: Option<&str>,
        most_lenient: &str,
        method: &Method,
        found: &Route,
    ) -> Option<&Arc<R>> {
        let mut candidates = self
            .tables(host)
            .find_map(|paths| paths.find_lenient(most_lenient))?;
        if candidates
            .clone()
            .any(|route| R::as_ref(route).path == found.path)
        {
            return None;
        }
        let limit = strictness(found);
        let fits = |route: &&Arc<R>| takes(R::as_ref(route), method);
        if candidates.clone().any(|route| fits(&route)) {
            candidates.find(|route| fits(route) && strictness(R::as_ref(route)) > limit)
        } else {
            candidates.next()
        }
    }

    /// The tables for a host, in order.
    fn tables<'a, 'h>(
        &'a self,
        host: Option<&'h str>,
    ) -> impl Iterator<Item = &'a PathTable<R>> + use<'a, 'h, R> {
        let named = host.and_then(|host| self.named.get(host));
        let wildcards = self.wildcards.iter().filter_map(move |(suffix, paths)| {
            host.is_some_and(|host| host.ends_with(suffix.as_str()))
                .then_some(paths)
        });
        named.into_iter().chain(wildcards).chain([&self.every])
    }
}

impl<R: AsRef<Route>> RouteMatch<'_, R> {
    fn strictness(&self) -> Strictness {
        match self {
            Self::Route(route) => strictness(R::as_ref(route)),
            Self::Resembles(_) | Self::OtherMethods(_) | Self::Nothing => Strictness::Closed,
        }
    }
}

fn strictness(route: &Route) -> Strictness {
    match (&route.action, route.auth) {
        (Action::Respond(respond), _)
            if respond.status.is_client_error() || respond.status.is_server_error() =>
        {
            Strictness::Closed
        }
        (_, Auth::Required) => Strictness::Required,
        (_, Auth::Optional) => Strictness::Optional,
        (_, Auth::Off) => Strictness::Off,
    }
}

fn names_script(route: &Route) -> bool {
    let (PathPattern::Exact(path) | PathPattern::Prefix(path)) = &route.path;
    path.to_ascii_lowercase().contains(".php")
}

fn takes(route: &Route, method: &Method) -> bool {
    route.methods.is_empty() || route.methods.contains(method)
}

fn choose<'a, R: AsRef<Route>>(candidates: &'a [Arc<R>], method: &Method) -> RouteMatch<'a, R> {
    // At most one matches: the configuration refuses routes that no request could tell apart.
    match candidates
        .iter()
        .find(|route| takes(R::as_ref(route), method))
    {
        Some(route) => RouteMatch::Route(route),
        None => RouteMatch::OtherMethods(allow(candidates)),
    }
}

fn allow<R: AsRef<Route>>(routes: &[Arc<R>]) -> String {
    let mut methods: Vec<&str> = routes
        .iter()
        .flat_map(|route| &R::as_ref(route).methods)
        .map(Method::as_str)
        .collect();
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}
