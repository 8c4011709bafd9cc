//! The one line per request. What it holds is a contract: docs/REQUEST-LOG.md. It is laid out by hand, since it is written for
//! every request, and sent when the record is dropped, so that no way to end a request can miss it or write it twice.

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

/// Everything that is known about one request. Dropping it writes its line.
#[derive(Debug)]
pub struct Record {
    started: Instant,
    rules: Arc<AccessLog>,
    /// The request's id.
    pub id: RequestId,
    /// Whose request it is; `None` over a Unix socket.
    pub client: Option<IpAddr>,
    /// The method.
    pub method: Method,
    /// The protocol it came by.
    pub version: Version,
    /// The path as it came, without query.
    pub path: String,
    /// The host it names: lower case, no port.
    pub host: Option<String>,
    /// The route taken.
    pub route: Option<Arc<Route>>,
    /// Our own endpoint, when it was one.
    pub endpoint: Option<&'static str>,
    /// What authentication found.
    pub auth: AuthOutcome,
    /// Where the skey was.
    pub token_source: Option<&'static str>,
    /// The user's id.
    pub user_id: Option<String>,
    /// The mini program.
    pub appid: Option<String>,
    /// The upstream, as of the last try.
    pub upstream: Option<UpstreamEntry>,
    /// The status answered; `None` when the client left before.
    pub status: Option<u16>,
    /// Name and cause of the error, if it ended with one.
    pub error: Option<(&'static str, String)>,
    /// Whether somebody must act.
    pub operator_must_act: bool,
    /// Whether it failed on our side or the upstream's, whatever status a style made of that.
    pub degraded: bool,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the response body.
    pub bytes_out: u64,
    /// Time spent asking the session store; for a login, the user directory too.
    pub store_time: Option<Duration>,
    /// Time a login spent asking WeChat.
    pub wechat_time: Option<Duration>,
    /// Time to the head of the upstream's answer.
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

/// What authentication found, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthOutcome {
    /// The request ended before anybody was asked.
    None,
    /// The route asks nobody.
    Off,
    /// Let in without an identity.
    Anonymous,
    /// Let in with one.
    User,
    /// Refused.
    Refused,
    /// The session store did not answer.
    Unknown,
}

impl AuthOutcome {
    /// What a failed authentication found.
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
    /// Begins at the request's first sight.
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

    /// Notes how it went wrong.
    pub fn fail(&mut self, error: &Error) {
        let answer = error.answer();
        self.error = Some((answer.name, error.to_string()));
        self.degraded |= answer.status.is_server_error();
        self.operator_must_act |= error.operator_must_act();
    }

    fn level(&self) -> Level {
        if self.operator_must_act {
            return Level::ERROR;
        }
        // An upstream's own 5xx is its own affair; ours, and answers it left half said, are not.
        if self.degraded {
            Level::WARN
        } else {
            Level::INFO
        }
    }

    /// Notes that the upstream left its answer half said.
    pub fn break_off(&mut self, cause: String) {
        self.error = Some(("upstream_broke_off", cause));
        self.degraded = true;
    }

    /// Whether it gets a line: what failed always does.
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
        // The id is as good as random, and the same choice then falls for every line of one request.
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
    fn what_failed_gets_a_line_though_skipped_or_sampled_away() {
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
