//! `[redis]`.

use std::time::Duration;

use super::address::redis_url;
use super::keys;
use super::reader::{Fault, Reader, duration, integer, text, text_or_none};
use super::values::TIMEOUT;
use crate::secret::Secret;

/// `[redis]`.
#[derive(Debug, Clone)]
pub struct Redis {
    /// `redis://host:port/db` or `unix:/path`; may hold a password, so it is a secret. Default
    /// `"redis://127.0.0.1:6379/0"`.
    pub url: Secret,
    /// ACL user; `None` for the default user.
    pub username: Option<String>,
    /// Password, when the URL has none.
    pub password: Option<Secret>,
    /// Put before every key. Default `"skeygate:"`.
    pub key_prefix: String,
    /// Shared, pipelined connections. Default 2; 1 to 64.
    pub connections: usize,
    /// Time to connect and authenticate. Default `"500ms"`.
    pub connect_timeout: Duration,
    /// Time for one command. Default `"300ms"`.
    pub timeout: Duration,
}

impl Redis {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        table.later("mode", r#""standalone""#);
        table.later("nodes", "[]");
        table.later("master_name", r#""""#);
        table.later("on_outage", r#""reject""#);
        let url = table.key(
            &keys::redis::URL,
            text(|text| Ok((redis_url(text)?, Secret::new(text)))),
        );
        let username = table.key(
            &keys::redis::USERNAME,
            text_or_none(|text| Ok(text.to_owned())),
        );
        let password = table.secret(&keys::redis::PASSWORD, &keys::redis::PASSWORD_FILE);
        let key_prefix = table.key(&keys::redis::KEY_PREFIX, text(key_prefix));
        let connections = table.key(&keys::redis::CONNECTIONS, integer(1..=64_usize));
        let connect_timeout = table.key(&keys::redis::CONNECT_TIMEOUT, duration(TIMEOUT));
        let timeout = table.key(&keys::redis::TIMEOUT, duration(TIMEOUT));
        table.finish();
        let (login, url) = url?;
        let keep_one = || Some("keep one of the two".to_owned());
        if login.password && password.is_some() {
            let name = if table.has("password_file") {
                "password_file"
            } else {
                "password"
            };
            table.error(name, "the URL has a password too", keep_one());
        }
        if login.username && username.as_ref().is_some_and(Option::is_some) {
            table.error("username", "the URL has a user name too", keep_one());
        }
        Some(Self {
            url,
            username: username?,
            password,
            key_prefix: key_prefix?,
            connections: connections?,
            connect_timeout: connect_timeout?,
            timeout: timeout?,
        })
    }
}

fn key_prefix(text: &str) -> Result<String, Fault> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"{}*?[]\\".contains(&byte));
    if text.is_empty() || text.len() > 64 || !plain {
        // Braces choose the slot in a cluster; the others are patterns to SCAN.
        return Err(Fault::new("is not a prefix for keys").help(
            "1 to 64 visible ASCII characters, none of { } * ? [ ] \\, as in \"skeygate:\"",
        ));
    }
    Ok(text.to_owned())
}
