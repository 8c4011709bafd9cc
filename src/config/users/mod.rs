//! `[users]`.

use super::identity::Identity;
use super::reader::{Fault, Reader, choose, text};
use super::session::SessionStoreKind;
use crate::config::keys;

mod profile;
mod sql;
mod webhook;

pub use self::profile::ProfileField;
pub use self::sql::{ExistingTable, Sql, SqlKind, SqlPlace, SqlTls};
pub use self::webhook::{Merged, Webhook};

/// `[users]`.
#[derive(Debug, Clone)]
pub struct Users {
    /// Default: as `session.store`.
    pub store: UserStore,
    /// What is kept of users besides their ids. Default: nothing.
    pub profile: Vec<ProfileField>,
    /// `[users.merged]`.
    pub merged: Merged,
}

/// `users.store`, with the table that belongs to it.
#[derive(Debug, Clone)]
pub enum UserStore {
    /// Ids are given out in Redis.
    Redis,
    /// Ids are given out by a database: `[users.sql]`.
    Sql(Box<Sql>),
    /// A service of the operator's gives out ids: `[users.webhook]`.
    Webhook(Webhook),
    /// Ids are given out by this process and end with it.
    Memory,
    /// No user ids: the upstream gets the openid alone.
    Off,
}

/// The word of `users.store`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Redis,
    Sql,
    Webhook,
    Memory,
    Off,
}

impl Users {
    /// `sessions` is the session store: user ids are stored there too unless the file says
    /// otherwise.
    pub(super) fn read(table: &Reader<'_>, sessions: Option<SessionStoreKind>) -> Option<Self> {
        let store = table.optional(&keys::users::STORE, text(user_store));
        let profile = profile::read(table);
        let sql_table = table.table("sql");
        let sql = Sql::read(&sql_table, store == Some(Word::Sql));
        let webhook_table = table.table("webhook");
        let webhook = Webhook::read(&webhook_table, store == Some(Word::Webhook));
        let merged = Merged::read(&table.table("merged"));
        table.finish();
        if store != Some(Word::Sql) && sql.is_some() {
            sql_table.warning(
                "url",
                "not used: ids come from elsewhere",
                "write users.store = \"sql\", or leave it out",
            );
        }
        if store != Some(Word::Webhook) && webhook.is_some() {
            webhook_table.warning(
                "url",
                "not used: no service is asked",
                "write users.store = \"webhook\", or leave it out",
            );
        }
        let store = match (store, sessions) {
            (Some(Word::Redis), _) => UserStore::Redis,
            (Some(Word::Sql), _) => UserStore::Sql(Box::new(sql?)),
            (Some(Word::Webhook), _) => UserStore::Webhook(webhook?),
            (Some(Word::Off), _) => UserStore::Off,
            (Some(Word::Memory), _) | (None, Some(SessionStoreKind::Memory)) => UserStore::Memory,
            (None, _) => UserStore::Redis,
        };
        let users = Self {
            store,
            profile: profile?,
            merged: merged?,
        };
        profile::check(table, &users);
        Some(users)
    }
}

/// Warns of headers in `identity.headers` whose values never exist.
pub(super) fn warn(table: &Reader<'_>, users: &Users, identity: &Identity, phones: bool) {
    profile::warn(table, users, identity, phones);
    webhook::warn(table, users, identity);
}

fn user_store(text: &str) -> Result<Word, Fault> {
    let words = [
        ("redis", Word::Redis),
        ("sql", Word::Sql),
        ("webhook", Word::Webhook),
        ("memory", Word::Memory),
        ("off", Word::Off),
    ];
    choose(text, &words)
}
