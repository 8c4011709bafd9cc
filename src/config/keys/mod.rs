//! The declarations of all keys, a file per table.

pub(super) mod admin;
pub(super) mod apps;
pub(super) mod decrypt;
pub(super) mod headers;
pub(super) mod identity;
pub(super) mod log;
pub(super) mod login;
pub(super) mod phone;
pub(super) mod rate_limit;
pub(super) mod redis;
pub(super) mod relay;
pub(super) mod routes;
pub(super) mod server;
pub(super) mod session;
pub(super) mod style;
pub(super) mod upstreams;
pub(super) mod users;
pub(super) mod wechat;
