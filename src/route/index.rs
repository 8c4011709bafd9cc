//! The routes of one host by path.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{PathPattern, Route};
use crate::http::lenient_path::most_lenient;

/// Routes with the same path, or for other methods of it.
type Routes<R> = Vec<Arc<R>>;

/// Indexed by the path as written and by its most lenient reading.
#[derive(Debug)]
pub(super) struct PathTable<R> {
    exact: HashMap<String, Routes<R>>,
    /// Exact paths that end in a slash, without it.
    slashed: HashMap<String, Routes<R>>,
    /// Longest first; each without its final slash.
    prefixes: Vec<(String, Routes<R>)>,
    lenient_exact: HashMap<String, Routes<R>>,
    lenient_prefixes: Vec<(String, Routes<R>)>,
}

/// The routes of a path in one table.
#[derive(Debug)]
pub(super) struct Hit<'a, R> {
    /// Routes for exactly this path.
    pub(super) exact: Option<&'a [Arc<R>]>,
    /// Routes for the path with or without a final slash.
    pub(super) twin: Option<&'a [Arc<R>]>,
    /// The longest prefix that covers it.
    pub(super) prefix: Option<&'a [Arc<R>]>,
}

impl<R> Default for PathTable<R> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            slashed: HashMap::new(),
            prefixes: Vec::new(),
            lenient_exact: HashMap::new(),
            lenient_prefixes: Vec::new(),
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
                let routes = self.lenient_exact.entry(most_lenient(path).into_owned());
                routes.or_default().push(Arc::clone(route));
            }
            PathPattern::Prefix(prefix) => {
                add_prefix(&mut self.prefixes, prefix, route);
                add_prefix(&mut self.lenient_prefixes, &most_lenient(prefix), route);
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

    /// Routes of a most lenient reading: those of the exact path, of the longest prefix, or of both
    /// when they end alike.
    pub(super) fn find_lenient(&self, path: &str) -> Option<impl Iterator<Item = &Arc<R>> + Clone> {
        let exact = self.lenient_exact.get(path).map(Vec::as_slice);
        let prefix = longest(&self.lenient_prefixes, path)
            .filter(|(prefix, _)| exact.is_none() || *prefix == path)
            .map(|(_, routes)| routes);
        (exact.is_some() || prefix.is_some()).then(|| exact.into_iter().chain(prefix).flatten())
    }
}

/// Whether the prefix of these routes is this path, apart from a final slash.
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
