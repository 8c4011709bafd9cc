//! The keys of `[server]` and its tables.

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const LISTEN: Key = Key {
    name: "listen",
    kind: Kind::List(&Kind::Text("address")),
    default: Some(r#"["0.0.0.0:8080"]"#),
    about: "Addresses of the listeners: `address:port`, `[address]:port` or `unix:/path`.",
    reload: Reload::Live,
};

pub(in crate::config) const WORKERS: Key = Key {
    name: "workers",
    kind: Kind::Or(&[Kind::Integer, Kind::Word(&["auto"])]),
    default: Some(r#""auto""#),
    about: "Worker threads, 1 to 1024. `\"auto\"` is the CPU quota of the container, at least 1.",
    reload: Reload::Restart,
};

pub(in crate::config) const MAX_CONNECTIONS: Key = Key {
    name: "max_connections",
    kind: Kind::Integer,
    default: Some("10000"),
    about: "Connections open at once over all listeners, WebSockets and idle ones included. [At \
            the limit](#when-all-connections-are-taken) the longest-idle one is closed to make \
            room. A WebSocket is closed when nothing moves in it for an hour, and at the end of \
            the drain.",
    reload: Reload::Live,
};

pub(in crate::config) const MAX_CONNECTIONS_PER_ADDRESS: Key = Key {
    name: "max_connections_per_address",
    kind: Kind::Or(&[Kind::Integer, Kind::Word(&["auto"])]),
    default: Some(r#""auto""#),
    about: "Connections of one IPv4 address or IPv6 /64 at once. `\"auto\"` is half of \
            `max_connections`. Connections from `trusted_proxies` and over Unix sockets do not \
            count.",
    reload: Reload::Live,
};

pub(in crate::config) const TRUSTED_PROXIES: Key = Key {
    name: "trusted_proxies",
    kind: Kind::List(&Kind::Text("network")),
    default: Some("[]"),
    about: "Networks of your own proxies, such as `\"10.0.0.0/8\"`, whose forwarding headers are \
            believed. From them `X-Forwarded-*`, `Forwarded`, `X-Real-Ip`, `X-Original-Url`, \
            `X-Original-Uri`, `X-Rewrite-Url`, `X-Host`, `X-Request-Id` and the headers in which \
            some proxies name the client (`Client-Ip`, `X-Client-Ip`, `True-Client-Ip`, \
            `X-Cluster-Client-Ip`, `Cf-Connecting-Ip`) are passed on. From others, and over a \
            Unix socket, they are removed or written anew; other spellings such as \
            `X.Forwarded-For` are always removed.",
    reload: Reload::Live,
};

pub(in crate::config) const MAX_HEADER_BYTES: Key = Key {
    name: "max_header_bytes",
    kind: Kind::Size,
    default: Some(r#""32KiB""#),
    about: "Size of request line and headers together, `\"8KiB\"` to `\"1MiB\"`. More is refused \
            with 431, and so are more than 100 header lines. Path and query have 8 KiB at most \
            (414).",
    reload: Reload::Live,
};

pub(in crate::config) const MAX_BODY: Key = Key {
    name: "max_body",
    kind: Kind::Or(&[Kind::Size, Kind::Word(&["none"])]),
    default: Some(r#""20MiB""#),
    about: "The largest request body, or `\"none\"`. Routes may set their own.",
    reload: Reload::Live,
};

pub(in crate::config) const HEADER_TIMEOUT: Key = Key {
    name: "header_timeout",
    kind: Kind::Duration,
    default: Some(r#""10s""#),
    about: "Time to the first bytes of a connection and, over HTTP/1, for the whole head of each \
            request (408).",
    reload: Reload::Live,
};

pub(in crate::config) const IDLE_TIMEOUT: Key = Key {
    name: "idle_timeout",
    kind: Kind::Duration,
    default: Some(r#""75s""#),
    about: "Time a connection may stay without a request.",
    reload: Reload::Live,
};

pub(in crate::config) const BODY_TIMEOUT: Key = Key {
    name: "body_timeout",
    kind: Kind::Duration,
    default: Some(r#""30s""#),
    about: "Time a request body may stay without progress (408). A body is also refused when it \
            comes slower than 1 KiB/s on average, once the client was waited for longer than \
            this in all. A response that the client does not read for this long, or reads slower \
            than that, ends its connection; over HTTP/2, that stream alone. Time in which there \
            is nothing to send, as in an event stream, does not count. Bodies that are read \
            whole (logins, `form:` and `json:` places) must be complete within it.",
    reload: Reload::Live,
};

pub(in crate::config) const PATH_POLICY: Key = Key {
    name: "path_policy",
    kind: Kind::Word(&["strict", "raw"]),
    default: Some(r#""strict""#),
    about: "How request paths are read. `\"strict\"` routes and forwards the one canonical path; \
            dot segments, `;`, `\\` and encoded delimiters are refused. `\"raw\"` routes and \
            forwards paths as received, and is allowed only where every route has the same \
            `auth`.",
    reload: Reload::Live,
};

pub(in crate::config) const UNDERSCORE_HEADERS: Key = Key {
    name: "underscore_headers",
    kind: Kind::Word(&["drop", "keep"]),
    default: Some(r#""drop""#),
    about: "What happens to request headers with `_` in the name: `\"drop\"` removes them as \
            nginx does, `\"keep\"` forwards all but those that look like an identity header.",
    reload: Reload::Live,
};

pub(in crate::config) const RELOAD: Key = Key {
    name: "reload",
    kind: Kind::Or(&[Kind::Duration, Kind::Word(&["off"])]),
    default: Some(r#""2s""#),
    about: "How often this file and the files it names are read for changes, which are then used \
            without a restart; see [changes](#changes-of-the-file). `\"off\"`: only at SIGHUP and at \
            `POST /reload`. From `\"100ms\"` to `\"1h\"`.",
    reload: Reload::Live,
};

pub(in crate::config) const SHUTDOWN_DRAIN: Key = Key {
    name: "drain",
    kind: Kind::Duration,
    default: Some(r#""20s""#),
    about: "Time for requests and WebSockets to finish after SIGTERM; then they are closed. \
            At most `\"1h\"`.",
    reload: Reload::Live,
};
