//! `[[apps]]`, `[wechat]` and `[[login]]`.

use std::time::Duration;

use http::{HeaderName, Method};

use super::address;
use super::headers::{self, place};
use super::keys;
use super::paths;
use super::rate_limit::{self, Quota};
use super::reader::{Fault, Reader, boolean, duration, filled_list, list, text, text_or_none};
use super::style::Style;
use super::values::TIMEOUT;
use crate::secret::Secret;

/// Of one call to WeChat: a login, which makes one, has no more time in all.
const MAX_WECHAT_TIMEOUT: Duration = Duration::from_secs(5);
/// The appid in the example file.
const PLACEHOLDER: &str = "wx0000000000000000";

/// One mini program.
#[derive(Debug, Clone)]
pub struct App {
    /// How routes and logs call it. Default: the appid.
    pub name: String,
    /// `wx` and 16 characters of `[0-9a-f]`; other ids of up to 64 characters of `[A-Za-z0-9_-]`
    /// draw a warning.
    pub appid: String,
    /// The AppSecret.
    pub secret: Secret,
    /// The AppSecret that follows: tried where WeChat refuses `secret`, and what is sealed under it
    /// opens.
    pub secret_next: Option<Secret>,
    /// The AppSecret before a rotation: what was sealed under it still opens.
    pub secret_previous: Option<Secret>,
    /// Taken when nothing else chooses. Default: true for an only app; at most one.
    pub default: bool,
    /// Request hosts (lower case, no port) that choose this app.
    pub hosts: Vec<String>,
}

/// `[wechat]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wechat {
    /// Scheme, host and port of the API, no path. Default `"https://api.weixin.qq.com"`; `http`
    /// only to a loopback address.
    pub api_base: String,
    /// `http://host:port` of a forward proxy; `None` to go straight. The environment's proxy
    /// variables are not read.
    pub proxy: Option<String>,
    /// Time for one call; half of it to connect. Default `"4s"`.
    pub timeout: Duration,
}

/// One login endpoint.
#[derive(Debug, Clone)]
pub struct Login {
    /// Its place in the file, from 0.
    pub number: usize,
    /// Exact path. Default `"/login"`.
    pub path: String,
    /// Default `["POST"]`; GET and POST are allowed.
    pub methods: Vec<Method>,
    /// Shape of answer and refusal. Default `"plain"`.
    pub style: Style,
    /// Name of the app; `None` is chosen per request (header `X-Wx-App`, then Host, then `Referer`,
    /// then the default app).
    pub app: Option<String>,
    /// Where the login code is looked for, in order. Default `["json:code", "form:code",
    /// "header:x-wx-code", "query:code"]`.
    pub code_from: Vec<CodeSource>,
    /// Whether an unknown user gets an id. Default true; false refuses with `unknown_user`.
    pub create_users: bool,
    /// Logins in a time, for each client address. Default `{ per_address = "600/m", burst = 200 }`;
    /// `None` is `"none"`.
    pub rate_limit: Option<Quota>,
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

impl App {
    /// `only` is whether there is no other app: then it is the default.
    pub(super) fn read(table: &Reader<'_>, only: bool) -> Option<Self> {
        let name = table.optional(&keys::apps::NAME, text_or_none(app_name));
        let appid = table.required(&keys::apps::APPID, text(appid));
        let secret = table.required_secret(&keys::apps::SECRET, &keys::apps::SECRET_FILE);
        let secret_next = table.secret(&keys::apps::SECRET_NEXT, &keys::apps::SECRET_NEXT_FILE);
        let secret_previous = table.secret(
            &keys::apps::SECRET_PREVIOUS,
            &keys::apps::SECRET_PREVIOUS_FILE,
        );
        let default = table.optional(&keys::apps::DEFAULT, boolean);
        let hosts = table.key(&keys::apps::HOSTS, list(text(paths::host)));
        table.finish();
        let appid = appid?;
        if appid == PLACEHOLDER {
            table.warning(
                "appid",
                "still the one of the example",
                "write the mini program's own",
            );
        }
        if !usual(&appid) {
            table.warning(
                "appid",
                "not of the usual form",
                "WeChat's are `wx` and 16 characters of 0-9 and a-f",
            );
        }
        Some(Self {
            name: name.flatten().unwrap_or_else(|| appid.clone()),
            appid,
            secret: secret?,
            secret_next,
            secret_previous,
            default: only || default.unwrap_or(false),
            hosts: hosts?,
        })
    }
}

fn app_name(text: &str) -> Result<String, Fault> {
    if text.len() > 64
        || !text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    {
        return Err(Fault::new("is not a name").help("up to 64 of A-Z, a-z, 0-9, `-`, `_`, `.`"));
    }
    Ok(text.to_owned())
}

fn appid(text: &str) -> Result<String, Fault> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if text.is_empty() || text.len() > 64 || !plain {
        return Err(Fault::new("is not an appid")
            .help("it starts with `wx`; see the mini program's console"));
    }
    Ok(text.to_owned())
}

fn usual(appid: &str) -> bool {
    appid.len() == 18
        && appid.strip_prefix("wx").is_some_and(|rest| {
            rest.bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
}

impl Wechat {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let wechat = Self {
            api_base: table.key(&keys::wechat::API_BASE, text(address::api_base))?,
            proxy: table.key(&keys::wechat::PROXY, text_or_none(address::proxy))?,
            timeout: table.key(
                &keys::wechat::TIMEOUT,
                duration(*TIMEOUT.start()..=MAX_WECHAT_TIMEOUT),
            )?,
        };
        table.finish();
        Some(wechat)
    }
}

impl Login {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let login = Self {
            number: 0,
            path: table.key(&keys::login::PATH, text(login_path))?,
            methods: table.key(&keys::login::METHODS, filled_list(text(login_method)))?,
            style: Style::read(table)?,
            app: table.key(&keys::login::APP, text_or_none(|text| Ok(text.to_owned())))?,
            code_from: table.key(
                &keys::login::CODE_FROM,
                filled_list(text(CodeSource::parse)),
            )?,
            create_users: table.key(&keys::login::CREATE_USERS, boolean)?,
            rate_limit: rate_limit::login(table)?,
        };
        table.finish();
        Some(login)
    }
}

fn login_path(text: &str) -> Result<String, Fault> {
    let path = paths::exact_path(text)?;
    if paths::is_reserved(&path) {
        return Err(
            Fault::new("lies under /_gateway, which is the gateway's own")
                .help("write another path, as in \"/login\""),
        );
    }
    Ok(path)
}

fn login_method(text: &str) -> Result<Method, Fault> {
    match paths::method(text)? {
        method @ (Method::GET | Method::POST) => Ok(method),
        _ => Err(Fault::new("cannot be a login").help("write \"POST\" or \"GET\"")),
    }
}

impl CodeSource {
    fn parse(text: &str) -> Result<Self, Fault> {
        let place = place(text, &["json", "form", "header", "query"])?;
        let name = place.name.to_owned();
        Ok(match place.kind {
            "json" => Self::Json(name),
            "form" => Self::Form(name),
            "header" => Self::Header(headers::carrier(&name)?),
            _ => Self::Query(name),
        })
    }
}
