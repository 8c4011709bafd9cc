//! The whole file: each table read by its own reader, then the checks across tables.

use toml::de::DeTable;

use super::apps::{App, Login, Wechat};
use super::decrypt::Decrypt;
use super::identity::Identity;
use super::rate_limit::RateLimits;
use super::reader::{Cx, Reader};
use super::redis::Redis;
use super::route::Route;
use super::server::{Admin, Log, Server};
use super::server_api::{PhoneNumbers, Relay};
use super::session::Session;
use super::tables::{Entries, Tables};
use super::upstream::Upstream;
use super::users::Users;
use super::{Config, check, warnings};

/// Reads all tables and compares them. Problems are in `cx`; `None` or not, the configuration is
/// good only when there is no error among them.
pub(super) fn tables<'a>(cx: &'a Cx<'a>, document: &'a DeTable<'a>) -> Option<Config> {
    let top = Reader::top(cx, document);
    let (server_table, admin_table, redis_table) =
        (top.table("server"), top.table("admin"), top.table("redis"));
    let server = Server::read(&server_table);
    let admin = Admin::read(&admin_table);
    let redis = Redis::read(&redis_table);
    let (session_table, users_table) = (top.table("session"), top.table("users"));
    let session = Session::read(&session_table);
    let users = Users::read(&users_table, session.as_ref().map(|session| session.store));
    let apps = top.entries("apps", "app", &["name", "appid"]);
    let only = apps.len() == 1;
    let apps = read_all(&top, "apps", apps, |table| App::read(table, only));
    let wechat = Wechat::read(&top.table("wechat"));
    let phone = PhoneNumbers::read(&top.table("phone"));
    let relay_table = top.table("relay");
    let relay = Relay::read(&relay_table);
    let login = top.entries("login", "login", &["path"]);
    let login = logins(login);
    let decrypt = Decrypt::read(&top.table("decrypt"));
    let identity = Identity::read(&top.table("identity"));
    let upstreams = top.named("upstreams", "upstream");
    let upstream_names: Vec<String> = upstreams.iter().map(|(name, _)| name.clone()).collect();
    let upstreams = read_all(
        &top,
        "upstreams",
        upstreams.into_iter().map(|(_, table)| table).collect(),
        Upstream::read,
    );
    let rate_limit_table = top.table("rate_limit");
    let rate_limit = RateLimits::read(&rate_limit_table);
    let routes = top.entries("routes", "route", &["path"]);
    let routes = read_all(&top, "routes", routes, |table| {
        Route::read(table, server.as_ref(), session.as_ref())
    });
    top.later("check", "{}");
    let cors = top.table("cors");
    cors.later("origins", "[]");
    cors.finish();
    let log = Log::read(&top.table("log"));
    top.finish();
    cx.report_unknown();
    let tables = Tables {
        server: (server_table, server?),
        admin: (admin_table, admin?),
        session: (session_table, session?),
        users: (users_table, users?),
        decrypt: decrypt?,
        identity: identity?,
        apps,
        login,
        upstreams,
        upstream_names,
        routes,
        redis_table,
        rate_limit: (rate_limit_table, rate_limit?),
        redis: redis?,
        relay: (relay_table, relay?),
        wechat: wechat?,
        phone: phone?,
        log: log?,
    };
    check::errors(cx, &tables);
    warnings::report(&tables);
    Some(tables.into_config())
}

fn read_all<'a, T>(
    top: &Reader<'a>,
    name: &str,
    tables: Vec<Reader<'a>>,
    read: impl Fn(&Reader<'a>) -> Option<T>,
) -> Entries<'a, T> {
    let mut complete = true;
    let mut entries = Vec::new();
    for table in tables {
        let entry = read(&table);
        if !table.written() {
            // None is written, or what is written is no such table.
            complete = !top.has(name);
            continue;
        }
        match entry {
            Some(entry) => entries.push((table, entry)),
            None => complete = false,
        }
    }
    Entries { entries, complete }
}

/// As `read_all`, but where no login is written the defaults make one.
fn logins(tables: Vec<Reader<'_>>) -> Entries<'_, Login> {
    let mut complete = true;
    let mut entries = Vec::new();
    for table in tables {
        match Login::read(&table) {
            Some(login) => entries.push((table, login)),
            None => complete = false,
        }
    }
    Entries { entries, complete }
}
