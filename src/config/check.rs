//! Cross-table checks: unresolved names, duplicates, unsafe combinations.

use std::collections::BTreeMap;

use http::{HeaderName, Method};

use super::apps::CodeSource;
use super::reader::{Cx, Reader, nearest};
use super::route::{Action, HeaderRules, Route};
use super::server::{PathPolicy, UnderscoreHeaders};
use super::session::{SessionStoreKind, TokenSource};
use super::tables::Tables;
use super::users::UserStore;
use super::values::ListenAddress;
use crate::http::names::folded;
use crate::identity::{ALWAYS_STRIPPED, MERGED_FROM_HEADER};

/// Reports problems that make the file unusable.
pub(super) fn errors(cx: &Cx<'_>, tables: &Tables<'_>) {
    presence(cx, tables);
    listeners(tables);
    apps(tables);
    logins(tables);
    routes(tables);
    sources(tables);
    shared_limits(tables);
    relay(tables);
}

fn relay(tables: &Tables<'_>) {
    let (table, relay) = &tables.relay;
    let admin = &tables.admin.1;
    if relay.paths.is_empty() {
        return;
    }
    if admin.listen.is_none() {
        let help = "write admin.listen, or leave the paths out";
        let what = "calls are relayed by the admin listener, and there is none";
        table.error("paths", what, Some(help.to_owned()));
    }
    if admin.token.is_none() {
        let help =
            "write admin.token, or admin.token_file; make one with `openssl rand -base64 32`";
        let what = "calls are relayed with admin.token, and there is none";
        table.error("paths", what, Some(help.to_owned()));
    }
}

fn shared_limits(tables: &Tables<'_>) {
    let (table, limits) = &tables.rate_limit;
    let in_redis = tables.session.1.store == SessionStoreKind::Redis
        || matches!(tables.users.1.store, UserStore::Redis);
    if limits.shared && !in_redis && !tables.redis_table.written() {
        let help =
            "write [redis] with its url, or leave it out: each replica counts for itself then";
        table.error(
            "shared",
            "limits are shared through Redis, and nothing else here uses it",
            Some(help.to_owned()),
        );
    }
}

fn presence(cx: &Cx<'_>, tables: &Tables<'_>) {
    let missing = |table: &str, help: &str| {
        cx.error(0..0, format!("there is no {table}"), Some(help.to_owned()));
    };
    if tables.apps.complete && tables.apps.entries.is_empty() {
        missing(
            "[[apps]]",
            "write one, with the appid and the secret of the mini program",
        );
    }
    if tables.routes.complete && tables.routes.entries.is_empty() {
        missing(
            "[[routes]]",
            "write one, as in: path = \"/*\" and upstream = \"NAME\"",
        );
    }
}

fn listeners(tables: &Tables<'_>) {
    let (table, server) = &tables.server;
    let admin = tables.admin.1.listen.map(ListenAddress::Tcp);
    for (index, address) in server.listen.iter().enumerate() {
        if server
            .listen
            .iter()
            .take(index)
            .any(|earlier| clash(earlier, address))
        {
            let what = format!("`{address}` is taken by an earlier one");
            table.error("listen", &what, Some("remove one".to_owned()));
        }
        if admin.as_ref().is_some_and(|admin| clash(admin, address)) {
            let help = "take another port, or write admin.listen = \"\" for no admin listener";
            table.error(
                "listen",
                &format!("`{address}` is taken by admin.listen"),
                Some(help.to_owned()),
            );
        }
    }
}

/// Whether the system would refuse the second: the same port of one address, or of all. Port 0 is
/// another each time.
fn clash(left: &ListenAddress, right: &ListenAddress) -> bool {
    match (left, right) {
        (ListenAddress::Tcp(left), ListenAddress::Tcp(right)) => {
            let every = left.ip().is_unspecified() || right.ip().is_unspecified();
            let same_ip = left.ip() == right.ip() || every && left.is_ipv4() == right.is_ipv4();
            left.port() == right.port() && left.port() != 0 && same_ip
        }
        (ListenAddress::Unix(left), ListenAddress::Unix(right)) => left == right,
        (ListenAddress::Tcp(_), ListenAddress::Unix(_))
        | (ListenAddress::Unix(_), ListenAddress::Tcp(_)) => false,
    }
}

