//! An auth gateway for WeChat mini-program backends: the library behind the `skeygate` command.

pub mod access_token;
pub mod admin;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
mod delegate_io;
pub mod error;
#[cfg(feature = "dev")]
pub mod fake_wechat;
pub mod gateway;
pub mod http;
pub mod http_client;
pub mod identity;
pub mod identity_headers;
pub mod lease;
pub mod limit;
pub mod log_throttle;
pub mod logging;
pub mod login;
pub mod operations;
pub mod redis;
pub mod request_log;
pub mod route;
pub mod seal;
pub mod secret;
pub mod server;
pub mod session;
pub mod store_error;
pub mod style;
#[cfg(test)]
mod testing;
mod ttl_map;
pub mod upstream;
pub mod users;
pub mod webhook;
pub mod wechat;
