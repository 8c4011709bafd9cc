//! `request_headers` and `response_headers` of a route, applied.

use hyper::HeaderMap;

use crate::config::HeaderRules;

/// Removes headers, then sets others, as the route says.
pub(super) fn apply(rules: &HeaderRules, headers: &mut HeaderMap) {
    for name in &rules.remove {
        headers.remove(name);
    }
    for (name, value) in &rules.set {
        headers.insert(name.clone(), value.clone());
    }
}