fn apps(tables: &Tables<'_>) {
    let mut names = BTreeMap::new();
    let mut appids = BTreeMap::new();
    let mut hosts = BTreeMap::new();
    let mut default = None;
    for (table, app) in &tables.apps.entries {
        if let Some(first) = appids.insert(&app.appid, table.line("appid")) {
            table.error(
                "appid",
                &format!("is the appid of the app in line {first} too"),
                Some("write each app once".to_owned()),
            );
        } else if let Some(first) = names.insert(&app.name, table.line("appid")) {
            let help = Some("give each app a name of its own".to_owned());
            table.error(
                "name",
                &format!("the app in line {first} is called `{}` too", app.name),
                help,
            );
        }
        for host in &app.hosts {
            if let Some(first) = hosts.insert(host, table.line("appid")) {
                let help = Some("a host can choose one app only".to_owned());
                table.error(
                    "hosts",
                    &format!("`{host}` chooses the app in line {first} already"),
                    help,
                );
            }
        }
        if app.default {
            match default {
                Some(first) => {
                    let help = Some("one app can be the default".to_owned());
                    table.error(
                        "default",
                        &format!("the app in line {first} is the default already"),
                        help,
                    );
                }
                None => default = Some(table.line("appid")),
            }
        }
    }
}

fn logins(tables: &Tables<'_>) {
    let mut paths = BTreeMap::new();
    for (table, login) in &tables.login.entries {
        if let Some(first) = paths.insert(&login.path, table.line("path")) {
            let help = Some("write one entry for each path".to_owned());
            table.error(
                "path",
                &format!(
                    "`{}` is the path of the login in line {first} too",
                    login.path
                ),
                help,
            );
        }
        let Some(name) = login.app.as_ref().filter(|_| tables.apps.complete) else {
            continue;
        };
        if !tables.apps.values().any(|app| app.name == *name) {
            let names = tables.apps.values().map(|app| app.name.as_str());
            let near = nearest(name, names.clone()).map(|name| format!("did you mean `{name}`?"));
            let all = || format!("the apps are {}", names.collect::<Vec<_>>().join(", "));
            table.error(
                "app",
                &format!("there is no app `{name}`"),
                Some(near.unwrap_or_else(all)),
            );
        }
    }
}

fn routes(tables: &Tables<'_>) {
    for (index, (table, route)) in tables.routes.entries.iter().enumerate() {
        if let Action::Forward(name) = &route.action {
            upstream_exists(tables, table, name);
        }
        for (earlier_table, earlier) in tables.routes.entries.iter().take(index) {
            if let Some(what) = overlap(earlier, route) {
                let first = earlier_table.line("path");
                let help = "no request could tell them apart; keep one, or give them different hosts or methods";
                table.error(
                    "path",
                    &format!("the route in line {first} has the same {what}"),
                    Some(help.to_owned()),
                );
            }
        }
        identity_untouched(tables, table, "request_headers", &route.request_headers);
    }
    let (table, server) = &tables.server;
    let mut auths = tables.routes.values().map(|route| route.auth);
    let first = auths.next();
    if server.path_policy == PathPolicy::Raw && auths.any(|auth| Some(auth) != first) {
        let help = "the routes differ in auth, and a path read differently by the upstream would choose between them; write \"strict\"";
        table.error(
            "path_policy",
            "raw is allowed only where every route has the same auth",
            Some(help.to_owned()),
        );
    }
}

