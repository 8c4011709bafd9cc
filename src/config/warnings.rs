//! What works, but probably not as meant. Few, so that they are read.

use super::apps::Login;
use super::read::Tables;
use super::route::{Action, Auth, PathPattern};
use super::server::PathPolicy;
use super::session::{SessionStoreKind, UserStoreKind};
use super::values::ListenAddress;

/// Reports them. Nothing is said about entries that could not be read.
pub(super) fn report(tables: &Tables<'_>) {
    if tables.routes.complete {
        unused_upstreams(tables);
    }
    for (table, route) in &tables.routes.entries {
        let login = |(_, login): &(_, Login)| PathPattern::Exact(login.path.clone()) == route.path;
        if tables.login.entries.iter().any(login) {
            let help =
                "logins come before routes, whatever the method; remove it, or move the login";
            table.warning(
                "path",
                "a login answers at this path, so the route is never taken",
                help,
            );
        }
        let limit = route.rate_limit;
        if route.auth == Auth::Optional && limit.per_user.is_some() && limit.per_address.is_none() {
            table.warning(
                "rate_limit",
                "callers who send no skey are not counted",
                "write per_address too",
            );
        }
        let everything = route.path == PathPattern::Prefix(String::new());
        if everything && route.auth == Auth::Off && matches!(route.action, Action::Forward(_)) {
            let help =
                "write auth = \"required\" here, and \"off\" for the paths that need no login";
            table.warning(
                "auth",
                "off for every path without a route of its own",
                help,
            );
        }
    }
    if tables.apps.complete && tables.login.complete {
        unused_apps(tables);
    }
    let (table, server) = &tables.server;
    let open = |address: &ListenAddress| matches!(address, ListenAddress::Tcp(address) if address.ip().is_unspecified());
    if server.path_policy == PathPolicy::Raw && server.listen.iter().any(open) {
        table.warning(
            "path_policy",
            "raw, on a listener for every network",
            "write \"strict\" unless another proxy cleans paths first",
        );
    }
    if server
        .trusted_proxies
        .iter()
        .any(|network| network.prefix_len() == 0)
    {
        let help = "name the networks of your own proxies: anybody can now choose the address that is logged";
        table.warning("trusted_proxies", "every address is trusted", help);
    }
    limits_over_sockets(tables);
    let (table, users) = &tables.users;
    if users.store == UserStoreKind::Memory && tables.session.1.store == SessionStoreKind::Redis {
        let help = "write \"redis\": sessions outlive this process, and replicas would disagree on who is who";
        table.warning("store", "user ids end with this process", help);
    }
}

fn limits_over_sockets(tables: &Tables<'_>) {
    let is_socket = |address: &ListenAddress| matches!(address, ListenAddress::Unix(_));
    if !tables.server.1.listen.iter().any(is_socket) {
        return;
    }
    let routes = tables.routes.entries.iter();
    let routes = routes.filter(|(_, route)| route.rate_limit.per_address.is_some());
    let logins = tables.login.entries.iter();
    // The default is nobody's decision, so nothing is said about it.
    let logins =
        logins.filter(|(table, login)| login.rate_limit.is_some() && table.has("rate_limit"));
    for table in routes
        .map(|(table, _)| table)
        .chain(logins.map(|(table, _)| table))
    {
        table.warning(
            "rate_limit",
            "over the Unix socket in server.listen nobody has an address, so per_address counts nobody there",
            "listen on a port, or let the proxy in front limit by address",
        );
    }
}

fn unused_upstreams(tables: &Tables<'_>) {
    let used = |name: &str| {
        tables
            .routes
            .values()
            .any(|route| matches!(&route.action, Action::Forward(to) if to == name))
    };
    if !tables.upstreams.complete {
        return;
    }
    for (name, (table, _)) in tables.upstream_names.iter().zip(&tables.upstreams.entries) {
        if !used(name) {
            table.table_warning("no route uses it", "remove it, or name it in a route");
        }
    }
}

fn unused_apps(tables: &Tables<'_>) {
    let chosen_per_request = tables.login.values().any(|login| login.app.is_none());
    for (table, app) in &tables.apps.entries {
        let named = tables
            .login
            .values()
            .any(|login| login.app.as_ref() == Some(&app.name));
        if !named && !chosen_per_request {
            table.table_warning("no login uses it", "remove it, or name it in a [[login]]");
        }
    }
    let mut apps = tables.apps.entries.iter();
    if let Some((table, _)) = apps.next().filter(|_| chosen_per_request)
        && tables.apps.entries.len() > 1
        && !tables.apps.values().any(|app| app.default)
    {
        let help = "write default = true in one app: a login that chooses none by header, host or Referer is refused";
        table.cx.warning(
            table.at("appid"),
            "apps: none of them is the default".to_owned(),
            help,
        );
    }
}
