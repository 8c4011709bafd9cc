//! `[phone]` and `[relay]`: access to WeChat's server API.

use std::time::Duration;

use super::keys;
use super::paths::{self, PathPattern};
use super::reader::{Fault, Reader, boolean, duration, list, text};
use super::values::TIMEOUT;

/// `[phone]`.
#[derive(Debug, Clone)]
pub struct PhoneNumbers {
    /// Whether `POST /_gateway/phone` is there. Default false: WeChat charges for each number.
    pub enabled: bool,
}

/// `[relay]`.
#[derive(Debug, Clone)]
pub struct Relay {
    /// Paths of WeChat's server API that backends may call through the admin listener. Default
    /// none: there is no relay.
    pub paths: Vec<PathPattern>,
    /// Time to the head of WeChat's answer, from the last piece of the request on, and of silence
    /// in either body. Default `"30s"`.
    pub timeout: Duration,
}

/// Calls that give tokens out: theirs or, by a new one, the end of ours.
const TOKENS: [&str; 2] = ["/cgi-bin/token", "/cgi-bin/stable_token"];

impl PhoneNumbers {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let enabled = table.key(&keys::phone::ENABLED, boolean);
        table.finish();
        Some(Self { enabled: enabled? })
    }
}

impl Relay {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let paths = table.key(&keys::relay::PATHS, list(text(path)));
        let timeout = table.key(&keys::relay::TIMEOUT, duration(TIMEOUT));
        table.finish();
        Some(Self {
            paths: paths?,
            timeout: timeout?,
        })
    }

    /// Whether a canonical path may be called.
    #[must_use]
    pub fn allows(&self, path: &str) -> bool {
        !TOKENS.contains(&path) && self.paths.iter().any(|pattern| covers(pattern, path))
    }
}

fn covers(pattern: &PathPattern, path: &str) -> bool {
    match pattern {
        PathPattern::Exact(exact) => exact == path,
        PathPattern::Prefix(prefix) => path
            .strip_prefix(prefix.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    }
}

fn path(text: &str) -> Result<PathPattern, Fault> {
    let pattern = paths::pattern(text)?;
    if pattern == PathPattern::Prefix(String::new()) {
        return Err(Fault::new("allows every call")
            .help("write the calls that backends need, as in \"/wxa/msg_sec_check\""));
    }
    if matches!(&pattern, PathPattern::Exact(path) if TOKENS.contains(&path.as_str())) {
        return Err(
            Fault::new("gives out a token, which the relay is there to keep")
                .help("remove it: every call through the relay carries the gateway's own"),
        );
    }
    Ok(pattern)
}
