//! Warnings: settings that work, but probably not as meant. Few, so that they are read.

use super::apps::Login;
use super::paths::PathPattern;
use super::route::{Action, Auth, Route};
use super::server::PathPolicy;
use super::session::SessionStoreKind;
use super::tables::Tables;
use super::users::{self, UserStore};
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
                "a login is served at this path, so the route is never used",
                help,
            );
        }
        let limit = route.rate_limit;
        if route.auth == Auth::Optional && limit.per_user.is_some() && limit.per_address.is_none() {
            table.warning(
                "rate_limit",
                "requests without an skey are not counted",
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
    lookalikes(tables);
    side_entrances(tables);
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
        let help = "name the networks of your own proxies: any client can choose the address that is logged";
        table.warning("trusted_proxies", "every address is trusted", help);
    }
    limits_over_sockets(tables);
    let (table, users) = &tables.users;
    users::warn(table, users, &tables.identity, tables.phone.enabled);
    if matches!(users.store, UserStore::Memory) && tables.session.1.store == SessionStoreKind::Redis
    {
        let help = "write \"redis\": sessions outlive this process, and replicas would give one user different ids";
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
    // No warning about the default, which the operator did not choose.
    let logins =
        logins.filter(|(table, login)| login.rate_limit.is_some() && table.has("rate_limit"));
    for table in routes
        .map(|(table, _)| table)
        .chain(logins.map(|(table, _)| table))
    {
        table.warning(
            "rate_limit",
            "over the Unix socket in server.listen clients have no address, so per_address does not count them",
            "listen on a port, or let the proxy in front limit by address",
        );
    }
}

/// Routes for paths that many services take for one, but not with one auth.
fn lookalikes(tables: &Tables<'_>) {
    let folded = |route: &Route| {
        let text = route.path.to_string().to_ascii_lowercase();
        text.trim_end_matches('/').to_owned()
    };
    for (index, (table, route)) in tables.routes.entries.iter().enumerate() {
        let alike = |(_, earlier): &&(_, Route)| {
            earlier.path != route.path
                && folded(earlier) == folded(route)
                && earlier.auth != route.auth
                && (earlier.hosts.is_empty()
                    || route.hosts.is_empty()
                    || earlier.hosts.iter().any(|host| route.hosts.contains(host)))
        };
        if let Some((earlier, _)) = tables.routes.entries.iter().take(index).find(alike) {
            let what = format!(
                "differs from the route in line {} only in letters or a slash at its end, and in auth",
                earlier.line("path")
            );
            let help =
                "services that ignore those serve both alike; write one route, or the same auth";
            table.warning("path", &what, help);
        }
    }
}

/// Routes whose rewrites lead, with less auth, to a path that another route protects at the same
/// upstream.
fn side_entrances(tables: &Tables<'_>) {
    for (table, route) in &tables.routes.entries {
        let guarded = tables
            .routes
            .entries
            .iter()
            .find(|(_, other)| asks(other.auth) > asks(route.auth) && leads_into(route, other));
        if let Some((other, _)) = guarded {
            let what = format!(
                "asks less than the route in line {} for the same paths of the upstream",
                other.line("path")
            );
            let help = "strip_prefix and add_prefix lead both there; write the same auth, or prefixes that keep them apart";
            table.warning("auth", &what, help);
        }
    }
}

fn asks(auth: Auth) -> u8 {
    match auth {
        Auth::Off => 0,
        Auth::Optional => 1,
        Auth::Required => 2,
    }
}

/// Whether every path that the upstream gets by `other` can be had by `route` too, where `other`
/// does not take the request first.
fn leads_into(route: &Route, other: &Route) -> bool {
    let (Action::Forward(here), Action::Forward(there)) = (&route.action, &other.action) else {
        return false;
    };
    let (PathPattern::Prefix(from), PathPattern::Exact(path) | PathPattern::Prefix(path)) =
        (&route.path, &other.path)
    else {
        return false;
    };
    let (reached, wanted) = (outgoing(route, from), outgoing(other, path));
    let Some(rest) = below(&wanted, &reached) else {
        return false;
    };
    let first = path.len() > from.len() && below(&format!("{from}{rest}"), path).is_some();
    here == there && !first
}

/// The path that the upstream gets for the beginning of a route's paths.
fn outgoing(route: &Route, path: &str) -> String {
    let strip = route.strip_prefix.as_deref().unwrap_or_default();
    let add = route.add_prefix.as_deref().unwrap_or_default();
    format!("{add}{}", path.strip_prefix(strip).unwrap_or(path))
}

/// What follows the prefix, at a segment border.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix)
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
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
