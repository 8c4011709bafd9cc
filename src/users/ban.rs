//! One ban of a user.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock;

/// A ban, with its reason and its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// The operator's reason.
    pub reason: String,
    /// When it was set; seconds since 1970.
    pub since: u64,
    /// When it expires; `None` until an operator lifts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl Ban {
    /// A ban from now on; `None` is permanent. Counted in whole seconds, at least one.
    #[must_use]
    pub fn new(reason: &str, lasts: Option<Duration>) -> Self {
        let since = clock::unix_seconds();
        let until = lasts.map(|lasts| since.saturating_add(lasts.as_secs().max(1)));
        Self {
            reason: reason.to_owned(),
            since,
            until,
        }
    }
}
