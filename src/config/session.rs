//! `[session]` and `[users]`.

use std::time::Duration;

use http::HeaderName;

use super::values::Secret;

/// `[session]`.
#[derive(Debug, Clone)]
pub struct Session {
    /// Default `"redis"`.
    pub store: SessionStoreKind,
    /// Idle time after which a session ends; slides. Default `"7d"`; at least `"1m"`, whole seconds.
    pub ttl: Duration,
    /// A session in use is prolonged at most once in this time. Default `"10m"`, or a tenth of `ttl` where that is less.
    pub renew_every: Duration,
    /// Age at which a session ends, used or not. Default `"30d"`.
    pub max_age: Duration,
    /// Live sessions of one user; 0 is no limit. Default 0. The oldest go first, after 30 s of grace.
    pub max_per_user: u32,
    /// Keys that seal what is stored: the first seals, all open. Empty: derived from the AppSecrets.
    pub seal_keys: Vec<Secret>,
    /// Where the skey is looked for, unless the route says otherwise. Default
    /// `["header:skey", "header:x-wx-skey", "bearer"]`. A query source is allowed only in a route.
    pub token_from: Vec<TokenSource>,
}

/// `session.store`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStoreKind {
    /// Shared by every replica.
    Redis,
    /// In this process: sessions end with it.
    Memory,
}

/// One place where an skey may be found, e.g. `"header:skey"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// `header:NAME`: the whole value.
    Header(HeaderName),
    /// `bearer`: `Authorization: Bearer …`.
    Bearer,
    /// `query:NAME`.
    Query(String),
    /// `cookie:NAME`.
    Cookie(String),
    /// `form:NAME`: a field of an `application/x-www-form-urlencoded` body.
    Form(String),
    /// `json:NAME`: a top-level key of a JSON body.
    Json(String),
}

/// `[users]`.
#[derive(Debug, Clone)]
pub struct Users {
    /// Default: as `session.store`.
    pub store: UserStoreKind,
}

/// `users.store`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserStoreKind {
    /// Ids are given out in Redis.
    Redis,
    /// Ids are given out by this process and end with it.
    Memory,
    /// No user ids: the upstream gets the openid alone.
    Off,
}
