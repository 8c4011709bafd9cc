//! The routes of one host by their paths.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{PathPattern, Route};
use crate::http::loose::loosest;

/// Routes that share a path, or are for other methods of it.
type Routes<R> = Vec<Arc<R>>;

/// Looked up by the path as it is, and by its loosest reading.
#[derive(Debug)]
pub(super) struct PathTable<R> {
    exact: HashMap<String, Routes<R>>,
    /// Exact paths with a slash at their end, without it.
    slashed: HashMap<String, Routes<R>>,
    /// Longest first; each without its final slash.
    prefixes: Vec<(String, Routes<R>)>,
    loose_exact: HashMap<String, Routes<R>>,
    loose_prefixes: Vec<(String, Routes<R>)>,
}

/// What a path leads to in one table.
#[derive(Debug)]
pub(super) struct Hit<'a, R> {
    /// Routes for this very path.
    pub(super) exact: Option<&'a [Arc<R>]>,
    /// Routes for the path with one slash at its end more or less.
    pub(super) twin: Option<&'a [Arc<R>]>,
    /// The longest that cover it.
    pub(super) prefix: Option<&'a [Arc<R>]>,
}

impl<R> Default for PathTable<R> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            slashed: HashMap::new(),
            prefixes: Vec::new(),
            loose_exact: HashMap::new(),
            loose_prefixes: Vec::new(),
        }
    }
}

impl<R: AsRef<Route>> PathTable<R> {
    pub(super) fn add(&mut self, route: &Arc<R>) {
        match &R::as_ref(route).path {
            PathPattern::Exact(path) => {
                let (map, key) = match path.strip_suffix('/') {
                    Some(bare) => (&mut self.slashed, bare),
                    None => (&mut self.exact, path.as_str()),
                };
                map.entry(key.to_owned())
                    .or_default()
                    .push(Arc::clone(route));
                let loose = self.loose_exact.entry(loosest(path).into_owned());
                loose.or_default().push(Arc::clone(route));
            }
            PathPattern::Prefix(prefix) => {
                add_prefix(&mut self.prefixes, prefix, route);
                add_prefix(&mut self.loose_prefixes, &loosest(prefix), route);
            }
        }
    }

    pub(super) fn find(&self, path: &str) -> Hit<'_, R> {
        let (bare, this, other) = match path.strip_suffix('/') {
            Some(bare) => (bare, &self.slashed, &self.exact),
            None => (path, &self.exact, &self.slashed),
        };
        Hit {
            exact: this.get(bare).map(Vec::as_slice),
            twin: other.get(bare).map(Vec::as_slice),
            prefix: longest(&self.prefixes, path).map(|(_, routes)| routes),
        }
    }

    /// What a loosest reading leads to: the exact path's routes, the longest prefix's, or those of both when they end alike.
    pub(super) fn find_loosely(&self, path: &str) -> Option<impl Iterator<Item = &Arc<R>> + Clone> {
        let exact = self.loose_exact.get(path).map(Vec::as_slice);
        let prefix = longest(&self.loose_prefixes, path)
            .filter(|(prefix, _)| exact.is_none() || *prefix == path)
            .map(|(_, routes)| routes);
        (exact.is_some() || prefix.is_some()).then(|| exact.into_iter().chain(prefix).flatten())
    }
}

/// Whether the path these routes are below is this one, but for a slash at its end.
pub(super) fn ends_at<R: AsRef<Route>>(routes: &[Arc<R>], path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    routes
        .iter()
        .any(|route| R::as_ref(route).path == PathPattern::Prefix(path.to_owned()))
}

fn add_prefix<R>(prefixes: &mut Vec<(String, Routes<R>)>, prefix: &str, route: &Arc<R>) {
    if let Some((_, routes)) = prefixes.iter_mut().find(|(known, _)| known == prefix) {
        routes.push(Arc::clone(route));
    } else {
        prefixes.push((prefix.to_owned(), vec![Arc::clone(route)]));
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    }
}

fn longest<'a, R>(
    prefixes: &'a [(String, Routes<R>)],
    path: &str,
) -> Option<(&'a str, &'a [Arc<R>])> {
    let covers = |prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let (prefix, routes) = prefixes.iter().find(|(prefix, _)| covers(prefix))?;
    Some((prefix, routes))
}
