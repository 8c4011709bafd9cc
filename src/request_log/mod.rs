//! The one log line per request, a contract: docs/REQUEST-LOG.md. It is formatted by hand, because
//! every request has one, and written when the record is dropped, so that a request on any path has
//! exactly one line.

mod line;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::{Method, Version};
use tokio::time::Instant;
use tracing::Level;

use crate::config::{AccessLog, Route};
use crate::error::Error;
use crate::http::request_id::RequestId;
use crate::logging;

/// The record of one request. Dropping it writes the line.
#[derive(Debug)]
pub struct Record {
    started: Instant,
    rules: Arc<AccessLog>,
    /// The request's id.
    pub id: RequestId,
    /// The client's address; `None` over a Unix socket.
    pub client: Option<IpAddr>,
    /// The method.
    pub method: Method,
    /// The HTTP version.
    pub version: Version,
    /// The path as received, without query.
    pub path: String,
    /// The request's host: lower case, no port.
    pub host: Option<String>,
    /// The matched route.
    pub route: Option<Arc<Route>>,
    /// The built-in endpoint, if the request was for one.
    pub endpoint: Option<&'static str>,
    /// The outcome of authentication.
    pub auth: AuthOutcome,
    /// The place of the skey.
    pub token_source: Option<&'static str>,
    /// The user id.
    pub user_id: Option<String>,
    /// The mini program.
    pub appid: Option<String>,
    /// The upstream, as of the last try.
    pub upstream: Option<UpstreamEntry>,
    /// The response status; `None` if the client disconnected before.
    pub status: Option<u16>,
    /// Name and cause of the error, if there was one.
    pub error: Option<(&'static str, String)>,
    /// Whether an operator must act.
    pub operator_must_act: bool,
    /// Whether skeygate or the upstream failed, whatever status a style sends.
    pub degraded: bool,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the response body.
    pub bytes_out: u64,
    /// Time of session store calls; for a login including the user directory.
    pub store_time: Option<Duration>,
    /// Time of WeChat calls in a login.
    pub wechat_time: Option<Duration>,
    /// Time to the head of the upstream's response.
    pub upstream_time: Option<Duration>,
}

/// The upstream of a request.
#[derive(Debug)]
pub struct UpstreamEntry {
    /// Its name.
    pub name: Arc<str>,
    /// The address of the endpoint that was tried last.
    pub address: Arc<str>,
    /// Tries, the first one included.
    pub tries: u32,
}

/// The outcome of authentication, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthOutcome {
    /// The request ended before authentication.
    None,
    /// The route has no authentication.
    Off,
    /// Allowed without an identity.
    Anonymous,
    /// Allowed with an identity.
    User,
    /// Refused.
    Refused,
    /// The session store did not answer.
    Unknown,
}

impl AuthOutcome {
    /// The outcome for a failed authentication.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match error {
            Error::StoreUnavailable(_) => Self::Unknown,
            _ => Self::Refused,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Off => "off",
            Self::Anonymous => "anonymous",
            Self::User => "user",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

impl Record {
    /// Created when the request arrives.
    #[must_use]
    pub fn new(
        rules: Arc<AccessLog>,
        id: RequestId,
        method: Method,
        version: Version,
        path: &str,
    ) -> Self {
        Self {
            started: Instant::now(),
            rules,
            id,
            client: None,
            method,
            version,
            path: path.to_owned(),
            host: None,
            route: None,
            endpoint: None,
            auth: AuthOutcome::None,
            token_source: None,
            user_id: None,
            appid: None,
            upstream: None,
            status: None,
            error: None,
            operator_must_act: false,
            degraded: false,
            bytes_in: 0,
            bytes_out: 0,
            store_time: None,
            wechat_time: None,
            upstream_time: None,
        }
    }

    /// Records the error of the request.
    pub fn fail(&mut self, error: &Error) {
        let answer = error.response();
        self.error = Some((answer.name, error.to_string()));
        self.degraded |= answer.status.is_server_error();
        self.operator_must_act |= error.operator_must_act();
    }

    fn level(&self) -> Level {
        if self.operator_must_act {
            return Level::ERROR;
        }
        // A 5xx status of the upstream is not a failure of skeygate; its own errors and truncated
        // responses are.
        if self.degraded {
            Level::WARN
        } else {
            Level::INFO
        }
    }

    /// Records that the upstream broke off in the middle of its response.
    pub fn break_off(&mut self, cause: String) {
        self.error = Some(("upstream_broke_off", cause));
        self.degraded = true;
    }

    /// Whether a line is written; always after a failure.
    fn is_wanted(&self) -> bool {
        let failed = self.error.is_some() || self.status.is_none_or(|status| status >= 500);
        if failed {
            return true;
        }
        if self.rules.skip.contains(&self.path) {
            return false;
        }
        if self.rules.sample >= 1.0 {
            return true;
        }
        // The id is as good as random, and gives the same decision for every line of one request.
        let id = self.id.as_str();
        let digits = id.get(id.len().saturating_sub(4)..).unwrap_or_default();
        let position = u16::from_str_radix(digits, 16).unwrap_or(0);
        f64::from(position) / 65536.0 < self.rules.sample
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Some(sink) = logging::sink() else { return };
        if self.status.is_none() && self.error.is_none() {
            self.error = Some((
                "client_left",
                "the client left before its answer".to_owned(),
            ));
        }
        let level = self.level();
        let enabled = match level {
            Level::ERROR => tracing::enabled!(target: "request", Level::ERROR),
            Level::WARN => tracing::enabled!(target: "request", Level::WARN),
            _ => tracing::enabled!(target: "request", Level::INFO),
        };
        if enabled && self.is_wanted() {
            self.write(sink, level);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request_id::RequestIds;

    pub(super) fn record() -> Record {
        let rules = AccessLog {
            sample: 1.0,
            skip: vec!["/quiet".to_owned()],
        };
        let id = RequestIds::new().next();
        let mut record = Record::new(Arc::new(rules), id, Method::GET, Version::HTTP_11, "/a");
        record.status = Some(200);
        record
    }

    #[test]
    fn a_failure_is_logged_in_spite_of_skip_and_sample() {
        let mut record = record();
        record.path = "/quiet".to_owned();
        assert!(!record.is_wanted());
        record.status = Some(502);
        assert!(record.is_wanted());
        record.status = Some(200);
        record.path = "/a".to_owned();
        record.rules = Arc::new(AccessLog {
            sample: 0.0,
            skip: Vec::new(),
        });
        assert!(!record.is_wanted());
        record.fail(&Error::NoRoute);
        assert!(record.is_wanted());
    }
}
