//! Which route a request takes: host first, then the longest path, then the method.

use std::collections::HashMap;
use std::sync::Arc;

use hyper::Method;

use crate::config::{PathPattern, Route};

/// All routes, ready to be looked up. A path is looked up among the routes of its own host, then of the wildcards that cover it
/// (longest first), then of those for every host.
#[derive(Debug, Default)]
pub struct RouteTable {
    named: HashMap<String, PathTable>,
    /// Suffix with its leading dot, longest first.
    wildcards: Vec<(String, PathTable)>,
    every: PathTable,
}

/// What a look-up found.
#[derive(Debug)]
pub enum Found<'a> {
    /// This route.
    Route(&'a Arc<Route>),
    /// Routes for the path, but for other methods: these.
    OtherMethods(String),
    /// Nothing.
    Nothing,
}

#[derive(Debug, Default)]
struct PathTable {
    exact: HashMap<String, Vec<Arc<Route>>>,
    /// Longest first; each without its final slash.
    prefixes: Vec<(String, Vec<Arc<Route>>)>,
}

impl RouteTable {
    /// Sorts the routes in.
    #[must_use]
    pub fn new(routes: &[Arc<Route>]) -> Self {
        let mut table = Self::default();
        for route in routes {
            if route.hosts.is_empty() {
                table.every.add(route);
            }
            for host in &route.hosts {
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
    /// `host` is lower case without port, `path` canonical. A path that has routes, but none for the method, ends the search: a
    /// shorter route with other rules must not catch what a longer one refuses.
    #[must_use]
    pub fn find(&self, host: Option<&str>, path: &str, method: &Method) -> Found<'_> {
        let named = host.and_then(|host| self.named.get(host));
        let wildcards = self.wildcards.iter().filter_map(|(suffix, paths)| {
            host.is_some_and(|host| host.ends_with(suffix.as_str()))
                .then_some(paths)
        });
        for paths in named.into_iter().chain(wildcards).chain([&self.every]) {
            let Some(candidates) = paths.find(path) else {
                continue;
            };
            let fits =
                |route: &&Arc<Route>| route.methods.is_empty() || route.methods.contains(method);
            // At most one does: the configuration refuses routes that no request could tell apart.
            return match candidates.iter().find(fits) {
                Some(route) => Found::Route(route),
                None => Found::OtherMethods(allow(candidates)),
            };
        }
        Found::Nothing
    }
}

impl PathTable {
    fn add(&mut self, route: &Arc<Route>) {
        match &route.path {
            PathPattern::Exact(path) => {
                self.exact
                    .entry(path.clone())
                    .or_default()
                    .push(Arc::clone(route));
            }
            PathPattern::Prefix(prefix) => {
                if let Some((_, routes)) =
                    self.prefixes.iter_mut().find(|(known, _)| known == prefix)
                {
                    routes.push(Arc::clone(route));
                } else {
                    self.prefixes
                        .push((prefix.clone(), vec![Arc::clone(route)]));
                    self.prefixes
                        .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
                }
            }
        }
    }

    fn find(&self, path: &str) -> Option<&[Arc<Route>]> {
        if let Some(routes) = self.exact.get(path) {
            return Some(routes);
        }
        let covers = |prefix: &str| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let (_, routes) = self.prefixes.iter().find(|(prefix, _)| covers(prefix))?;
        Some(routes)
    }
}

fn allow(routes: &[Arc<Route>]) -> String {
    let mut methods: Vec<&str> = routes
        .iter()
        .flat_map(|route| &route.methods)
        .map(Method::as_str)
        .collect();
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// Each route answers by itself with its own name, so that a look-up can be read off.
    fn table(routes: &[(&str, &str)]) -> RouteTable {
        let mut text =
            "[[apps]]\nappid = \"wx0123456789abcdef\"\nsecret = \"s3cret-of-the-test\"\n"
                .to_owned();
        for (name, keys) in routes {
            text += &format!("[[routes]]\n{keys}\nrespond = {{ body = \"{name}\" }}\n");
        }
        let config = Config::parse("test", &text, &|_| None).unwrap().config;
        let routes: Vec<Arc<Route>> = config.routes.into_iter().map(Arc::new).collect();
        RouteTable::new(&routes)
    }

    fn find(table: &RouteTable, host: Option<&str>, path: &str, method: &Method) -> String {
        match table.find(host, path, method) {
            Found::Route(route) => match &route.action {
                crate::config::Action::Respond(respond) => respond.body.clone(),
                crate::config::Action::Forward(name) => name.clone(),
            },
            Found::OtherMethods(allow) => format!("405 {allow}"),
            Found::Nothing => "404".to_owned(),
        }
    }

    #[test]
    fn the_longest_path_wins_at_segment_borders_only() {
        let table = table(&[
            ("all", "path = \"/*\""),
            ("api", "path = \"/api/*\""),
            ("admin", "path = \"/api/admin/*\""),
            ("exact", "path = \"/api/admin/ping\""),
        ]);
        for (path, expected) in [
            ("/", "all"),
            ("/apiary", "all"),
            ("/api", "api"),
            ("/api/", "api"),
            ("/api/administrator", "api"),
            ("/api/admin", "admin"),
            ("/api/admin/x/y", "admin"),
            ("/api/admin/ping", "exact"),
            ("/api/admin/ping/", "admin"),
        ] {
            assert_eq!(find(&table, None, path, &Method::GET), expected, "{path}");
        }
    }

    #[test]
    fn a_named_host_goes_before_wildcards_and_those_before_every_host() {
        let table = table(&[
            ("every", "path = \"/*\""),
            ("wide", "path = \"/*\"\nhosts = [\"*.example.com\"]"),
            ("narrow", "path = \"/*\"\nhosts = [\"*.eu.example.com\"]"),
            ("named", "path = \"/a/*\"\nhosts = [\"api.example.com\"]"),
        ]);
        for (host, path, expected) in [
            (None, "/a", "every"),
            (Some("other.org"), "/a", "every"),
            (Some("example.com"), "/a", "every"),
            (Some("evilexample.com"), "/a", "every"),
            (Some("x.example.com"), "/a", "wide"),
            (Some("x.eu.example.com"), "/a", "narrow"),
            (Some("api.example.com"), "/a/b", "named"),
            (Some("api.example.com"), "/b", "wide"),
        ] {
            assert_eq!(
                find(&table, host, path, &Method::GET),
                expected,
                "{host:?} {path}"
            );
        }
    }

    #[test]
    fn a_method_that_the_longest_path_does_not_take_is_not_caught_by_a_shorter_one() {
        let table = table(&[
            ("all", "path = \"/*\"\nauth = \"off\""),
            ("read", "path = \"/api/*\"\nmethods = [\"GET\"]"),
            ("write", "path = \"/api/*\"\nmethods = [\"POST\", \"PUT\"]"),
        ]);
        assert_eq!(find(&table, None, "/api/x", &Method::GET), "read");
        assert_eq!(find(&table, None, "/api/x", &Method::PUT), "write");
        assert_eq!(
            find(&table, None, "/api/x", &Method::DELETE),
            "405 GET, POST, PUT"
        );
    }

    #[test]
    fn without_a_route_there_is_nothing() {
        let table = table(&[("api", "path = \"/api/*\"\nhosts = [\"a.example\"]")]);
        assert_eq!(
            find(&table, Some("a.example"), "/other", &Method::GET),
            "404"
        );
        assert_eq!(find(&table, Some("b.example"), "/api", &Method::GET), "404");
        assert_eq!(find(&table, None, "/api", &Method::GET), "404");
    }
}
