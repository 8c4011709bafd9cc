//! `[[routes]]`.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::headers;
use super::keys;
use super::paths::{self, PathPattern};
use super::rate_limit::RateLimit;
use super::reader::{
    Fault, Reader, Value, body_limit, choice, duration, list, map, text, text_or_none,
};
use super::server::Server;
use super::session::{Session, TokenSource};
use super::style::{self, Style};
use super::values::TIMEOUT;
use crate::http::path::EncodedByte;

/// One route: host + path + methods → upstream + auth.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its place in the file, from 0: the index of tables kept per route.
    pub number: usize,
    /// `"/api/*"`, `"/api"` or `"/*"`.
    pub path: PathPattern,
    /// Lower case, no port; `*.example.com` is every name below it. Empty: every host.
    pub hosts: Vec<String>,
    /// Empty: every method.
    pub methods: Vec<Method>,
    /// Forward or respond.
    pub action: Action,
    /// What is asked of the caller. Default `required`.
    pub auth: Auth,
    /// Shape of refusals. Default `plain`.
    pub style: Style,
    /// Cut from the front of the path before forwarding; at a segment border. `None` when empty.
    pub strip_prefix: Option<String>,
    /// Put before the path. `None` when empty.
    pub add_prefix: Option<String>,
    /// Where the skey is looked for; as `session.token_from` when not written. A place in bodies
    /// limits them to 64 KiB.
    pub token_from: Vec<TokenSource>,
    /// For `auth = "optional"`: the handling of an skey without a session. Default `anonymous`.
    pub on_bad_token: OnBadToken,
    /// Largest request body; as `server.max_body` when not written; `None` is `"none"`.
    pub max_body: Option<u64>,
    /// As the upstream's `response_timeout`, which counts when `None`.
    pub timeout: Option<Duration>,
    /// Requests in a time, for each user and each address. Default none.
    pub rate_limit: RateLimit,
    /// Encoded bytes that a path may hold. Default none.
    pub allow_encoded: Vec<EncodedByte>,
    /// Changes to the forwarded request; never to identity or framing headers.
    pub request_headers: HeaderRules,
    /// Changes to the response, except refusals.
    pub response_headers: HeaderRules,
}

/// How a route serves a request that passed its checks.
#[derive(Debug, Clone)]
pub enum Action {
    /// Pass to the upstream of this name.
    Forward(String),
    /// Answer ourselves.
    Respond(Respond),
}

/// `respond` of a route.
#[derive(Debug, Clone)]
pub struct Respond {
    /// Default 200; 200 to 599, but 204 and 304 without a body.
    pub status: StatusCode,
    /// Default empty.
    pub body: String,
    /// Default `"text/plain; charset=utf-8"`.
    pub content_type: HeaderValue,
}

/// `auth` of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// No session, no entry.
    Required,
    /// Anonymous callers are let in; an identity is added when the skey is good.
    Optional,
    /// No session is looked for; no identity is sent.
    Off,
}

/// `on_bad_token` of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBadToken {
    /// Served as anonymous.
    Anonymous,
    /// Refused with 401.
    Reject,
}

/// `request_headers` and `response_headers` of a route.
#[derive(Debug, Clone, Default)]
pub struct HeaderRules {
    /// Set, over what is there.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Removed.
    pub remove: Vec<HeaderName>,
}

impl Route {
    /// `server` and `session` hold what a route that does not say so follows.
    pub(super) fn read(
        table: &Reader<'_>,
        server: Option<&Server>,
        session: Option<&Session>,
    ) -> Option<Self> {
        let path = table.required(&keys::routes::PATH, text(route_path));
        let hosts = table.key(&keys::routes::HOSTS, list(text(paths::host_pattern)));
        let methods = table.key(&keys::routes::METHODS, list(text(paths::method)));
        let action = Action::read(table);
        let auth = table.key(&keys::routes::AUTH, choice(&AUTH));
        let style = Style::read(table);
        let strip_prefix = table.key(&keys::routes::STRIP_PREFIX, text_or_none(paths::prefix));
        let add_prefix = table.key(&keys::routes::ADD_PREFIX, text_or_none(paths::prefix));
        let token_from = table.key(&keys::routes::TOKEN_FROM, list(text(TokenSource::parse)));
        let on_bad_token = table.key(&keys::routes::ON_BAD_TOKEN, choice(&ON_BAD_TOKEN));
        let max_body = table.optional(&keys::routes::MAX_BODY, body_limit);
        let timeout = table.optional(&keys::routes::TIMEOUT, duration(TIMEOUT));
        let rate_limit = RateLimit::read(table);
        let allow_encoded = table.key(&keys::routes::ALLOW_ENCODED, list(choice(&ENCODED)));
        let request_headers = HeaderRules::read(&table.table("request_headers"));
        let response_headers = HeaderRules::read(&table.table("response_headers"));
        table.finish();
        let token_from = token_from
            .filter(|sources| !sources.is_empty())
            .or_else(|| Some(session?.token_from.clone()));
        let route = Self {
            number: 0,
            path: path?,
            hosts: hosts?,
            methods: methods?,
            action: action?,
            auth: auth?,
            style: style?,
            strip_prefix: strip_prefix?,
            add_prefix: add_prefix?,
            token_from: token_from?,
            on_bad_token: on_bad_token?,
            max_body: max_body.or_else(|| Some(server?.max_body))?,
            timeout,
            rate_limit: rate_limit?,
            allow_encoded: allow_encoded?,
            request_headers: request_headers?,
            response_headers: response_headers?,
        };
        route.check(table);
        Some(route)
    }

