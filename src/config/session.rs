//! `[session]`.

use std::time::Duration;

use http::HeaderName;

use super::headers::{self, place};
use super::keys;
use super::reader::{
    Fault, Reader, choice, duration, filled_list, integer, list, show_duration, text,
};
use crate::secret::Secret;

/// `[session]`.
#[derive(Debug, Clone)]
pub struct Session {
    /// Default `"redis"`.
    pub store: SessionStoreKind,
    /// Idle time after which a session ends; slides. Default `"7d"`; at least `"1m"`, whole
    /// seconds.
    pub ttl: Duration,
    /// Age at which a session ends, used or not. Default `"30d"`.
    pub max_age: Duration,
    /// Live sessions of one user; 0 is no limit. Default 0. The oldest go first, after 30 s of
    /// grace.
    pub max_per_user: u32,
    /// Keys that seal what is stored: the first seals, all open. Empty: derived from the
    /// AppSecrets.
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
    /// `bearer`: `Authorization: Bearer …`, when it has the length of our skeys.
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

const MINUTE: Duration = Duration::from_secs(60);
const TEN_YEARS: Duration = Duration::from_secs(3650 * 86_400);
/// HKDF takes them as they are, so they have to be hard to guess.
const SEAL_KEY_LENGTH: usize = 32;

impl Session {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let cache = table.table("cache");
        cache.later("size", "0");
        cache.later("ttl", r#""2s""#);
        cache.later("stale", r#""60s""#);
        cache.finish();
        let store = table.key(&keys::session::STORE, choice(&STORES));
        let ttl = table.key(&keys::session::TTL, duration(MINUTE..=TEN_YEARS));
        let max_age = table.key(&keys::session::MAX_AGE, duration(MINUTE..=TEN_YEARS));
        let max_per_user = table.key(&keys::session::MAX_PER_USER, integer(0..=1000_u32));
        let seal_keys = seal_keys(table);
        let sources = table.key(
            &keys::session::TOKEN_FROM,
            filled_list(text(shared_token_source)),
        );
        table.finish();
        let (ttl, max_age) = (ttl?, max_age?);
        whole_seconds(table, "ttl", ttl);
        whole_seconds(table, "max_age", max_age);
        if max_age < ttl {
            let (ttl, max_age) = (show_duration(ttl), show_duration(max_age));
            let what = format!(
                "an idle session would live for {ttl}, but max_age ends it after {max_age}"
            );
            table.error(
                "ttl",
                &what,
                Some(format!(
                    "write max_age = \"{ttl}\" or more, or a shorter ttl"
                )),
            );
        }
        Some(Self {
            store: store?,
            ttl,
            max_age,
            max_per_user: max_per_user?,
            seal_keys: seal_keys?,
            token_from: sources?,
        })
    }
}

const STORES: [(&str, SessionStoreKind); 2] = [
    ("redis", SessionStoreKind::Redis),
    ("memory", SessionStoreKind::Memory),
];

impl TokenSource {
    /// `header:NAME`, `bearer`, `query:NAME`, `cookie:NAME`, `form:NAME` or `json:NAME`.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let place = place(
            text,
            &["header", "bearer", "query", "cookie", "form", "json"],
        )?;
        let name = place.name.to_owned();
        Ok(match place.kind {
            "header" => Self::Header(headers::carrier(&name)?),
            "bearer" => Self::Bearer,
            "query" => Self::Query(name),
            "cookie" => Self::Cookie(headers::cookie(&name)?),
            "form" => Self::Form(name),
            _ => Self::Json(name),
        })
    }
}

fn shared_token_source(text: &str) -> Result<TokenSource, Fault> {
    match TokenSource::parse(text)? {
        TokenSource::Query(_) => Err(Fault::new("would allow skeys in every query string").help(
            "query strings end up in logs and histories; write it in the token_from of the routes that need it",
        )),
        source => Ok(source),
    }
}

/// The keys of the list, or the lines of the file.
fn seal_keys(table: &Reader<'_>) -> Option<Vec<Secret>> {
    let written = table.key(&keys::session::SEAL_KEYS, list(text(seal_key)));
    let file = table.optional(
        &keys::session::SEAL_KEYS_FILE,
        text(|text| Ok(text.to_owned())),
    );
    let written = written?;
    let Some(path) = file.filter(|path| !path.is_empty()) else {
        return Some(written);
    };
    if !written.is_empty() {
        table.error(
            "seal_keys_file",
            "`seal_keys` is written too",
            Some("keep one of the two".to_owned()),
        );
        return None;
    }
    let text = table.secret_file("seal_keys_file", &path)?;
    let keys: Result<Vec<Secret>, Fault> = text.expose().lines().map(seal_key).collect();
    match keys {
        Ok(keys) => Some(keys),
        Err(fault) => table.value("seal_keys_file")?.fault("", fault),
    }
}

fn seal_key(text: &str) -> Result<Secret, Fault> {
    if text.chars().count() < SEAL_KEY_LENGTH {
        return Err(Fault::about(format!(
            "a key is shorter than {SEAL_KEY_LENGTH} characters"
        ))
        .help("make one with `openssl rand -base64 32`"));
    }
    Ok(Secret::new(text))
}

fn whole_seconds(table: &Reader<'_>, name: &str, duration: Duration) {
    if duration.subsec_nanos() != 0 {
        let help = format!("write \"{}s\"", duration.as_secs());
        table.error(
            name,
            "is not whole seconds, which Redis counts in",
            Some(help),
        );
    }
}
