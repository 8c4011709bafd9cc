//! Applies `request_headers` and `response_headers` of a route.

use hyper::HeaderMap;

use crate::config::HeaderRules;

/// Removes headers, then sets the others.
pub(super) fn apply(rules: &HeaderRules, headers: &mut HeaderMap) {
    for name in &rules.remove {
        headers.remove(name);
    }
    for (name, value) in &rules.set {
        headers.insert(name.clone(), value.clone());
    }
}