fn upstream_exists(tables: &Tables<'_>, table: &Reader<'_>, name: &str) {
    let names = tables
        .upstream_names
        .iter()
        .map(String::as_str)
        .filter(|name| !name.is_empty());
    if names.clone().any(|known| known == name) {
        return;
    }
    let help = match nearest(name, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write [upstreams.{name}] with servers = [\"http://host:port\"]"),
    };
    table.error(
        "upstream",
        &format!("there is no upstream `{name}`"),
        Some(help),
    );
}

/// What two routes share, if some request belongs to both and neither is the closer one.
fn overlap(left: &Route, right: &Route) -> Option<String> {
    if left.path != right.path {
        return None;
    }
    let hosts = match (left.hosts.is_empty(), right.hosts.is_empty()) {
        (true, true) => "path".to_owned(),
        (false, false) => {
            let host = left.hosts.iter().find(|host| right.hosts.contains(host))?;
            format!("path and host `{host}`")
        }
        (true, false) | (false, true) => return None,
    };
    let both = |method: &&Method| right.methods.is_empty() || right.methods.contains(method);
    if left.methods.is_empty() || right.methods.is_empty() {
        return Some(hosts);
    }
    let method = left.methods.iter().find(both)?;
    Some(format!("{hosts} and method {method}"))
}

fn identity_untouched(tables: &Tables<'_>, table: &Reader<'_>, key: &str, rules: &HeaderRules) {
    let names = rules.set.iter().map(|(name, _)| name).chain(&rules.remove);
    for name in names.filter(|name| is_identity(tables, name)) {
        let help = "what it says is decided under [identity], for all routes";
        table.error(
            key,
            &format!("`{name}` is an identity header"),
            Some(help.to_owned()),
        );
    }
}

fn is_identity(tables: &Tables<'_>, name: &HeaderName) -> bool {
    let plain = folded(name.as_str());
    let mut headers = tables.identity.headers.iter();
    plain == MERGED_FROM_HEADER || headers.any(|(identity, _)| folded(identity.as_str()) == plain)
}

/// Headers in which a token or code comes: one that is dropped or stripped before it is read would
/// never be found.
fn sources(tables: &Tables<'_>) {
    let (session_table, session) = &tables.session;
    check_sources(
        tables,
        session_table,
        "token_from",
        token_headers(&session.token_from),
    );
    for (table, route) in &tables.routes.entries {
        if table.has("token_from") {
            check_sources(
                tables,
                table,
                "token_from",
                token_headers(&route.token_from),
            );
        }
    }
    for (table, login) in &tables.login.entries {
        let headers = login.code_from.iter().filter_map(|source| match source {
            CodeSource::Header(name) => Some(name),
            CodeSource::Json(_) | CodeSource::Form(_) | CodeSource::Query(_) => None,
        });
        check_sources(tables, table, "code_from", headers);
    }
}

fn token_headers(sources: &[TokenSource]) -> impl Iterator<Item = &HeaderName> {
    sources.iter().filter_map(|source| match source {
        TokenSource::Header(name) => Some(name),
        TokenSource::Bearer
        | TokenSource::Query(_)
        | TokenSource::Cookie(_)
        | TokenSource::Form(_)
        | TokenSource::Json(_) => None,
    })
}

fn check_sources<'n>(
    tables: &Tables<'_>,
    table: &Reader<'_>,
    key: &str,
    names: impl Iterator<Item = &'n HeaderName>,
) {
    for name in names {
        if name.as_str().contains('_')
            && tables.server.1.underscore_headers == UnderscoreHeaders::Drop
        {
            let help = format!(
                "write `{}`, or server.underscore_headers = \"keep\"",
                name.as_str().replace('_', "-")
            );
            table.error(
                key,
                &format!("the header `{name}` is dropped for its `_` before it is read"),
                Some(help),
            );
        }
        let is_stripped = ALWAYS_STRIPPED.contains(&folded(name.as_str()).as_str());
        if is_stripped || is_identity(tables, name) {
            let help = "identity headers are taken out of every request; take another name";
            table.error(
                key,
                &format!("`{name}` is an identity header"),
                Some(help.to_owned()),
            );
        }
    }
}
