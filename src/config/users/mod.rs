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
    pub store: UserStoreKind,
    /// What is kept of users besides their ids. Default: nothing.
    pub profile: Vec<ProfileField>,
    /// `[users.sql]`; there when `store` is `"sql"`.
    pub sql: Option<Sql>,
    /// `[users.webhook]`; there when `store` is `"webhook"`.
    pub webhook: Option<Webhook>,
    /// `[users.merged]`.
    pub merged: Merged,
}

/// `users.store`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserStoreKind {
    /// Ids are given out in Redis.
    Redis,
    /// Ids are given out by a database.
    Sql,
    /// A service of the operator's says who is who.
    Webhook,
    /// Ids are given out by this process and end with it.
    Memory,
    /// No user ids: the upstream gets the openid alone.
    Off,
}

impl Users {
    /// `sessions` is where sessions are kept: user ids are kept there too unless the file says otherwise.
    pub(super) fn read(table: &Reader<'_>, sessions: Option<SessionStoreKind>) -> Option<Self> {
        let store = table.optional(&keys::users::STORE, text(user_store));
        let profile = profile::read(table);
        let sql_table = table.table("sql");
        let sql = Sql::read(&sql_table, store == Some(UserStoreKind::Sql));
        let webhook_table = table.table("webhook");
        let webhook = Webhook::read(&webhook_table, store == Some(UserStoreKind::Webhook));
        let merged = Merged::read(&table.table("merged"));
        table.finish();
        let store = match (store, sessions) {
            (Some(store), _) => store,
            (None, Some(SessionStoreKind::Memory)) => UserStoreKind::Memory,
            (None, _) => UserStoreKind::Redis,
        };
        if store == UserStoreKind::Sql && sql.is_none()
            || store == UserStoreKind::Webhook && webhook.is_none()
        {
            return None;
        }
        if store != UserStoreKind::Sql && sql.is_some() {
            sql_table.warning(
                "url",
                "not used: ids come from elsewhere",
                "write users.store = \"sql\", or leave it out",
            );
        }
        if store != UserStoreKind::Webhook && webhook.is_some() {
            webhook_table.warning(
                "url",
                "not used: no service is asked",
                "write users.store = \"webhook\", or leave it out",
            );
        }
        let users = Self {
            store,
            profile: profile?,
            sql,
            webhook,
            merged: merged?,
        };
        profile::check(table, &users);
        Some(users)
    }
}

/// Warns of headers in `identity.headers` whose values are never there.
pub(super) fn warn(table: &Reader<'_>, users: &Users, identity: &Identity, phones: bool) {
    profile::warn(table, users, identity, phones);
    webhook::warn(table, users, identity);
}

fn user_store(text: &str) -> Result<UserStoreKind, Fault> {
    let words = [
        ("redis", UserStoreKind::Redis),
        ("sql", UserStoreKind::Sql),
        ("webhook", UserStoreKind::Webhook),
        ("memory", UserStoreKind::Memory),
        ("off", UserStoreKind::Off),
    ];
    choose(text, &words)
}
