//! `[[routes]]` and the styles of answers.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::session::TokenSource;

/// One route: host + path + methods → upstream + auth.
#[derive(Debug, Clone)]
pub struct Route {
    /// `"/api/*"`, `"/api"` or `"/*"`.
    pub path: PathPattern,
    /// Lower case, no port; `*.example.com` is every name below it. Empty: every host.
    pub hosts: Vec<String>,
    /// Empty: every method.
    pub methods: Vec<Method>,
    /// Forward or answer.
    pub action: Action,
    /// What is asked of the caller. Default `required`.
    pub auth: Auth,
    /// Shape of refusals. Default `plain`.
    pub style: Style,
    /// Cut from the front of the path before forwarding; at a segment border. `None` when empty.
    pub strip_prefix: Option<String>,
    /// Put before the path. `None` when empty.
    pub add_prefix: Option<String>,
    /// Where the skey is looked for; as `session.token_from` when not written.
    pub token_from: Vec<TokenSource>,
    /// For `auth = "optional"`: what an skey without a session means. Default `anonymous`.
    pub on_bad_token: OnBadToken,
    /// Largest request body; as `server.max_body` when not written; `None` is `"none"`.
    pub max_body: Option<u64>,
    /// Time to the first byte of the upstream's answer; `None`: the upstream's `response_timeout`.
    pub timeout: Option<Duration>,
    /// Encoded bytes that a path may hold. Default none.
    pub allow_encoded: Vec<EncodedByte>,
    /// Changes to what is forwarded; never to identity or framing headers.
    pub request_headers: HeaderRules,
    /// Changes to what is answered.
    pub response_headers: HeaderRules,
}

/// `path` of a route, canonical.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathPattern {
    /// `"/api"`: that path only.
    Exact(String),
    /// `"/api/*"`: holds `/api`: that path and all below it. `"/*"` holds the empty text.
    Prefix(String),
}

/// What a route does with a request it lets in.
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
    /// Nobody is asked; no identity is sent.
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

/// An encoded byte that a route lets through in its paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodedByte {
    /// `%2F`.
    Slash,
    /// `%25`.
    Percent,
}

/// `request_headers` and `response_headers` of a route.
#[derive(Debug, Clone, Default)]
pub struct HeaderRules {
    /// Set, over what is there.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Removed.
    pub remove: Vec<HeaderName>,
}

/// The wire shape of login answers and refusals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Style {
    /// `{"skey", "expires_in", "user_id", "is_new"}`; refusals with `error`, `errcode`, `errmsg`, `request_id`.
    Plain,
    /// `{"token"}`; refusals `{"errcode", "errmsg"}`.
    Token,
    /// `{"sessionid"}`; refusals as `token`.
    Sessionid,
    /// `{"code":0,"data":{"skey","userinfo"}}`; `code:-1` for not_logged_in alone.
    Wafer2,
    /// As `plain`, but every refusal is HTTP 200.
    Errcode200,
    /// A table of one's own.
    Custom(CustomStyle),
}

/// A style of one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomStyle {
    /// JSON text of a login answer; `{skey}`, `{expires_in}`, `{user_id}`, `{openid}`, `{is_new}` are filled in. Required, must be
    /// JSON after filling.
    pub login: String,
    /// HTTP status of refusals; `None`: the one of the error.
    pub refusal_status: Option<StatusCode>,
    /// JSON text of a refusal; `{error}`, `{errcode}`, `{errmsg}`, `{request_id}` are filled in. `None`: as `plain`.
    pub refusal: Option<String>,
}
