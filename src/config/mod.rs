//! gateway.toml: its tables, read and checked once. A `Config` that exists is valid: nothing after this module checks a
//! key again, and only this module reads files and the environment.

mod apps;
mod identity;
mod redis;
mod route;
mod server;
mod session;
mod upstream;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

pub use self::apps::{App, CodeSource, Login, Wechat};
pub use self::identity::{Identity, Template, TemplatePart};
pub use self::redis::Redis;
pub use self::route::{
    Action, Auth, CustomStyle, EncodedByte, HeaderRules, OnBadToken, PathPattern, Respond, Route,
    Style,
};
pub use self::server::{AccessLog, Admin, Log, LogFormat, Server, Shutdown, Workers};
pub use self::server::{PathPolicy, UnderscoreHeaders};
pub use self::session::{Session, SessionStoreKind, TokenSource, UserStoreKind, Users};
pub use self::upstream::{HostHeader, ServerAddress, Upstream};
pub use self::values::{ListenAddress, Secret};

/// The whole of gateway.toml, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[server]`: listeners, limits and deadlines.
    pub server: Server,
    /// `[admin]`: the operator's own listener.
    pub admin: Admin,
    /// `[redis]`: where sessions and users are kept.
    pub redis: Redis,
    /// `[session]`: what an skey is worth and how it is sent.
    pub session: Session,
    /// `[users]`: who gives out user ids.
    pub users: Users,
    /// `[[apps]]`: at least one.
    pub apps: Vec<App>,
    /// `[wechat]`: how WeChat's API is reached.
    pub wechat: Wechat,
    /// `[[login]]`: at least one; `POST /login` in style `plain` when none is written.
    pub login: Vec<Login>,
    /// `[identity]`: the headers that tell the upstream who is calling.
    pub identity: Identity,
    /// `[upstreams.NAME]`: at least one, unless every route answers by itself.
    pub upstreams: BTreeMap<String, Upstream>,
    /// `[[routes]]`: at least one.
    pub routes: Vec<Route>,
    /// `[log]`: the log and the one line per request.
    pub log: Log,
}

/// The whole time one login may take, from the first byte of its answer backwards.
pub const LOGIN_DEADLINE: Duration = Duration::from_secs(5);
