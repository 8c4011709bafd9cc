//! `[[apps]]`, `[wechat]` and `[[login]]`.

use std::time::Duration;

use http::{HeaderName, Method};

use super::route::Style;
use super::values::Secret;

/// One mini program.
#[derive(Debug, Clone)]
pub struct App {
    /// How routes and logs call it. Default: the appid.
    pub name: String,
    /// `wx` and 16 characters of `[0-9a-f]`; other ids of up to 64 characters of `[A-Za-z0-9_-]` draw a warning.
    pub appid: String,
    /// The AppSecret.
    pub secret: Secret,
    /// The AppSecret before a rotation: what was sealed under it still opens.
    pub secret_previous: Option<Secret>,
    /// Taken when nothing else chooses. Default: true for an only app; at most one.
    pub default: bool,
    /// Request hosts (lower case, no port) that choose this app.
    pub hosts: Vec<String>,
}

/// `[wechat]`.
#[derive(Debug, Clone)]
pub struct Wechat {
    /// Scheme, host and port of the API, no path. Default `"https://api.weixin.qq.com"`; `http` only to a loopback address.
    pub api_base: String,
    /// `http://host:port` of a forward proxy; `None` to go straight. The environment's proxy variables are not read.
    pub proxy: Option<String>,
    /// Default `"2s"`.
    pub connect_timeout: Duration,
    /// Time for one call. Default `"4s"`.
    pub timeout: Duration,
}

/// One login endpoint.
#[derive(Debug, Clone)]
pub struct Login {
    /// Exact path. Default `"/login"`.
    pub path: String,
    /// Default `["POST"]`; GET and POST are allowed.
    pub methods: Vec<Method>,
    /// Shape of answer and refusal. Default `"plain"`.
    pub style: Style,
    /// Name of the app; `None` is chosen per request (header `X-Wx-Appid`, then Host, then `Referer`, then the default app).
    pub app: Option<String>,
    /// Where the login code is looked for, in order. Default `["json:code", "form:code", "header:x-wx-code", "query:code"]`.
    pub code_from: Vec<CodeSource>,
    /// Whether an unknown user gets an id. Default true; false refuses with `unknown_user`.
    pub create_users: bool,
}

/// One place where a login code may be found, e.g. `"json:code"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeSource {
    /// `json:NAME`: a top-level key of a JSON body.
    Json(String),
    /// `form:NAME`: a field of an `application/x-www-form-urlencoded` body.
    Form(String),
    /// `header:NAME`.
    Header(HeaderName),
    /// `query:NAME`.
    Query(String),
}