    /// Reports keys that contradict each other.
    fn check(&self, table: &Reader<'_>) {
        let leave_out = || Some("leave it out".to_owned());
        if self.auth != Auth::Optional && table.has("on_bad_token") {
            table.error(
                "on_bad_token",
                "says something only where auth = \"optional\"",
                leave_out(),
            );
        }
        if self.auth == Auth::Off && self.rate_limit.per_user.is_some() {
            table.error(
                "rate_limit",
                "per_user has no effect where auth = \"off\": no user is known there",
                Some("write per_address".to_owned()),
            );
        }
        if matches!(self.action, Action::Respond(_)) {
            for name in [
                "strip_prefix",
                "add_prefix",
                "timeout",
                "request_headers",
                "allow_encoded",
            ] {
                if table.has(name) {
                    table.error(
                        name,
                        "has no effect on a route that responds directly",
                        leave_out(),
                    );
                }
            }
        }
        let Some(strip) = &self.strip_prefix else {
            return;
        };
        let (PathPattern::Exact(path) | PathPattern::Prefix(path)) = &self.path;
        let fits = path
            .strip_prefix(strip.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !fits {
            let what = format!("not every path of this route starts with `{strip}`");
            table.error(
                "strip_prefix",
                &what,
                Some(format!(
                    "write a part of the route's own path, `{self_path}`",
                    self_path = self.path
                )),
            );
        }
    }
}

const AUTH: [(&str, Auth); 3] = [
    ("required", Auth::Required),
    ("optional", Auth::Optional),
    ("off", Auth::Off),
];
const ON_BAD_TOKEN: [(&str, OnBadToken); 2] = [
    ("anonymous", OnBadToken::Anonymous),
    ("reject", OnBadToken::Reject),
];
const ENCODED: [(&str, EncodedByte); 2] = [("/", EncodedByte::Slash), ("%", EncodedByte::Percent)];

fn route_path(text: &str) -> Result<PathPattern, Fault> {
    let pattern = paths::pattern(text)?;
    let (PathPattern::Exact(path) | PathPattern::Prefix(path)) = &pattern;
    if paths::is_reserved(path) {
        return Err(
            Fault::new("lies under /_gateway, which is the gateway's own")
                .help("write another path"),
        );
    }
    Ok(pattern)
}

impl Action {
    /// Exactly one of `upstream` and `respond`.
    fn read(table: &Reader<'_>) -> Option<Self> {
        let upstream = table.optional(&keys::routes::UPSTREAM, text(|text| Ok(text.to_owned())));
        let respond = Respond::read(&table.table("respond"));
        match (table.has("upstream"), table.has("respond")) {
            (true, true) => {
                let help = Some("keep one of the two: forward, or respond".to_owned());
                table.error("respond", "`upstream` is written too", help);
                None
            }
            (true, false) => upstream.map(Self::Forward),
            (false, true) => respond.map(Self::Respond),
            (false, false) => table.missing("upstream"),
        }
    }
}

impl Respond {
    fn read(table: &Reader<'_>) -> Option<Self> {
        let status = table.key(&keys::routes::RESPOND_STATUS, style::status);
        let body = table.key(
            &keys::routes::RESPOND_BODY,
            text(|text| Ok(text.to_owned())),
        );
        let content_type = table.key(&keys::routes::RESPOND_CONTENT_TYPE, text(headers::value));
        table.finish();
        let (status, body) = (status?, body?);
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) && !body.is_empty() {
            table.error(
                "body",
                &format!("a response with status {} has no body", status.as_u16()),
                Some("leave it out".to_owned()),
            );
        }
        Some(Self {
            status,
            body,
            content_type: content_type?,
        })
    }
}

impl HeaderRules {
    fn read(table: &Reader<'_>) -> Option<Self> {
        let set = table.key(&keys::headers::SET, map(rule));
        let remove = table.key(&keys::headers::REMOVE, list(rule_name));
        table.finish();
        Some(Self {
            set: set?,
            remove: remove?,
        })
    }
}

/// Both are read before either is asked for, so that both are reported.
fn rule(name: &Value<'_>, value: &Value<'_>) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = (rule_name(name), text(headers::value)(value));
    name.zip(value)
}

fn rule_name(value: &Value<'_>) -> Option<HeaderName> {
    text(|text: &str| {
        let name = headers::name(text)?;
        if headers::is_framing(&name) {
            let help = if name == http::header::HOST {
                "see `host` of the upstream"
            } else {
                "the gateway takes care of it"
            };
            return Err(Fault::new("is not a route's to change").help(help));
        }
        Ok(name)
    })(value)
}
