//! All tables of the file, each with the reader it came from: what the checks across tables look
//! at.

use std::collections::BTreeMap;

use super::Config;
use super::apps::{App, Login, Wechat};
use super::decrypt::Decrypt;
use super::identity::Identity;
use super::rate_limit::RateLimits;
use super::reader::Reader;
use super::redis::Redis;
use super::route::Route;
use super::server::{Admin, Log, Server};
use super::server_api::{PhoneNumbers, Relay};
use super::session::Session;
use super::upstream::Upstream;
use super::users::Users;

/// Entries of one kind that could be read, each with its reader, for messages about it.
pub(super) struct Entries<'a, T> {
    pub(super) entries: Vec<(Reader<'a>, T)>,
    /// Whether every entry that is written could be read: else nothing can be said about what is
    /// missing.
    pub(super) complete: bool,
}

impl<T> Entries<'_, T> {
    pub(super) fn values(&self) -> impl Iterator<Item = &T> + Clone {
        self.entries.iter().map(|(_, entry)| entry)
    }
}

/// All tables, before they are compared with each other.
pub(super) struct Tables<'a> {
    pub(super) server: (Reader<'a>, Server),
    pub(super) admin: (Reader<'a>, Admin),
    pub(super) session: (Reader<'a>, Session),
    pub(super) users: (Reader<'a>, Users),
    pub(super) decrypt: Decrypt,
    pub(super) identity: Identity,
    pub(super) apps: Entries<'a, App>,
    pub(super) login: Entries<'a, Login>,
    pub(super) upstreams: Entries<'a, Upstream>,
    pub(super) upstream_names: Vec<String>,
    pub(super) routes: Entries<'a, Route>,
    pub(super) redis_table: Reader<'a>,
    pub(super) rate_limit: (Reader<'a>, RateLimits),
    pub(super) redis: Redis,
    pub(super) relay: (Reader<'a>, Relay),
    pub(super) wechat: Wechat,
    pub(super) phone: PhoneNumbers,
    pub(super) log: Log,
}

impl Tables<'_> {
    pub(super) fn into_config(self) -> Config {
        let names = self.upstream_names.into_iter();
        let upstreams: BTreeMap<_, _> = names
            .zip(
                self.upstreams
                    .entries
                    .into_iter()
                    .map(|(_, upstream)| upstream),
            )
            .collect();
        Config {
            server: self.server.1,
            admin: self.admin.1,
            redis: self.redis,
            rate_limit: self.rate_limit.1,
            session: self.session.1,
            users: self.users.1,
            apps: self.apps.entries.into_iter().map(|(_, app)| app).collect(),
            relay: self.relay.1,
            wechat: self.wechat,
            phone: self.phone,
            login: (0..)
                .zip(self.login.entries)
                .map(|(number, (_, login))| Login { number, ..login })
                .collect(),
            decrypt: self.decrypt,
            identity: self.identity,
            upstreams,
            routes: (0..)
                .zip(self.routes.entries)
                .map(|(number, (_, route))| Route { number, ..route })
                .collect(),
            log: self.log,
        }
    }
}
